"""Values that loops would compute again and again, computed before them.

Comes in: a kernel with a schedule for a CPU.  Goes out: the schedule with such values kept where their own axes are
settled.  Compilers move cheap arithmetic out of loops by themselves, but not the call that a logarithm is.
"""

from __future__ import annotations

from dataclasses import replace

from codegen.access import cost, passes
from codegen.ir import Apply, Expr, Kernel, Reduce, children, walk
from codegen.schedule import Schedule, Stage

LEAST_COST = 8  # of a value worth keeping: that of a call


def hoisted(kernel: Kernel, schedule: Schedule) -> Schedule:
    """The schedule with every costly value that lacks the axes of the loops around it kept outside of these."""
    staged = {stage.value for stage in schedule.stages}
    found: dict[Expr, int] = {}
    for root in passes(kernel):
        stack, seen = [root], set[Expr]()
        while stack:
            e = stack.pop()
            if e in seen or e in staged or e in found or isinstance(e, Reduce):
                continue
            seen.add(e)
            depth = _settled(e, schedule)
            again = e.axes < root.axes and any(step.axis in root.axes for step in schedule.loops[depth:])
            if again and isinstance(e, Apply) and cost(e) >= LEAST_COST and _is_pure(e, schedule):
                found[e] = depth
            else:
                stack += children(e)
    if not found:
        return schedule
    stages = [Stage(e, depth) for e, depth in found.items()]
    first_pack = next((n for n, stage in enumerate(schedule.stages) if stage.layout is not None), len(schedule.stages))
    kept, others = (*stages, *schedule.stages[:first_pack]), schedule.stages[first_pack:]
    # what is kept is filled in this order: a value after those it is computed from, or these are computed twice
    return replace(schedule, stages=(*sorted(kept, key=lambda stage: stage.value.id), *others))


def _settled(e: Expr, schedule: Schedule) -> int:
    """The number of outer loops after which all of a value's axes have their innermost tiles."""
    steps = [number for number, step in enumerate(schedule.loops) if step.axis in e.axes]
    return max([schedule.grid, *(number + 1 for number in steps)])


def _is_pure(e: Expr, schedule: Schedule) -> bool:
    """True when the value is the same wherever it is computed: streams change theirs while they run."""
    return not schedule.streams or not any(isinstance(x, Reduce) for x in walk((e,)))
