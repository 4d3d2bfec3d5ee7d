"""A plan's steps for a loop: those of one round, again and again on other arrays.

Comes in: the plan of a round, and the slots of what the loop reads and makes.  Goes out: steps.  What depends on
nothing that changes is done once, before the first round.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from kernelforge.planning.steps import Driven, HostCall, Launch, Plan, Rounds, Slot, Step, Transfer


def begun(
    body: Plan, given: Sequence[int], sequences: int, slots: list[Slot]
) -> tuple[list[Step], list[Step], dict[int, int]]:
    """The steps before a loop, those of its rounds on the slots of body, and the slots of what is the same in all
    rounds by those of body; slots, of the plan the loop is in, get what they need.

    body   its leaves are the state, one element of each sequence, and what stays the same; its results are the state
           and what else is wanted of each round
    given  the slots of what the state begins with, of the sequences, and of what stays the same
    """
    where = dict(enumerate(given[1 + sequences :], 1 + sequences))
    once, repeated = _divided(body, where)
    for number, slot in enumerate(body.slots):
        if slot.role in ("scratch", "fault"):
            where[number] = len(slots)
            slots.append(replace(slot, takes=-1))
    where |= _parts(body, where.keys(), where, slots)
    return [moved(step, where) for step in once], repeated, where


def unrolled(loop: Rounds, slots: list[Slot]) -> list[Step]:
    """The steps of all rounds; slots get the parts that they work on."""
    body, count = loop.body, len(loop.sequences)
    changing = {*range(1 + count), *body.results}
    found: list[Step] = []
    here, state = dict(loop.where), loop.state
    for place in range(loop.count)[:: -1 if loop.reverse else 1]:
        here[0] = state
        for i, (whole, nbytes) in enumerate(loop.sequences, 1):
            here[i] = part_of(whole, body.slots[i], place * nbytes, slots)
        targets = zip(loop.targets, body.results)
        ends = [part_of(whole, body.slots[i], place * nbytes, slots) for (whole, nbytes), i in targets]
        made = {i: end for i, end in zip(body.results, ends) if body.slots[i].role != "leaf"}
        here |= made
        here |= _parts(body, changing, here, slots)
        for step in loop.steps:
            own = moved(step, here)
            found += unrolled(own, slots) if isinstance(own, Rounds) else [own]
        found += [Transfer(here[i], end) for i, end in zip(body.results, ends) if made.get(i) != end]
        state = ends[0]
    return found


def part_of(whole: int, like: Slot, start: int, slots: list[Slot]) -> int:
    """A new slot: the part of another that begins so many bytes behind its beginning."""
    of = slots[whole]
    if of.whole >= 0:
        whole, start = of.whole, of.start + start
    slots.append(replace(like, role="part", whole=whole, start=start, takes=-1))
    return len(slots) - 1


def _parts(body: Plan, of: Collection[int], here: Mapping[int, int], slots: list[Slot]) -> dict[int, int]:
    """The parts that a body has of some of its slots: those of loops in it."""
    return {i: part_of(here[whole], body.slots[i], start, slots) for i, whole, start, _ in body.parts if whole in of}


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
    if isinstance(step, Rounds):
        return replace(
            step,
            state=where[step.state],
            sequences=tuple([(where[slot], nbytes) for slot, nbytes in step.sequences]),
            targets=tuple([(where[slot], nbytes) for slot, nbytes in step.targets]),
            where={number: where[slot] for number, slot in step.where.items()},
        )
    return Transfer(where[step.source], where[step.target])
