"""Default schedules for OpenCL on CPUs.

Comes in: a kernel and the target's facts.  Goes out: a schedule.  One work-item runs one group, so a schedule here is
a choice of register tile, cache blocks and operands to pack.  Kernels are told apart by their axes alone: elementwise,
with contractions, with other reduces or scans.  The figures come from measurements on AVX-512 cores with 32 registers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import prod
from types import MappingProxyType

from codegen.access import (
    between_lanes,
    cost,
    gathers,
    is_crowded,
    lane_votes,
    loads_of,
    main_stores,
    parallel_axes,
    passes,
    walked_rows,
)
from codegen.choose.across import FUNCTION, across
from codegen.choose.ahead import places, rows_again
from codegen.choose.along import along
from codegen.choose.contraction import single
from codegen.choose.hoisted import hoisted
from codegen.choose.kept import columns_near, keeping, reused_values
from codegen.choose.neighbours import neighbours
from codegen.choose.nested import nested
from codegen.choose.picks import Pick, either, first
from codegen.choose.staged import staged
from codegen.choose.streamed import streamed
from codegen.choose.transposed import crossed, crossing, transposed, transposing
from codegen.choose.window import windowed
from codegen.goals import dynamic_exprs
from codegen.index import Atom, Axis, separated
from codegen.ir import Apply, Kernel, Load, Store
from codegen.nest import plain_schedule
from codegen.rewrites.contract import Contraction, contractions, is_beside, pairing
from codegen.schedule import Ahead, Schedule, Step
from codegen.target import Target

GROUP_WORK = 1 << 15  # elements an elementwise group should handle: some 20 us, a launch costs 1-3
USUAL_COST = 8  # of computing such an element: what costs more counts as several
LOOK_UP = 24  # cost of an element read from, or added at, a place each lane looks up for itself
GROUPS_PER_CORE = 4
ALONE = 1 << 13  # points of a kernel that is run as one group: sooner done than a second thread is awake
WIDE = 32  # vectors of the widest stripe of columns
STRIPES = (32, 16, 8, 64, 4, 2, 1)  # of others
SHARED = 16  # cost of what rows have in common that is worth jumping from row to row
LITTLE = 8  # fused multiply-adds for an element
FEW = 3  # vectors
ROWS_AHEAD = (4, 0, 8, 16)  # rows asked for ahead where columns are walked
ROW_BYTES = 2048  # from one row to the next, beyond which the next piece is not foreseen
UNROLLS = (4, 2, 1, 8)  # vectors per step along the lanes
TOGETHER = (4, 5, 3, 2, 8)  # rows one program walks
SHARE = 4  # of the larger cache, for rows done together: the next ones, results and weights are there, too
READS = 2  # of an operand from which on a register tile gains


@dataclass
class Loops:
    """A loop list under construction: grid steps first, then sequential ones."""

    grid: list[Step] = field(default_factory=list)
    inside: list[Step] = field(default_factory=list)

    def steps(self) -> tuple[Step, ...]:
        return (*self.grid, *self.inside)


def lane_axis(kernel: Kernel, target: Target, among: Sequence[Axis], pick: Pick) -> Axis | None:
    """The axis most of the memory traffic has unit stride along, or the last one when none has; before that, one along
    which reduces read the least of what they read again and again from places that lie apart.

    An axis that leaves most lanes empty, and is reduced along, is none where a kept one fills them all; nor is one that
    leaves any, where more is done with a row than to reduce it once; nor one of few vectors, where a function is taken
    of what a row came to, which is as much work for one as for a vector of them.
    """
    votes, kept = lane_votes(kernel, target.lanes), parallel_axes(kernel)
    if any(votes.get(a) and a.size >= target.lanes for a in kept):
        once = len(kernel.reduces) == 1 and all(cost(store.value) <= LITTLE for store in kernel.stores)
        least = target.lanes // 2 + 1 if once else target.lanes * (FEW if _takes_functions(kernel, kept) else 1)
        among = [a for a in among if a in kept or a.size >= least]
    voted = sorted((a for a in among if votes.get(a)), key=lambda a: (gathers(kernel, a), -votes[a]))
    return pick("lanes", voted or among[-1:] or [None])


def _takes_functions(kernel: Kernel, kept: Sequence[Axis]) -> bool:
    """True where nothing is stored along a reduced axis, and a function is taken of values of kept axes alone."""
    alone = frozenset(kept)
    taken = any(isinstance(e, Apply) and e.op.cost >= FUNCTION and e.axes and e.axes <= alone for e in kernel.exprs)
    return taken and all(store.value.axes <= alone for store in kernel.stores)


def spread(loops: Loops, axes: Sequence[Axis], groups: int, units: Mapping[Axis, int] = MappingProxyType({})) -> None:
    """Cut the axes, outermost first, into grid steps of whole units until there are about `groups` of them."""
    for axis in axes:
        if groups <= 1:
            break
        unit = units.get(axis, 1)
        tile = -(-axis.size // (groups * unit)) * unit
        loops.grid.append(Step(axis, tile))
        groups //= -(-axis.size // tile)


def elementwise_groups(kernel: Kernel, points: int, target: Target, lane: Axis | None = None) -> int:
    """How many groups to cut points into: by the work in them while they are few, a multiple of the cores.  A vector
    that a short axis leaves almost empty is as much work as a full one."""
    each = sum(cost(value) for value in passes(kernel)) + LOOK_UP * _looked_up(kernel, lane)
    vectors = 1 if lane is None else -(-lane.size // target.lanes) * target.lanes / lane.size
    work = int(points * vectors * max(USUAL_COST, each)) // USUAL_COST
    enough = max(target.cores * GROUPS_PER_CORE, points // (4 * GROUP_WORK))
    groups = min(work // GROUP_WORK, enough)
    return min(-(-groups // target.cores) * target.cores, enough) if groups > 1 else 1


def elementwise(kernel: Kernel, target: Target, pick: Pick) -> Iterator[Schedule]:
    """Neither reduces nor scans: the outer axes in chunks, lanes along the unit stride; or squares to transpose."""
    stores = sorted(main_stores(kernel), key=lambda store: -prod(a.size for a in store.axes))
    axes = list(dict.fromkeys(a for store in stores for a in store.axes))
    lanes = target.lanes
    crowded = [separated(store.index) for store in stores if is_crowded(store, target.l2 // 2)]
    parallel = [a for a in parallel_axes(kernel) if all(a in apart for apart in crowded)]
    votes, looped = lane_votes(kernel, lanes), {a for s in kernel.stores for a in s.sequential[:-1]}
    voted = [a for a in axes if a in parallel and votes.get(a)]
    lane = lane_axis(kernel, target, voted or [a for a in axes if a not in looped], pick)
    runs: dict[Axis, int] = {}
    if lane is not None and _is_scattered(stores[0], lane, target):
        runs = {lane: lanes}  # groups share no line of what is read
        lane = pick("scattered", (None, lane))
    model = elementwise_groups(kernel, prod(a.size for a in stores[0].axes), target, lane)
    woven = between_lanes(kernel, lane, lanes)
    outer = [a for a in axes if a is not lane and a not in woven]
    if any(a not in parallel for a in outer):  # each group walks all rows that are added up: in as few pieces as can be
        model = min(model, target.cores)
    groups = pick("groups", either(model, (model // 4 or 1, model * 4, model * 16, target.cores, 1)))
    loops = Loops()
    turned = transposed(kernel, lane, lanes)
    if turned and lane:
        yield from transposing(kernel, target, lane, turned, outer, pick)
        return
    if (over := crossed(kernel, lanes)) and all(a in parallel for a in over):
        yield crossing(kernel, target, *over, groups, pick)
    spread(loops, [a for a in outer if a in parallel], groups, runs)
    have = prod(-(-s.axis.size // s.tile) for s in loops.grid)
    if lane is not None and lane in parallel and have < groups:
        chunk = -(-lane.size // (groups // have))
        loops.grid.append(Step(lane, -(-chunk // lanes) * lanes))
    inner = [a for a in outer if a in parallel]
    within = lane is not None and outer[-1:] == inner[-1:]
    pieces = [e for e in kernel.loads if lane and within and outer and _jumps(e, outer[-1], lane, target)]
    distance = pick("rows ahead", _pieces_ahead(lane, target)) if pieces and lane else 0
    loops.inside += [Step(a, 1) for a in outer[:-1]]
    loops.inside += [Step(a, n) for a in outer[-1:] for n in (distance, 1) if n]
    if lane is not None:
        along = Step(lane, lanes * pick("unroll", either(_vectors(kernel, lane, lanes), (1, 2, 4))))
        rows = outer[-1:] if within and not distance else []
        inside = [a for a in rows if pick("rows inside", either(_is_shared_by_rows(kernel, lane, a), (True, False)))]
        loops.inside.insert(len(loops.inside) - len(inside), along)
    early = places(kernel, target, lane, inner[-1]) if lane and inner else ()
    walked = [a for a in outer if a not in parallel][-1:]  # rows that are added up where another row says
    early += tuple(Ahead(e, a) for a in walked for e in kernel.loads if lane and _jumps(e, a, lane, target))
    early += tuple(Ahead(e, outer[-1]) for e in pieces if distance)
    asks = bool(early) and pick("ahead", (True, False))
    yield Schedule(loops.steps(), len(loops.grid), (lane,) if lane else (), ahead=early if asks else ())


def _is_shared_by_rows(kernel: Kernel, lane: Axis, row: Axis) -> bool:
    """True where most of the work along the lanes is the same for all rows, as where one set of places is looked up in
    each: a vector of it is then done once for all rows."""
    work = [e for e in kernel.exprs if isinstance(e, Apply) and lane in e.axes]
    same = sum(e.op.cost for e in work if row not in e.axes)
    return same >= SHARED and 2 * same >= sum(e.op.cost for e in work)


def _looked_up(kernel: Kernel, lane: Axis | None) -> int:
    """How many arrays each lane reads, or adds to, at a place it looks up for itself."""
    indices = (*(e.index for e in kernel.loads), *(store.index for store in main_stores(kernel)))
    places = (atom for index in indices for atom, _ in index.terms if isinstance(atom, Atom))
    return sum(atom.kind == "dynamic" and lane in atom.axes for atom in places)


def _pieces_ahead(lane: Axis, target: Target) -> tuple[int, ...]:
    """How many pieces of rows are asked for ahead; of long ones none, as processors foresee how these go on."""
    return (16, 4, 0) if 16 * 4 * lane.size <= target.l2 // 8 else (0, 4, 16)


def _vectors(kernel: Kernel, lane: Axis, lanes: int) -> int:
    """Vectors per step along the lane: as many bytes of narrow values as a vector of float32 has."""
    widest = max(e.dtype.itemsize for e in (*kernel.exprs, *(store.value for store in kernel.stores)))
    return max(1, min(4 // widest, lane.size // (2 * lanes)))


def _is_scattered(store: Store, lane: Axis, target: Target) -> bool:
    """True where each lane of little work has a place of its own that is looked up, far apart in memory: a processor
    sees fewer of them coming while it takes vectors apart."""
    looked_up = [(a, k) for a, k in store.index.terms if isinstance(a, Atom) and a.kind == "dynamic" and lane in a.axes]
    far = any(a.by * abs(k) * store.param.dtype.itemsize > target.l1 for a, k in looked_up)
    work = sum(cost(e) for e in (store.value, *dynamic_exprs(store.index)))
    return far and work <= LITTLE and not store.param.dtype.is_narrow_float


def rows(kernel: Kernel, target: Target, pick: Pick) -> Iterator[Schedule]:
    """Other reduces, and scans: rows, with lanes along the axis walked, or columns, with lanes along a kept one.  Where
    a program walks rows, several together or, if that is too much text, one by one."""
    parallel = parallel_axes(kernel)
    lane = lane_axis(kernel, target, kernel.axes, pick)
    assert lane is not None
    if lane in parallel:
        yield _columns(kernel, target, lane, parallel, pick)
        return
    walked = walked_rows(kernel, parallel, lane)
    together = pick("walked rows", _walked_together(kernel, target, walked, lane)) if walked else 1
    for count in either(together, (1,)):
        yield _rows(kernel, target, lane, walked, count, pick)


def _rows(
    kernel: Kernel, target: Target, lane: Axis, walked: Sequence[Axis], together: int, pick: Pick
) -> Schedule:
    """Rows, with lanes along the axis walked; so many together of those that each program walks."""
    lanes, parallel, loops = target.lanes, parallel_axes(kernel), Loops()
    pieces = [a for a in parallel if _repeats(kernel, a)]
    apart = [a for a in parallel if a not in pieces]
    units = dict.fromkeys(parallel, 1)
    if apart:
        units[apart[-1]] = pick("rows", either(_shared_rows(kernel, apart[-1], lane), (1, 2, 4, 8)))
    spread(loops, apart, _groups(kernel, target, 16, (4, 64, 256), pick), units)
    units.update(dict.fromkeys(walked[-1:], together))
    loops.inside += [Step(a, units.get(a, 1)) for a in (*apart, *pieces, *walked)]
    depth = len(loops.grid) + len(loops.inside)
    inside = [a for a in kernel.axes if a not in parallel and a not in walked]
    loops.inside += [Step(a, 1) for a in inside if a is not lane]
    loops.inside.append(Step(lane, lanes * pick("unroll", either(max(1, _unroll(lane, lanes) // together), UNROLLS))))
    reused = reused_values(kernel, lane)
    stages = tuple(keeping(reused, target, {a: a.size for a in inside}, depth, pick))
    row = [*apart, *walked, lane][-2] if apart or walked else lane
    again = rows_again(kernel, target, lane, row, units.get(row, 1))
    early = () if row is lane else (*again, *places(kernel, target, lane, row))
    asks = bool(early) and pick("ahead", (True, False))
    return Schedule(loops.steps(), len(loops.grid), (lane,), stages, ahead=early if asks else ())


def _groups(kernel: Kernel, target: Target, per_core: int, others: Sequence[int], pick: Pick) -> int:
    """How many groups to spread rows over: so many per core, or one of few points."""
    model = 1 if prod(a.size for a in kernel.axes) <= ALONE else target.cores * per_core
    return pick("groups", either(model, (target.cores * number for number in (per_core, *others))))


def _unroll(lane: Axis, lanes: int) -> int:
    """Vectors per step along the lane: four independent accumulators hide the latency of an addition."""
    return 4 if lane.size >= 4 * lanes else 2 if lane.size >= 2 * lanes else 1


def _shared_rows(kernel: Kernel, row: Axis, lane: Axis) -> int:
    """Rows done together: several when they are summed only, each a stream of its own from memory, or when some
    operand along the lanes is the same for all rows."""
    if any(len(r.arg.axes & {row, lane}) < 2 for r in kernel.reduces) or len(kernel.reduces) > 1 or row.size < 4:
        return 1
    shared = any(lane in e.axes and row not in e.axes for r in kernel.reduces for e in loads_of(r.arg))
    # extrema look for nan, and processors have few registers for conditions
    checked = any(r.op.name in ("max", "min") and r.dtype.is_float for r in kernel.reduces)
    plain = all(isinstance(r.arg, Load) for r in kernel.reduces) and not checked
    return 4 if shared or plain else 1


def _walked_together(kernel: Kernel, target: Target, walked: Sequence[Axis], lane: Axis) -> tuple[int, ...]:
    """Rows done together where a program walks them and combines them at the end, and the nearest cache does not hold
    what a row needs: what is added to, and what all rows read, then passes between the caches less often.  So many
    that they and the next ones stay in the larger one."""
    row, along = walked[-1], {e for e in (*kernel.loads, *kernel.reduces) if lane in e.axes}
    needed = sum(lane.size * e.dtype.itemsize for e in along)
    streams = sum(lane.size * e.dtype.itemsize for e in along if row in e.axes)
    fitting = [n for n in TOGETHER if row.size % n == 0 and n * streams <= target.l2 // SHARE]
    return either(fitting[0] if fitting and needed > target.l1 else 1, (1, *fitting))


def _columns(kernel: Kernel, target: Target, lane: Axis, parallel: tuple[Axis, ...], pick: Pick) -> Schedule:
    """Lanes along a kept axis: a stripe of columns per group, all reduced and scanned axes looped by one."""
    lanes = target.lanes
    woven = between_lanes(kernel, lane, lanes)
    others = [a for a in parallel if a is not lane and a not in woven]
    apart = [a for a in others if not _repeats(kernel, a)]
    loops = Loops()
    deep = [a for a in kernel.axes if a not in parallel]
    reused = reused_values(kernel, lane)
    model = columns_near(reused, target, deep, _stripe(kernel, target, lane, apart))
    stripe = pick("stripe", either(model, (lanes * vectors for vectors in STRIPES)))
    spread(loops, apart, _groups(kernel, target, 4 * GROUPS_PER_CORE, (GROUPS_PER_CORE, 16 * GROUPS_PER_CORE), pick))
    loops.grid.append(Step(lane, stripe))
    loops.inside += [Step(a, 1) for a in others]
    asked = [e for e in kernel.loads if deep and _jumps(e, deep[-1], lane, target)]
    distance = pick("ahead", ROWS_AHEAD) if asked else 0
    loops.inside += [Step(a, 1) for a in deep[:-1]]
    loops.inside += [Step(deep[-1], distance)] if distance else []
    loops.inside += [Step(a, 1) for a in deep[-1:]]
    ahead = tuple(Ahead(e, deep[-1]) for e in asked if distance)
    held = {lane: stripe, **{a: a.size for a in deep}}
    stages = keeping(reused, target, held, len(loops.grid) + len(others), pick)
    return Schedule(loops.steps(), len(loops.grid), (lane,), tuple(stages), ahead=ahead)


def _repeats(kernel: Kernel, axis: Axis) -> bool:
    """True where groups along a short axis would all reduce the same: the pieces of a result."""
    walked = {a for r in kernel.reduces for a in r.bound}
    lacks = not any(axis in e.axes for e in (*kernel.reduces, *kernel.scans))
    return lacks and axis.size <= prod(a.size for a in walked)


def _jumps(e: Load, row: Axis, lane: Axis, target: Target) -> bool:
    """True for what is read from memory in pieces of rows, so far apart that nothing foresees the next ones."""
    step, nbytes = e.index.stride(row), prod(a.size for a in e.axes) * e.dtype.itemsize
    straight = target.name == "cpu" and e.index.stride(lane) == 1 and not e.guards
    return straight and step is not None and abs(step) * e.dtype.itemsize >= ROW_BYTES and nbytes > target.l2


def _stripe(kernel: Kernel, target: Target, lane: Axis, others: Sequence[Axis]) -> int:
    """Columns of a group: long runs of memory, results that stay in the nearest cache, a share for every core."""
    held = max(1, sum(1 for e in (*kernel.reduces, *kernel.scans) if lane in e.axes))
    widest = target.lanes * max(1, WIDE // held)
    share = -(-target.cores // prod(a.size for a in others))
    stripes = -(-lane.size // (widest * share)) * share
    return -(-lane.size // (stripes * target.lanes)) * target.lanes


def recipes(kernel: Kernel, target: Target, pick: Pick = first) -> Iterator[Schedule]:
    """Schedules for a kernel on a CPU, the preferred one first; the last is always legal."""
    for recipe in _recipes(kernel, target, pick):
        schedule = _bypassing(kernel, recipe, target, pick)
        better = hoisted(kernel, schedule)
        if better is not schedule:
            yield better
        yield schedule


def _bypassing(kernel: Kernel, schedule: Schedule, target: Target, pick: Pick) -> Schedule:
    """Results that no cache can hold until they are read go around the caches."""
    read = {e.param for e in kernel.loads}
    large = any(s.param.nbytes >= target.l3 for s in main_stores(kernel) if s.param not in read)
    if not (large and target.name == "cpu" and pick("bypass", (True, False))):
        return schedule
    return replace(schedule, options={**schedule.options, "bypass": target.l3})


def _recipes(kernel: Kernel, target: Target, pick: Pick) -> Iterator[Schedule]:
    products = contractions(kernel)
    found = {c.reduce: c for c in products if worth_tiling(c)}
    if len(products) == len(kernel.reduces) == 1:
        yield from streamed(kernel, products[0], target, pick)
        yield from along(kernel, products[0], target, pick)
    only = next(iter(found.values())) if len(found) == 1 else None
    if only and all(r is only.reduce or is_beside(r, only) for r in kernel.reduces):
        if len(kernel.reduces) == 1:
            if has_short_lines(kernel, only, target.lanes):
                yield from neighbours(kernel, target, pick)
            yield from windowed(kernel, only, target, pick)
        yield single(kernel, only, target, pick)
    elif found:
        yield from staged(kernel, found, target, pick)
    elif len(products) == len(kernel.reduces) == 1 and is_grouped(products[0]):
        yield from windowed(kernel, products[0], target, pick)
    if not products and len(kernel.reduces) == 1 and (pairs := pairing(kernel.reduces[0])) and is_large(pairs):
        yield single(kernel, pairs, target, pick)
    if not found and not has_woven_lines(kernel, target.lanes):
        yield from neighbours(kernel, target, pick)
    if kernel.reduces or kernel.scans:
        yield from nested(kernel, target, pick)
        yield from across(kernel, target, pick)
        yield from rows(kernel, target, pick)
    else:
        yield from elementwise(kernel, target, pick)
    yield plain_schedule(kernel)


def worth_tiling(c: Contraction, reads: int = READS) -> bool:
    """True when the product is large enough for a register tile, and its operands are values of the kernel."""
    return is_grouped(c) and is_large(c, reads)


def is_large(c: Contraction, reads: int = READS) -> bool:
    """True when every operand is read often enough for a register tile."""
    return all(prod(a.size for a in role) >= reads for role in (c.m, c.n, c.k))


def has_short_lines(kernel: Kernel, c: Contraction, lanes: int) -> bool:
    """True when results that lie one behind the other fill few lanes, and channels with sums of their own do."""
    ends = [a for store in main_stores(kernel) for a in store.axes if store.index.stride(a) == 1]
    return any(a.size >= lanes for a in c.batch) and all(a.size < lanes // 2 for a in ends)


def has_woven_lines(kernel: Kernel, lanes: int) -> bool:
    """True when results lie in lines of several vectors, woven from what is computed for the places between lanes."""
    return any(a.size >= 2 * lanes and between_lanes(kernel, a, lanes) for a in parallel_axes(kernel))


def is_grouped(c: Contraction) -> bool:
    """True when the operands of a contraction are values of the kernel."""
    return set(c.reduce.arg.args) == {c.left, c.right}
