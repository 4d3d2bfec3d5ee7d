"""The sides taking turns at one workload.

Comes in: workers by name, a workload's name. Goes out: the best seconds of each, and what went wrong. Each round every
worker runs once, in changing order, while the others wait without computing; results are compared with those of the
first side that has any. It knows neither libraries nor reports.
"""

import fcntl
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter, sleep
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from bench.measure import SETTLE
from bench.suite.record import Row
from bench.suite.workloads import ALL
from kernelforge.bench.contest import apart as relative_distance
from kernelforge.bench.sides import Refused, Side

T = TypeVar("T")
TURN = 45.0  # seconds for which a lock is held


@dataclass(frozen=True)
class Effort:
    """How much is measured: rounds, and seconds after which no round begins once there were a few.

    settles  no round begins once the best times have settled, and peers that are far behind stop early
    sample   elements of each result that are compared; 0: all
    """

    least: int
    most: int
    seconds: float
    settles: bool = False
    sample: int = 0


FULL, QUICK = Effort(5, 60, 1.0), Effort(3, 10, 0.2)
USUAL = Effort(5, 24, 0.5, settles=True, sample=1 << 14)
NEAR = 1.5  # times as slow as the fastest: sides beyond it decide nothing
FAR, GLIMPSES = 2.5, 2  # times as slow as the fastest peer: those beyond it after so many rounds run no more
GRAIN, APART = 1.03, 1.1  # how close a side's best times are when they have settled; when who is faster is clear


def contest(sides: Sequence[Side], name: str, effort: Effort, gauge: Side | None = None) -> Row:
    """Measure one workload; at the beginning, in the middle and at the end the gauge tells the machine's ceilings."""
    row = Row()
    results = dict(_answers(sides, row, "prepare", name, *([effort.sample] if effort.sample else [])))
    _compare(results, ALL[name].tolerance, row)
    able = [side for side in sides if side.name in results]
    rounds = _rounds(able, effort) if able else 0
    samples: dict[str, list[float]] = {side.name: [] for side in able}
    for number in range(rounds):
        if gauge and number in ((0,) if effort.settles else (0, rounds // 2, rounds - 1)):
            _note_ceilings(gauge, row)
        for side in able if number % 2 else reversed(able):
            sleep(SETTLE)
            samples[side.name].append(side.do("round"))
        if effort.settles and number + 1 >= effort.least and settled(samples, sides[-1].name):
            break
        if effort.settles and number + 1 == GLIMPSES:
            able = _near(able, samples, sides[-1])
    if gauge and effort.settles:
        _note_ceilings(gauge, row)
    row.seconds = {name: min(found) for name, found in samples.items() if found}
    return row


def _near(sides: list[Side], samples: dict[str, list[float]], ours: Side) -> list[Side]:
    """The sides that are measured further: ours, and the peers that may turn out the fastest of the peers."""
    least = {side.name: min(samples[side.name]) for side in sides if side is not ours}
    return [side for side in sides if side is ours or least[side.name] <= FAR * min(least.values())]


def _note_ceilings(gauge: Side, row: Row) -> None:
    for what, rate in gauge.do("ceilings").items():
        row.ceilings[what] = max(rate, row.ceilings.get(what, 0.0))


def settled(samples: dict[str, list[float]], ours: str) -> bool:
    """True when more rounds would hardly change the best times that decide a row: ours and the fastest peers'.

    Either their three best are as good as equal, or no time of ours is among those of the fastest peer.
    """
    least = {name: sorted(found) for name, found in samples.items()}
    peers = [found for name, found in least.items() if name != ours]
    if ours not in least or not peers:
        return all(found[2] <= GRAIN * found[0] for found in least.values())
    own, best = least[ours], min(peers, key=lambda found: found[0])
    deciding = [own, *(found for found in peers if found[0] <= NEAR * best[0])]
    if all(found[2] <= GRAIN * found[0] for found in deciding):
        return True
    is_clear = own[-1] < best[0] or best[-1] < own[0]
    return is_clear and all(found[1] <= APART * found[0] for found in (own, best))


def _rounds(sides: Sequence[Side], effort: Effort) -> int:
    """As many as fit into the time, by how long one takes on the average side."""
    length = sum(side.do("calibrate") for side in sides) / len(sides)
    return int(min(max(effort.seconds / length, effort.least), effort.most))


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
    """How far two arrays are apart, as a part of the largest expected value; of random ones, mean and deviation."""
    if random and found.shape == expected.shape and found.size:
        found, expected = (np.array([a.mean(dtype=float), a.std(dtype=float)]) for a in (found, expected))
    return relative_distance(found, expected)


def in_turns(items: Iterable[T], lock: Path | None) -> Iterator[T]:
    """The items, given out while a file's lock is held; after TURN seconds others who want the lock may have it."""
    waiting = deque(items)
    while waiting:
        with _held(lock):
            end = perf_counter() + TURN
            yield waiting.popleft()
            while waiting and perf_counter() < end:
                yield waiting.popleft()


@contextmanager
def _held(lock: Path | None) -> Iterator[None]:
    if lock is None:
        yield
        return
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
