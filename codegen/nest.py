"""Kernel + schedule -> loop nest: the one lowering, shared by all printers.

Comes in: a kernel, a schedule and a target.  Goes out: a `Nest` (see `nodes`), or ScheduleError when the schedule is
not legal for the kernel in the target's language.  It knows no text of any language.
"""

from __future__ import annotations

from codegen.index import Axis, separated
from codegen.ir import Kernel, Store
from codegen.legality import check_placed, check_written
from codegen.narrowing import narrow
from codegen.nodes import Nest
from codegen.placing import place
from codegen.schedule import Schedule, Step
from codegen.target import Target
from codegen.triton.limits import check_blocks

GROUPS = 64  # groups the plain schedule spreads an axis over, at most


def build(kernel: Kernel, schedule: Schedule, target: Target) -> Nest:
    """The nest of a kernel under a schedule.

    raises ScheduleError when the schedule is not legal for the kernel in the target's language
    """
    check_written(kernel, schedule, target)
    nest = place(kernel, schedule, target)
    check_placed(nest)
    narrow(nest)
    if target.language == "triton":
        check_blocks(nest)
    return nest


def check(kernel: Kernel, schedule: Schedule, target: Target) -> None:
    """Raise ScheduleError, with the reason, when the schedule is not legal for the kernel in the target's language."""
    build(kernel, schedule, target)


def plain_schedule(kernel: Kernel) -> Schedule:
    """A simple schedule that is legal for every kernel on every CPU target, unless results inside results are so large
    that no scratch holds them.

    Every axis is looped by one, but the last axis of the first store, whose tile are the lanes if it fills them half.
    Bound axes are inside the others, those of outer reduces first.  The first axis that all stores cover and tell
    apart, and no reduce binds and no scan walks, is spread over groups.
    """
    bound = {axis for r in kernel.reduces for axis in r.bound}
    scanned = {scan.axis for scan in kernel.scans}
    lane = [a for store in kernel.stores[:1] for a in store.axes[-1:] if a.size >= 8]
    free = [a for a in kernel.axes if a not in bound and a not in scanned]
    shared = [a for a in free if all(_tells_apart(store, a) for store in kernel.stores)]
    grid = [Step(a, -(-a.size // (16 * GROUPS)) * 16 if a in lane else -(-a.size // GROUPS)) for a in shared[:1]]
    order = dict.fromkeys([*(a for a in kernel.axes if a not in bound), *reversed(_bound_inside_out(kernel))])
    loops = [Step(a, 16 if a in lane else 1) for a in order]
    return Schedule((*grid, *loops), len(grid), tuple(lane))


def _bound_inside_out(kernel: Kernel) -> list[Axis]:
    """Bound axes, those of inner reduces first: looped the other way round, inner results need no arrays."""
    return [a for r in kernel.reduces for a in r.bound]


def _tells_apart(store: Store, axis: Axis) -> bool:
    return axis in store.axes and (store.mode in ("set", "flag") or axis in separated(store.index))
