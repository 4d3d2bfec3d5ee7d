"""Medians that say how sure they are.

Comes in: seconds, measured in turns.  Goes out: the median with an interval that holds the true one in 99 of 100 cases,
and the verdict who is faster.  The interval comes from the order of the values alone, so no distribution is assumed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import comb, exp, log
from statistics import median
from typing import Final

CONFIDENCE: Final = 0.99
SAME: Final = 0.01  # relative difference below which nobody is called faster


@dataclass(frozen=True)
class Interval:
    """A median, and bounds that hold the true one."""

    low: float
    middle: float
    high: float

    def __str__(self) -> str:
        return f"{self.middle:.2f} ({self.low:.2f}-{self.high:.2f})"


def median_interval(values: Sequence[float], confidence: float = CONFIDENCE) -> Interval:
    """The median of values, with bounds of the population's; the bounds are infinite for too few values.

    The k-th least and the k-th largest of n values hold the median between them but in 2 P(B < k) of all cases, where
    B counts the values below it, binomial with n and 1/2.

    >>> median_interval([3, 1, 2, 5, 4, 7, 6, 8, 9])
    Interval(low=1, middle=5, high=9)
    >>> median_interval([1, 2, 3]).high
    inf
    """
    ordered, n = sorted(values), len(values)
    outside, k = 0.0, 0
    while k < n // 2 and 2 * (outside + comb(n, k) / 2**n) <= 1 - confidence:
        outside += comb(n, k) / 2**n
        k += 1
    if k == 0:
        return Interval(-float("inf"), median(ordered), float("inf"))
    return Interval(ordered[k - 1], median(ordered), ordered[n - k])


def times_faster(ours: Sequence[float], theirs: Sequence[float]) -> Interval:
    """theirs / ours, of values measured in the same rounds.

    Two rounds in a row, in which the sides came in either order, count as one: what depends on the order cancels, and
    what disturbs for less than two rounds disturbs one value.
    """
    logs = [log(b / a) for a, b in zip(ours, theirs, strict=True)]
    pairs = [sum(logs[i : i + 2]) / 2 for i in range(0, len(logs) - 1, 2)] or logs
    found = median_interval(pairs)
    bounded = abs(found.low) != float("inf")
    return Interval(exp(found.low) if bounded else 0.0, exp(found.middle), exp(found.high) if bounded else float("inf"))


def verdict(times: Interval) -> str:
    """ "faster", "slower", or "same" where the noise, or how little it is, leaves no more to say."""
    if times.low > 1 + SAME:
        return "faster"
    return "slower" if times.high < 1 - SAME else "same"
