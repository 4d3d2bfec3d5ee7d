"""Functions of two arguments around the gamma function: its incomplete integrals, and Hurwitz's zeta function.

Comes in: tensors of floats, integers or bool.  Goes out: float tensors, computed in float64 on the way.  The integrals
are sums over few points, chosen for each element so that what lies beyond them is below the last digit; therefore both
arguments have derivatives of every order.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, Self

from kernelforge.later import later
from kernelforge.tensor.composite import composite
from kernelforge.tensor.core import Operand
from kernelforge.tensor.polynomials import Polynomials

if TYPE_CHECKING:
    import fractions
else:
    later(globals(), fractions="fractions")

_POINTS: Final = 120
_DEPTH: Final = 40.0  # exp(-40) is nothing beside 1
_RAISED: Final = 6  # small orders are raised by as much
_ZETA_TERMS: Final = 10
_STIRLING: Final = (1 / 12, -1 / 360, 1 / 1260, -1 / 1680, 1 / 1188, -691 / 360360, 1 / 156)


def _euler_maclaurin(count: int) -> list[float]:
    """B2 / 2!, B4 / 4!, ..., `count` of them."""
    found = [fractions.Fraction(1)]
    for n in range(1, 2 * count + 1):
        found.append(-sum((math.comb(n + 1, k) * found[k] for k in range(n)), fractions.Fraction(0)) / (n + 1))
    return [float(b / math.factorial(2 * k)) for k, b in enumerate(found[2::2], start=1)]


class Gammas(Polynomials):
    """Incomplete gamma functions and zeta."""

    __slots__ = ()

    # Incomplete gamma functions ---------------------------------------------------------------------------------

    @composite
    def igamma(self, other: Operand) -> Self:
        """The regularised lower incomplete gamma function: the integral of t^(a-1) exp(-t) from 0 to x, over gamma(a).

        a is self, x is other; NaN where one is negative.

        >>> Tensor([1.0]).igamma(Tensor([0.0])).tolist()
        [0.0]
        """
        return self._incomplete_gamma(other, upper=False)

    @composite
    def igammac(self, other: Operand) -> Self:
        """1 - igamma(self, other), the upper part of the integral, accurate where it is small."""
        return self._incomplete_gamma(other, upper=True)

    gammainc, gammaincc = igamma, igammac

    def _incomplete_gamma(self, other: Operand, upper: bool) -> Self:
        order, end = self._both_floating(other)
        a, x = order._precise(), end._precise()
        plain = (a > 0) & (x > 0) & a.isfinite() & x.isfinite()
        ratio = plain.where(x, 1).log() - plain.where(a, 1).log()
        a, x = plain.where(a, 1), plain.where(x, 1)
        small = a < _RAISED
        below = x < a + small.where(1, 0)
        part = small.where(a, 1)._small_order(small.where(x, 1), below)
        large = small.where(_RAISED, a)._large_order(small.where(0, ratio), below)
        part = small.where(part, large)
        found = below.where(1 - part, part) if upper else below.where(part, 1 - part)
        a, x = order._precise(), end._precise()
        outer = a.eq(0) | x.isinf()  # all of the integral lies below x
        outer = outer.where(0.0 if upper else 1.0, 1.0 if upper else 0.0)
        outer = ((a < 0) | (x < 0) | (a.eq(0) & x.eq(0)) | (a.isinf() & x.isinf())).where(math.nan, outer)
        outer = (a.isnan() | x.isnan()).where(math.nan, outer)
        return plain.where(found, outer).cast(order.dtype)

    def _small_order(self, x: Self, below: Self) -> Self:
        """The smaller of both parts for an order below 6: a series below the maximum, an integral beyond.

        The integral of (1 + v / x)^(a-1) exp(-v) over v > 0 has points v = exp(s - exp(-s)) at steps of s.
        """
        peak = (self * x.log() - x - self.lgamma()).exp()
        low = below.where(x, 1)
        total = self._constant(1)
        for k in range(48, 0, -1):
            total = 1 + total * low / (self + k)
        series = peak * total / self
        high = below.where(20, x).unsqueeze(-1)
        step = 7.6 / _POINTS
        s = type(self).arange(_POINTS, dtype=self.dtype) * step - 3.8
        v = (s - (-s).exp()).exp()
        terms = ((self.unsqueeze(-1) - 1) * (v / high).log1p() - v).exp() * v * (1 + (-s).exp())
        integral = peak * terms.sum(-1) * step / high.squeeze(-1)
        return below.where(series, integral)

    def _large_order(self, ratio: Self, below: Self) -> Self:
        """The smaller of both parts for an order from 6 on, ratio being log(x / a).

        In s = log(t / a) the integrand is exp(-a (exp(s) - 1 - s)); it is summed from `ratio` to where it has fallen
        by exp(-40), at points that come closer towards both ends.
        """
        e, depth = ratio.exp(), _DEPTH / self
        slope = ratio.expm1()
        right = 2 * depth / (slope + (slope.square() + 2 * e * depth).sqrt())
        left = 0.5 * ((depth + 2 * slope) + ((depth + 2 * slope).square() + 8 * depth).sqrt())
        length = below.where(left, right).unsqueeze(-1)
        step = 7.2 / _POINTS
        t = type(self).arange(_POINTS, dtype=self.dtype) * step + (0.5 * step - 3.6)
        slant = math.pi * t.sinh()
        share = 1 / (1 + (-slant).exp())
        weight = math.pi * t.cosh() * share / (1 + slant.exp())
        s = ratio.unsqueeze(-1) + below.unsqueeze(-1).where(-length, length) * share
        depths = s.expm1() - s
        near = s.abs() < 0.03  # where expm1(s) - s has few digits left
        close = near.where(s, 0)
        series = close.square() * close._polynomial([1 / math.factorial(k) for k in range(10, 1, -1)])
        terms = (-self.unsqueeze(-1) * near.where(series, depths)).exp() * weight
        inverse = 1 / self
        correction = inverse * inverse.square()._polynomial(_STIRLING[::-1])
        return (self / (2 * math.pi)).sqrt() * (-correction).exp() * (terms * length).sum(-1) * step

    # Zeta -------------------------------------------------------------------------------------------------------

    @composite
    def zeta(self, other: Operand) -> Self:
        """Hurwitz's zeta function, the sum of (q + k)^-x over k >= 0, x being self and q other.

        Infinite for x = 1 and for q = 0, -1, ..., NaN for x < 1, and for other negative q unless x is whole.

        >>> (Tensor([2.0]).zeta(1.0) * 6).sqrt().round(decimals=4).numpy()
        array([3.1416], dtype=float32)
        """
        exponent, start = self._both_floating(other)
        x, q = exponent._precise(), start._precise()
        defined = (x > 1) & q.isfinite() & x.isfinite()
        s, whole = defined.where(x, 2), x.eq(x.floor())
        positive = q > 0
        plain = s._sum_of_powers(positive.where(q, 1))
        fraction = (q - q.floor()).clamp(1e-300, 1)
        inside = ~positive & defined & (fraction > 1e-300)
        f = inside.where(fraction, 0.5)
        even = (s * 0.5).eq((s * 0.5).floor())
        others = s._sum_of_powers(1 - f) - s._sum_of_powers(inside.where(1 - q, 2))
        mirrored = s._sum_of_powers(f) + even.where(others, -others)
        found = positive.where(plain, whole.where(mirrored, math.nan))
        found = (~positive & q.eq(q.floor())).where(math.inf, found)
        found = (x < 1).where(math.nan, x.eq(1).where(math.inf, found))
        found = (x.isinf() & (x > 0)).where((q > 1).where(0.0, q.eq(1).where(1.0, math.inf)), found)
        found = (q.isinf() & (x > 1)).where((q > 0).where(0.0, math.nan), found)
        return (x.isnan() | q.isnan()).where(math.nan, found).cast(exponent.dtype)

    def _sum_of_powers(self, q: Self) -> Self:
        """The sum of (q + k)^-s over k >= 0 for s > 1 and q > 0, by Euler and Maclaurin."""
        total = q**-self
        for k in range(1, _ZETA_TERMS):
            total = total + (q + k) ** -self
        z = q + _ZETA_TERMS
        power = z**-self
        total = total + power * z / (self - 1) + 0.5 * power
        factor = power * self / z
        for k, b in enumerate(_euler_maclaurin(12)):
            total = total + b * factor
            factor = factor * ((self + (2 * k + 1)) / z) * ((self + (2 * k + 2)) / z)
        return total
