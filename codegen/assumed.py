"""What is taken for granted of numbers while kernels are made, for kernels that are to serve other numbers.

Comes in: a number that is not below zero, wherever something is left out of a kernel because it is not: a guard that
never fails, a part that nothing reaches, a quotient of 0.  Goes out: all of these, to who asks.  Made for several
choices of sizes, a kernel serves the sizes for which none of these numbers is below zero.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from math import ceil, floor, isfinite
from typing import Final, Literal

Noted = set[tuple[str, int]]
"""Numbers, each with what it was asked for."""
FIXED: Final = "fixed"
"""Of numbers that must not change at all, for what was made of them may be anything where they do."""

_noted: Final[ContextVar[Noted | None]] = ContextVar("noted", default=None)


@contextmanager
def noting() -> Iterator[Noted]:
    """What is taken for granted inside; whoever notes outside is told nothing of it."""
    found: Noted = set()
    token = _noted.set(found)
    try:
        yield found
    finally:
        _noted.reset(token)


def again(found: Noted | frozenset[tuple[str, int]]) -> None:
    """Takes the same for granted as was noted before."""
    noted = _noted.get()
    if noted is not None:
        noted |= found


def assumed(reason: str, *numbers: int) -> Literal[True]:
    """True; notes that no number is below zero.

    >>> with noting() as found:
    ...     assumed("never", 3)
    True
    >>> found
    {('never', 3)}
    """
    noted = _noted.get()
    if noted is not None:
        for number in numbers:
            noted.add((reason, number))
    return True


def is_one_quotient(low: int, high: int, by: int) -> bool:
    """Whether all whole numbers from one to another have the same quotient, rounded down.

    >>> is_one_quotient(8, 11, 4), is_one_quotient(8, 12, 4)
    (True, False)
    """
    start = low // by * by
    return high // by == low // by and assumed("quotient", low - start, start + by - 1 - high)


def largest(*numbers: int) -> int:
    """The largest of some numbers, which it is taken to be."""
    found = max(numbers)
    assumed("largest", *[found - number for number in numbers])
    return found


def smallest(*numbers: int) -> int:
    """The smallest of some numbers, which it is taken to be."""
    found = min(numbers)
    assumed("smallest", *[number - found for number in numbers])
    return found


_SMOOTH: Final = frozenset(("add", "sub", "mul", "neg", "where", "cast"))  # of which the result is a formula


def assumed_of_constants(op: str, values: Sequence[float]) -> None:
    """Takes for granted what decides of the result of an operation on constants."""
    if _noted.get() is None or not all(isinstance(x, int | float) and isfinite(x) for x in values):
        return
    if op in ("lt", "le", "eq", "ne", "min", "max"):
        _compared(op, values[1] - values[0])
    elif op not in _SMOOTH:
        assumed(FIXED, *[int(x) for x in values if not isinstance(x, bool) and x == int(x)])


def _compared(op: str, rise: float) -> None:
    """That a difference has the sign it has, as far as it counts."""
    if op in ("eq", "ne") and rise:
        assumed(op, ceil(abs(rise)) - 1)
    elif op == "lt":
        assumed(op, ceil(rise) - 1 if rise > 0 else floor(-rise))
    elif op == "le":
        assumed(op, floor(rise) if rise >= 0 else ceil(-rise) - 1)
    else:
        assumed(op, floor(abs(rise)))
