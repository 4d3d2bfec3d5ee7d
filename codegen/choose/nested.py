"""Default CPU schedules for reduces of reduces over another axis: attention of few queries, norms of products.

Comes in: a kernel and the target's facts.  Goes out: a schedule, or nothing when the kernel has no such form.  The axis
that later reduces bind is walked in blocks; a block's early results are kept, so that every operand is read once, each
along its own unit stride.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import prod

from codegen.access import cost, loads_of, main_stores, parallel_axes
from codegen.choose.picks import Pick
from codegen.index import Axis
from codegen.ir import Expr, Kernel, Load, Reduce, Store, children, walk
from codegen.schedule import Ahead, Inner, Schedule, Stage, Step
from codegen.streaming import find_streams
from codegen.target import Target

BLOCKS = (128, 512, 64)  # steps of the walked axis that are computed together
NARROW = 4  # vectors of accumulators where lanes lie along the walked axis
TOGETHER = 8  # early results accumulated at a time where lanes lie along what they sum
WIDE = 8  # vectors of accumulators where lanes lie along what is kept: rows are read whole if they are no longer
GROUPS_PER_CORE = 16
COSTLY = 4  # operations for a value that is better computed in vectors and kept


@dataclass(frozen=True)
class Form:
    """The parts of such a kernel.

    walk   the axis all late reduces bind and no result has
    early  reduces of which late ones need a value for each place of the walked axis
    late   the other reduces
    """

    walk: Axis
    early: tuple[Reduce, ...]
    late: tuple[Reduce, ...]


def form_of(kernel: Kernel) -> Form | None:
    """The kernel's form, or None when its reduces do not fall into two such classes."""
    reduces = frozenset(kernel.reduces)
    bound = {a for r in reduces for a in r.bound}
    early = tuple(r for r in kernel.reduces if not r.axes.isdisjoint(bound))
    late = tuple(r for r in kernel.reduces if r not in early)
    walked = {a for r in late for a in r.bound}
    if kernel.scans or not early or len(walked) != 1:
        return None
    (axis,) = walked
    fits = all(axis in r.axes and reduces.isdisjoint(walk(r.args)) for r in early)
    return Form(axis, early, late) if fits and not any(axis in s.axes for s in kernel.stores) else None


def nested(kernel: Kernel, target: Target, pick: Pick) -> Iterator[Schedule]:
    """The schedule of a kernel of this form; nothing when it has another form or results without an axis."""
    form, parallel, lanes = form_of(kernel), parallel_axes(kernel), target.lanes
    if form is None or not parallel or set(parallel) != {a for s in main_stores(kernel) for a in s.axes}:
        return
    axis, inside = form.walk, {a for r in form.early for a in r.arg.axes}
    values = [*(r.arg for r in form.late), *(s.value for s in kernel.stores)]
    lane = _lane(values, [axis, *(a for a in parallel if a not in inside)])
    grid = _grid([a for a in parallel if a is not lane], target.cores * pick("groups", (GROUPS_PER_CORE, 4, 64)))
    common = [*(Step(step.axis, 1) for step in grid), Step(axis, pick("walk", BLOCKS))]
    depth = len(grid) + len(common)
    across = {r: _lane([r.arg], [*r.bound, axis]) for r in form.early}
    inner: dict[Expr | Store, Inner] = {}
    for r, along in across.items():
        inner[r] = Inner(depth, _early_loops(r, along, axis, lanes))
    kept = _along_walk(form, lane, depth, lanes, inner)
    whole = -(-lane.size // lanes) * lanes
    tail = [Step(lane, lanes)] if lane is axis else [Step(lane, min(WIDE * lanes, whole)), Step(axis, 1)]
    vector = tuple(dict.fromkeys((*across.values(), *(step.axis for e in kept for step in inner[e].loops), lane)))
    stages = tuple(Stage(r, depth) for r in (*form.early, *(e for e in kept if e not in form.late)))
    asked = tuple(Ahead(e, axis) for e in _late_loads(form, lane, target))
    asks = bool(asked) and pick("ahead", (True, False))
    ahead = asked if asks else ()
    yield Schedule((*grid, *common, *tail), len(grid), vector, stages, inner, None, find_streams(kernel), ahead)


def _along_walk(
    form: Form, lane: Axis, depth: int, lanes: int, inner: dict[Expr | Store, Inner]
) -> list[Expr]:
    """What has a value for each place of the walked axis but none along the lanes, once it has loops of its own.

    One by one, places would take an exponential each.  Late reduces of such values, and the costly ones other reduces
    take, which are kept.
    """
    if lane is form.walk:
        return []
    found: dict[Expr, None] = {}
    for r in form.late:
        if lane not in r.arg.axes:
            if r.bound == (form.walk,):
                found[r] = None
            continue
        found.update(dict.fromkeys(_largest_without(lane, form, r.arg)))
    if not any(e not in form.late for e in found):
        return []
    steps = (Step(form.walk, NARROW * lanes),)
    inner.update({e: Inner(depth, steps) for e in found})
    return list(found)


def _largest_without(lane: Axis, form: Form, value: Expr) -> list[Expr]:
    """The largest costly parts of a value that need an early result and have no value of their own along the lanes."""
    if isinstance(value, Reduce):
        return []
    if lane in value.axes:
        return [e for x in children(value) for e in _largest_without(lane, form, x)]
    walked = form.walk in value.axes and any(e in form.early for e in walk([value]))
    return [value] if walked and cost(value) >= COSTLY else []


def _late_loads(form: Form, lane: Axis, target: Target) -> list[Load]:
    """What late reduces read from memory for each place of the walked axis: the early ones of a block, which come
    first, give memory the time to bring that of the next block."""
    early = {e for r in form.early for e in loads_of(r.arg)}
    late = dict.fromkeys(e for r in form.late for e in loads_of(r.arg) if e not in early)
    return [
        e
        for e in late
        if target.name == "cpu"
        and e.index.stride(lane) == 1
        and e.index.stride(form.walk)
        and not e.guards
        and prod(a.size for a in e.axes) * e.dtype.itemsize > target.l2
    ]


def _early_loops(r: Reduce, across: Axis, walked: Axis, lanes: int) -> tuple[Step, ...]:
    """The loops of an early reduce in a block of the walked axis, with lanes along one of its axes."""
    bound = [Step(a, 1) for a in r.bound if a is not across]
    if across is walked:
        return (Step(walked, NARROW * lanes), *bound)
    return (Step(walked, TOGETHER), *bound, Step(across, lanes))


def _lane(values: Iterable[Expr], among: Sequence[Axis]) -> Axis:
    """The axis along which most of what the values load lies consecutively in memory; the first when there is none."""
    loads = [e for value in values for e in loads_of(value)]

    def votes(axis: Axis) -> int:
        return sum(prod(a.size for a in e.axes) for e in loads if axis in e.axes and e.index.stride(axis) == 1)

    return max(among, key=votes)


def _grid(axes: Iterable[Axis], groups: int) -> list[Step]:
    """The axes cut, outermost first, into about so many groups."""
    grid = []
    for axis in axes:
        tile = -(-axis.size // max(1, groups))
        grid.append(Step(axis, tile))
        groups //= -(-axis.size // tile)
    return grid
