"""Contractions over windows as a register tile sees them: which operand is packed as its image, which axis holds the
lanes.

Comes in: a kernel and its contraction.  Goes out: `Window`s, ways to compute it.  Either lanes run along an axis of the
operand without a window (a convolution's output channels), and a tile of rows along the windowed operand's axes is
accumulated; or, where that axis is short, lanes run along the windowed operand's own (a plane's lines).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from math import prod

from codegen.access import SHORTEST, loads_of, main_stores, parallel_axes, run_of
from codegen.choose.contraction import PAGE, TILE, UNROLL, even, unit_weight
from codegen.image import Image, image_of
from codegen.index import Axis, in_order
from codegen.ir import Expr, Kernel, Reduce, Store, walk
from codegen.rewrites.contract import Axes, Contraction
from codegen.rewrites.masked import masked_values, remaining

Extents = dict[Axis, int]

ROWS, COLUMNS = TILE
MOST_ROWS = 10  # rows of a tile where that leaves fewer of them empty
FILLED = 6  # rows that keep the arithmetic units busy
PARTLY = 0.98  # the share of steps that must remain at most for an axis to be walked in part
ACCUMULATORS = 16  # vectors of a tile along lines
VECTORS = 4  # of which at most one behind the other
APART = 2  # the largest step between lanes
WELL_FILLED = 0.85  # the share of lanes below which lanes along any axis of the windowed operand are compared
TURNED = 0.4  # cycles to turn an element in registers
DRIVEN_OUT = 10  # cycles to fetch a line that was driven out of the nearest cache


@dataclass(frozen=True)
class Window:
    """A contraction seen from its windowed operand.

    value, image, other  the windowed operand, its image, the other operand
    n        the axis of the other operand that is tiled, in panels of `columns`
    lane     the axis that holds the lanes: n, or a free one
    shared   the axes every group has one position of: of both operands, and the other's but n, unless they are inside
    inside   the other's axes but n, where a group has all of their positions: the image is packed once for them
    free     the axes of the windowed operand alone, those with large steps first
    bound    the summed axes, those with large steps in the windowed operand first
    partly   summed axes of which a group's or a row's position asks for a part alone, with the share of their steps
             that remains; they are walked outside of the others
    rows     the extents of the tile along free axes
    apart    the step between neighbouring lanes in the image
    turned   whether lanes lie far apart in memory, so that the image is turned where it is packed
    stored   cycles to store a result
    along, group  the summed axis along which narrow values are multiplied in groups, and how many are one
    """

    value: Expr
    image: Image
    other: Expr
    n: Axis
    lane: Axis
    columns: int
    shared: tuple[Axis, ...]
    inside: tuple[Axis, ...]
    free: tuple[Axis, ...]
    bound: tuple[Axis, ...]
    partly: Mapping[Axis, float]
    rows: Extents
    apart: int = 1
    turned: bool = False
    stored: float = 1.0
    along: Axis | None = None
    group: int = 1

    @property
    def met(self) -> frozenset[Axis]:
        """The axes whose sums windows are made of."""
        return frozenset(a for index in self.image.at.values() for a in index.axes)

    def least(self, axis: Axis) -> int:
        """The steps of an axis that are done together at least."""
        return self.group if axis is self.along else 1


def windows_of(kernel: Kernel, c: Contraction, lanes: int) -> list[Window]:
    """The ways to see a contraction all of whose free axes may be spread over groups; none when nothing is gained."""
    if not set(parallel_axes(kernel)).issuperset(c.reduce.axes):
        return []
    found = [*columns_of(kernel, c, lanes), *lines_of(kernel, c, lanes)]
    found += [_with_inside(c, window) for window in found if len(window.shared) > len(c.batch)]
    found += [_with_rows(c, window, rows) for window in found if (rows := _rows_in_runs(kernel, window))]
    return [replace(window, stored=_storing(kernel, window, lanes)) for window in found]


def _rows_in_runs(kernel: Kernel, window: Window) -> Extents:
    """Other rows of a tile with lanes along n: those written one behind the other; empty where there are few such."""
    rows: Extents = {}
    left = MOST_ROWS if window.lane is window.n else 0
    masked = {a for e in loads_of(window.other) for guard in e.guards for a in guard.index.axes}
    for axis in run_of(main_stores(kernel)[0]):
        if not (axis in window.free or (axis in window.inside and axis not in masked)) or left < 2:
            break
        rows[axis] = even(axis.size, left, 1)
        left = left // rows[axis] if rows[axis] == axis.size else 0
    return rows if prod(rows.values()) >= FILLED and not rows.keys() <= window.rows.keys() else {}


def _with_rows(c: Contraction, window: Window, rows: Extents) -> Window:
    """The same with other rows."""
    single = {*window.shared, *window.inside, *window.free} - rows.keys()
    return replace(window, rows=rows, partly=_partly(c.reduce, window.bound, single))


def _with_inside(c: Contraction, window: Window) -> Window:
    """The same with all positions of the other operand's axes in each group."""
    inside = tuple(a for a in window.shared if a not in c.batch)
    return replace(window, shared=c.batch, inside=inside)


def _storing(kernel: Kernel, window: Window, lanes: int) -> float:
    """The cycles to store a result: in vectors along the lanes, in runs along the rows that are turned in registers, or
    one by one; lines at multiples of a page drive each other out of the nearest cache."""
    worst = 0.0
    for store in main_stores(kernel):
        step = abs(store.index.stride(window.lane) or 0)
        run = _run(store, window)
        far = step > 0 and step * store.param.dtype.itemsize % PAGE == 0
        single = 1 + DRIVEN_OUT * far
        alone = single if run < SHORTEST else TURNED + single / run
        worst = max(worst, 1 / lanes if step == 1 else alone)
    return worst


def _run(store: Store, window: Window) -> int:
    """How many places a tile's rows store one behind the other."""
    count = 1
    for axis in run_of(store):
        if axis is window.lane or axis not in window.rows:
            break
        count *= window.rows[axis]
        if window.rows[axis] < axis.size:
            break
    return count


def columns_of(kernel: Kernel, c: Contraction, lanes: int) -> Iterator[Window]:
    """The windows of a contraction with lanes along the other operand's axis, those of one kind.

    Something is gained when an element is read for several values of summed axes and of free ones, or when what is
    stored in consecutive places fills few lanes; and the other operand has an axis that fills most lanes.  Where no
    windows overlap, either operand may be the one that holds the lanes.
    """
    ends = {a for store in main_stores(kernel) for a in store.axes if store.index.stride(a) == 1}
    ways = ((c.left, c.right, c.m, c.n), (c.right, c.left, c.n, c.m))
    for value, other, free, side in ways:
        if max(a.size for a in side) > lanes // 2 and _is_mixed(value, free, c.k):
            yield _of_columns(c, value, other, free, side, lanes)
            return
    if len(c.k) > 1 or any(a.size < lanes // 2 for a in (*c.m, *c.n) if a in ends):
        for value, other, free, side in sorted(ways, key=lambda way: -_runs(way[1])):
            if max(a.size for a in side) >= lanes:
                yield _of_columns(c, value, other, free, side, lanes)


def _runs(value: Expr) -> int:
    """The length of the longest line of consecutive elements."""
    return max((a.size for e in loads_of(value) for a in e.axes if e.index.stride(a) == 1), default=1)


def _is_mixed(value: Expr, free: Axes, summed: Axes) -> bool:
    """True when an operand has an image in which free and summed axes meet."""
    image = image_of(value)
    sums = image.at.values() if image is not None else ()
    return any(not i.axes.isdisjoint(free) and not i.axes.isdisjoint(summed) for i in sums)


def lines_of(kernel: Kernel, c: Contraction, lanes: int) -> Iterator[Window]:
    """The windows of a contraction with lanes along the windowed operand's own lines, for each operand with one.

    They fill vectors where the other operand has few values at a place: few output channels.  Then windows that do not
    overlap will do as well, and lanes along an axis no window touches, such as input channels.
    """
    for value, other, free, side in ((c.left, c.right, c.m, c.n), (c.right, c.left, c.n, c.m)):
        few = len(c.k) > 1 and all(a.size <= lanes // 2 for a in side)
        if not few and not _is_mixed(value, free, c.k):
            continue
        image = image_of(value) or Image(value, {})
        steps = {a: abs(index.coefficient(a)) for index in image.at.values() for a in index.axes}
        near = [a for a in free if steps.get(a, 1) <= APART and a.size >= lanes // 2 and _lies_near(value, a)]
        found = sorted(near, key=lambda a: (unit_weight(kernel, a, value, lanes) / steps.get(a, 1), a.id))[-1:]
        if steps and all(a.size < COLUMNS * lanes or _filled(a, COLUMNS * lanes) < WELL_FILLED for a in side):
            across = [a for a in free if a not in steps and a not in near and a.size >= lanes]
            found += sorted(across, key=lambda a: (_filled(a, lanes), a.size, -a.id))[-1:]
        for lane in found:
            n = max(side, key=lambda a: (a.size, -a.id))
            others = [a for a in _outside_in(value, free) if a is not lane and a in steps]
            columns, rows = _tile_of_lines(n, lane, others, lanes)
            seen = _seen(c, value, other, free, side, n, columns, rows)
            yield replace(seen, lane=lane, apart=steps.get(lane, 1), turned=lane not in near)


def _filled(axis: Axis, lanes: int) -> float:
    """The share of lanes along an axis that hold something."""
    return axis.size / (-(-axis.size // lanes) * lanes)


def _lies_near(value: Expr, axis: Axis) -> bool:
    """True when neighbours along an axis are read from places close together."""
    return all(abs(e.index.stride(axis) or 0) in range(1, APART + 1) for e in loads_of(value) if axis in e.index.axes)


def _tile_of_lines(n: Axis, lane: Axis, others: Sequence[Axis], lanes: int) -> tuple[int, Extents]:
    """The extents of a tile with lanes along a free axis: along n, along that axis, and along the last of others."""
    columns = even(n.size, ROWS, 1)
    vectors = min(VECTORS, -(-lane.size // lanes), max(1, ACCUMULATORS // columns))
    rows = {lane: even(lane.size, vectors * lanes, lanes)}
    left = ACCUMULATORS // (columns * rows[lane] // lanes)
    if others and left > 1:
        rows[others[-1]] = even(others[-1].size, left, 1)
    return columns, rows


def _outside_in(value: Expr, axes: Iterable[Axis]) -> tuple[Axis, ...]:
    """Axes with large steps in a value first."""
    loads = list(loads_of(value))
    return tuple(sorted(axes, key=lambda a: -max((abs(e.index.coefficient(a)) for e in loads), default=0)))


def _widest(axes: Axes, operand: Expr, lanes: int) -> Axis:
    """The longest axis, of equal ones that with the smallest steps, or one that fills vectors as well along which the
    operand can be read as it lies."""
    loads = list(loads_of(operand))
    steps = {a: min((abs(e.index.coefficient(a)) for e in loads if a in e.index.axes), default=0) for a in axes}
    longest = max(axes, key=lambda a: (a.size, -steps[a], -a.id))
    straight = [a for a in axes if a.size >= min(lanes, longest.size) and steps[a] == 1]
    return max(straight, key=lambda a: (a.size, -a.id), default=longest)


def _of_columns(c: Contraction, value: Expr, other: Expr, free: Axes, side: Axes, lanes: int) -> Window:
    """A contraction seen from one of its operands, with lanes along an axis of the other one."""
    n = _widest(side, other, lanes)
    wide = c.reduce.dtype.bits > 32 or n.size <= lanes
    columns, rows = lanes * (1 if wide else COLUMNS), rows_of(_outside_in(value, free), MOST_ROWS)
    return _seen(c, value, other, free, side, n, columns, rows)


def _seen(
    c: Contraction, value: Expr, other: Expr, free: Axes, side: Axes, n: Axis, columns: int, rows: Extents
) -> Window:
    """A contraction seen from one of its operands."""
    outside_in, bound = _outside_in(value, free), _outside_in(value, c.k)
    shared = (*c.batch, *(a for a in side if a is not n))
    partly = _partly(c.reduce, bound, {*shared, *outside_in} - rows.keys())
    image = image_of(value) or Image(value, {})
    return Window(value, image, other, n, n, columns, shared, (), outside_in, bound, partly, rows)


def _partly(reduce: Reduce, bound: Sequence[Axis], single: AbstractSet[Axis]) -> dict[Axis, float]:
    """The summed axes a product's guards leave a part of, by axes that have one position in a register tile."""
    masked = masked_values(list(walk((reduce.arg,)))).get(reduce.arg)
    if masked is None or masked.constant.value:
        return {}
    found: dict[Axis, float] = {}
    rest = prod(a.size for a in bound)
    for axis in sorted(bound, key=lambda a: a.size):
        rest //= axis.size
        share = min((remaining(g, axis, single) for g in in_order(masked.guards)), default=1.0)
        if share <= PARTLY and rest >= UNROLL:
            found[axis] = share
    return found


def rows_of(free: Sequence[Axis], most: int = ROWS) -> Extents:
    """The rows of the register tile: along the free axis with the smallest steps that suffices, else several.

    most   rows where that covers the axis with fewer of them
    """
    found: Extents = {}
    inside_out = free[::-1]
    enough = next((a for a in inside_out if _rows(a, most) >= FILLED), None)
    if enough is not None:
        return {enough: _rows(enough, most)}
    left = ROWS + 1
    for axis in sorted(inside_out, key=lambda a: -_rows(a, most)):
        found[axis] = min(axis.size, left)
        left //= found[axis]
    return {a: n for a, n in found.items() if n > 1}


def _rows(axis: Axis, most: int) -> int:
    """
    >>> [_rows(Axis("y", size), 10) for size in (28, 29, 37)]
    [7, 10, 8]
    """
    return min((even(axis.size, n, 1) for n in (ROWS, most)), key=lambda n: -(-axis.size // n) * n)
