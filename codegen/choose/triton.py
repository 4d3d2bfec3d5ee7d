"""Default schedules for Triton on GPUs.

Comes in: a kernel and the target's facts.  Goes out: schedules, best first; the first legal one is used.  Kernels are
told apart by their axes alone: without reduces and scans, with contractions (`triton_dots`), with others.  One
program runs one tile; the figures (elements per thread, rows kept whole) gave 16-byte accesses without spills.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from graphlib import CycleError, TopologicalSorter
from math import prod
from typing import Final

from codegen.access import lane_votes, main_stores, sequential_axes
from codegen.choose.picks import Pick, either, first
from codegen.choose.triton_dots import contracted
from codegen.index import Axis, separated
from codegen.ir import Expr, Kernel, Reduce, Scan, Store, walk
from codegen.ops import REDUCE_OPS
from codegen.schedule import Schedule, Step
from codegen.streaming import find_streams
from codegen.target import Target
from codegen.triton.limits import atomic_name
from codegen.triton.tiles import block_size

BLOCK: Final = 1024  # elements of an elementwise tile: 8 per thread on 4 warps, 16 bytes of 16-bit floats
SQUARE: Final = 64  # side of a tile that is read along one axis and written along another
WHOLE: Final = 16_384  # elements of a row kept in registers
STRIP: Final = 8192  # the same where sums down the columns are kept beside it
SHORT: Final = 2048  # elements of a tile of several short rows
CHUNK: Final = 4096  # elements of a tile of a looped reduce
AHEAD: Final = 3  # steps of rows whose loads are under way at a time
RESIDENT: Final = 4  # programs of a processor that share its memory for what is loaded ahead
COLUMNS: Final = 128  # columns of a tile that is reduced across them


def recipes(kernel: Kernel, target: Target, pick: Pick = first) -> Iterator[Schedule]:
    """Schedules for a kernel, best first; the last ones are slow and almost always legal."""
    found = _recipes(kernel, target, pick)
    return (adapted(schedule, target) for schedule in found) if target.is_amd else found


def adapted(schedule: Schedule, target: Target) -> Schedule:
    """A schedule made for warps of 32 threads, for AMD's: as many threads; its matrix unit takes float32 as it is."""
    options = dict(schedule.options)
    if "num_warps" in options:
        options["num_warps"] = max(1, int(options["num_warps"]) * 32 // target.warp)
    return replace(schedule, options={**options, "precision": "ieee"})


def _recipes(kernel: Kernel, target: Target, pick: Pick) -> Iterator[Schedule]:
    free = grid_axes(kernel)
    lane = lane_axis(kernel)
    yield from contracted(kernel, free, target, pick)
    if not kernel.reduces and not kernel.scans:
        yield elementwise(kernel, free, lane, target, pick)
    else:
        yield from reduced(kernel, free, lane, target, pick)
    yield from plain(kernel, free)


def grid_axes(kernel: Kernel) -> tuple[Axis, ...]:
    """The axes that may be spread over programs: in every result, bound by no reduce and walked by no scan.

    Of a store that accumulates without an atomic operation only axes along which its places differ.
    """
    stores = main_stores(kernel)
    sequential = sequential_axes(kernel)
    common = [a for a in stores[0].axes if a not in sequential and all(a in s.axes for s in stores)]
    return tuple(a for a in common if all(_spreads(s, a) for s in stores))


def _spreads(store: Store, axis: Axis) -> bool:
    if store.mode not in REDUCE_OPS or atomic_name(REDUCE_OPS[store.mode], store.param.dtype) is not None:
        return True
    return axis in separated(store.index)


def lane_axis(kernel: Kernel) -> Axis | None:
    """The axis along which most bytes lie side by side."""
    votes = lane_votes(kernel, 1)
    return max(votes, key=lambda a: votes[a], default=None)


# ------------------------------------------------------------------------------------------------------ elementwise


def elementwise(
    kernel: Kernel, free: Sequence[Axis], lane: Axis | None, target: Target, pick: Pick = first
) -> Schedule:
    """No reduces: tiles of about BLOCK elements, from the unit stride outwards; square ones for transposes."""
    lane = lane if lane in free else (free[-1] if free else None)
    points = prod(a.size for a in free)
    elements = BLOCK
    while elements > BLOCK // 4 and points < elements * target.cores * 2:
        elements //= 2
    elements = pick("elements", either(elements, (512, 1024, 2048, 4096)))
    turned = _unit_axis(kernel, free, lane)
    tiles: dict[Axis, int] = {}
    if lane is not None and turned is not None:
        tiles = {a: min(SQUARE, block_size(a.size)) for a in (lane, turned)}
        elements = max(elements, prod(tiles.values()))
    order = [a for a in (lane, *reversed(free)) if a is not None]
    for axis in dict.fromkeys(order):
        if axis not in tiles:
            tiles[axis] = min(block_size(axis.size), max(1, elements // prod(tiles.values())))
    grid = [Step(a, tiles[a]) for a in free]
    rest = _filled(kernel, grid, [a for a in kernel.axes if a not in free], lane)
    return _schedule(grid, rest, elements // pick("a thread", either(16 if turned else 8, (4, 8, 16))))


def _unit_axis(kernel: Kernel, free: Sequence[Axis], lane: Axis | None) -> Axis | None:
    """The axis along which some load or store, that the lane axis strides through, has its unit stride."""
    places = [(e.index, e.axes) for e in kernel.loads] + [(s.index, frozenset(s.axes)) for s in main_stores(kernel)]
    for index, axes in places:
        if lane in axes and lane is not None and index.stride(lane) not in (0, 1):
            unit = [a for a in free if a is not lane and index.stride(a) == 1 and a.size >= 16]
            if unit and lane.size >= 16:
                return unit[0]
    return None


def _schedule(grid: Sequence[Step], loops: Sequence[Step], threads: int, **more: object) -> Schedule:
    warps = max(1, min(16, block_size(max(1, threads)) // 32))
    options = {"num_warps": warps}
    return Schedule((*grid, *loops), len(grid), options=options, **more)  # type: ignore[arg-type]


# ------------------------------------------------------------------------------------------------------ reduces


def reduced(
    kernel: Kernel, free: Sequence[Axis], lane: Axis | None, target: Target, pick: Pick = first
) -> Iterator[Schedule]:
    """Rows held whole while they fit, several short ones at a time; otherwise loops over chunks.

    Columns, when the unit stride lies along a kept axis: strips of the reduced axis, as wide as memory likes.
    """
    inner = [a for a in kernel.axes if a not in free]
    if (walked := _walked_rows(kernel, inner)) is not None:
        yield from _strips(kernel, free, walked, [a for a in inner if a is not walked], target, pick)
    width = _width(kernel, inner)
    if lane in free and width > 1:
        yield from _columns(kernel, free, lane, inner, width, target)
    if width <= WHOLE:
        yield _rows(kernel, free, width, target, pick)
    for order in _orders(kernel, inner):
        yield _looped(kernel, free, lane, order, streams=True)
        yield _looped(kernel, free, lane, order, streams=False)


def _width(kernel: Kernel, axes: Sequence[Axis]) -> int:
    """The most elements a value has along some axes."""
    wanted = frozenset(axes)
    return max((prod(block_size(a.size) for a in e.axes & wanted) for e in kernel.exprs), default=1)


def _rows(kernel: Kernel, free: Sequence[Axis], width: int, target: Target, pick: Pick) -> Schedule:
    """Whole rows, several at a time when they are short and many."""
    points = prod(a.size for a in free)
    rows = max(1, SHORT // width)
    while rows > 1 and points < rows * target.cores * 2:
        rows //= 2
    rows = pick("rows", either(rows, (1, 2, 4)))
    tiles = {}
    for axis in reversed(free):
        tiles[axis] = min(rows, block_size(axis.size))
        rows = max(1, rows // tiles[axis])
    elements = width * prod(tiles.values())
    threads = max(128, elements // pick("a thread", (16, 8, 32)))
    return _schedule([Step(a, tiles[a]) for a in free], (), threads)


def _walked_rows(kernel: Kernel, inner: Sequence[Axis]) -> Axis | None:
    """The axis of rows that are stored, and whose columns are summed up beside it, if there is one.

    Nothing along it needs these sums, nor does another reduce: one walk along it is enough.
    """
    stored = {a for s in main_stores(kernel) for a in s.axes}
    found = []
    for axis in inner:
        if axis in stored and any(axis in r.bound for r in kernel.reduces):
            users = [root for s in main_stores(kernel) if axis in s.axes for root in s.roots]
            users += [x for r in kernel.reduces for x in r.args]
            if not any(isinstance(e, Reduce) and axis in e.bound for e in walk(users)):
                found.append(axis)
    return found[0] if len(found) == 1 else None


def _strips(
    kernel: Kernel, free: Sequence[Axis], walked: Axis, across: Sequence[Axis], target: Target, pick: Pick
) -> Iterator[Schedule]:
    """A program walks its rows, several short ones at a time: what rows and columns need is read once.

    There are few programs, so each loads the next rows while it works on some.
    """
    width = _width(kernel, across)
    if width > STRIP:
        return
    rows = pick("rows", either(max(1, min(SHORT // width, block_size(walked.size))), (1, 2, 4)))
    threads = max(128, width * rows // pick("a thread", (16, 8, 32)))
    read = {e for e in kernel.loads if walked in e.axes}
    step = sum(e.param.dtype.itemsize * rows * prod(block_size(a.size) for a in e.axes & set(across)) for e in read)
    room = 1 + target.scratch // (RESIDENT * step) if step and not target.is_amd else 1
    found = _schedule([Step(a, 1) for a in free], [Step(walked, rows)], threads, partial=frozenset())
    if (ahead := pick("ahead", either(min(AHEAD, room), (2, 4)))) > 1:
        found = replace(found, options={**found.options, "ahead": ahead})
    yield found


def _columns(
    kernel: Kernel, free: Sequence[Axis], lane: Axis | None, inner: Sequence[Axis], width: int, target: Target
) -> Iterator[Schedule]:
    """The lane axis in strips over programs, the reduced axes in chunks that fill the tile.

    Strips are wide where little is summed over, or a program would have a single warp, and at least half of COLUMNS,
    which is 128 bytes of 16-bit values, as long as each processor has a program.
    """
    assert lane is not None
    others = prod(a.size for a in free if a is not lane)
    columns = min(max(COLUMNS, SHORT // width), block_size(lane.size))
    while columns > 32 and others * -(-lane.size // columns) < target.cores * (2 if columns > COLUMNS // 2 else 1):
        columns //= 2
    grid = [Step(a, columns if a is lane else 1) for a in free]
    if width * columns <= 2 * CHUNK:
        yield _schedule(grid, (), width * columns // 16)
    for order in _orders(kernel, inner):
        yield _schedule(grid, _filled(kernel, grid, order, lane), CHUNK // 16)


def _looped(kernel: Kernel, free: Sequence[Axis], lane: Axis | None, order: Sequence[Axis], streams: bool) -> Schedule:
    """One row a program, walked in chunks."""
    grid = [Step(a, 1) for a in free]
    found = find_streams(kernel) if streams else ()
    return _schedule(grid, _filled(kernel, grid, order, lane), CHUNK // 16, streams=found)


def _filled(kernel: Kernel, grid: Sequence[Step], order: Sequence[Axis], lane: Axis | None) -> list[Step]:
    """Loops in an order, with tiles as large as the chunk has room for in every value: first along unit strides."""
    tiles = {**{a: block_size(a.size) for a in kernel.axes}, **{step.axis: step.tile for step in grid}}
    tiles.update(dict.fromkeys(order, 1))
    spaces = {e.axes for e in kernel.exprs} | {frozenset(s.axes) for s in kernel.stores}
    indices = [e.index for e in kernel.loads] + [s.index for s in kernel.stores]
    unit = {a for a in order if any(index.stride(a) == 1 for index in indices)}
    for axis in sorted(order, key=lambda a: (a is not lane, a not in unit, -order.index(a))):
        largest = max(prod(tiles[a] for a in axes) for axes in spaces if axis in axes)
        tiles[axis] = min(block_size(axis.size), max(1, CHUNK // largest))
    return [Step(a, tiles[a]) for a in order]


def _orders(kernel: Kernel, inner: Sequence[Axis]) -> Iterator[tuple[Axis, ...]]:
    """Orders of the loops inside a program, most wanted first; axes left out are held whole.

    The axes a reduce keeps come before those it binds, and those a scan carries before the one it walks.  They also
    come before those its users have and it lacks: a loop over such an axis needs the reduce for all places inside;
    where both cannot be, the kept axis gets no loop.
    """
    binds, lacks = _before(kernel, inner)
    for axes in [inner, inner[::-1]] if len(inner) > 1 else [inner]:
        for edges in ({a: binds[a] | lacks[a] for a in axes}, binds):
            with suppress(CycleError):
                order = list(TopologicalSorter({a: [x for x in axes if x in edges[a]] for a in axes}).static_order())
                place = {a: position for position, a in enumerate(order)}
                whole = {x for a in order for x in lacks[a] if place[x] > place[a]}
                yield tuple(a for a in order if a not in whole)


def _before(kernel: Kernel, inner: Sequence[Axis]) -> tuple[dict[Axis, set[Axis]], dict[Axis, set[Axis]]]:
    """Per axis: what the reduces that bind it keep, and what those keep that lack it though their users have it.

    A scan counts as a reduce over the axis it walks.
    """
    binds: dict[Axis, set[Axis]] = {a: set() for a in inner}
    lacks: dict[Axis, set[Axis]] = {a: set() for a in inner}
    users: list[tuple[frozenset[Axis], tuple[Expr, ...]]] = [(r.arg.axes, r.args) for r in kernel.reduces]
    users += [(s.axes, s.args) for s in kernel.scans]
    users += [(frozenset(s.axes), s.roots) for s in kernel.stores]
    for axes, roots in users:
        for r in walk(roots):
            if isinstance(r, Reduce | Scan):
                walked = r.bound if isinstance(r, Reduce) else (r.axis,)
                kept = (r.axes - frozenset(walked)) & binds.keys()
                for axis in binds.keys() & walked:
                    binds[axis] |= kept
                for axis in (axes - r.arg.axes - frozenset(walked)) & lacks.keys():
                    lacks[axis] |= kept
    return binds, lacks


# ------------------------------------------------------------------------------------------------------ whatever else


def plain(kernel: Kernel, free: Sequence[Axis]) -> Iterator[Schedule]:
    """Schedules that ask for little: everything whole, then loops by one; scans across each other have none."""
    inner = [a for a in kernel.axes if a not in free]
    scanned = {scan.axis for scan in kernel.scans}
    yield Schedule(tuple(Step(a, 1) for a in free), len(free))
    for axes in (inner, [a for a in inner if a not in scanned]):
        for order in _orders(kernel, axes):
            yield Schedule(tuple(Step(a, 1) for a in (*free, *order)), len(free))
    everything = tuple(Step(a, 1) for a in kernel.axes)
    yield Schedule(everything, 0)
    yield Schedule()
