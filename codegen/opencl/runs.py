"""Stores across the lanes as OpenCL C: vectors turned in registers into runs along memory.

Comes in: a store whose lanes go to places far apart, the points of its tile.  Goes out: the points stored so.  What may
lie outside, or is too little for a run, is left to the caller.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from codegen.access import SHORTEST, WOVEN
from codegen.dtypes import DType, dtypes
from codegen.index import Axis
from codegen.ir import Param, Store

if TYPE_CHECKING:
    from codegen.nodes import Place
    from codegen.opencl.boxes import Coords
    from codegen.opencl.leaves import Leaves
    from codegen.opencl.masks import Conditions

def run_axes(leaves: Leaves, store: Store, place: Place, lane: Axis | None) -> tuple[Axis, ...]:
    """The axes of a tile along which a store writes consecutive places, the innermost first, where none of them is the
    lane; none where there are too few places.  An axis the tile covers goes on where the next one steps."""
    dtype = store.param.dtype
    if lane is None or store.mode != "set" or dtype.kind == "b":
        return ()
    step = leaves.indices.stride(store.index, {}, lane)
    if step in (0, 1, -1):
        return ()
    found: list[Axis] = []
    count = 1
    while (axis := _next(store, place, lane, found, count)) is not None:
        found.append(axis)
        count *= place.tile(axis)
    return tuple(found) if count >= SHORTEST or is_woven(count, step) else ()


def _next(store: Store, place: Place, lane: Axis, found: Sequence[Axis], count: int) -> Axis | None:
    """The axis of a tile that steps over `count` places, those of the axes found."""
    if found and place.tile(found[-1]) < found[-1].size:
        return None
    others = (a for a in store.axes if a is not lane and a not in found and place.tile(a) > 1)
    return next((a for a in others if store.index.stride(a) == count), None)


def stretches(
    points: Sequence[tuple[Coords, Conditions]], store: Store, along: Sequence[Axis]
) -> list[list[tuple[Coords, Conditions]]]:
    """Points in the order of their places along the axes, a list for each that has no gap."""
    at = {id(point): sum(point[0][a] * (store.index.stride(a) or 0) for a in along) for point in points}
    found: list[list[tuple[Coords, Conditions]]] = []
    for point in sorted(points, key=lambda point: at[id(point)]):
        if found and at[id(point)] == at[id(found[-1][-1])] + 1:
            found[-1].append(point)
        else:
            found.append([point])
    return found


def is_woven(count: int, step: int | None) -> bool:
    """True when so many consecutive places fill what lies between two lanes: vectors are woven into vectors."""
    return count == step and count in WOVEN


def blocks_of(count: int, lanes: int) -> list[range]:
    """The blocks of vectors, a power of two each, that are turned together; the last one may overlap.

    >>> blocks_of(7, 16), blocks_of(3, 16)
    ([range(0, 4), range(3, 7)], [])
    """
    if count < SHORTEST:
        return []
    size = min(lanes, 1 << count.bit_length() - 1)
    starts = dict.fromkeys([*range(0, count - size, size), count - size])
    return [range(start, start + size) for start in starts]


def print_run(leaves: Leaves, store: Store, points: Sequence[Coords], values: Sequence[str], lane: Axis) -> None:
    """Store the vectors along the lane of consecutive points, as many as a block has, in runs of one lane each."""
    lanes, size = leaves.lanes, len(points)
    param, values = _words(leaves, store.param, values)
    dtype, name = param.dtype, _turned(leaves, values, param.dtype)
    step = leaves.indices.stride(store.index, points[0], lane)
    for i, index in enumerate(leaves.lane_indices(store.index, step, points[0], lane)):
        vector, first = divmod(i * size, lanes)
        part = "" if size == lanes else ".s" + "".join(f"{first + j:x}" for j in range(size))
        text = leaves.speller.store(leaves.destination(param), index, f"{name}[{vector}]{part}", dtype, size)
        leaves.put_store(store, text)


def print_woven(
    leaves: Leaves, store: Store, points: Sequence[Coords], values: Sequence[str], when: Conditions
) -> None:
    """Store the vectors of points that lie between the lanes of the first as vectors of consecutive places."""
    lanes, size = leaves.lanes, len(points)
    words, values = _words(leaves, store.param, values)
    dtype, param, name = words.dtype, leaves.destination(words), _turned(leaves, values, words.dtype)
    bounds = leaves.masks.bounds(when) if when.by_lane else None
    for i in range(size):
        index, value = leaves.indices.scalar(store.index + i * lanes, points[0]), f"{name}[{i}]"
        if bounds is not None:
            first, last = _part(bounds, size, i * lanes, lanes)
            if last == "0":
                continue
            text = leaves.speller.bounded_store(param, index, value, first, last, dtype)
        elif store.param.nbytes >= leaves.bypass and dtype.bits == 32 and store.param not in leaves.replaced:
            text = leaves.speller.bypassing_store(param, index, value, dtype)
        else:
            text = leaves.speller.store(param, index, value, dtype, lanes)
        leaves.put_store(store, text)


def _part(bounds: tuple[str, str], size: int, start: int, lanes: int) -> tuple[str, str]:
    """Which lanes of a woven vector are inside: `start` elements lie before it, `size` at each lane inside bounds."""
    first, last = bounds
    if first == "0" and last.isdigit():
        return "0", str(min(max(int(last) * size - start, 0), lanes))
    return f"({first}) * {size} - {start}", f"({last}) * {size} - {start}"


def _words(leaves: Leaves, param: Param, values: Sequence[str]) -> tuple[Param, Sequence[str]]:
    """Values as they are stored: 16-bit floats as their bits, which turn like integers."""
    if not param.dtype.is_narrow_float:
        return param, values
    helper = "half_bits" if param.dtype is dtypes.float16 else "bfloat_bits"
    bits = leaves.speller.prelude.narrow(helper, leaves.lanes)
    return Param(param.name, dtypes.uint16, param.size), [f"{bits}({value})" for value in values]


def _turned(leaves: Leaves, values: Sequence[str], dtype: DType) -> str:
    """Vectors turned in registers; the name of the array they are in."""
    kind, name = leaves.speller.type(dtype, leaves.lanes), leaves.fresh("run")
    leaves.lines.add(f"{kind} {name}[{len(values)}];")
    for i, value in enumerate(values):
        leaves.lines.add(f"{name}[{i}] = {value};")
    turn = leaves.speller.prelude.transpose(kind.removesuffix(str(leaves.lanes)), len(values))
    leaves.lines.add(f"{turn}({name});")
    return name
