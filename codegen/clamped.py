"""Bounds of numbers that a program has put between bounds.

Comes in: an expression of floats.  Goes out: whole numbers it is never outside of, where choices by comparisons with
constants say so.  What is no number passes no comparison, so it is told as well.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil, floor, inf, isfinite
from typing import Final, NamedTuple

from codegen.assumed import largest, smallest
from codegen.ir import Apply, Const, Expr


class Between(NamedTuple):
    """Whole numbers a value that is a number is not outside of; infinite where that is not known."""

    low: float
    high: float


DEEPEST: Final = 5  # choices inside of choices that are looked at
ANY: Final = Between(-inf, inf)
_WHOLE: Final = frozenset(("floor", "ceil", "trunc", "round"))

Facts = Mapping[Expr, Between]


def clamped(e: Expr) -> tuple[int, int] | None:
    """The bounds of a float that is a number, None where it may be none or has none.

        where(0 < x, where(9 <= x, 9, x), 0)  ->  0, 9
    """
    found = _between(e, {}, DEEPEST)
    if found is None or not isfinite(found.low) or not isfinite(found.high):
        return None
    return int(found.low), int(found.high)


def _between(e: Expr, facts: Facts, depth: int) -> Between | None:
    """Bounds of a value where some facts hold; None where it may be no number."""
    if isinstance(e, Const):
        value = _constant(e)
        return None if value is None else Between(floor(value), ceil(value))
    fact = facts.get(e)
    found = _of_parts(e, facts, depth - 1, fact is not None) if isinstance(e, Apply) and depth else None
    if fact is None or found is None:
        return fact or found
    return Between(max(fact.low, found.low), min(fact.high, found.high))


def _of_parts(e: Apply, facts: Facts, depth: int, is_number: bool) -> Between | None:
    """The same of an operation, which is known to be a number or not."""
    if e.op.name in _WHOLE:  # whole numbers stay between whole numbers
        return _between(e.args[0], _with(e.args[0], facts) if is_number else facts, depth)
    if e.op.name != "where":
        return None
    ways = []
    for value, holds in ((e.args[1], True), (e.args[2], False)):
        known = _with(value, facts) if is_number else facts
        ways.append(_between(value, _learned(e.args[0], holds, known, depth), depth))
    first, second = ways
    return None if first is None or second is None else _either(first, second)


def _with(e: Expr, facts: Facts) -> Facts:
    """The facts, and that a value is a number."""
    return facts if e in facts or isinstance(e, Const) else {**facts, e: ANY}


def _either(a: Between, b: Between) -> Between:
    low, high = min(a.low, b.low), max(a.high, b.high)
    if isfinite(a.low) and isfinite(b.low):
        low = smallest(int(a.low), int(b.low))
    if isfinite(a.high) and isfinite(b.high):
        high = largest(int(a.high), int(b.high))
    return Between(low, high)


def _learned(condition: Expr, holds: bool, facts: Facts, depth: int) -> Facts:
    """The facts, and what a comparison with a constant says.  One that fails says nothing of what may be no number."""
    if not isinstance(condition, Apply) or condition.op.name not in ("lt", "le"):
        return facts
    smaller, larger = condition.args if holds else condition.args[::-1]
    value, bound = (smaller, larger) if isinstance(larger, Const) else (larger, smaller)
    if not isinstance(bound, Const) or not bound.dtype.is_float or (limit := _constant(bound)) is None:
        return facts
    before = _between(value, facts, depth)
    if before is None and not holds:
        return facts
    low, high = before or ANY
    less, more = Between(low, min(high, ceil(limit))), Between(max(low, floor(limit)), high)
    return {**facts, value: less if bound is larger else more}


def _constant(e: Const) -> float | None:
    """What a constant is in its type; None where it is not finite."""
    value = float(e.dtype.compute.type(e.value)) if isfinite(e.value) else inf
    return value if isfinite(value) else None
