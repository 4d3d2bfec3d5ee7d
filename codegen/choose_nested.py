"""Default CPU schedules for reduces of reduces over another axis: attention of few queries, norms of products.

Comes in: a kernel and the target's facts.  Goes out: a schedule, or nothing when the kernel has no such form.  The axis
that later reduces bind is walked in blocks; a block's early results are kept, so that every operand is read once, each
along its own unit stride.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import prod

from codegen.access import loads_of, main_stores, parallel_axes
from codegen.index import Axis
from codegen.ir import Expr, Kernel, Reduce, Store, walk
from codegen.picks import Pick
from codegen.schedule import Inner, Schedule, Stage, Step
from codegen.streaming import find_streams
from codegen.target import Target

BLOCKS = (128, 512, 64)  # steps of the walked axis that are computed together
TOGETHER = 4  # early results accumulated at a time where lanes lie along what they sum
WIDE = 4  # vectors of accumulators where lanes lie along what is kept
GROUPS_PER_CORE = 16


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
    tail = [Step(lane, lanes)] if lane is axis else [Step(lane, WIDE * lanes), Step(axis, 1)]
    vector = tuple(dict.fromkeys((*across.values(), lane)))
    stages = tuple(Stage(r, depth) for r in form.early)
    yield Schedule((*grid, *common, *tail), len(grid), vector, stages, inner, None, find_streams(kernel))


def _early_loops(r: Reduce, across: Axis, walked: Axis, lanes: int) -> tuple[Step, ...]:
    """The loops of an early reduce in a block of the walked axis, with lanes along one of its axes."""
    bound = [Step(a, 1) for a in r.bound if a is not across]
    if across is walked:
        return (Step(walked, WIDE * lanes), *bound)
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
