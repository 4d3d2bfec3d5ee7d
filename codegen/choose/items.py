"""Default schedules for OpenCL on GPUs, where the work-items of a group hold one lane each.

Comes in: a kernel and the target's facts.  Goes out: schedules, best first.  Items side by side should read what lies
side by side; many small groups hide the latency of memory; what items share is staged in the little local memory.
Kernels of other forms than these get the schedules of processors, where those fit.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from math import ceil, prod
from typing import Final, TypeVar

from codegen.access import is_plain_load, loads_of, main_stores, parallel_axes
from codegen.choose import cpu
from codegen.choose.contraction import Roles, panels, roles_of
from codegen.choose.picks import Pick, either, first
from codegen.choose.staged import staged
from codegen.choose.transposed import transposed
from codegen.index import Axis
from codegen.ir import Kernel
from codegen.rewrites.contract import Contraction, contractions
from codegen.schedule import Schedule, Stage, Step
from codegen.target import Target

TILES = ((8, 4), (8, 2), (8, 1), (4, 2), (4, 1), (2, 1), (16, 2))  # rows and columns of an item's accumulators
DEPTHS = (32, 16, 8)  # steps of k whose operands are staged together, if there is room
ACROSS = (32, 16, 64)  # lines that are read together where they lie across the items
PER_ITEM = (4, 1, 2, 8)  # elements of an item
UNROLLS = (4, 1, 2, 8)  # chunks of a row done together
GROUPS_PER_CORE = 2
READS = 4  # of an operand from which on it gains to stage it for all items of a group
COMPACT: Final[dict[str, object]] = {"tile": (4, 1), "rows": 8, "walk": 64, "square": 32}
T = TypeVar("T")


def recipes(kernel: Kernel, target: Target, pick: Pick = first) -> Iterator[Schedule]:
    """Schedules for a kernel on a GPU, the preferred one first; the last is a CPU's, which is what is left."""
    products = {c.reduce: c for c in contractions(kernel) if cpu.worth_tiling(c, READS)}
    if len(products) == len(kernel.reduces) == 1:
        yield product(kernel, products[kernel.reduces[0]], target, pick)
    elif products:
        yield from staged(kernel, products, target, _compact(pick))
    elif kernel.reduces or kernel.scans:
        yield walked(kernel, target, pick)
    else:
        yield from elementwise(kernel, target, pick)
    yield from cpu.recipes(kernel, target, _compact(pick))


def _compact(pick: Pick) -> Pick:
    """Choices of other recipes that leave boxes small."""

    def chosen(name: str, options: Iterable[T], /) -> T:
        found = tuple(options)
        wanted = [option for option in found if option == COMPACT.get(name, found)]
        return pick(name, [*wanted, *(option for option in found if option not in wanted)])

    return chosen


def product(kernel: Kernel, c: Contraction, target: Target, pick: Pick) -> Schedule:
    """A contraction: each item has a tile of accumulators, in rows that all items of a group share and columns of its
    own.  Rows are read from local memory, by all items at once; columns too where they do not lie side by side."""
    roles = roles_of(kernel, c, target.lanes, pick)
    parallel = parallel_axes(kernel)
    outer = [a for a in parallel if a is not roles.m and a is not roles.n]
    rows, columns = pick("tile", either(_tile(roles, prod(a.size for a in outer), target), TILES))
    grid = [Step(a, 1) for a in outer]
    grid += [Step(a, n) for a, n in ((roles.m, rows), (roles.n, columns * target.lanes)) if a in parallel]
    known = {*parallel, *c.k, roles.m, roles.n}
    outside = [*grid, *(Step(a, 1) for a in kernel.axes if a not in known)]
    straight = is_plain_load(roles.right) and all(
        e.index.stride(roles.n) in (0, 1) and not e.guards for e in loads_of(roles.right)
    )
    stages_columns = pick("stage columns", (not straight, straight))
    held = (rows + (columns * target.lanes if stages_columns else 0)) * 4
    fits = [depth for depth in DEPTHS if depth * held <= target.scratch * 3 // 4] or DEPTHS[-1:]
    depth = pick("depth", fits)
    blocks = [Step(a, 1) for a in roles.deep]
    blocks += [Step(roles.k, depth)] if roles.k.size > depth else []
    fixed = {step.axis for step in (*outside, *blocks) if step.tile == 1}
    inside = [Step(a, n) for a, n in ((roles.m, rows), (roles.n, columns * target.lanes)) if a not in parallel]
    stages = []
    if pick("stage rows", (True, False)):
        layout = [(a, 1) for a in kernel.axes if a in roles.left.axes - fixed - {roles.m}]
        stages.append(Stage(roles.left, len(outside) + len(blocks), (*layout, (roles.m, 1))))
    if stages_columns:
        layout = list(panels(kernel, roles, fixed, columns * target.lanes))
        stages.append(Stage(roles.right, len(outside) + len(blocks), tuple(layout), pad=1))
    return Schedule((*outside, *blocks, *inside, Step(roles.k, 1)), len(grid), (roles.n,), tuple(stages))


def _tile(roles: Roles, others: int, target: Target) -> tuple[int, int]:
    """The largest tile with which there are groups enough for all processors, and no column is idle."""

    def groups(tile: tuple[int, int]) -> int:
        return others * ceil(roles.m.size / tile[0]) * ceil(roles.n.size / (tile[1] * target.lanes))

    fits = [tile for tile in TILES[:-1] if tile[1] == 1 or roles.n.size > (tile[1] - 1) * target.lanes]
    enough = [tile for tile in fits if groups(tile) >= GROUPS_PER_CORE * target.cores]
    return enough[0] if enough else fits[-1]


def elementwise(kernel: Kernel, target: Target, pick: Pick) -> Iterator[Schedule]:
    """Neither reduces nor scans: items side by side along the unit stride, each with a few elements; what lies side by
    side along another axis is staged."""
    axes = list(dict.fromkeys(a for s in main_stores(kernel) for a in s.axes))
    parallel = [a for a in axes if a in parallel_axes(kernel)]
    lane = cpu.lane_axis(kernel, target, parallel or axes, pick)
    turned = transposed(kernel, lane, target.lanes) if lane in parallel else None
    unit = next(iter(turned.values())) if turned else None
    if turned and unit in parallel and lane is not None:
        across = pick("across", ACROSS)
        grid = [Step(a, {unit: across, lane: target.lanes}.get(a, 1)) for a in parallel]
        inside = [*(Step(a, 1) for a in kernel.axes if a not in parallel), Step(unit, 1)]
        stages = [Stage(e, len(grid), ((unit, 1), (lane, 1)), 1) for e, along in turned.items() if along is unit]
        yield Schedule((*grid, *inside), len(grid), (lane,), tuple(stages))
    others = prod(a.size for a in parallel if a is not lane)
    each = pick("an item", PER_ITEM)
    while lane is not None and each > 1 and others * lane.size < each * target.lanes * target.cores * GROUPS_PER_CORE:
        each //= 2
    yield _spread(kernel, parallel, lane, 1 if lane is None else each, target)


def walked(kernel: Kernel, target: Target, pick: Pick) -> Schedule:
    """Reduces and scans: a group has a row, walked by its items together, or each item a column of its own."""
    parallel = [a for a in kernel.axes if a in parallel_axes(kernel)]
    lane = cpu.lane_axis(kernel, target, kernel.axes, pick)
    assert lane is not None
    if lane in parallel:
        return _spread(kernel, parallel, lane, 1, target)
    chunks = 1 if kernel.scans else min(4, max(1, lane.size // target.lanes))
    unroll = pick("unroll", either(chunks, UNROLLS))
    grid = [Step(a, 1) for a in parallel]
    inside = [Step(a, 1) for a in kernel.axes if a not in parallel and a is not lane]
    return Schedule((*grid, *inside, Step(lane, target.lanes * unroll)), len(grid), (lane,))


def _spread(kernel: Kernel, parallel: Sequence[Axis], lane: Axis | None, each: int, target: Target) -> Schedule:
    """Groups along all parallel axes, items along the lane axis; the rest is looped."""
    tile = {} if lane is None else {lane: each * target.lanes}
    grid = [Step(a, tile.get(a, 1)) for a in parallel]
    inside = [Step(a, 1) for a in kernel.axes if a not in parallel and a is not lane]
    last = [] if lane is None else [Step(lane, target.lanes)]
    return Schedule((*grid, *inside, *last), len(grid), () if lane is None else (lane,))
