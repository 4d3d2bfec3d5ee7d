"""Launches that do not depend on each other, done as one: to start a kernel may take longer than it runs.

Comes in: the steps of a plan.  Goes out: fewer steps that do the same.  Only kernels that mostly move memory and need
none of their own are joined, such as an optimiser's updates.  Small ones wait for others until something needs them;
large ones wait for their like alone, for what they read and write would have to stay meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from codegen.opencl.together import together
from kernelforge.planning.steps import Launch, Step

SMALL: Final = 1 << 16  # bytes a waiting launch moves at most
MOST_PARAMS: Final = 120  # of one launch: OpenCL promises 1024 bytes of them


def joint(steps: Sequence[Step], apart: frozenset[int], memory: Sequence[int]) -> tuple[list[Step], dict[int, int]]:
    """The steps, some joined; and where those that must stay apart went.

    apart   positions of steps that must stay as they are
    memory  for each slot the slot whose memory it is in
    """
    found: list[Step] = []
    moved: dict[int, int] = {}
    waiting: list[list[Launch]] = []  # levels of launches that do not depend on each other; each waits for those before
    gone = 0  # levels that do not wait any more; all are counted from the first on
    written: dict[int, int] = {}  # by place, the number of levels up to the last that writes it
    met: dict[int, int] = {}  # and up to the last that touches it at all
    large = 0  # and up to the last with a large launch
    for position, step in enumerate(steps):
        writes, touched = ({memory[slot] for slot in slots} for slots in (step.writes, step.arguments))
        depth = max(gone, *(met.get(x, 0) for x in writes), *(written.get(x, 0) for x in touched), 0)
        if isinstance(step, Launch) and step.is_plain and position not in apart:
            if depth == gone + len(waiting):
                waiting.append([])
            waiting[depth - gone].append(step)
            for places, last in ((writes, written), (touched, met)):
                last.update((place, max(depth + 1, last.get(place, 0))) for place in places)
            if step.program.nbytes > SMALL:
                large = max(large, depth + 1)
            continue
        ready = max(depth, large) - gone
        found += _joined(waiting[:ready])
        del waiting[:ready]
        gone += ready
        moved[position] = len(found)
        found.append(step)
    return found + _joined(waiting), moved


def _joined(levels: Iterable[Sequence[Launch]]) -> list[Step]:
    """The launches of levels, one level after the other."""
    return [step for level in levels for step in _together(level)]


def _together(steps: Sequence[Launch]) -> list[Step]:
    """As few launches as hold the arguments of all, those that take longest first."""
    found: list[Step] = []
    for device in dict.fromkeys(step.device for step in steps):
        chosen: list[Launch] = []
        slots: set[int] = set()
        for step in sorted(steps, key=lambda step: -step.program.nbytes):
            if step.device != device:
                continue
            if chosen and len(slots.union(step.arguments)) > MOST_PARAMS:
                found.append(_one(chosen))
                chosen, slots = [], set()
            chosen.append(step)
            slots.update(step.arguments)
        found.append(_one(chosen))
    return found


def _one(steps: Sequence[Launch]) -> Launch:
    """One launch for several."""
    if len(steps) == 1:
        return steps[0]
    program, arguments = together([step.program for step in steps], [step.arguments for step in steps])
    return Launch(
        steps[0].device,
        program,
        arguments,
        reasons=tuple(reason for step in steps for reason in step.reasons),
        lines=tuple(dict.fromkeys(line for step in steps for line in step.lines)),
        parts=tuple(steps) if steps[0].program.kernel is not None else (),
    )
