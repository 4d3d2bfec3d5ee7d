"""Whether what a kernel computed is right: its results beside those of exact arithmetic.

Comes in: a kernel, its arrays before and after it ran.  Goes out: for each array with wrong elements, the first of
them.  How far an element may be off follows from the arithmetic: the format it is stored in, how much is summed up, and
how much it changes when every input and every operation is changed by a rounding.  Kernels too large to be computed
again are looked at in boxes: in the corners and at random places.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import prod, sqrt
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from codegen.dtypes import DType, dtypes, from_storage
from codegen.exact import exact, exact_arrays
from codegen.index import Axis
from codegen.interpret import WIDEST, interpret_some, scanned_axes, store_parts
from codegen.ir import Kernel, Param, Store, walk

Arrays = Mapping[str, NDArray]
Ranges = dict[Axis, range]
BUDGET: Final = 1 << 23  # values computed for one store, unless everything is asked for
LARGEST: Final = 1 << 27  # of a store whose points cannot be chosen from
BOXES: Final = 6
SPOILED: Final = 0xF7  # in every byte: large negative floats, odd integers
SHAKES: Final = 3  # times the inputs and all operations are changed by a rounding
BITS: Final = {"float16": 10, "bfloat16": 7, "float32": 23, "float64": 52}  # of a fraction


@dataclass(frozen=True)
class Wrong:
    """The first wrong element of an array: its place, what is there and what should be; how many of those looked at."""

    param: Param
    place: int
    found: object
    expected: object
    wrong: int
    seen: int


class Reference(NamedTuple):
    """What is computed, and which places are written."""

    arrays: dict[str, NDArray]
    touched: dict[str, NDArray]


def wrong_elements(kernel: Kernel, before: Arrays, after: Arrays, thorough: bool = False) -> list[Wrong]:
    """The first wrong element of each array a kernel wrote, or changed without right.

    before, after  the kernel's arrays in storage form
    thorough       every element is looked at, however long it takes
    """
    looked = _Looked(kernel, thorough)
    ideal = _computed(exact(kernel), exact_arrays(kernel, before), looked)
    return [
        wrong
        for param in kernel.params
        if (wrong := _wrong(kernel, param, before, after, ideal, looked)) is not None
    ]


def spoiled(kernel: Kernel) -> dict[str, NDArray]:
    """Values nobody computes, for each parameter that a kernel fills without reading it: what it leaves out shows."""
    read = {e.param for e in kernel.loads}
    filled = {
        store.param
        for store in kernel.stores
        if store.mode == "set" and not store.guards and not store.index.is_dynamic
        and prod(a.size for a in store.axes) == store.param.size
    }  # fmt: skip
    return {p.name: np.full(p.nbytes, SPOILED, np.uint8).view(p.dtype.numpy) for p in filled - read if p.dtype.bits > 8}


def _wrong(
    kernel: Kernel, param: Param, before: Arrays, after: Arrays, ideal: Reference, looked: _Looked
) -> Wrong | None:
    found = from_storage(after[param.name], param.dtype)
    if param.name not in kernel.written:
        old = from_storage(before[param.name], param.dtype)
        return _first(param, ~_same(found, old), found, old, param.size)
    seen, expected = ideal.touched[param.name], ideal.arrays[param.name]
    off = seen & ~close(found, expected, _tight(kernel, param, expected))
    if looked.everything:
        off |= ~seen & ~_same(found, from_storage(before[param.name], param.dtype))
    if off.any():
        off &= ~(seen & close(found, expected, _loose(kernel, param, before, ideal, looked)))
        off &= ~_unstable(kernel, param, before, ideal, looked)
    return _first(param, off, found, expected, int(seen.sum()))


def _first(param: Param, off: NDArray, found: NDArray, expected: NDArray, seen: int) -> Wrong | None:
    if not off.any():
        return None
    place = int(off.argmax())
    return Wrong(param, place, found[place].item(), expected[place].item(), int(off.sum()), seen)


def _same(a: NDArray, b: NDArray) -> NDArray:
    return np.equal(a, b) | (np.isnan(a) & np.isnan(b) if a.dtype.kind == "f" else False)


def close(found: NDArray, expected: NDArray, bound: NDArray | float) -> NDArray:
    """Where two arrays are equal, or no further apart than a bound; floats only may be."""
    if found.dtype.kind != "f":
        return np.equal(found, expected)
    with np.errstate(all="ignore"):
        return _same(found.astype(np.float64), expected) | (np.abs(found - expected) <= bound)


# ------------------------------------------------------------------------------------------ how far off is right


def epsilon(dtype: DType) -> float:
    """The relative distance of neighbours in a format."""
    return 2.0 ** -BITS.get(dtype.name, 60)


def _arithmetic(kernel: Kernel) -> float:
    """The coarsest rounding inside a kernel but for casts: what these do, the kernel's own arithmetic tells."""
    values = [e.dtype.arithmetic for e in kernel.exprs if e.args and e.dtype.is_float]
    return max(map(epsilon, values), default=0.0)


def _summed(kernel: Kernel) -> float:
    """How many values are combined into one at most."""
    reduced = prod(axis.size for axis in {a for e in kernel.reduces for a in e.bound} | {e.axis for e in kernel.scans})
    written = [prod(a.size for a in store.axes) / store.param.size for store in kernel.stores if store.param.size]
    return max(reduced, *written, 1.0) if written else max(reduced, 1.0)


def _tight(kernel: Kernel, param: Param, expected: NDArray) -> NDArray | float:
    """A bound that most right results keep."""
    if not param.dtype.is_float:
        return 0.0
    rounding = max(epsilon(param.dtype), _arithmetic(kernel) * (4 + sqrt(_summed(kernel))))
    with np.errstate(all="ignore"):
        bound: NDArray = rounding * np.abs(expected) + tiny(param.dtype)
    return bound


def tiny(dtype: DType) -> float:
    """Results as small as denormals may be lost."""
    return float(np.finfo(np.float16 if dtype is dtypes.float16 else np.float32).smallest_normal)


def _loose(kernel: Kernel, param: Param, before: Arrays, ideal: Reference, looked: _Looked) -> NDArray | float:
    """A bound that every right result keeps: by how much rounding the inputs, and every value on the way, matters.

    Small elements among large ones may be what is left of a difference.
    """
    if not param.dtype.is_float:
        return 0.0
    factor, expected = 16 + sqrt(_summed(kernel)), ideal.arrays[param.name]
    with np.errstate(all="ignore"):
        spread = sum(np.abs(o.arrays[param.name] - expected) for o in _others(kernel, before, looked))
        largest = np.abs(expected[np.isfinite(expected)]).max(initial=0.0)
        bound: NDArray = _tight(kernel, param, expected) + factor * (spread + _arithmetic(kernel) * largest)
    return bound


def _unstable(kernel: Kernel, param: Param, before: Arrays, ideal: Reference, looked: _Looked) -> NDArray:
    """Where a rounding decides: which of two integers it is, whether it is a number, or which place is written."""
    expected = ideal.arrays[param.name]
    differs = np.zeros(expected.shape, np.bool_)
    for other in _others(kernel, before, looked):
        values = other.arrays[param.name]
        with np.errstate(all="ignore"):
            kinds = np.isfinite(values) != np.isfinite(expected) if param.dtype.is_float else values != expected
        differs |= kinds | (other.touched[param.name] != ideal.touched[param.name])
    return differs


def _others(kernel: Kernel, before: Arrays, looked: _Looked) -> list[Reference]:
    """What comes of the kernel's own arithmetic, and of exact arithmetic where inputs and operations are changed by a
    rounding."""
    if looked.others is None:
        own = {name: array.copy() for name, array in before.items()}
        touched = interpret_some(kernel, own, looked.parts)
        looked.others = [Reference(exact_arrays(kernel, own), touched)]
        rounding = max(_arithmetic(kernel), 2.0**-52)
        for seed in range(SHAKES):
            random, arrays = np.random.default_rng(seed), exact_arrays(kernel, before)
            for array in arrays.values():
                if array.dtype.kind == "f":
                    array *= 1 + rounding * random.uniform(-1, 1, array.shape)
            looked.others.append(_computed(exact(kernel, rounding, seed), arrays, looked))
    return looked.others


def _computed(kernel: Kernel, arrays: dict[str, NDArray], looked: _Looked) -> Reference:
    return Reference(arrays, interpret_some(kernel, arrays, looked.parts))


# ------------------------------------------------------------------------------------------------ what is looked at


class _Looked:
    """What is looked at of a kernel, the same for every variant of it.

    parts       for each store ranges of its axes
    everything  no point is left out
    others      what variants of the kernel compute, once that was needed
    """

    def __init__(self, kernel: Kernel, thorough: bool) -> None:
        whole = scanned_axes(kernel)
        wide = [not thorough and _work(store, {}) > BUDGET for store in kernel.stores]
        self.everything = not any(wide)
        self.others: list[Reference] | None = None
        self.parts = [
            list(_chosen(store, whole) if cut else store_parts(store, whole))
            for store, cut in zip(kernel.stores, wide)
        ]


def _work(store: Store, ranges: Ranges) -> int:
    """Values computed for the points of a store within ranges of its axes."""
    return sum(prod(len(ranges.get(a, range(a.size))) for a in e.axes) for e in walk(store.roots))


def _chosen(store: Store, whole: frozenset[Axis]) -> Iterator[Ranges]:
    """A few boxes of a store's points: both corners, and random places; none where only all together tell anything."""
    if store.mode != "set" or store.sequential:
        if _work(store, {}) <= LARGEST:
            yield from store_parts(store, whole)
        return
    random = np.random.default_rng(0)
    width = {a: a.size for a in store.axes}
    while _work(store, {a: range(n) for a, n in width.items()}) > BUDGET // BOXES or prod(width.values()) > WIDEST:
        free = [a for a in width if a not in whole and width[a] > 1]
        if not free:
            break
        widest = max(free, key=lambda a: (width[a], -a.id))
        width[widest] = (width[widest] + 1) // 2
    for number in range(BOXES):
        cut = {a: n for a, n in width.items() if n < a.size}
        room = {a: a.size - n for a, n in cut.items()}
        low = {a: (0, most)[number] if number < 2 else int(random.integers(most + 1)) for a, most in room.items()}
        yield {a: range(low[a], low[a] + n) for a, n in cut.items()}
