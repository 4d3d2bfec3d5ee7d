"""What a graph means, operation by operation, in NumPy: the values its kernels are to compute.

Comes in: nodes of types that kernels know, and arrays for those that are given.  Goes out: arrays, in exact arithmetic
(every float as float64), in the nodes' own, or in exact arithmetic that is disturbed by about a rounding at each
operation, which tells how much rounding matters.  Of rewrites, fusion, lowering and schedules it knows nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from math import prod, sqrt
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from codegen.checking import epsilon
from codegen.dtypes import DType, dtypes, from_storage, to_storage
from codegen.ops import REDUCE_OPS, SCALAR_OPS
from kernelforge.calls import memory_forms, placeholders
from kernelforge.graph import VIEWS, Node, toposort

Values = dict[Node, NDArray]
Rule = Callable[..., NDArray]
RULES: Final[dict[str, Rule]] = {}
LARGE: Final = 1 << 16  # elements of a product that is not computed where only its sums are asked for
DISTURBED: Final = 2.0  # roundings
PRODUCTS: Final = 64  # that are taken and summed in the time other operations take for a value
STEP: Final = 256  # values computed in the time Python takes for a step
SAME: Final = VIEWS | {"contiguous", "detach", "copy", "surrogate", "gather", "stack"}  # nothing is rounded
SUMS: Final = frozenset(("reduce", "scan", "scatter", "tally"))  # see to that on their own


class Exact:
    """Arithmetic in float64."""

    def given(self, values: NDArray, dtype: DType) -> NDArray:
        """Values that are not computed."""
        return values.astype(np.float64) if dtype.is_float else values

    def done(self, values: NDArray, dtype: DType, spread: Callable[[], NDArray] | None = None) -> NDArray:
        """The values of an operation; spread tells by how much of a rounding a sum may be off."""
        return values.astype(np.float64 if dtype.is_float else dtype.compute, copy=False)

    def ordered(self, count: int) -> NDArray:
        """The order in which values are written that may share a place."""
        return np.arange(count)


class Own(Exact):
    """Arithmetic as the nodes' types have it, each value rounded to its type."""

    def given(self, values: NDArray, dtype: DType) -> NDArray:
        return values

    def done(self, values: NDArray, dtype: DType, spread: Callable[[], NDArray] | None = None) -> NDArray:
        return from_storage(to_storage(values, dtype), dtype)


class Disturbed(Exact):
    """Exact arithmetic whose results are changed by about a rounding at random."""

    def __init__(self, seed: int) -> None:
        self.random = np.random.default_rng(seed)

    def done(self, values: NDArray, dtype: DType, spread: Callable[[], NDArray] | None = None) -> NDArray:
        if not dtype.is_float:
            return super().done(values, dtype)
        size = np.abs(values) if spread is None else spread()
        change = DISTURBED * epsilon(dtype) * self.random.uniform(-1, 1, values.shape) * size
        return np.where(np.isfinite(change), values + change, values)

    def ordered(self, count: int) -> NDArray:
        return self.random.permutation(count)


def evaluated(roots: Sequence[Node], given: Mapping[Node, NDArray], way: Exact) -> list[NDArray]:
    """The values of roots in an arithmetic, bfloat16 as float32.

    given   arrays in the places of nodes, in their compute types; nothing else that may be in memory is looked at
    raises  LinAlgError, and IndexError where an index is out of range
    """
    order = toposort(roots, leaves=given)
    late = _sums_of_products(order, roots)
    users = {x: i for i, node in enumerate(order) for x in (*node.src, *_behind(node, late))}
    users |= dict.fromkeys(roots, len(order))
    values: Values = {}
    with np.errstate(all="ignore"):
        for i, node in enumerate(order):
            if node in given:
                values[node] = way.given(given[node], node.dtype).reshape(node.shape)
            elif node not in late:
                values[node] = _value(node, values, late, way)
            for x in (*node.src, *_behind(node, late)):
                if users[x] == i:
                    values.pop(x, None)
    return [values[root] for root in roots]


def knows(node: Node) -> bool:
    """False for operations that are not evaluated here: loops whose number of rounds a rounding may change."""
    return node.op in RULES or node.op in SCALAR_OPS or node.op == "buffer"


def work(order: Sequence[Node], roots: Sequence[Node]) -> int:
    """About how many values are computed for nodes, operands first; steps that Python takes one by one count as many,
    and products that are only summed as few."""
    late = _sums_of_products(order, roots)
    return sum(x.size // PRODUCTS if x in late else _work(x) for x in order if x.op not in VIEWS)


def _work(node: Node) -> int:
    if node.op == "tally":
        return node.size + STEP * node.src[1].shape[node.attr[0]]
    return node.size if node.op != "loop" else (node.size + STEP * node.shape[0]) * len(node.attr.step.steps)


def _value(node: Node, values: Values, late: Collection[Node], way: Exact) -> NDArray:
    if node.src and node.src[0] in late:
        return _product_summed(node, values, late, way)
    src = [values[x] for x in node.src]
    found = RULES.get(node.op, _scalar)(node, way, *src)
    return found if node.op in SAME or node.op in SUMS else way.done(found, node.dtype)


def _rule(function: Rule) -> Rule:
    RULES[function.__name__.strip("_")] = function
    return function


def _scalar(node: Node, way: Exact, *x: NDArray) -> NDArray:
    return np.asarray(SCALAR_OPS[node.op].numpy(*x))


# ---------------------------------------------------------------------------------------------- sums of products


def _sums_of_products(order: Sequence[Node], roots: Sequence[Node]) -> frozenset[Node]:
    """Large products, and casts of them, that only sums ask for."""
    users: dict[Node, list[Node]] = {}
    for node in order:
        for x in node.src:
            users.setdefault(x, []).append(node)
    late: set[Node] = set()
    for node in reversed(order):
        asked = users.get(node, [])
        only = asked and all(
            (x.op == "reduce" and x.attr[0] == "add") or (x in late and x.op == "cast") for x in asked
        )
        if only and node.size > LARGE and node not in roots and (node.op == "mul" or _keeps(node)):
            late.add(node)
    return frozenset(x for x in late if _product(x, late) is not None)


def _keeps(node: Node) -> bool:
    """True of a cast to a wider float."""
    return node.op == "cast" and node.dtype.is_float and node.src[0].dtype.is_float


def _product(node: Node, late: Collection[Node]) -> Node | None:
    while node.op == "cast" and node.src[0] in late:
        node = node.src[0]
    return node if node.op == "mul" else None


def _behind(node: Node, late: Collection[Node]) -> tuple[Node, ...]:
    """The factors a sum of products reads."""
    product = _product(node.src[0], late) if node.op == "reduce" and node.src[0] in late else None
    return product.src if product is not None else ()


def _product_summed(node: Node, values: Values, late: Collection[Node], way: Exact) -> NDArray:
    x, y = (values[factor] for factor in _behind(node, late))
    axes = node.attr[1]
    length = prod(node.src[0].shape[axis] for axis in axes)

    def spread() -> NDArray:
        return (4 + sqrt(length)) * _contracted(np.abs(_thin(x)), np.abs(_thin(y)), node.src[0].shape, axes)

    return way.done(_contracted(_thin(x), _thin(y), node.src[0].shape, axes), node.dtype, spread)


def _thin(x: NDArray) -> NDArray:
    """One element of each axis along which x repeats."""
    return x[tuple(slice(0, 1) if stride == 0 else slice(None) for stride in x.strides)]


def _contracted(x: NDArray, y: NDArray, shape: tuple[int, ...], axes: tuple[int, ...]) -> NDArray:
    wide = np.float64 if x.dtype.kind == "f" else x.dtype
    dims = [[d for d in range(len(shape)) if a.shape[d] > 1] for a in (x, y)]
    flat = [a.reshape([n for n in a.shape if n > 1]).astype(wide, copy=False) for a in (x, y)]
    kept = [d for d in range(len(shape)) if d not in axes]
    out = [d for d in kept if d in dims[0] or d in dims[1]]
    found = np.einsum(flat[0], dims[0], flat[1], dims[1], out, optimize=x.dtype.kind == "f")
    found = found * np.asarray(prod(shape[d] for d in axes if d not in dims[0] and d not in dims[1]), wide)
    return np.broadcast_to(
        found.reshape([shape[d] if d in out else 1 for d in kept]), [shape[d] for d in kept]
    )


# ----------------------------------------------------------------------------------------------- leaves and views


@_rule
def _const(node: Node, way: Exact) -> NDArray:
    return way.given(np.asarray(node.attr, dtype=node.dtype.compute), node.dtype)


@_rule
def _iota(node: Node, way: Exact) -> NDArray:
    return np.arange(node.shape[0], dtype=node.dtype.compute)


@_rule
def _reshape(node: Node, way: Exact, x: NDArray) -> NDArray:
    return x.reshape(node.shape)


@_rule
def _permute(node: Node, way: Exact, x: NDArray) -> NDArray:
    return x.transpose(node.attr)


@_rule
def _expand(node: Node, way: Exact, x: NDArray) -> NDArray:
    return np.broadcast_to(x, node.shape)


@_rule
def _pad(node: Node, way: Exact, x: NDArray) -> NDArray:
    return np.pad(x, node.attr)


@_rule
def _shrink(node: Node, way: Exact, x: NDArray) -> NDArray:
    return x[tuple(slice(*bounds) for bounds in node.attr)]


@_rule
def _flip(node: Node, way: Exact, x: NDArray) -> NDArray:
    return np.flip(x, node.attr)


@_rule
def _window(node: Node, way: Exact, x: NDArray) -> NDArray:
    dim, _, stride, dilation = node.attr
    strides = (*x.strides[:dim], x.strides[dim] * stride, x.strides[dim] * dilation, *x.strides[dim + 1 :])
    return np.lib.stride_tricks.as_strided(x, node.shape, strides, writeable=False)


@_rule
def _unwindow(node: Node, way: Exact, x: NDArray) -> NDArray:
    dim, size, stride, dilation = node.attr
    found = np.zeros(node.shape, x.dtype)
    source, target = np.moveaxis(x, (dim, dim + 1), (0, 1)), np.moveaxis(found, (dim, dim + 1), (0, 1))
    for k in range(source.shape[1]):
        count = min(len(source), max(0, -(-(size - k * dilation) // stride)))
        target[k * dilation : k * dilation + count * stride : stride, k][:count] = source[:count, k]
    return found


@_rule
def _stack(node: Node, way: Exact, *pieces: NDArray) -> NDArray:
    dims, sizes = zip(*node.attr)
    return np.moveaxis(np.stack(pieces).reshape(*sizes, *pieces[0].shape), range(len(dims)), dims)


# ------------------------------------------------------------------------------------------------- everything else


@_rule
def _cast(node: Node, way: Exact, x: NDArray) -> NDArray:
    return x != 0 if node.dtype is dtypes.bool else x if node.dtype.is_float else to_storage(x, node.dtype)


@_rule
def _bitcast(node: Node, way: Exact, x: NDArray) -> NDArray:
    bits = np.ascontiguousarray(to_storage(x, node.src[0].dtype)).view(node.dtype.numpy)
    return from_storage(bits.reshape(x.shape), node.dtype)


@_rule
def _reduce(node: Node, way: Exact, x: NDArray) -> NDArray:
    op, axes = node.attr
    row, compute = REDUCE_OPS[op], _wide(node.dtype)
    identity = np.asarray(row.identity(node.dtype), compute)
    combine: Any = row.combine.numpy
    found = combine.reduce(x.astype(compute, copy=False), axis=axes, initial=identity, dtype=compute)
    length = prod(x.shape[axis] for axis in axes)
    return way.done(found, node.dtype, _spread(op, length, lambda: np.abs(x).sum(axis=axes), found))


@_rule
def _scan(node: Node, way: Exact, x: NDArray) -> NDArray:
    op, dim, reverse = node.attr
    compute, combine = _wide(node.dtype), REDUCE_OPS[op].combine.numpy

    def along(values: NDArray, ufunc: Any) -> NDArray:
        found = ufunc.accumulate(np.flip(values, dim) if reverse else values, axis=dim, dtype=compute)
        return np.flip(found, dim) if reverse else found

    found = along(x, combine)
    return way.done(found, node.dtype, _spread(op, x.shape[dim], lambda: along(np.abs(x), np.add), found))


def _wide(dtype: DType) -> np.dtype:
    return np.dtype(np.float64) if dtype.is_float else dtype.compute


def _spread(op: str, length: int, sizes: Callable[[], NDArray], found: NDArray) -> Callable[[], NDArray] | None:
    """By how many roundings what was combined may be off, times their size."""
    factor = 4 + sqrt(length)
    if op == "add":
        return lambda: factor * sizes()
    if op in ("mul", "logaddexp"):
        return lambda: factor * (np.abs(found) + (op == "logaddexp"))
    return lambda: np.zeros(np.shape(found))


@_rule
def _gather(node: Node, way: Exact, x: NDArray, index: NDArray) -> NDArray:
    return x[_places(index, node.attr, x.shape[node.attr])]


@_rule
def _scatter(node: Node, way: Exact, base: NDArray, index: NDArray, x: NDArray) -> NDArray:
    dim, mode = node.attr
    order = way.ordered(x.size)
    places = tuple(
        np.broadcast_to(axis, index.shape).reshape(-1)[order] for axis in _places(index, dim, base.shape[dim])
    )
    if mode in ("set", "place"):
        return _written(base, places, x.reshape(-1)[order], None)
    combine = SCALAR_OPS[mode].numpy
    found = _written(base.astype(_wide(node.dtype)), places, x.reshape(-1)[order], combine)
    size = _spread(
        mode, index.shape[dim], lambda: _written(np.abs(base), places, np.abs(x.reshape(-1)[order]), np.add), found
    )
    return way.done(found, node.dtype, size)


def _written(base: NDArray, places: tuple[NDArray, ...], x: NDArray, combine: Any) -> NDArray:
    found = base.copy()
    if combine is None:
        found[places] = x
    else:
        combine.at(found, places, x)
    return found


@_rule
def _tally(node: Node, way: Exact, base: NDArray, index: NDArray, x: NDArray) -> NDArray:
    dim, mode = node.attr
    held, combine = base.astype(_wide(node.dtype)), SCALAR_OPS[mode].numpy
    before = np.empty(index.shape, held.dtype)
    places = np.moveaxis(index, dim, 0)
    _places(index, dim, base.shape[dim])
    rest = tuple(np.ogrid[tuple(map(slice, places.shape[1:]))])
    source, target, state = np.moveaxis(x, dim, 0), np.moveaxis(before, dim, 0), np.moveaxis(held, dim, 0)
    for i, row in enumerate(places):
        where = (row, *rest)
        target[i] = state[where]
        state[where] = combine(target[i], source[i])
    return way.done(np.concatenate([held, before], dim), node.dtype)


def _places(index: NDArray, dim: int, size: int) -> tuple[NDArray, ...]:
    if index.size and (index.min() < 0 or index.max() >= size):
        raise IndexError(f"index {index.min()} .. {index.max()} is out of range for a dimension of size {size}")
    places = list(np.ogrid[tuple(map(slice, index.shape))])
    places[dim] = index
    return tuple(places)


@_rule
def _host(node: Node, way: Exact, *x: NDArray) -> NDArray:
    arrays = [to_storage(values, source.dtype) for values, source in zip(x, node.src)]
    return np.asarray(node.attr.computed(arrays, node.line)).reshape(node.shape)


@_rule
def _loop(node: Node, way: Exact, state: NDArray, *rest: NDArray) -> NDArray:
    loop, steps = node.attr, node.shape[0]
    parts = [x.shape[1:] if 0 < i <= loop.sequences else x.shape for i, x in enumerate(node.src)]
    inputs = placeholders([(shape, x.dtype, x.device) for shape, x in zip(parts, node.src)])
    result = memory_forms([loop.step.replayed(inputs), (loop.value or loop.step).replayed(inputs)])
    found: list[NDArray] = [state] * steps
    for i in range(steps)[:: -1 if loop.reverse else 1]:
        arrays = [x[i] if k < loop.sequences else x for k, x in enumerate(rest)]
        state, found[i] = evaluated(result, dict(zip(inputs, (state, *arrays))), way)
    return np.stack(found).reshape(node.shape)


def _same(node: Node, way: Exact, x: NDArray, *_: NDArray) -> NDArray:
    return x


@_rule
def _contiguous(node: Node, way: Exact, x: NDArray) -> NDArray:
    """What is stored is rounded; another use of the same value may not be."""
    return way.done(x, node.dtype)


RULES.update({"detach": _same, "copy": _same, "surrogate": _same})
