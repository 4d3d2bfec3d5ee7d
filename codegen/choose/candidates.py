"""All schedules the recipes can make for a kernel, nearest to the analytical model's choice first.

Comes in: a kernel and a target.  Goes out: a `Space` of legal candidates.  A recipe asks `pick` wherever it could do
otherwise; here the answers are scripted: the model's own choice with one answer changed, then with two, and so on.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass, fields
from heapq import heappop, heappush
from itertools import count, islice
from types import MappingProxyType

from codegen.choose.default import forms, recipes
from codegen.choose.picks import Script
from codegen.ir import Kernel
from codegen.nest import build
from codegen.nodes import Nest
from codegen.schedule import Schedule, ScheduleError, Stage
from codegen.streaming import Stream
from codegen.target import Target

RECIPE = "recipe"
Picks = Mapping[str, int]


@dataclass(frozen=True, eq=False)
class Candidate:
    """A legal way to run a kernel.

    nest    the kernel, in the form the schedule is for, placed by it
    picks   per choice that is not the model's the position of the option taken
    """

    nest: Nest
    picks: Picks

    @property
    def schedule(self) -> Schedule:
        return self.nest.schedule

    def __repr__(self) -> str:
        return ", ".join(f"{name} {position}" for name, position in self.picks.items()) or "the model's choice"


class Space:
    """The candidates of a kernel on a target, each made when it is asked for.

    form   the name of the kernel's form they are for: see `forms`
    first  the default: what `choose` gives

    raises ScheduleError when no recipe is legal
    """

    def __init__(self, kernel: Kernel, target: Target) -> None:
        self.target = target
        self._made: dict[frozenset[tuple[str, int]], Candidate | None] = {}
        self._met: dict[frozenset[tuple[str, int]], Mapping[str, int]] = {}  # per choice the number of options
        self.form, self.kernel, self._recipe, self._recipes = self._model(kernel)
        found = self.candidate(MappingProxyType({}))
        assert found is not None
        self.first = found

    def _model(self, kernel: Kernel) -> tuple[str, Kernel, int, int]:
        """The form and the number of the first legal recipe, and how many recipes may be candidates."""
        refused = []
        for name, form in forms(kernel, self.target):
            found = list(recipes(form, self.target))
            for number, schedule in enumerate(found):
                try:
                    build(form, schedule, self.target)
                    return name, form, number, max(number + 1, len(found) - 1)
                except ScheduleError as error:
                    refused.append(str(error))
        raise ScheduleError(f"no recipe for {kernel.name} is legal on {self.target.name}: {'; '.join(refused)}")

    def candidate(self, picks: Picks) -> Candidate | None:
        """The candidate of some picks, or None when it is not legal or there are no such options."""
        key = frozenset(picks.items())
        if key not in self._made:
            script = Script(picks)
            self._made[key] = self._make(picks, script)
            self._met[key] = script.met if script.taken.keys() == picks.keys() else {}
        return self._made[key]

    def _make(self, picks: Picks, script: Script) -> Candidate | None:
        order = [self._recipe, *(n for n in range(self._recipes) if n != self._recipe)]
        number = script(RECIPE, order)
        found = recipes(self.kernel, self.target, script)
        for _ in islice(found, number):
            script.forget(RECIPE)
        schedule = next(found, None)
        if schedule is None or script.taken.keys() != picks.keys():
            return None
        try:
            return Candidate(build(self.kernel, schedule, self.target), MappingProxyType(dict(picks)))
        except ScheduleError:
            return None

    def around(self, picks: Picks) -> list[Picks]:
        """The picks that differ from some in one choice, the smallest steps from the model's first."""
        self.candidate(picks)
        found = []
        for name, options in self._met[frozenset(picks.items())].items():
            rest = {other: position for other, position in picks.items() if other != name}
            for position in range(options):
                if position != picks.get(name, 0):
                    found.append(rest | ({name: position} if position else {}))
        return sorted(found, key=_distance)

    def __iter__(self) -> Iterator[Candidate]:
        """Every candidate once: fewest departures from the model first; equal schedules count as one."""
        return (candidate for candidate in self.walk() if candidate is not None)

    def walk(self) -> Iterator[Candidate | None]:
        """The same with None for whatever is met that is no new candidate: there may be many of these in a row."""
        numbers = count()
        waiting: list[tuple[tuple[int, int], int, Picks]] = [((0, 0), next(numbers), {})]
        known, given = {frozenset[tuple[str, int]]()}, set[Hashable]()
        while waiting:
            _, _, picks = heappop(waiting)
            candidate = self.candidate(picks)
            if candidate is not None and (identity := identity_of(candidate.schedule)) in given:
                yield None
                continue
            if candidate is not None:
                given.add(identity)
            yield candidate
            for further in self.around(picks):
                key = frozenset(further.items())
                if len(further) > len(picks) and key not in known:
                    known.add(key)
                    heappush(waiting, (_distance(further), next(numbers), further))


def _distance(picks: Picks) -> tuple[int, int]:
    return len(picks), sum(picks.values())


def identity_of(schedule: Schedule) -> Hashable:
    """What is equal for schedules that make the same choices for one kernel."""
    return _frozen(schedule)


def _frozen(value: object) -> Hashable:
    """Records that compare by identity, and containers, by their content."""
    if isinstance(value, Schedule | Stage | Stream):
        return tuple(_frozen(getattr(value, field.name)) for field in fields(value))
    if isinstance(value, tuple):
        return tuple(map(_frozen, value))
    if isinstance(value, Mapping):
        return frozenset((key, _frozen(content)) for key, content in value.items())
    assert isinstance(value, Hashable)
    return value
