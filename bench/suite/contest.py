"""The sides taking turns at one workload.

Comes in: workers by name, a workload's name. Goes out: the best seconds of each, and what went wrong. Each round every
worker runs once, in changing order, while the others wait without computing; results are compared with the first
side's that has one. It knows neither libraries nor reports.
"""

import fcntl
import multiprocessing
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import sleep
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.measure import SETTLE
from bench.suite.worker import serve
from bench.suite.workloads import ALL

PATIENCE = 240.0  # seconds a worker may take to answer, compilation included


class Refused(Exception):
    """What a worker could not do; the text is for the table."""


@dataclass(frozen=True)
class Effort:
    """How much is measured: rounds, and seconds after which no round begins once there were a few."""

    least: int
    most: int
    seconds: float


FULL, QUICK = Effort(5, 60, 1.5), Effort(3, 10, 0.2)


@dataclass
class Row:
    """The outcome of a workload: best seconds by side, and notes by side on what went wrong."""

    seconds: dict[str, float] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)


class Side:
    """A worker process, begun when first asked for something, and anew after it was ended."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.process: Any = None
        self.pipe: Any = None

    def ask(self, *request: Any) -> None:
        """Send a request; `answer` waits for what comes of it."""
        if self.process is None:
            context = multiprocessing.get_context("spawn")
            self.pipe, end = context.Pipe()
            self.process = context.Process(target=serve, args=(end, self.name), daemon=True)
            self.process.start()
            end.close()
        self.pipe.send(request)

    def answer(self) -> Any:
        """The result of the request; raises Refused where there is none."""
        try:
            if not self.pipe.poll(PATIENCE):
                self.end()
                raise Refused(f"no answer in {PATIENCE:.0f} s")
            fine, value = self.pipe.recv()
        except EOFError:
            self.end()
            raise Refused("the process ended") from None
        if not fine:
            raise Refused(value)
        return value

    def do(self, *request: Any) -> Any:
        """ask() and answer()."""
        self.ask(*request)
        return self.answer()

    def end(self) -> None:
        """End the process."""
        if self.process is not None:
            self.process.kill()
            self.process.join()
            self.process = None


def contest(sides: Sequence[Side], name: str, effort: Effort, lock: Path | None = None) -> Row:
    """Measure one workload."""
    row = Row()
    results = dict(_answers(sides, row, "prepare", name))
    _compare(results, ALL[name].tolerance, row)
    able = [side for side in sides if side.name in results]
    with held(lock):
        lengths = {side: side.do("calibrate") for side in able}
        rounds = effort.least
        if able:
            rounds = int(np.clip(effort.seconds / max(np.mean(list(lengths.values())), 1e-6), effort.least, effort.most))
        for number in range(rounds):
            for side in able if number % 2 else reversed(able):
                sleep(SETTLE)
                taken = side.do("round")
                row.seconds[side.name] = min(taken, row.seconds.get(side.name, np.inf))
    return row


def _answers(sides: Iterable[Side], row: Row, *request: Any) -> Iterator[tuple[str, Any]]:
    """All sides at once: their answers by name; refusals become notes."""
    asked = list(sides)
    for side in asked:
        side.ask(*request)
    for side in asked:
        try:
            yield side.name, side.answer()
        except Refused as refusal:
            row.notes[side.name] = str(refusal)


def _compare(results: dict[str, list[NDArray]], tolerance: float | None, row: Row) -> None:
    """Note the sides whose results are not those of the first."""
    if not results:
        return
    first, expected = next(iter(results.items()))
    for name, found in results.items():
        distance = max(apart(a, b, tolerance is None) for a, b in zip(found, expected, strict=True))
        if not distance <= (0.02 if tolerance is None else tolerance):
            row.notes[name] = f"result differs from {first}'s by {distance:.1e} of its largest"


def apart(found: NDArray, expected: NDArray, random: bool = False) -> float:
    """How far two arrays are apart, as a part of the largest expected value; of random ones, mean and deviation.

    >>> apart(np.array([1.0, 2.0]), np.array([1.0, 4.0]))
    0.5
    """
    if found.shape != expected.shape:
        return float("inf")
    if not expected.size:
        return 0.0
    if random:
        found, expected = (np.array([a.mean(dtype=float), a.std(dtype=float)]) for a in (found, expected))
    largest = float(np.abs(expected).max()) or 1.0
    return float(np.abs(np.subtract(found, expected, dtype=np.float64)).max()) / largest


@contextmanager
def held(lock: Path | None) -> Iterator[None]:
    """Others who hold the same file's lock wait, so that only one of them is timing."""
    if lock is None:
        yield
        return
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
