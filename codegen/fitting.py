"""Numbers as functions of sizes, found from what they are for a few of them.

Comes in: a number, or a text with numbers in it, for several choices of sizes.  Goes out: a `Formula`, or one text in
which the names of sizes stand; None where no formula of the kind fits.  It knows no kernels.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import prod
from typing import Final

Point = Mapping[str, int]
DEGREE: Final = 4  # sizes multiplied with each other, at most
SURE: Final = 64  # the largest coefficient of two products and a constant that are no coincidence
_NUMBER: Final = re.compile(r"(?<![\w.])\d+(?![\w.])")
_DIGITS: Final = re.compile(r"\d+")


@dataclass(frozen=True)
class Formula:
    """A sum of products: coefficients, each with the sizes it multiplies.

    >>> Formula(((64, ("n", "m")), (-1, ())))({"n": 2, "m": 3})
    383
    """

    terms: tuple[tuple[int, tuple[str, ...]], ...]

    def __call__(self, sizes: Point) -> int:
        return sum(k * prod(sizes[name] for name in names) for k, names in self.terms)

    @property
    def is_constant(self) -> bool:
        return all(not names for _, names in self.terms)

    def __str__(self) -> str:
        parts = [" * ".join([*names, *([str(k)] if k != 1 or not names else [])]) for k, names in self.terms]
        text = " + ".join(parts) or "0"
        return text if text.isdigit() or text.isidentifier() else f"({text})"


def constant(value: int) -> Formula:
    return Formula(((value, ()),))


def fitted(values: Sequence[int], points: Sequence[Point]) -> Formula | None:
    """The simplest formula whose values at the points are the given ones: a constant, a product, a product and a
    constant, then two products and a constant, with the smallest coefficients: at few points, n * m may be the same as
    some sum of n and m.

    There should be more points than terms.

    >>> points = [{"n": 7, "m": 11}, {"n": 10, "m": 5}, {"n": 3, "m": 8}, {"n": 5, "m": 2}]
    >>> str(fitted([4 * p["n"] * p["m"] + 3 for p in points], points))
    '(m * n * 4 + 3)'
    """
    if len(set(values)) == 1:
        return constant(values[0])
    return _fitted(tuple(values), tuple(tuple(sorted(point.items())) for point in points))


@lru_cache(maxsize=4096)
def _fitted(values: tuple[int, ...], points: tuple[tuple[tuple[str, int], ...], ...]) -> Formula | None:
    known = [dict(point) for point in points]
    columns = {p: [prod(point[name] for name in p) for point in known] for p in _products(sorted(known[0]))}
    for product, column in columns.items():
        found = _line(values, column)
        if found is not None:
            k, rest = found
            return Formula(tuple(term for term in ((k, product), (rest, ())) if term[0]))
    best, least = None, 0
    for (first, a), (second, b) in itertools.combinations(columns.items(), 2):
        pair = _plane(values, a, b)
        if pair is not None and (best is None or max(map(abs, pair)) < least):
            terms = ((pair[0], first), (pair[1], second), (pair[2], ()))
            best, least = Formula(tuple(term for term in terms if term[0])), max(map(abs, pair))
            if least <= SURE:
                break
    return best


def _products(names: Sequence[str]) -> Iterator[tuple[str, ...]]:
    for degree in range(1, DEGREE + 1):
        yield from itertools.combinations_with_replacement(names, degree)


def _line(values: Sequence[int], column: Sequence[int]) -> tuple[int, int] | None:
    """(k, c) with value = k * column + c everywhere."""
    other = next((i for i in range(len(column)) if column[i] != column[0]), None)
    if other is None:
        return None
    k, left = divmod(values[other] - values[0], column[other] - column[0])
    rest = values[0] - k * column[0]
    fits = not left and all(k * x + rest == value for x, value in zip(column, values))
    return (k, rest) if fits else None


def _plane(values: Sequence[int], a: Sequence[int], b: Sequence[int]) -> tuple[int, int, int] | None:
    """(j, k, c) with value = j * a + k * b + c everywhere."""
    da, db, dv = ([column[i] - column[0] for i in (1, 2)] for column in (a, b, values))
    whole = da[0] * db[1] - da[1] * db[0]
    if not whole:
        return None
    j, left = divmod(dv[0] * db[1] - dv[1] * db[0], whole)
    k, over = divmod(da[0] * dv[1] - da[1] * dv[0], whole)
    rest = values[0] - j * a[0] - k * b[0]
    fits = not left and not over and all(j * x + k * y + rest == value for x, y, value in zip(a, b, values))
    return (j, k, rest) if fits else None


def fitted_text(texts: Sequence[str], points: Sequence[Point]) -> str | None:
    """The text with formulas in the places of numbers; None where the texts differ otherwise.

    >>> fitted_text(["x[i * 7 + 1]", "x[i * 9 + 1]", "x[i * 4 + 1]"], [{"n": 7}, {"n": 9}, {"n": 4}])
    'x[i * n + 1]'
    """
    if len(set(texts)) == 1:
        return texts[0]
    between = [_NUMBER.split(text) for text in texts]
    if any(parts != between[0] for parts in between):
        return None
    pieces = [between[0][0]]
    for numbers, after in zip(zip(*(_NUMBER.findall(text) for text in texts)), between[0][1:]):
        formula = fitted([int(number) for number in numbers], points)
        if formula is None:
            return None
        pieces += [numbers[0] if formula.is_constant else str(formula), after]
    return "".join(pieces)


def common_name(names: Sequence[str]) -> str:
    """One name for several that differ in numbers.

    >>> common_name(["sum_64_k7_f32", "sum_64_k9_f32"])
    'sum_64_kn_f32'
    """
    between = [_DIGITS.split(name) for name in names]
    if any(parts != between[0] for parts in between):
        return "open"
    numbers = zip(*(_DIGITS.findall(name) for name in names))
    kept = [found[0] if len(set(found)) == 1 else "n" for found in numbers]
    return between[0][0] + "".join(number + after for number, after in zip(kept, between[0][1:]))
