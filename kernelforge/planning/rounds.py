"""A plan's steps for a loop: those of one round, again and again on other arrays.

Comes in: the plan of a round, and the slots of what the loop reads and makes.  Goes out: steps.  What depends on
nothing that changes is done once, before the first round.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace

from kernelforge.planning.steps import Driven, HostCall, Launch, Plan, Slot, Step, Transfer


def rounds(
    body: Plan,
    given: Sequence[int],
    sequences: int,
    places: Iterable[int],
    targets: Sequence[tuple[int, int]],
    new: Callable[[Slot], int],
) -> tuple[list[Step], list[Step], dict[int, int]]:
    """The steps before a loop, those of its rounds, and the slots of what is the same in all rounds by those of body.

    body       its leaves are the state, one element of each sequence, and what stays the same; its results are the
               state and what else is wanted of each round
    given      the slots of what the state begins with, of the sequences, and of what stays the same
    places     of the sequences' elements, in the order of the rounds
    targets    the slots for the results of all rounds, and how many bytes of them are a round's
    new        adds a slot
    """
    where = dict(enumerate(given[1 + sequences :], 1 + sequences))
    once, repeated = _divided(body, where)
    own = [number for number, slot in enumerate(body.slots) if slot.role in ("scratch", "fault")]
    where |= {number: new(replace(body.slots[number], takes=-1)) for number in own}
    begins: dict[int, tuple[int, int]] = {}  # for a part the slot it is a part of, and where in it

    def part(whole: int, number: int, start: int) -> int:
        whole, before = begins.get(whole, (whole, 0))
        slot = replace(body.slots[number], role="part", whole=whole, start=before + start, takes=-1)
        found = new(slot)
        begins[found] = whole, slot.start
        return found

    def parts(of: Collection[int], here: Mapping[int, int]) -> dict[int, int]:
        """The parts that the body has of some of its slots: those of loops in it."""
        return {i: part(here[whole], i, start) for i, whole, start, _ in body.parts if whole in of}

    where |= parts(where.keys(), where)
    changing = {*range(1 + sequences), *body.results}
    found: list[Step] = []
    here, state = dict(where), given[0]
    for place in places:
        here[0] = state
        here |= {i: part(given[i], i, place * body.slots[i].nbytes) for i in range(1, 1 + sequences)}
        ends = [part(whole, i, place * nbytes) for (whole, nbytes), i in zip(targets, body.results)]
        made = {i: end for i, end in zip(body.results, ends) if i >= len(given)}
        here |= made
        here |= parts(changing, here)
        found += [moved(step, here) for step in repeated]
        found += [Transfer(here[i], end) for i, end in zip(body.results, ends) if made.get(i) != end]
        state = ends[0]
    return [moved(step, where) for step in once], found, where


def _divided(body: Plan, same: Mapping[int, int]) -> tuple[list[Step], list[Step]]:
    """The steps that depend on nothing but leaves that stay the same, and the others."""
    writers = Counter(slot for step in body.steps for slot in step.writes)
    known, once, repeated = set(same), [], []
    for step in body.steps:
        reads = set(step.arguments).difference(step.writes)
        apart = all(writers[slot] == 1 and body.slots[slot].role == "scratch" for slot in step.writes)
        if apart and reads and reads <= known:
            once.append(step)
            known.update(step.writes)
        else:
            repeated.append(step)
    return once, repeated


def moved(step: Step, where: Mapping[int, int]) -> Step:
    """A step on other slots."""
    if isinstance(step, Launch):
        arguments = tuple([where[slot] for slot in step.arguments])
        return replace(step, arguments=arguments, fault=where[step.fault] if step.fault >= 0 else -1)
    if isinstance(step, HostCall):
        return replace(step, sources=tuple([where[slot] for slot in step.sources]), target=where[step.target])
    if isinstance(step, Driven):
        targets = [where[slot] if slot >= 0 else -1 for slot in step.targets]
        return replace(step, sources=tuple([where[slot] for slot in step.sources]), targets=targets)
    return Transfer(where[step.source], where[step.target])
