"""Timing two ways to do the same thing, fairly, on a machine that may be busy.

Comes in: callables. Goes out: the best time of each and their ratio, and a description of the machine
for the head of a table. The two are timed in turn, so that a slow moment hits both, and the minimum of
many rounds counts, for other work can only add time. It knows no workload.
"""

import os
import platform
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal

import numpy as np

Clock = Literal["wall", "cpu"]
CLOCKS: dict[str, Callable[[], float]] = {"wall": time.perf_counter, "cpu": time.process_time}
THREADS = min(2, os.cpu_count() or 1)  # both sides use as many
SETTLE = 30e-3  # seconds between the sides: a library's threads spin for a while after their last work
LEAST = 2e-3  # seconds one timing lasts at least: shorter calls are repeated, so that the clock's grain does not show
FIRST = 10  # calls of which the shortest tells how long one takes: the first ones plan and compile


def variables() -> dict[str, str]:
    """The environment of new processes: they leave bytecode on disk and find it there, as of installed packages."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


@dataclass(frozen=True)
class Ratio:
    """Best seconds of one call of ours and of theirs; `times` above 1 says ours is faster."""

    ours: float
    theirs: float

    @property
    def times(self) -> float:
        """theirs / ours."""
        return self.theirs / self.ours


def ratio(ours: Callable[[], Any], theirs: Callable[[], Any], rounds: int = 20, clock: Clock = "wall") -> Ratio:
    """The best times of two callables over rounds in which each runs in turn, in changing order.

    Each timing comes after a pause, in which the other side's threads go to sleep, and a call that is not timed.

    rounds  how many timings of each; both run once before, for compilation and caches
    clock   "wall": time that passes. "cpu": time all threads of the process compute, blind to other processes, for
            comparisons of work on a busy machine; both sides must then use equally many threads
    """
    repeats = {side: calls_to_last(side) for side in (ours, theirs)}
    least = dict.fromkeys(repeats, np.inf)
    for number in range(rounds):
        for side in (ours, theirs) if number % 2 else (theirs, ours):
            time.sleep(SETTLE)
            side()
            least[side] = min(least[side], seconds(side, repeats[side], clock))
    return Ratio(least[ours], least[theirs])


def seconds(call: Callable[[], Any], repeats: int = 1, clock: Clock = "wall") -> float:
    """Seconds of one call, as the mean of `repeats` calls in a row."""
    now = CLOCKS[clock]
    start = now()
    for _ in range(repeats):
        call()
    return (now() - start) / repeats


def best(call: Callable[[], Any], rounds: int = 20, clock: Clock = "wall") -> float:
    """The best seconds of one call over a number of rounds."""
    repeats = calls_to_last(call)
    return min(seconds(call, repeats, clock) for _ in range(rounds))


def calls_to_last(call: Callable[[], Any]) -> int:
    """How many calls in a row take LEAST seconds; the first call, which may compile, does not count, nor what longer
    calls than the others do: the second may compile as well, what begins with the first one's result."""
    call()
    taken: list[float] = []
    while len(taken) < FIRST and sum(taken) - max(taken, default=0.0) < FIRST * LEAST:
        taken.append(seconds(call))
    return max(1, round(LEAST / max(min(taken), 1e-7)))


# Reports ----------------------------------------------------------------------------------------------------------


def environment() -> dict[str, str]:
    """Processor, threads and versions: the head of every table."""
    report = {
        "processor": f"{processor()}, {THREADS} of {os.cpu_count()} threads",
        "python": platform.python_version(),
    }
    for package in ("numpy", "pyopencl", "torch", "jax"):
        with suppress(PackageNotFoundError):
            report[package] = version(package)
    return report


def processor() -> str:
    """The processor's name as the system gives it."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def table(head: Iterable[str], rows: Iterable[Iterable[Any]]) -> str:
    """A Markdown table.

    >>> print(table(["shape", "times"], [["64 x 64", 1.25]]))
    | shape | times |
    | --- | --- |
    | 64 x 64 | 1.25 |
    """
    columns = list(head)
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)
