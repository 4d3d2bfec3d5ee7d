"""Kernel + schedule -> loop nest: the one lowering, shared by all printers.

Comes in: a kernel, a schedule and a target.  Goes out: a `Nest` (see `nodes`), or ScheduleError when the schedule is not
legal for the kernel in the target's language.  It knows no text of any language.
"""

from __future__ import annotations

from codegen.ir import Kernel
from codegen.legality import check_placed, check_written
from codegen.nodes import Nest
from codegen.placing import place
from codegen.schedule import Schedule
from codegen.target import Target


def build(kernel: Kernel, schedule: Schedule, target: Target) -> Nest:
    """The nest of a kernel under a schedule.

    raises ScheduleError when the schedule is not legal for the kernel in the target's language
    """
    check_written(kernel, schedule, target)
    nest = place(kernel, schedule, target)
    check_placed(nest)
    return nest


def check(kernel: Kernel, schedule: Schedule, target: Target) -> None:
    """Raise ScheduleError, with the reason, when the schedule is not legal for the kernel in the target's language."""
    build(kernel, schedule, target)
