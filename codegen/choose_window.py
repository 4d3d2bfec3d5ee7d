"""Default CPU schedules for contractions one operand of which is read through a window: convolutions of any rank, their
gradients, sums over neighbours.

Comes in: a kernel, its contraction and the target's facts.  Goes out: a schedule, or none when no operand has an image
worth keeping.  The windowed operand is packed as its image, so that each element is copied once and the places of a
window are constant offsets; lanes run along an axis of the other operand, whose panels are packed; a tile of rows along
the windowed operand's axes is accumulated.  Blocks are chosen by an estimate of cycles.
The same form, without an image, serves products whose results lie in lines too short for lanes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from itertools import product
from math import ceil, prod

from codegen.access import loads_of, main_stores, parallel_axes
from codegen.choose_contraction import TILE, UNROLL, even
from codegen.contract import Axes, Contraction
from codegen.image import Image, image_of
from codegen.index import Axis, in_order
from codegen.ir import Expr, Kernel, Reduce, walk
from codegen.masked import masked_values, remaining
from codegen.picks import Pick
from codegen.schedule import Schedule, Stage, Step
from codegen.target import Target

Extents = dict[Axis, int]

ROWS, COLUMNS = TILE
FILLED = 6  # rows that keep the arithmetic units busy
DEPTH = 640  # steps of the summed axes whose panels are packed together: a panel of 80 KB
PACKED = 1 << 16  # elements of a packed operand: a quarter of a second-level cache
ACCUMULATED = 1 << 17  # elements of a group's accumulators
GATHERED = 1.5  # cycles to pack an element of the panels
COPIED = 0.3  # cycles to pack an element of the image
PARTLY = 0.98  # the share of steps that must remain at most for an axis to be walked in part
CANDIDATES = 12  # ways to cut worth measuring
LAUNCHED = 2000  # cycles to start a group


@dataclass(frozen=True)
class Window:
    """A contraction seen from its windowed operand.

    value, image, other  the windowed operand, its image, the other operand
    n        the axis of the other operand that holds the lanes, in panels of `columns`
    shared   the axes every group has one position of: of both operands, and the other's but n
    free     the axes of the windowed operand alone, those with large steps first
    bound    the summed axes, those with large steps in the windowed operand first
    partly   summed axes of which a group's or a row's position asks for a part alone, with the share of their steps
             that remains; they are walked outside of the others
    """

    value: Expr
    image: Image
    other: Expr
    n: Axis
    columns: int
    shared: tuple[Axis, ...]
    free: tuple[Axis, ...]
    bound: tuple[Axis, ...]
    partly: Mapping[Axis, float]


def windowed(kernel: Kernel, c: Contraction, target: Target, pick: Pick) -> Iterator[Schedule]:
    """The schedule of a kernel with one contraction over a window and an elementwise epilogue; nothing without one."""
    window = window_of(kernel, c, target.lanes)
    if window is not None:
        rows = rows_of(window.free)
        found = sorted(candidates(window, rows), key=lambda blocks: cycles(window, rows, blocks, target))
        yield scheduled(window, rows, pick("window", found[:CANDIDATES]))


def window_of(kernel: Kernel, c: Contraction, lanes: int) -> Window | None:
    """The window of a contraction all of whose free axes may be spread over groups; None when nothing is gained.

    Something is gained when an element is read for several values of summed axes and of free ones, or when what is
    stored in consecutive places fills few lanes; and the other operand has an axis that fills most lanes.
    """
    if not set(parallel_axes(kernel)).issuperset(c.reduce.axes):
        return None
    lines = {a for store in main_stores(kernel) for a in store.axes if store.index.stride(a) == 1}
    ways = ((c.left, c.right, c.m, c.n), (c.right, c.left, c.n, c.m))
    for value, other, free, side in ways:
        if max(a.size for a in side) > lanes // 2 and _is_mixed(value, free, c.k):
            return _seen(c, value, other, free, side, lanes)
    for value, other, free, side in ways:
        if max(a.size for a in side) >= lanes and any(a in free and a.size < lanes // 2 for a in lines):
            return _seen(c, value, other, free, side, lanes)
    if len(c.k) > 1:
        n = {other: max(a.size for a in side) for _, other, _, side in ways}
        for value, other, free, side in sorted(ways, key=lambda way: -_runs(way[1])):
            if n[other] >= lanes:
                return _seen(c, value, other, free, side, lanes)
    return None


def _runs(value: Expr) -> int:
    """The length of the longest line of consecutive elements."""
    return max((a.size for e in loads_of(value) for a in e.axes if e.index.stride(a) == 1), default=1)


def _is_mixed(value: Expr, free: Axes, summed: Axes) -> bool:
    """True when an operand has an image in which free and summed axes meet."""
    image = image_of(value)
    sums = image.at.values() if image is not None else ()
    return any(not i.axes.isdisjoint(free) and not i.axes.isdisjoint(summed) for i in sums)


def _seen(c: Contraction, value: Expr, other: Expr, free: Axes, side: Axes, lanes: int) -> Window:
    """A contraction seen from one of its operands."""
    n = max(side, key=lambda a: (a.size, -a.id))
    steps = {a: abs(e.index.coefficient(a)) for e in loads_of(value) for a in e.axes}
    wide = c.reduce.dtype.bits > 32 or n.size <= lanes
    outside_in = tuple(sorted(free, key=lambda a: -steps.get(a, 0)))
    bound = tuple(sorted(c.k, key=lambda a: -steps.get(a, 0)))
    shared = (*c.batch, *(a for a in side if a is not n))
    partly = _partly(c.reduce, bound, {*shared, *outside_in} - rows_of(outside_in).keys())
    image, columns = image_of(value) or Image(value, {}), lanes * (1 if wide else COLUMNS)
    return Window(value, image, other, n, columns, shared, outside_in, bound, partly)


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


def rows_of(free: Sequence[Axis]) -> Extents:
    """The rows of the register tile: along the free axis with the smallest steps that suffices, else several."""
    found: Extents = {}
    inside_out = free[::-1]
    enough = next((a for a in inside_out if _rows(a) >= FILLED), None)
    if enough is not None:
        return {enough: _rows(enough)}
    left = ROWS + 1
    for axis in sorted(inside_out, key=lambda a: -_rows(a)):
        found[axis] = min(axis.size, left)
        left //= found[axis]
    return {a: n for a, n in found.items() if n > 1}


def _rows(axis: Axis) -> int:
    return even(axis.size, ROWS, 1)


# ------------------------------------------------------------------------------------------------------- blocks


@dataclass(frozen=True)
class Blocks:
    """How a group's work is cut.

    group   per axis of n and free the extent of a group
    packed  per summed axis the extent packed at a time
    steps   per free axis the extent whose image is packed at a time
    """

    group: Extents
    packed: Extents
    steps: Extents


def candidates(window: Window, rows: Extents) -> Iterator[Blocks]:
    """Blocks worth comparing: n and the two outermost free axes are cut, the others left whole."""
    choices = {window.n: [even(window.n.size, most, window.columns) for most in (128, 64, 32)]}
    for axis in window.free:
        unit = rows.get(axis, 1)
        cuts = (1, 2, 4, 8, 16) if axis in window.free[:2] else (1,)
        choices[axis] = [even(axis.size, max(unit, ceil(axis.size / cut)), unit) for cut in cuts]
    options = [dict.fromkeys(sizes) for sizes in choices.values()]
    smallest = prod(min(sizes) for sizes in options)
    for sizes in product(*options):
        if prod(sizes) <= max(ACCUMULATED, smallest):
            yield _blocks(window, rows, dict(zip(choices, sizes)))


def _blocks(window: Window, rows: Extents, group: Extents) -> Blocks:
    """Summed axes are cut until the panels are small enough, then free ones until the image is."""
    packed = {a: a.size for a in window.bound}
    steps = {a: group[a] for a in window.free}
    for axis in window.bound:
        while packed[axis] > 1 and (_panels(window, group, packed) > PACKED or prod(packed.values()) > DEPTH):
            packed[axis] = ceil(packed[axis] / 2)
    for axis in window.free:
        while steps[axis] > rows.get(axis, 1) and _image(window, steps, packed) > PACKED:
            steps[axis] = _smaller(steps[axis], rows.get(axis, 1))
    for axis in window.bound:
        while packed[axis] > 1 and _image(window, steps, packed) > PACKED:
            packed[axis] = ceil(packed[axis] / 2)
    return Blocks(group, packed, steps)


def _smaller(extent: int, unit: int) -> int:
    """The largest part of an extent that divides it and is a multiple of unit."""
    return max(n for n in range(unit, extent, unit) if extent % n == 0)


def _panels(window: Window, group: Extents, packed: Extents) -> int:
    """Elements of the other operand's box."""
    return group[window.n] * prod(packed[a] for a in window.bound if a in window.other.axes)


def _image(window: Window, steps: Extents, packed: Extents) -> int:
    """Elements of the image's box."""
    tile = {a: steps.get(a) or packed.get(a, 1) for a in window.value.axes}
    return prod(window.image.extents(tile).values())


def cycles(window: Window, rows: Extents, blocks: Blocks, target: Target) -> float:
    """An estimate of the time of a launch: products, packing, accumulators kept between blocks, stores."""
    group, packed, steps = blocks.group, blocks.packed, blocks.steps
    groups = prod(a.size for a in window.shared) * prod(ceil(a.size / size) for a, size in group.items())
    columns, accumulated = window.columns // target.lanes, prod(group.values())
    busy = max(1.0, FILLED / prod(rows.values()) * COLUMNS / columns)
    walked = prod(a.size * window.partly.get(a, 1) for a in window.bound)
    products = accumulated / target.lanes * walked / 2 * busy
    pieces = prod(ceil(a.size / packed[a]) for a in window.bound)
    images = pieces * prod(ceil(group[a] / steps[a]) for a in window.free)
    packing = _panels(window, group, packed) * pieces * GATHERED + _image(window, steps, packed) * images * COPIED
    kept = 2 * pieces * accumulated / target.lanes if pieces > 1 else 0
    return ceil(groups / target.cores) * (products + packing + kept + accumulated + LAUNCHED)


# ------------------------------------------------------------------------------------------------------- loops


def scheduled(window: Window, rows: Extents, blocks: Blocks) -> Schedule:
    """Groups; inside blocks of the summed axes, whose panels are packed; then of free ones, whose image is packed; then
    register tiles."""
    n, group = window.n, blocks.group
    grid = [*(Step(a, 1) for a in window.shared), *(Step(a, group[a]) for a in window.free), Step(n, group[n])]
    summed = [Step(a, blocks.packed[a]) for a in window.bound if blocks.packed[a] < a.size]
    free = [Step(a, blocks.steps[a]) for a in window.free if blocks.steps[a] < group[a]]
    tile = [Step(n, window.columns), *(Step(a, 1) for a in window.free if a not in rows)]
    tile += [*(Step(a, rows[a]) for a in window.free if a in rows), *(Step(a, 1) for a in _looped(window, blocks))]
    depth = len(grid) + len(summed)
    whole = all(not e.guards for e in loads_of(window.other))  # lines that lie in one run are packed as one
    deep = window.bound if whole else _inside_out(window)[::-1]
    panels = [(n, window.columns), *((a, 1) for a in deep), (n, 1)]
    image = window.image if window.image.at else None
    stages = (
        Stage(window.other, depth, tuple(panels)),
        Stage(window.value, depth + len(free), tuple((a, 1) for a in _image_order(window)), 0, image),
    )
    return Schedule((*grid, *summed, *free, *tile), len(grid), (n,), stages)


def _looped(window: Window, blocks: Blocks) -> list[Axis]:
    """The summed axes walked one by one inside the register tile; short ones are written out instead."""
    order = _inside_out(window)
    written: list[Axis] = []
    for axis in order:
        whole = blocks.packed[axis] == axis.size and axis not in window.partly
        if whole and prod(a.size for a in written) * axis.size <= UNROLL:
            written.append(axis)
    return [a for a in order[::-1] if a not in written]


def _inside_out(window: Window) -> list[Axis]:
    """The summed axes in the order they are walked in, the innermost first."""
    inside_out = window.bound[::-1]
    return [a for a in inside_out if a not in window.partly] + [a for a in inside_out if a in window.partly]


def _image_order(window: Window) -> list[Axis]:
    """The axes of the image in the order they have in memory: large steps outside."""
    source = window.image.source
    steps = {a: max(abs(e.index.coefficient(a)) for e in loads_of(source) if a in e.axes) for a in source.axes}
    return sorted((a for a in source.axes if a not in window.shared), key=lambda a: (-steps[a], a.id))
