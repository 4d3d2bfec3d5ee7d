"""Programs for open sizes under schedules that suit sizes which were met.

Comes in: a kernel as it is at a few choices of sizes, and typical sizes.  Goes out: its programs at these choices, all
under one schedule.  Sizes a program is printed for lie near the bound of those it serves; which axis fills vectors, how
large tiles are and what is packed is better decided by sizes it will run with.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Final

from codegen.access import parallel_axes
from codegen.choose.default import forms, recipes
from codegen.fitting import Point
from codegen.generate import render
from codegen.index import Axis
from codegen.ir import Kernel
from codegen.nest import build
from codegen.open_sizes import Sizes
from codegen.program import Program
from codegen.resized import resized_with_values
from codegen.schedule import Schedule, ScheduleError, Step
from codegen.show_schedule import carried
from codegen.target import Target

SHARE: Final = 512  # points of an axis in a group, at most, where typical sizes would be one group


def programs(
    kernels: Sequence[Kernel], points: Sequence[Point], sizes: Sequence[Sizes], typical: Point, target: Target
) -> Iterator[list[Program]]:
    """The programs of kernels that differ in sizes, at each point, the best ones for the typical sizes first.

    sizes  which of each point's are open
    """
    for alike in zip(*(list(forms(kernel, target)) for kernel in kernels)):
        shown = [form for _, form in alike]
        found = resized_with_values(shown, points, typical)
        if found is None:
            continue
        small, values = found
        for schedule, _ in pairwise(recipes(small, target)):  # the last is one for any kernel
            try:
                yield [
                    render(build(form, _opened(form, carried(small, schedule, values, form), small, own), target), own)
                    for form, own in zip(shown, sizes)
                ]
            except ScheduleError:
                continue


def _opened(kernel: Kernel, schedule: Schedule, small: Kernel, sizes: Sizes) -> Schedule:
    """The schedule for any size of the open axes; small: the kernel at the sizes it was chosen for."""
    typical = {axis: like.size for axis, like in zip(kernel.axes, small.axes) if sizes.is_open(axis)}
    return _shared(kernel, _stepped(kernel, _in_blocks(_wider(schedule, typical), typical), typical), typical)


def _wider(schedule: Schedule, typical: Mapping[Axis, int]) -> Schedule:
    """The schedule with groups twice as wide along open axes that packed boxes hold all of at typical sizes."""
    loops = list(schedule.loops)
    for axis in {a for stage in schedule.stages if stage.layout is not None for a in stage.value.axes & typical.keys()}:
        steps = [i for i, step in enumerate(loops) if step.axis is axis]
        if len(steps) > 1 and steps[0] < schedule.grid and typical[axis] <= loops[steps[0]].tile < 2 * typical[axis]:
            unit = loops[steps[1]].tile
            loops[steps[0]] = Step(axis, -(-2 * typical[axis] // unit) * unit)
    return replace(schedule, loops=tuple(loops))


def _in_blocks(schedule: Schedule, typical: Mapping[Axis, int]) -> Schedule:
    """The schedule with steps along open axes of which packed boxes would hold all: by twice what is typical."""
    for stage in schedule.stages:
        for axis in (a for a in typical if stage.layout is not None and a in stage.value.axes):
            loops, depth = schedule.loops, stage.depth
            if any(step.axis is axis for step in loops[:depth]):
                continue
            unit = next((step.tile for step in loops if step.axis is axis), 1)
            step = Step(axis, -(-2 * typical[axis] // unit) * unit)
            schedule = _deeper(schedule, step, depth)
            return _in_blocks(schedule, typical)
    return schedule


def _stepped(kernel: Kernel, schedule: Schedule, typical: Mapping[Axis, int]) -> Schedule:
    """The schedule with steps of one along open axes that sums would walk in text written out."""
    for axis in dict.fromkeys(a for r in kernel.reduces for a in r.bound if a in typical):
        tiles = [step.tile for step in schedule.loops if step.axis is axis]
        if (not tiles or tiles[-1] >= typical[axis] > 1) and axis not in schedule.vector and not schedule.inner:
            schedule = _deeper(schedule, Step(axis, 1), max(schedule.grid, len(schedule.loops) - 1))
    return schedule


def _deeper(schedule: Schedule, step: Step, depth: int) -> Schedule:
    """The schedule with one more loop at a depth; what was as deep is inside it."""
    inner = {sink: own._replace(depth=own.depth + (own.depth >= depth)) for sink, own in schedule.inner.items()}
    return replace(
        schedule,
        loops=(*schedule.loops[:depth], step, *schedule.loops[depth:]),
        grid=schedule.grid + (depth < schedule.grid),
        stages=tuple([replace(s, depth=s.depth + (s.depth >= depth)) for s in schedule.stages]),
        inner=inner,
    )


def _shared(kernel: Kernel, schedule: Schedule, typical: Mapping[Axis, int]) -> Schedule:
    """The schedule with an open axis spread over groups, where it spreads none since typical sizes are few points."""
    taken = {step.axis for step in schedule.loops[: schedule.grid]}
    if taken.intersection(typical):
        return schedule
    bound = {axis for r in kernel.reduces for axis in r.bound}
    for axis in parallel_axes(kernel):
        first = next((step.tile for step in schedule.loops if step.axis is axis), 0)
        tile = -(-SHARE // first) * first if first else axis.size
        if tile < axis.size and axis in typical and axis not in bound:
            return replace(_deeper(schedule, Step(axis, tile), 0), grid=schedule.grid + 1)
    return schedule
