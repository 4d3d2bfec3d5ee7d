"""Short sums over neighbours with few multiplications: the matrices of Toom, Cook and Winograd.

Comes in: how many results, and the length of the sum.  Goes out: three small matrices of exact fractions.  Nothing here
knows arrays.
"""

from __future__ import annotations

from fractions import Fraction
from functools import cache
from math import prod
from typing import Final, NamedTuple

Matrix = tuple[tuple[Fraction, ...], ...]

POINTS: Final = {
    4: (Fraction(0), Fraction(1), Fraction(-1)),
    6: (Fraction(0), Fraction(3, 4), Fraction(-3, 4), Fraction(5, 4), Fraction(-5, 4)),
}


class Toom(NamedTuple):
    """The matrices of  y[i] = sum_k x[i + k] w[k]  =  sum_p after[i][p] (before x)[p] (taps w)[p].

    before  [n][n], of the n = m + r - 1 values x that m results take
    taps    [n][r], of the factors w
    after   [m][n]
    """

    before: Matrix
    taps: Matrix
    after: Matrix


@cache
def toom(m: int, r: int) -> Toom:
    """The matrices for m sums of r neighbours each; m + r - 1 is a key of POINTS.

    They evaluate the polynomials with coefficients x and w at the points, infinity included, and interpolate their
    product, transposed.  Pairs of opposite points share half of their work.  The points of six, found by search, keep
    the error of two-dimensional sums in float32 four times smaller than 0, 1, -1, 2, -2 would.
    """
    points = POINTS[m + r - 1]
    others = [tuple(q for q in points if q != p) for p in points]
    before = [(*_with_roots(rest), Fraction(0)) for rest in others]
    taps = [tuple(p**k / prod(p - q for q in rest) for k in range(r)) for p, rest in zip(points, others)]
    last = tuple(Fraction(k == r - 1) for k in range(r))
    after = tuple((*(p**i for p in points), Fraction(i == m - 1)) for i in range(m))
    return Toom((*before, _with_roots(points)), (*taps, last), after)


def _with_roots(roots: tuple[Fraction, ...]) -> tuple[Fraction, ...]:
    """The coefficients, lowest first, of the polynomial with leading coefficient 1 and these roots."""
    found = [Fraction(1)]
    for root in roots:
        found = [up - root * same for up, same in zip([Fraction(0), *found], [*found, Fraction(0)])]
    return tuple(found)
