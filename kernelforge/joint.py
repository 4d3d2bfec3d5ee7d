"""Launches that do not depend on each other, done as one: to start a kernel may take longer than it runs.

Comes in: the steps of a plan.  Goes out: fewer steps that do the same.  Only kernels without memory of their own are
joined, such as an optimiser's updates.  Small ones wait for others until something needs them; large ones do not, for
what they read and write would have to stay meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from codegen.opencl_together import together
from kernelforge.steps import HostCall, Launch, Transfer

SMALL: Final = 1 << 16  # bytes a waiting launch moves at most
MOST_PARAMS: Final = 120  # of one launch: OpenCL promises 1024 bytes of them
Step = Launch | Transfer | HostCall


def joint(steps: Sequence[Step], apart: frozenset[int], memory: Sequence[int]) -> tuple[list[Step], dict[int, int]]:
    """The steps, some joined; and where those that must stay apart went.

    apart   positions of steps that must stay as they are
    memory  for each slot the slot whose memory it is in
    """
    found: list[Step] = []
    moved: dict[int, int] = {}
    waiting: list[Launch] = []
    for position, step in enumerate(steps):
        if not _are_independent(step, waiting, memory):
            found += _joined(waiting)
            waiting = []
        if isinstance(step, Launch) and step.is_plain and position not in apart:
            waiting.append(step)
            continue
        found += _joined([other for other in waiting if other.program.nbytes > SMALL])
        waiting = [other for other in waiting if other.program.nbytes <= SMALL]
        moved[position] = len(found)
        found.append(step)
    return found + _joined(waiting), moved


def _are_independent(step: Step, others: Sequence[Launch], memory: Sequence[int]) -> bool:
    """True when neither a step nor any of the others needs what the other writes, or writes what it needs."""
    if not others:
        return True
    writes, touched = _places(step.writes, memory), _places(step.arguments, memory)
    return all(
        writes.isdisjoint(_places(other.arguments, memory)) and touched.isdisjoint(_places(other.writes, memory))
        for other in others
    )


def _places(slots: Iterable[int], memory: Sequence[int]) -> set[int]:
    return {memory[slot] for slot in slots}


def _joined(steps: Sequence[Launch]) -> list[Step]:
    """As few launches as hold the arguments of all, those that take longest first."""
    found: list[Step] = []
    for device in dict.fromkeys(step.device for step in steps):
        chosen: list[Launch] = []
        slots: set[int] = set()
        for step in sorted(steps, key=lambda step: -step.program.nbytes):
            if step.device != device:
                continue
            if len(slots.union(step.arguments)) > MOST_PARAMS:
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
    )
