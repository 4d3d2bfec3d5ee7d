"""The sides taking turns at a subject.

Comes in: sides, a subject.  Goes out: all seconds of each, in rounds, and what went wrong.  Each round every side runs
once, in changing order, while the others wait without computing; results are compared with ours.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from time import sleep
from typing import Final

import numpy as np
from numpy.typing import NDArray

from kernelforge.bench.results import Row
from kernelforge.bench.sides import Refused, Side
from kernelforge.bench.subjects import Subject

SETTLE: Final = 30e-3  # seconds between the sides: a library's threads spin for a while after their last work
TOLERANCE: Final = {"float16": 5e-3, "bfloat16": 4e-2, "float64": 1e-9}  # of the largest element


def contest(sides: Sequence[Side], subject: Subject, rounds: int) -> Row:
    """Measure one subject; the first side is ours."""
    row, results = Row(str(subject)), dict[str, NDArray]()
    for side in sides:
        try:
            results[side.name] = side.do("prepare", subject)
        except Refused as refusal:
            row.notes[side.name] = str(refusal)
    able = [side for side in sides if side.name in results]
    _compare(results, TOLERANCE.get(subject.dtype, 1e-4), row)
    for number in range(rounds):
        for side in able if number % 2 else reversed(able):
            sleep(SETTLE)
            row.seconds.setdefault(side.name, []).append(side.do("round"))
    if able and able[0] is sides[0]:
        row.parts = able[0].do("parts")
    return row


def sitting(side: Side, subject: Subject, rounds: int) -> list[float]:
    """Median seconds of a subject, and of the yardstick, in a process that has just begun to measure it."""
    side.do("prepare", subject)
    found: tuple[list[float], list[float]] = [], []
    for _ in range(rounds):
        for seconds, request in zip(found, ("round", "yardstick")):
            sleep(SETTLE)
            seconds.append(side.do(request))
    return [median(seconds) for seconds in found]


def _compare(results: dict[str, NDArray], tolerance: float, row: Row) -> None:
    """Note the sides whose results are not those of the first."""
    if not results:
        return
    first, expected = next(iter(results.items()))
    for name, found in results.items():
        distance = apart(found, expected)
        if not distance <= tolerance:
            row.notes[name] = f"its result differs from {first}'s by {distance:.1e} of its largest element"


def apart(found: NDArray, expected: NDArray) -> float:
    """How far two arrays are apart, as a part of the largest expected value.

    >>> apart(np.array([1.0, 2.0]), np.array([1.0, 4.0]))
    0.5
    """
    if found.shape != expected.shape:
        return float("inf")
    if not expected.size:
        return 0.0
    largest = float(np.abs(expected).max()) or 1.0
    return float(np.abs(np.subtract(found, expected, dtype=np.float64)).max()) / largest
