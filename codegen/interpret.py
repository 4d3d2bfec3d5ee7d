"""The meaning of a kernel, by definition: NumPy evaluates it on flat storage arrays, in place.

Comes in: a kernel and one array per parameter.  Goes out: nothing, the arrays of stored parameters change.  It knows
no schedules.  All loads see the arrays as they were before the launch.  Tiles wider than `WIDEST` elements are done in
parts, so memory stays bounded, but for axes a scan walks; sums of floats are accumulated in float64.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from math import prod
from typing import Final, cast

import numpy as np
from numpy.typing import NDArray

from codegen.dtypes import DType, from_storage, to_storage
from codegen.index import Axis, Guards, Index, in_order
from codegen.ir import Apply, Const, Coord, Expr, Kernel, Load, Reduce, Scan, Store, Valid, children
from codegen.ops import REDUCE_OPS, ReduceOp

WIDEST: Final = 1 << 18
Arrays = Mapping[str, NDArray]
Ranges = dict[Axis, range]


def interpret(kernel: Kernel, arrays: Arrays) -> None:
    """Run the kernel on flat arrays in storage types (uint16 holds bfloat16), one per parameter, in place.

    raises ValueError for an array of the wrong size or type, IndexError for a place outside a parameter
    """
    scanned = scanned_axes(kernel)
    interpret_some(kernel, arrays, [store_parts(store, scanned) for store in kernel.stores])


def interpret_some(kernel: Kernel, arrays: Arrays, parts: Sequence[Iterable[Ranges]]) -> dict[str, NDArray]:
    """interpret() for some of the points of each store; which places were written, for each stored parameter.

    parts  for each store ranges of its axes, all but the scanned ones: all points of each are done
    """
    for param in kernel.params:
        array = arrays[param.name]
        if array.shape != (param.size,) or array.dtype != param.dtype.numpy:
            raise ValueError(f"{param.name} is {array.dtype}{array.shape}, expected {param.dtype.numpy}({param.size},)")
    read = {e.param.name for e in kernel.loads}
    before = {name: array.copy() if name in read & kernel.written else array for name, array in arrays.items()}
    scanned = scanned_axes(kernel)
    touched = {p.name: np.zeros(p.size, np.bool_) for p in kernel.params if p.name in kernel.written}
    with np.errstate(all="ignore"):
        for store, ranges_of_store in zip(kernel.stores, parts, strict=True):
            dtype, array = store.param.dtype, arrays[store.param.name]
            combines = store.mode not in ("set", "flag") and dtype.is_narrow_float
            target = from_storage(array, dtype).astype(np.float32) if combines else array
            whole = _Tiles(before, {}, scanned)
            for ranges in ranges_of_store:
                touched[store.param.name][_write(store, _Tiles(before, ranges, scanned, whole), target)] = True
            if combines:
                array[:] = to_storage(target, dtype)
    return touched


def scanned_axes(kernel: Kernel) -> frozenset[Axis]:
    """The axes that are never done in parts."""
    return frozenset(e.axis for e in kernel.scans)


def convert(values: NDArray, target: DType) -> NDArray:
    """Values cast to a type, rounded as storage in that type rounds them."""
    return from_storage(to_storage(values, target), target)


def reinterpret(values: NDArray, source: DType, target: DType) -> NDArray:
    """The values of target whose bits are those of source's values."""
    bits = np.ascontiguousarray(to_storage(values, source)).view(target.numpy)
    return from_storage(bits.reshape(values.shape), target)


def index_values(
    index: Index, axes: Sequence[Axis], places: Mapping[Axis, NDArray], value: Callable[[Expr, Sequence[Axis]], NDArray]
) -> NDArray:
    """The values of an index, broadcastable over `axes`, given those of each axis and of the expressions inside."""
    total: NDArray = np.full((1,) * len(axes), index.const, np.int64)
    for atom, k in index.terms:
        if isinstance(atom, Axis):
            part = places[atom]
        elif atom.kind == "dynamic":
            part = value(cast(Expr, atom.of), axes).astype(np.int64)
        else:
            inner = index_values(atom.inner, axes, places, value)
            part = inner // atom.by if atom.kind == "div" else inner % atom.by
        total = total + part * k
    return total


class _Tiles:
    """Values of expressions over one range of each axis.

    ranges   the axes restricted here; an axis not restricted anywhere has its whole range
    scanned  the axes never restricted
    outer    the tiles that hold the values of expressions without these axes
    """

    def __init__(self, arrays: Arrays, ranges: Ranges, scanned: frozenset[Axis], outer: _Tiles | None = None) -> None:
        self.arrays, self.scanned, self.outer, self.narrowed = arrays, scanned, outer, frozenset(ranges)
        self.ranges: Ranges = {**(outer.ranges if outer else {}), **ranges}
        self.known: dict[Expr, NDArray] = {}

    def over(self, e: Expr, axes: Sequence[Axis]) -> NDArray:
        """The value of e in a shape that broadcasts over `axes`."""
        own = _order(e.axes)
        value = self._home(e).known[e].transpose([own.index(a) for a in axes if a in e.axes])
        extents = iter(value.shape)
        return value.reshape([next(extents) if a in e.axes else 1 for a in axes])

    def evaluate(self, roots: Iterable[Expr]) -> None:
        """Compute the values of roots and of all they need, operands first."""
        pending: list[tuple[_Tiles, Expr]] = [(self, root) for root in roots]
        while pending:
            tiles, e = pending[-1]
            tiles = tiles._home(e)
            if e in tiles.known:
                pending.pop()
            elif missing := [(tiles, x) for x in tiles._operands(e) if x not in tiles._home(x).known]:
                pending.extend(missing)
            else:
                tiles.known[e] = tiles._value(e)
                pending.pop()

    def places(self, axes: Sequence[Axis]) -> dict[Axis, NDArray]:
        """Each axis's values, shaped to broadcast over all the axes."""
        found = {}
        for position, axis in enumerate(axes):
            span = self.ranges.get(axis, range(axis.size))
            shape = [1] * len(axes)
            shape[position] = -1
            found[axis] = np.arange(span.start, span.stop).reshape(shape)
        return found

    def extents(self, axes: Sequence[Axis]) -> list[int]:
        return [len(self.ranges.get(a, range(a.size))) for a in axes]

    def holds(self, guards: Guards, axes: Sequence[Axis]) -> NDArray:
        """Where all guards hold, broadcastable over `axes`."""
        result: NDArray = np.ones((1,) * len(axes), np.bool_)
        places = self.places(axes)
        for guard in in_order(guards):
            values = index_values(guard.index, axes, places, self.over)
            result = result & (guard.lo <= values) & (values < guard.hi)
        return result

    def _home(self, e: Expr) -> _Tiles:
        tiles = self
        while tiles.outer is not None and not tiles.narrowed & e.axes:
            tiles = tiles.outer
        return tiles

    def _in_parts(self, e: Reduce) -> bool:
        """True when e's operand must be evaluated over other ranges than those valid here."""
        return any(a in self.ranges for a in e.bound) or prod(self.extents(tuple(e.arg.axes))) > WIDEST

    def _operands(self, e: Expr) -> Iterable[Expr]:
        """What must be known here before e: of a reduce done in parts, all it needs that its bound axes leave alone."""
        if not isinstance(e, Reduce) or not self._in_parts(e):
            return children(e)
        bound, found, pending = frozenset(e.bound), {}, [e.arg]
        while pending:
            x = pending.pop()
            if x not in found:
                found[x] = not bound & x.axes
                pending.extend(() if found[x] else children(x))
        return [x for x, outside in found.items() if outside]

    def _value(self, e: Expr) -> NDArray:
        axes = _order(e.axes)
        if isinstance(e, Const):
            return np.asarray(e.value, e.dtype.compute)
        if isinstance(e, Coord):
            return self._full(index_values(e.index, axes, self.places(axes), self.over), axes).astype(e.dtype.numpy)
        if isinstance(e, Valid):
            return self._full(self.holds(e.guards, axes), axes)
        if isinstance(e, Load):
            return self._load(e, axes)
        if isinstance(e, Apply):
            return self._full(self._apply(e, axes), axes)
        if isinstance(e, Scan):
            return self._scan(e, axes)
        return self._reduce(cast(Reduce, e))

    def _full(self, values: NDArray, axes: Sequence[Axis]) -> NDArray:
        return np.broadcast_to(values, self.extents(axes))

    def _load(self, e: Load, axes: Sequence[Axis]) -> NDArray:
        index = self._full(index_values(e.index, axes, self.places(axes), self.over), axes)
        holds = self._full(self.holds(e.guards, axes), axes)
        index = np.where(holds, index, 0)
        _check_places(e.param.name, e.param.size, index)
        values = from_storage(self.arrays[e.param.name][index], e.dtype)
        return np.where(holds, values, np.zeros((), values.dtype))

    def _apply(self, e: Apply, axes: Sequence[Axis]) -> NDArray:
        operands = [self.over(x, axes) for x in e.args]
        if e.op.name == "cast":
            return convert(operands[0], e.dtype)
        if e.op.name == "bitcast":
            return reinterpret(operands[0], e.args[0].dtype, e.dtype)
        return np.asarray(e.op.numpy(*operands))

    def _reduce(self, e: Reduce) -> NDArray:
        if not self._in_parts(e):
            return _combine(e.op, self.known_at(e.arg), e.arg, e.bound).astype(e.dtype.compute)
        total: NDArray | None = None
        for ranges in _parts(e.bound, tuple(e.arg.axes), self.ranges, self.scanned):
            inner = _Tiles(self.arrays, ranges, self.scanned, self)
            inner.evaluate([e.arg])
            part = _combine(e.op, inner.known_at(e.arg), e.arg, e.bound)
            total = part if total is None else e.op.combine.numpy(total, part)
        return np.asarray(total, e.dtype.compute)

    def _scan(self, e: Scan, axes: Sequence[Axis]) -> NDArray:
        """Sums and products of floats are accumulated in float64, like a reduce's."""
        position = list(axes).index(e.axis)
        tile = self._full(self.over(e.arg, axes), axes)
        ufunc = cast(np.ufunc, e.op.combine.numpy)
        ordered = np.flip(tile, position) if e.reverse else tile
        found = ufunc.accumulate(ordered, axis=position, dtype=_accumulator(e.op, tile.dtype))
        return (np.flip(found, position) if e.reverse else found).astype(e.dtype.compute)

    def known_at(self, e: Expr) -> NDArray:
        return self._home(e).known[e]


def _order(axes: Iterable[Axis]) -> tuple[Axis, ...]:
    return tuple(sorted(axes, key=lambda a: a.id))


def _combine(op: ReduceOp, tile: NDArray, arg: Expr, bound: tuple[Axis, ...]) -> NDArray:
    """One tile reduced over its bound axes; float sums and products stay in float64."""
    positions = tuple(p for p, a in enumerate(_order(arg.axes)) if a in bound)
    ufunc = cast(np.ufunc, op.combine.numpy)
    return np.asarray(ufunc.reduce(tile, axis=positions, dtype=_accumulator(op, tile.dtype)))


def _accumulator(op: ReduceOp, dtype: np.dtype) -> np.dtype:
    return np.dtype(np.float64) if dtype.kind == "f" and op.name in ("add", "mul") else dtype


def _parts(split: Sequence[Axis], tile: Sequence[Axis], outer: Ranges, scanned: frozenset[Axis]) -> Iterator[Ranges]:
    """Ranges of the axes in `split` that together cover them and leave a tile of at most WIDEST elements if possible.

    Scanned axes stay whole.  An axis that is whole is left out, unless `outer` restricts it.
    """
    step = {a: a.size for a in split}
    width = prod(a.size if a in step else len(outer.get(a, range(a.size))) for a in tile)
    for axis in sorted(set(split) - scanned, key=lambda a: (-a.size, a.id)):
        rest = width // axis.size
        step[axis] = max(1, min(axis.size, WIDEST // max(1, rest)))
        width = rest * step[axis]
    spans = [[range(start, min(start + step[a], a.size)) for start in range(0, a.size, step[a])] for a in split]
    for chosen in itertools.product(*spans):
        yield {a: span for a, span in zip(split, chosen) if len(span) < a.size or a in outer}


def store_parts(store: Store, scanned: frozenset[Axis]) -> Iterator[Ranges]:
    """The parts a store is done in: in row-major order, if that counts, with axes from the first scanned one on whole.
    """
    axes = store.axes
    if not store.sequential:
        yield from _parts(axes, axes, {}, scanned)
        return
    cut = next((i for i, a in enumerate(axes) if a in scanned), len(axes))
    while cut and prod(a.size for a in axes[cut - 1 :]) <= WIDEST:
        cut -= 1
    rest = prod(a.size for a in axes[cut:])
    steps = [max(1, WIDEST // rest) if position == cut - 1 else 1 for position in range(cut)]
    spans = [[range(i, min(i + step, a.size)) for i in range(0, a.size, step)] for a, step in zip(axes, steps)]
    for chosen in itertools.product(*spans):
        yield dict(zip(axes, chosen))


def _check_places(name: str, size: int, index: NDArray) -> None:
    if index.size and (index.min() < 0 or index.max() >= size):
        raise IndexError(f"{name}[{index.min()} .. {index.max()}] is outside its {size} elements")


def _write(store: Store, tiles: _Tiles, array: NDArray) -> NDArray:
    """Combine one part of a store's points with the array; the places they go to."""
    tiles.evaluate(store.roots)
    axes = store.axes
    places = tiles.places(axes)
    holds = np.broadcast_to(tiles.holds(store.guards, axes), tiles.extents(axes))
    index = np.broadcast_to(index_values(store.index, axes, places, tiles.over), holds.shape)[holds]
    values = np.broadcast_to(tiles.over(store.value, axes), holds.shape)[holds]
    _check_places(store.param.name, store.param.size, index)
    if store.mode == "flag":
        array[index[values]] = 1
    elif store.mode == "set":
        array[index] = to_storage(values, store.param.dtype)
    elif store.before is None:
        cast(np.ufunc, REDUCE_OPS[store.mode].combine.numpy).at(array, index, values)
    else:
        found = np.broadcast_to(index_values(store.before, axes, places, tiles.over), holds.shape)[holds]
        _check_places(store.param.name, store.param.size, found)
        combine = REDUCE_OPS[store.mode].combine.numpy
        for place, before, value in zip(index.tolist(), found.tolist(), values):
            array[before] = array[place]
            array[place] = combine(array[place], value)
        index = np.concatenate((index, found))
    return index
