"""Plans for open sizes at given sizes: kernels with these as arguments, and memory for them.

Comes in: an `OpenPlan`, the sizes of a graph, and the graph.  Goes out: its compiled `Plan`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import numpy as np

from codegen.dtypes import to_storage
from kernelforge.counters import GlobalCounters
from kernelforge.graph import Line
from kernelforge.kernels import Device
from kernelforge.later import later
from kernelforge.planning.layout import lay_out
from kernelforge.planning.numbered import PATTERN, Numbered
from kernelforge.planning.open_launches import OpenLaunch, Unfit, grid_of, meant, scaled
from kernelforge.planning.open_making import OpenPlan
from kernelforge.planning.open_steps import OpenRounds, launches, with_sizes
from kernelforge.planning.rounds import unrolled
from kernelforge.planning.steps import Check, Launch, Plan, Rounds, Slot, Step, in_words

if TYPE_CHECKING:
    from codegen.opencl import text as opencl_text
else:
    later(globals(), opencl_text="codegen.opencl.text")

NARROW: Final = 2  # vectors along a size so short that long ones would be half empty,
LARGE: Final = 1 << 18  # and the elements that kernels along such read or write at least


def compiled(found: OpenPlan, sizes: dict[str, int], device: str) -> int:
    """Sees to it that all launches of a plan have kernels that serve some sizes; how many it had not."""
    all_of = list(launches(found.plan.steps, found.steps, found.slots))
    if any(step.device != device for step, *_ in all_of):
        raise Unfit
    missing = [x for _, x, _ in all_of if x.divisible(sizes) not in x.executables]
    programs = [replace(launch.program, divisible=launch.divisible(sizes)) for launch in missing]
    steps = [x for i, x in enumerate(found.plan.steps) if i not in found.steps and isinstance(x, Launch)]
    if any(step.device != device for step in steps):
        raise Unfit
    steps = [step for step in steps if step.executable is None]
    new = list(dict.fromkeys((*programs, *(step.program for step in steps))))
    compiled = dict(zip(new, Device[device].compile(new)))
    GlobalCounters.compiled += len(new)
    for launch, program in zip(missing, programs):
        launch.executables[program.divisible] = compiled[program]
    for step in steps:
        step.executable = compiled[step.program]
    return len(new)


def is_narrow(found: OpenPlan, sizes: dict[str, int], device: str) -> bool:
    """True where a kernel has much to do along sizes that fill few of its vectors: one made for these very sizes would
    have vectors along others."""
    for step, launch, slots in launches(found.plan.steps, found.steps, found.slots):
        across, work = launch.across(sizes), sum(slots[i](sizes) for i in step.arguments)
        if 0 < across < NARROW * Device[device].target.lanes and work >= LARGE:
            return True
    return False


def instance(found: OpenPlan, met: Numbered, sizes: dict[str, int], device: str) -> Plan:
    """The plan for the sizes of a graph: kernels with these as arguments, and memory for them."""
    slots = with_sizes(found.plan.slots, found.slots, sizes)
    steps: list[Step] = []
    begins: list[int] = []
    for position, step in enumerate(found.plan.steps):
        begins.append(len(steps))
        step = _sized(step, found.steps.get(position), slots, found, met, sizes)
        steps += unrolled(step, slots) if isinstance(step, Rounds) else [step]
    plan = Plan(slots=slots, steps=steps, results=found.plan.results, sizes=sizes, closed=found.plan.closed)
    first = sum(slot.role == "leaf" for slot in slots) - len(found.given)
    for i, place in enumerate(found.given):
        slots[first + i].role = "given"
        value, dtype = met.values[place]
        memory = Device[device].allocate(dtype.itemsize)
        Device[device].copy_in(memory, to_storage(np.asarray([value]), dtype))
        plan.given[first + i] = memory
    plan.preparations = [replace(p, steps=tuple([begins[i] for i in p.steps])) for p in found.preparations]
    lay_out(plan)
    plan.sum_up()
    return plan


def _sized(
    step: Step,
    opened: OpenLaunch | OpenRounds | None,
    slots: Sequence[Slot],
    found: OpenPlan,
    met: Numbered,
    sizes: dict[str, int],
) -> Step:
    """A step for the sizes of a graph; slots: as they are for these."""
    if isinstance(opened, OpenRounds) and isinstance(step, Rounds):
        own = with_sizes(step.body.slots, opened.slots, sizes)
        strides = iter([stride(sizes) for stride in opened.strides])
        return replace(
            step,
            body=replace(step.body, slots=own),
            steps=[_sized(x, opened.steps.get(i), own, found, met, sizes) for i, x in enumerate(step.steps)],
            count=opened.count(sizes),
            sequences=tuple([(slot, next(strides)) for slot, _ in step.sequences]),
            targets=tuple([(slot, next(strides)) for slot, _ in step.targets]),
        )
    if not isinstance(step, Launch):
        return step
    origins = {e: frozenset(_lines(told, found.name, met)) for e, told in step.origins.items()}
    lines = tuple(dict.fromkeys(_lines(step.lines, found.name, met)))
    if not isinstance(opened, OpenLaunch):
        checks = tuple([_checked(check, check.size, found.name, met) for check in step.checks])
        return replace(step, checks=checks, lines=lines, origins=origins)
    program = scaled(opened.program, sum(slots[i].nbytes for i in step.arguments))
    target = Device[step.device].target
    far = any(slots[i].nbytes >= target.l3 for i in step.writes)
    grid, numbers = grid_of(opened, program, {**sizes, opencl_text.FAR: int(far)}, target.cores)
    program = meant(opened, replace(program, grid=grid), found.points, sizes)
    checks = tuple([_checked(check, size(sizes), found.name, met) for check, size in zip(step.checks, opened.checks)])
    executable = opened.executables[opened.divisible(sizes)].sized(program, numbers)
    return replace(step, program=program, executable=executable, checks=checks, lines=lines, origins=origins)


def _checked(check: Check, size: int, name: str, met: Numbered) -> Check:
    """What a flag says of a graph: its node there, as the line of the pattern of that name tells."""
    lines = () if check.line is None else (check.line,)
    if check.line is None or check.line[0] != name:
        return replace(check, size=size, line=next(_lines(lines, name, met), None))
    node = met.records[check.line[1]].node
    return Check(size, node.line, in_words(node))


def _lines(lines: Iterable[Line], name: str, met: Numbered) -> Iterator[Line]:
    """The user's lines that those of the pattern of a name stand for; nodes of other patterns tell nothing."""
    for file, number in lines:
        line: Line | None = (file, number)
        if file.startswith(PATTERN):
            line = met.records[number].node.line if file == name else None
        if line is not None:
            yield line
