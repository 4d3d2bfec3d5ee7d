"""A line search: a length that lowers the loss enough and flattens its slope.

Comes in: the loss and its gradient as a function of the length.  Goes out: a length, what was found there, and the
number of evaluations.

source  Nocedal and Wright, "Numerical Optimization", 2006, algorithms 3.5 and 3.6, the strong Wolfe conditions
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

_DECREASE: Final = 1e-4
_CURVATURE: Final = 0.9
_CHANGE: Final = 1e-9


class Point(NamedTuple):
    """A loss, its gradient, and what the user's function returned."""

    loss: float
    gradient: NDArray
    result: Any


class Trial(NamedTuple):
    """A length, what was found there, and the slope along the line."""

    length: float
    point: Point
    slope: float


def _cubic(a: Trial, b: Trial, bounds: tuple[float, float] | None = None) -> float:
    """Where the cubic with the losses and slopes of two trials is least, within bounds."""
    low, high = bounds or (min(a.length, b.length), max(a.length, b.length))
    d1 = a.slope + b.slope - 3 * (a.point.loss - b.point.loss) / (a.length - b.length)
    square = d1 * d1 - a.slope * b.slope
    if not square >= 0:
        return (low + high) / 2
    d2 = math.sqrt(square)
    first, last = (a, b) if a.length <= b.length else (b, a)
    below = last.slope - first.slope + 2 * d2
    if below == 0:
        return (low + high) / 2
    place = last.length - (last.length - first.length) * ((last.slope + d2 - d1) / below)
    return min(max(place, low), high)


def wolfe_point(
    along: Callable[[float], Point], length: float, start: Point, direction: NDArray, limit: int
) -> tuple[float, Point, int]:
    """The length found, what is there, and the number of evaluations, about `limit` at most."""
    search = _Search(along, start, direction, limit)
    bracket, done = search.bracketed(length)
    best = bracket[0] if done else search.narrowed(bracket)
    return best.length, best.point, search.evaluations


class _Search:
    """A search along one line."""

    def __init__(self, along: Callable[[float], Point], start: Point, direction: NDArray, limit: int) -> None:
        self.along, self.direction, self.limit = along, direction, limit
        self.start = Trial(0.0, start, float(start.gradient @ direction))
        self.evaluations = self.iterations = 0

    def _at(self, length: float) -> Trial:
        self.evaluations += 1
        point = self.along(length)
        return Trial(length, point, float(point.gradient @ self.direction))

    def _falls_short(self, trial: Trial) -> bool:
        return trial.point.loss > self.start.point.loss + _DECREASE * trial.length * self.start.slope

    def _is_flat(self, trial: Trial) -> bool:
        return abs(trial.slope) <= -_CURVATURE * self.start.slope

    def bracketed(self, length: float) -> tuple[list[Trial], bool]:
        """Two trials with a good length between them; or a good one, and True."""
        before, trial = self.start, self._at(length)
        while self.iterations < self.limit:
            worse = self.iterations > 1 and trial.point.loss >= before.point.loss
            if self._falls_short(trial) or worse:
                return [before, trial], False
            if self._is_flat(trial):
                return [trial], True
            if trial.slope >= 0:
                return [before, trial], False
            bounds = (trial.length + 0.01 * (trial.length - before.length), trial.length * 10)
            length = _cubic(before, trial, bounds)
            before, trial = trial, self._at(length)
            self.iterations += 1
        return [self.start, trial], False

    def narrowed(self, bracket: list[Trial]) -> Trial:
        """The best of a bracket that is made smaller and smaller."""
        low, high = sorted(bracket, key=lambda trial: trial.point.loss)
        widest, hesitated = float(np.abs(self.direction).max(initial=0)), False
        while self.iterations < self.limit and abs(high.length - low.length) * widest >= _CHANGE:
            left, right = min(low.length, high.length), max(low.length, high.length)
            length, margin = _cubic(low, high), 0.1 * (right - left)
            near = min(right - length, length - left) < margin
            if near and (hesitated or length >= right or length <= left):
                length, hesitated = (right - margin if right - length < length - left else left + margin), False
            else:
                hesitated = near
            trial = self._at(length)
            self.iterations += 1
            if self._falls_short(trial) or trial.point.loss >= low.point.loss:
                high = trial
                if high.point.loss < low.point.loss:
                    low, high = high, low
                continue
            if self._is_flat(trial):
                return trial
            if trial.slope * (high.length - low.length) >= 0:
                high = low
            low = trial
        return low
