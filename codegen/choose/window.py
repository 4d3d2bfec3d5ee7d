"""Default CPU schedules for contractions one operand of which is read through a window: convolutions of any rank, their
gradients, sums over neighbours.

Comes in: a kernel, its contraction and the target's facts.  Goes out: a schedule, or none when no operand has an image
worth keeping.  The windowed operand is packed as its image, so that each element is copied once and the places of a
window are constant offsets; lanes run along an axis of the other operand, whose panels are packed; a tile of rows along
the windowed operand's axes is accumulated.  Blocks are chosen by an estimate of cycles.
The same form, without an image, serves products whose results lie in lines too short for lanes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product
from math import ceil, prod

from codegen.access import loads_of
from codegen.choose.contraction import UNROLL, even, is_straight, roles_of
from codegen.choose.forms import COLUMNS, FILLED, WELL_FILLED, Extents, Window, windows_of
from codegen.choose.picks import Pick, first
from codegen.dots import dot_of
from codegen.image import Image, image_of
from codegen.index import Axis
from codegen.ir import Kernel
from codegen.rewrites.contract import Contraction
from codegen.schedule import Schedule, Stage, Step
from codegen.target import Target

DEPTH = 640  # steps of the summed axes whose panels are packed together: a panel of 80 KB
PACKED = 1 << 16  # elements of a packed operand: a quarter of a second-level cache
ROUNDED = 64  # steps from which on a number of them is rounded
ACCUMULATED = 1 << 17  # elements of a group's accumulators
GATHERED = 0.4  # cycles to pack an element of the panels
PAIRED = 0.5  # the same in groups, for which elements that lie apart are put together
COPIED = 0.3  # cycles to pack an element of the image
PAIRED_APART = 1.3  # the same in groups, where lines are too short for vectors
TURNED_IN = 0.8  # the same where squares of it are turned in registers
PARTS = (2, 3)  # of a whole axis that images may have, where its size has no such divisor
ROUNDED_UP = 1.1  # times the size, at most, that such parts have together
CANDIDATES = 12  # ways to cut worth measuring
APART_READS = {1: 1, 2: 3}  # cycles to read a vector, by the step between its lanes
ACROSS = {1: 1.1, 2: 1.35}  # times longer such a tile takes: vectors lie across lines of the cache
LAUNCHED = 2000  # cycles to start a group


def windowed(kernel: Kernel, c: Contraction, target: Target, pick: Pick) -> Iterator[Schedule]:
    """The schedule of a kernel with one contraction over a window and an elementwise epilogue; nothing without one."""
    plain = windows_of(kernel, c, target.lanes)
    found = [(window, blocks) for window in (*plain, *in_groups(plain, c, target)) for blocks in candidates(window)]
    if found and not _is_read_as_it_lies(kernel, c, plain, target):
        found.sort(key=lambda way: cycles(way[0], way[1], target))
        yield scheduled(*pick("window", found[:CANDIDATES]))


def _is_read_as_it_lies(kernel: Kernel, c: Contraction, windows: Iterable[Window], target: Target) -> bool:
    """True for a product of few rows, without a window, whose matrix lies along lanes it fills: no copy gains."""
    roles = roles_of(kernel, c, target.lanes, first)
    n, matrix = roles.n, roles.right
    filled = n.size / (ceil(n.size / target.lanes) * target.lanes)
    few = roles.m.size < FILLED and filled >= WELL_FILLED
    return few and is_straight(matrix, n) and not any(window.image.at for window in windows)


def in_groups(windows: Iterable[Window], c: Contraction, target: Target) -> Iterator[Window]:
    """The same with narrow operands, where the target multiplies such in groups along a summed axis of both operands
    that no window touches."""
    dot = dot_of(c.reduce, target)
    if dot is None or dot.alike:
        return
    for window in windows:
        axes = [a for a in window.bound if a in dot.axes and a not in window.met and a.size >= dot.group]
        value, other = (dot.left, dot.right) if window.value.args == (dot.left,) else (dot.right, dot.left)
        if axes and window.lane is window.n and (window.value.args, window.other.args) == ((value,), (other,)):
            image, along = image_of(value) or Image(value, {}), max(axes, key=lambda a: (a.size, -a.id))
            yield replace(window, value=value, image=image, other=other, along=along, group=dot.group)


# ------------------------------------------------------------------------------------------------------- blocks


@dataclass(frozen=True)
class Blocks:
    """How a group's work is cut.

    group   per axis of n, inside and free the extent of a group
    packed  per summed axis the extent packed at a time
    steps   per free axis the extent whose image is packed at a time
    """

    group: Extents
    packed: Extents
    steps: Extents


def candidates(window: Window) -> Iterator[Blocks]:
    """Blocks worth comparing: n and the two outermost free axes are cut, the others left whole.

    Where the image of a group's places does not fit, either places are packed one after the other, or less is summed at
    a time, so that what windows share is packed once.
    """
    choices = {window.n: [even(window.n.size, most, window.columns) for most in (128, 64, 32)]}
    choices |= {axis: [axis.size] for axis in window.inside}
    for axis in window.free:
        unit = window.rows.get(axis, 1)
        cuts = (1, 2, 4, 8, 16) if axis in window.free[:2] else (1,)
        whole = [even(axis.size, ceil(axis.size / parts), unit) * parts for parts in PARTS if axis in window.free[:2]]
        choices[axis] = [even(axis.size, max(unit, ceil(axis.size / cut)), unit) for cut in cuts]
        choices[axis] += [size for size in whole if size <= ROUNDED_UP * axis.size]
    options = [dict.fromkeys(sizes) for sizes in choices.values()]
    smallest = prod(min(sizes) for sizes in options)
    for sizes in product(*options):
        if prod(sizes) <= max(ACCUMULATED, smallest):
            group = dict(zip(choices, sizes))
            found = _blocks(window, group, (*window.free, *window.bound))
            yield found
            if any(found.steps[a] < group[a] for a in window.met if a in window.free):
                yield _blocks(window, group, sorted((*window.free, *window.bound), key=window.met.__contains__))


def _blocks(window: Window, group: Extents, order: Sequence[Axis]) -> Blocks:
    """Summed axes are cut until the panels are small enough, then axes in an order until the image is."""
    packed = {a: a.size for a in window.bound}
    steps = {a: group[a] for a in window.free}
    for axis in window.bound:
        least = window.least(axis)
        while packed[axis] > least and (_panels(window, group, packed) > PACKED or prod(packed.values()) > DEPTH):
            packed[axis] = _part(window, axis, packed[axis])
    for axis in order:
        while axis in steps and steps[axis] > window.rows.get(axis, 1) and _image(window, steps, packed) > PACKED:
            steps[axis] = _smaller(group[axis], steps[axis], window.rows.get(axis, 1))
        while axis in packed and packed[axis] > window.least(axis) and _image(window, steps, packed) > PACKED:
            packed[axis] = _part(window, axis, packed[axis])
    return Blocks(group, packed, steps)


def _part(window: Window, axis: Axis, extent: int) -> int:
    """Half of a summed axis' extent, in whole groups."""
    unit = window.least(axis)
    return ceil(_half(extent) / unit) * unit


def _half(extent: int) -> int:
    """Half of an extent; of a long one, in round numbers, which sizes that hardly differ have in common."""
    half = ceil(extent / 2)
    return half if half < ROUNDED else ceil(half / 8) * 8


def _smaller(whole: int, extent: int, unit: int) -> int:
    """The largest multiple of unit below an extent that divides a group's.

    >>> _smaller(30, 15, 1)
    10
    """
    return max(n for n in range(unit, extent, unit) if whole % n == 0)


def _panels(window: Window, group: Extents, packed: Extents) -> int:
    """Elements of the other operand's box."""
    extents = (*(group[a] for a in window.inside), *(packed[a] for a in window.bound if a in window.other.axes))
    return group[window.n] * prod(extents)


def _image(window: Window, steps: Extents, packed: Extents) -> int:
    """Elements of the image's box."""
    tile = {a: steps.get(a) or packed.get(a, 1) for a in window.value.axes}
    return prod(window.image.extents(tile).values())


def cycles(window: Window, blocks: Blocks, target: Target) -> float:
    """An estimate of the time of a launch: products, packing, accumulators kept between blocks, stores."""
    group, packed, steps = blocks.group, blocks.packed, blocks.steps
    groups = prod(a.size for a in window.shared) * prod(ceil(a.size / size) for a, size in group.items())
    accumulated = prod(size if a in window.rows else _filled_up(window, a, size, target) for a, size in group.items())
    walked = prod(a.size * window.partly.get(a, 1) for a in window.bound)
    products = accumulated / target.lanes * walked / 2 / window.group * _busy(window, target.lanes)
    pieces = prod(ceil(a.size / packed[a]) for a in window.bound)
    images = pieces * prod(ceil(group[a] / steps[a]) for a in window.free)
    copied = TURNED_IN if window.turned else _copied(window, blocks, target)
    gathered = GATHERED if window.along is None else PAIRED
    packing = _panels(window, group, packed) * pieces * gathered + _image(window, steps, packed) * images * copied
    kept = 2 * pieces * accumulated / target.lanes if pieces > 1 else 0
    stored = accumulated * window.stored
    return ceil(groups / target.cores) * (products + packing + kept + stored + LAUNCHED)


def _copied(window: Window, blocks: Blocks, target: Target) -> float:
    """The time to pack an element of the image."""
    if window.along is None:
        return COPIED
    tile = {a: blocks.steps.get(a) or blocks.packed.get(a, 1) for a in window.value.axes}
    line = [axis for axis in _image_order(window) if axis is not window.along][-1:]
    extents = window.image.extents(tile)
    return COPIED if any(extents[axis] >= target.lanes for axis in line) else PAIRED_APART


def _filled_up(window: Window, axis: Axis, extent: int, target: Target) -> int:
    """The extent of a group's axis that is computed: whole vectors along the lanes."""
    least = min(axis.size, extent)
    return even(least, least, target.lanes) if axis is window.lane else least


def _busy(window: Window, lanes: int) -> float:
    """How many times longer than its products a tile takes: few sums wait for each other, and operands are read."""
    if window.lane is window.n:
        return max(1.0, FILLED / prod(window.rows.values()) * COLUMNS * lanes / window.columns)
    vectors = prod(window.rows.values()) // lanes
    sums, reads = vectors * window.columns, vectors * APART_READS[window.apart] + window.columns
    return max(1.0, FILLED / sums, reads / sums) * ACROSS[window.apart]


# ------------------------------------------------------------------------------------------------------- loops


def scheduled(window: Window, blocks: Blocks) -> Schedule:
    """Groups; inside blocks of the summed axes, whose panels are packed; then of free ones, whose image is packed; then
    register tiles."""
    n, group, rows = window.n, blocks.group, window.rows
    grid = [*(Step(a, 1) for a in window.shared), *(Step(a, group[a]) for a in (*window.inside, *window.free))]
    grid.append(Step(n, group[n]))
    summed = [Step(a, blocks.packed[a]) for a in window.bound if blocks.packed[a] < a.size]
    free = [Step(a, blocks.steps[a]) for a in window.free if blocks.steps[a] < group[a]]
    walked = (*window.inside, *window.free)
    tile = [Step(n, window.columns), *(Step(a, 1) for a in walked if a not in rows)]
    tile += [Step(a, rows[a]) for a in walked if a in rows]
    tile += [Step(a, window.least(a)) for a in _looped(window, blocks)]
    depth = len(grid) + len(summed)
    whole = all(not e.guards for e in loads_of(window.other))  # lines that lie in one run are packed as one
    deep = window.bound if whole else _inside_out(window)[::-1]
    panels = [(n, window.columns), *_apart(window, (*window.inside, *deep, n))]
    image = window.image if window.image.at else None
    stages = (
        Stage(window.other, depth, tuple(panels)),
        Stage(window.value, depth + len(free), tuple(_apart(window, _image_order(window))), 0, image),
    )
    return Schedule((*grid, *summed, *free, *tile), len(grid), (window.lane,), stages)


def _apart(window: Window, axes: Sequence[Axis]) -> list[tuple[Axis, int]]:
    """The layout of axes, the last one's lines of groups, where there are any, whose values lie side by side."""
    along = window.along
    if along is None:
        return [(a, 1) for a in axes]
    others = [(a, 1) for a in axes[:-1] if a is not along]
    return [*others, (along, window.group), (axes[-1], 1), (along, 1)]


def _looped(window: Window, blocks: Blocks) -> list[Axis]:
    """The summed axes walked one by one inside the register tile; short ones are written out instead."""
    order = _inside_out(window)
    written: list[Axis] = []
    for axis in order:
        whole = blocks.packed[axis] == axis.size and axis not in window.partly and axis is not window.along
        if whole and prod(a.size for a in written) * axis.size <= UNROLL:
            written.append(axis)
    return [a for a in order[::-1] if a not in written]


def _inside_out(window: Window) -> list[Axis]:
    """The summed axes in the order they are walked in, the innermost first."""
    inside_out = window.bound[::-1]
    return [a for a in inside_out if a not in window.partly] + [a for a in inside_out if a in window.partly]


def _image_order(window: Window) -> list[Axis]:
    """The axes of the image in the order they have in memory: large steps outside, the lanes innermost."""
    source = window.image.source
    loads = list(loads_of(source))
    steps = {a: max((abs(e.index.coefficient(a)) for e in loads if a in e.axes), default=0) for a in source.axes}
    lane = next((new for new, index in window.image.at.items() if window.lane in index.axes), window.lane)
    axes = (a for a in source.axes if a not in window.shared)
    return sorted(axes, key=lambda a: (a is lane, -steps[a], a.id))
