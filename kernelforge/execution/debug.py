"""What kernelforge prints while it works, by level.

    KF_DEBUG=1   each new plan: launches, memory
             2   each launch: name, grid, milliseconds, GFLOP/s, GB/s
             3   each new plan's groups, with the reason why each output is stored
             4   kernels and their schedules
             5   generated sources

Everything goes to standard error.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from kernelforge.later import later
from kernelforge.planning.memory import total
from kernelforge.planning.steps import Driven, HostCall, Launch, Plan
from kernelforge.settings import DEBUG

if TYPE_CHECKING:
    from codegen import show
else:
    later(globals(), show="codegen.show")


def level() -> int:
    """The debug level in force."""
    return int(DEBUG)


def show_plan(plan: Plan) -> None:
    """Prints a new plan."""
    if not level():
        return
    scratch, unshared = total(plan.blocks), sum(s.nbytes for s in plan.slots if s.role == "scratch")
    results = sum(s.nbytes for s in plan.slots if s.role == "result")
    write(
        f"plan: {len(plan.launches)} kernels ({len({step.program for step in plan.launches})} different), "
        f"results {size(results)}, intermediate {size(scratch)} ({size(unshared)} before reuse)"
    )
    shown = set()
    for step in plan.launches:
        if level() >= 3:
            write(f"  {step.program.entry}")
            for reason in step.reasons:
                write(f"      stores {reason}")
            for file, line in step.lines[:4]:
                write(f"      from {file}:{line}")
        if step.program not in shown:
            shown.add(step.program)
            if level() >= 4 and step.program.kernel is not None:
                write(show.show(step.program.kernel))
            if level() >= 5:
                write(step.program.source)


def show_launch(step: Launch, seconds: float) -> None:
    """Prints one launch and its speed."""
    if level() < 2:
        return
    program = step.program
    grid = "x".join(str(n) for n in program.grid)
    rates = f"{program.flops / seconds / 1e9:9.2f} GFLOP/s {program.nbytes / seconds / 1e9:8.2f} GB/s"
    write(f"{step.device:6s} {program.entry:60s} {grid:>12s} {seconds * 1e3:9.3f} ms {rates}")


def describe(plan: Plan) -> str:
    """A plan for people: every launch with the reasons for its boundaries, the user's lines, and its source."""
    parts = [f"{len(plan.launches)} kernels"]
    for step in plan.steps:
        if isinstance(step, HostCall):
            parts.append(f"\n{step.function} of {', '.join(map(str, step.shapes))} on the host")
        if isinstance(step, Driven):
            parts.append("\na loop the host drives, by a condition read after every round; each round: ")
            parts[-1] += describe(step.each)
        if not isinstance(step, Launch):
            continue
        parts.append(f"\n{step.program.entry} on {step.device}, grid {'x'.join(map(str, step.program.grid))}")
        parts += [f"    stores {reason}" for reason in step.reasons]
        parts += [f"    from {file}:{line}" for file, line in step.lines[:4]]
        parts.append(step.program.source)
    return "\n".join(parts)


def size(nbytes: int) -> str:
    """A number of bytes for people.

    >>> size(2048), size(5 << 20)
    ('2.0 KiB', '5.0 MiB')
    """
    value, units = float(nbytes), ["B", "KiB", "MiB", "GiB", "TiB"]
    while value >= 1024 and len(units) > 1:
        value, units = value / 1024, units[1:]
    return f"{value:.0f} {units[0]}" if units[0] == "B" else f"{value:.1f} {units[0]}"


def write(text: str) -> None:
    print(text, file=sys.stderr)
