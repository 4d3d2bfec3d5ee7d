"""Steps of plans whose sizes are open: launches, and loops of them.

Comes in: the steps of plans at a few choices of sizes.  Goes out: what in them follows from the sizes, and how.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from codegen.fitting import Formula
from kernelforge.planning.open_launches import OpenLaunch, Points, Unfit, formula_of, joined
from kernelforge.planning.steps import Launch, Rounds, Slot, Step, Transfer

T = TypeVar("T")


@dataclass
class OpenRounds:
    """A loop: how many rounds there are, the slots of a round, and how many bytes lie from element to element of what
    the rounds walk over, sequences first; what is open of its steps."""

    count: Formula
    slots: list[Formula]
    strides: list[Formula]
    steps: Opened


Opened = dict[int, OpenLaunch | OpenRounds]
"""By the position of a step what follows from the sizes in it."""


def sizes_of(slots: Sequence[Sequence[Slot]], known: Points) -> list[Formula]:
    """The sizes of slots.

    raises Unfit where the plans differ in more than these
    """
    found = []
    for same in zip(*slots):
        if len({(slot.dtype, slot.device, slot.role, slot.takes) for slot in same}) > 1 or same[0].whole >= 0:
            raise Unfit
        found.append(formula_of([slot.size for slot in same], known.points))
    return found


def opened(made: Sequence[Sequence[Step]], known: Points) -> Opened:
    """What is open of steps that plans have in common.

    raises Unfit where they differ in more than numbers
    """
    found: Opened = {}
    for position, steps in enumerate(zip(*made)):
        if len({(type(step), step.arguments) for step in steps}) > 1:
            raise Unfit
        if isinstance(steps[0], Launch):
            found[position] = joined(_all(steps, Launch), known)
        elif isinstance(steps[0], Rounds):
            found[position] = _loop(_all(steps, Rounds), known)
        elif not isinstance(steps[0], Transfer):
            raise Unfit
    return found


def _all(steps: Sequence[Step], kind: type[T]) -> list[T]:
    return [step for step in steps if isinstance(step, kind)]


def _loop(loops: Sequence[Rounds], known: Points) -> OpenRounds:
    alike = {
        (x.reverse, x.state, tuple(x.where.items()), x.body.results, len(x.steps), len(x.body.slots), len(x.sequences))
        for x in loops
    }
    if len(alike) > 1:
        raise Unfit
    strides = [[nbytes for _, nbytes in (*x.sequences, *x.targets)] for x in loops]
    return OpenRounds(
        formula_of([x.count for x in loops], known.points),
        sizes_of([x.body.slots for x in loops], known),
        [formula_of(same, known.points) for same in zip(*strides)],
        opened([x.steps for x in loops], known),
    )


def launches(
    steps: Sequence[Step], found: Opened, slots: Sequence[Formula]
) -> Iterator[tuple[Launch, OpenLaunch, Sequence[Formula]]]:
    """All launches, those of loops among them, with the sizes of the slots they name."""
    for position, open_step in found.items():
        step = steps[position]
        if isinstance(open_step, OpenRounds):
            assert isinstance(step, Rounds)
            yield from launches(step.steps, open_step.steps, open_step.slots)
        else:
            assert isinstance(step, Launch)
            yield step, open_step, slots


def with_sizes(slots: Sequence[Slot], sizes: Sequence[Formula], at: Mapping[str, int]) -> list[Slot]:
    """Slots as they are at given sizes."""
    return [
        Slot(size(at), slot.dtype, slot.device, slot.role, slot.takes, slot.whole, slot.start)
        for slot, size in zip(slots, sizes)
    ]
