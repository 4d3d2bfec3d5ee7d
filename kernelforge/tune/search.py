"""The search for a kernel's schedule: which candidates to compile and time within a budget of seconds.

Comes in: a kernel, a runtime and a budget.  Goes out: the fastest schedule found, the default where none is clearly
faster.  The search starts at the analytical model's choice and tries what differs from it in one choice, nearest
first; whenever something faster is found it goes on from there.  With time enough it tries everything.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any, Final

from codegen.choose.candidates import Candidate, Space, identity_of
from codegen.generate import render
from codegen.ir import Kernel
from codegen.program import Program
from kernelforge.errors import CompileError, DeviceError
from kernelforge.kernels import Runtime
from kernelforge.kernels.workers import Crew
from kernelforge.settings import DEBUG
from kernelforge.tune.trial import Trial

CLEARLY: Final = 0.97  # of the default's time: what a winner may take at most
HOPELESS: Final = 1.5  # times the best: not timed any further
PER_WORKER: Final = 4  # candidates compiled between two rounds of timing
SAMPLES: Final = 3  # of each new candidate
FINALISTS: Final = 4
FINAL_ROUNDS: Final = 40
FINAL_SHARE: Final = 0.15  # of the budget, for the final


@dataclass(eq=False)
class Entrant:
    """A candidate whose results agree with the default's; seconds: its best time so far."""

    candidate: Candidate
    executable: Any
    seconds: float


@dataclass(frozen=True)
class Found:
    """What a search found.

    winner   the candidate to use
    seconds  its best time; default: the model's choice's
    tried    candidates timed; spent: seconds the search took
    """

    winner: Candidate
    seconds: float
    default: float
    tried: int
    spent: float

    def __str__(self) -> str:
        times = f"{self.seconds * 1e3:.4g} ms; the model's choice {self.default * 1e3:.4g} ms"
        return f"{times}; {self.tried} candidates in {self.spent:.1f} s"


class Search:
    """The search for one kernel."""

    def __init__(self, kernel: Kernel, runtime: Runtime, crew: Crew, budget: float) -> None:
        self.begun = time.perf_counter()
        self.budget = budget
        self.deadline = self.begun + budget * (1 - FINAL_SHARE)
        self.runtime, self.crew = runtime, crew
        crew.start()
        self.space = Space(kernel, runtime.target)
        runtime.wait()
        self.trial = Trial(runtime, self.space.kernel)
        self.identities: set[Hashable] = {identity_of(self.space.first.schedule)}
        self.sources: set[str] = set()
        self.everything = self.space.walk()
        self.entrants: list[Entrant] = []

    def run(self) -> Found:
        """The best schedule within the budget."""
        default = self._enter(self.space.first, render(self.space.first.nest))
        if default is None:
            raise DeviceError(f"{self.runtime.name} does not run the default schedule of {self.space.kernel.name}")
        self._time([default])
        size = PER_WORKER * self.crew.size
        while time.perf_counter() < self.deadline and (ready := self._ready(size)):
            self._time([entrant for candidate, program in ready if (entrant := self._enter(candidate, program))])
            self._report(default)
        return self._final(default)

    # ------------------------------------------------------------------------------------------ what to try next

    def _ready(self, size: int) -> list[tuple[Candidate, Program]]:
        """The next candidates, compiled."""
        origin: dict[Program, Candidate] = {}

        def programs() -> Iterator[Program]:
            for candidate, program in islice(self._fresh(), size):
                origin[program] = candidate
                yield program

        done = self.crew.compile(programs(), self._compiles, self.deadline)
        return [(origin[program], program) for program in done]

    def _compiles(self, program: Program) -> bool:
        """True when this process could compile a program."""
        try:
            self.runtime.compile([program])
        except CompileError as error:
            self._say(str(error))
            return False
        return True

    def _fresh(self) -> Iterator[tuple[Candidate, Program]]:
        """Candidates not tried yet, those first that differ in one choice from one of the best."""
        best = sorted(self.entrants, key=lambda e: e.seconds)[:FINALISTS]
        near = (self.space.candidate(picks) for e in best for picks in self.space.around(e.candidate.picks))
        for candidate in chain(near, self.everything):
            if time.perf_counter() > self.deadline:
                return
            if candidate is None or (identity := identity_of(candidate.schedule)) in self.identities:
                continue
            self.identities.add(identity)
            program = render(candidate.nest)
            if program.source not in self.sources:
                self.sources.add(program.source)
                yield candidate, program

    # ------------------------------------------------------------------------------------------ trying

    def _enter(self, candidate: Candidate, program: Program) -> Entrant | None:
        """A candidate with a first time, or None where the compiler refuses it or its results are others."""
        try:
            (executable,) = self.runtime.compile([program])
            if not self.trial.check(executable):
                self._say(f"{candidate} gives other results: not used")
                return None
        except (CompileError, DeviceError, MemoryError) as error:
            self._say(f"{candidate} cannot be run: {error}")
            return None
        entrant = Entrant(candidate, executable, self.trial.seconds(executable))
        self.entrants.append(entrant)
        return entrant

    def _time(self, entrants: Sequence[Entrant], rounds: int = SAMPLES) -> None:
        """Some more samples of every entrant that may still win, in turn with the best so far."""
        best = min(self.entrants, key=lambda e: e.seconds)
        for _ in range(rounds):
            for entrant in dict.fromkeys((best, *entrants)):
                if entrant.seconds < HOPELESS * best.seconds or entrant is best:
                    taken = self.trial.seconds(entrant.executable, self.trial.repeats(entrant.seconds))
                    entrant.seconds = min(entrant.seconds, taken)

    def _final(self, default: Entrant) -> Found:
        """The winner among the best and the default, timed anew in many rounds."""
        best = sorted(self.entrants, key=lambda e: e.seconds)[:FINALISTS]
        finalists = list(dict.fromkeys((default, *best)))
        repeats = {entrant: self.trial.repeats(entrant.seconds) for entrant in finalists}
        times: dict[Entrant, float] = dict.fromkeys(finalists, float("inf"))
        for number in range(FINAL_ROUNDS):
            if number and time.perf_counter() > self.begun + self.budget:
                break
            for entrant in finalists if number % 2 else reversed(finalists):
                times[entrant] = min(times[entrant], self.trial.seconds(entrant.executable, repeats[entrant]))
        winner = min(finalists, key=times.__getitem__)
        if times[winner] > CLEARLY * times[default]:
            winner = default
        spent = time.perf_counter() - self.begun
        return Found(winner.candidate, times[winner], times[default], len(self.entrants), spent)

    # ------------------------------------------------------------------------------------------ telling

    def _report(self, default: Entrant) -> None:
        best = min(self.entrants, key=lambda e: e.seconds)
        spent = time.perf_counter() - self.begun
        self._say(
            f"{len(self.entrants)} candidates in {spent:.1f} s, best {best.seconds * 1e3:.4g} ms ({best.candidate}), "
            f"the model's choice {default.seconds * 1e3:.4g} ms"
        )

    def _say(self, text: str) -> None:
        if DEBUG.value >= 1:
            print(f"tune {self.space.kernel.name}: {text}", file=sys.stderr)
