"""Values computed a second time instead of kept: less memory for more work.

Comes in: the steps of a plan, its slots, and the bytes it may have.  Goes out: steps that do the same, in which kernels
run again shortly before their results are needed again.  It knows nothing of what they compute: the same kernel on the
same values gives the same bits.  What is long alive, large and soon computed goes first.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count
from typing import Final

from kernelforge.planning.rounds import moved
from kernelforge.planning.steps import Launch, Slot, Step

MOST_TRIED: Final = 4096  # choices whose peak is computed
MOST_TIMES: Final = 8  # a value is computed again
FLOPS_PER_BYTE: Final = 8  # operations that take as long as to move a byte


@dataclass(frozen=True)
class Event:
    """A step at its place or again.

    number   of the step; place: the number of the step it comes before, or is
    renamed  the slots of values that were computed again, by those of the values
    """

    number: int
    place: int
    renamed: Mapping[int, int]


def within(budget: int, steps: Sequence[Step], slots: list[Slot]) -> tuple[list[Step], list[int]]:
    """The steps, with a peak within a budget if that can be; and for each where it is now.

    Slots for values that are computed again are added.  These may be let go of once more, and so on.
    """
    found, places = list(steps), list(range(len(steps)))
    for _ in range(MOST_TIMES):
        line = _Line(found, slots)
        events = line.bounded(budget)
        if len(events) == len(found):
            break
        found, moved_to = line.spelled(events)
        places = [moved_to[place] for place in places]
    return found, places


class _Line:
    """Steps in time.

    maker  the step that makes a value and may do so again, by slot
    """

    def __init__(self, steps: Sequence[Step], slots: list[Slot]) -> None:
        self.steps, self.slots = steps, slots
        writers = Counter(slot for step in steps for slot in step.writes)
        lost = {slot.takes for slot in slots} | {slot.whole for slot in slots}

        def stays(slot: int) -> bool:
            here = slots[slot]
            if slot in lost or here.takes >= 0:
                return False
            return here.role == "leaf" or (here.role in ("scratch", "result") and writers[slot] == 1)

        self.maker = {
            slot: number
            for number, step in enumerate(steps)
            if isinstance(step, Launch) and step.fault < 0 and all(map(stays, step.arguments))
            for slot in step.writes
            if all(slots[other].role == "scratch" for other in step.writes)
        }

    def bounded(self, budget: int) -> list[Event]:
        """What happens where the peak is brought within a budget, or as near as leads: a value more at a time is let go
        of, as long as that lowers the peak."""
        chosen: dict[int, int] = {}
        events = self.events(chosen)
        peak, at = self.peak(events)
        tried, improves = 0, True
        while peak > budget and improves and tried < MOST_TRIED:
            improves = False
            for slot, last in self.candidates(events, at):
                tried += 1
                other = self.events({**chosen, slot: last})
                found, place = self.peak(other)
                if found < peak or (found == peak and other[place].place > events[at].place):
                    chosen[slot], events, peak, at, improves = last, other, found, place, True
                    break
        return events

    def events(self, chosen: Mapping[int, int]) -> list[Event]:
        """What happens where the chosen values are let go of after given steps, and computed again when needed."""
        found: list[Event] = []
        again: dict[int, int] = {}
        fresh = count(len(self.slots))
        for number, step in enumerate(self.steps):
            gone = [slot for slot in step.arguments if number > chosen.get(slot, number)]
            stack = [slot for slot in reversed(gone) if slot not in again]
            while stack:
                slot = stack[-1]
                maker = self.steps[self.maker[slot]]
                reads = [x for x in maker.arguments if x not in maker.writes and number > chosen.get(x, number)]
                missing = [x for x in reads if x not in again]
                if slot not in again and missing:
                    stack += missing
                    continue
                stack.pop()
                if slot in again:
                    continue
                renamed = {x: again[x] for x in reads}
                for x in maker.writes:
                    renamed[x] = next(fresh)
                    if number > chosen.get(x, number):
                        again[x] = renamed[x]
                found.append(Event(self.maker[slot], number, renamed))
            found.append(Event(number, number, {slot: again[slot] for slot in gone}))
        return found

    def peak(self, events: Sequence[Event]) -> tuple[int, int]:
        """The most bytes that are alive at a time, those of results included, and where that is first."""
        change = [0] * (len(events) + 1)
        for slot, (first, last) in self.lives(events).items():
            change[first] += self.nbytes[slot]
            change[last + 1 if self.role[slot] == "scratch" else len(events)] -= self.nbytes[slot]
        alive = most = at = 0
        for place, more in enumerate(change):
            alive += more
            if alive > most:
                most, at = alive, place
        return most, at

    def lives(self, events: Sequence[Event]) -> dict[int, tuple[int, int]]:
        """The first and the last event that touches each intermediate result and result."""
        found: dict[int, tuple[int, int]] = {}
        self.nbytes, self.role = dict[int, int](), dict[int, str]()
        for place, event in enumerate(events):
            for slot in self.steps[event.number].arguments:
                here = self.slots[slot]
                whole = here.whole if here.whole >= 0 else slot
                here = self.slots[whole]
                if here.role not in ("scratch", "result") or here.takes >= 0:
                    continue
                now = event.renamed.get(whole, whole)
                self.nbytes[now], self.role[now] = here.nbytes, here.role
                found[now] = found.get(now, (place, place))[0], place
        return found

    def candidates(self, events: Sequence[Event], at: int) -> list[tuple[int, int]]:
        """Values alive at an event that does not need them and that could be computed again, the cheapest by the byte
        first; and the last step that is to find the first of each."""
        place = events[at].place - (events[at].number != events[at].place)
        found = []
        for slot, (first, last) in self.lives(events).items():
            if first < at < last and slot in self.maker and slot not in self.steps[events[at].number].arguments:
                maker = self.steps[self.maker[slot]]
                assert isinstance(maker, Launch)
                cost = maker.program.flops / FLOPS_PER_BYTE + maker.program.nbytes
                found.append((cost / max(1, self.slots[slot].nbytes), -self.slots[slot].nbytes, slot))
        return [(slot, place) for _, _, slot in sorted(found)]

    def spelled(self, events: Sequence[Event]) -> tuple[list[Step], list[int]]:
        """The steps of events, on slots that exist; and where each step is at its own place."""
        known: dict[int, int] = {}
        steps: list[Step] = []
        for event in events:
            for old, new in event.renamed.items():
                if new not in known:
                    known[new] = len(self.slots)
                    self.slots.append(replace(self.slots[old]))
            step = self.steps[event.number]
            where = {slot: known[event.renamed[slot]] if slot in event.renamed else slot for slot in step.arguments}
            steps.append(moved(step, where) if event.renamed else step)
        own = [place for place, event in enumerate(events) if event.number == event.place]
        return steps, own
