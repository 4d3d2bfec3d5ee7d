"""Special functions: gamma, error, normal distribution and Bessel.

Comes in: tensors; integers are taken as the default float type.  Goes out: tensors of the same shape and type, computed
in float64 on the way.  They are sums of series, so their derivatives of any order are those of the series.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cache
from typing import TYPE_CHECKING, Final, Self

from codegen.dtypes import dtypes
from kernelforge.errors import ArgumentError
from kernelforge.later import later
from kernelforge.tensor.composite import composite
from kernelforge.tensor.core import Operand
from kernelforge.tensor.pairs import Pairs

if TYPE_CHECKING:
    import fractions
    from fractions import Fraction
else:
    later(globals(), fractions="fractions")

_SHIFT: Final = 10  # arguments below are raised by as much before an asymptotic series takes them
_TERMS: Final = 9  # of such a series
_BESSEL_LARGE: Final = 20.0
_BESSEL_TERMS: Final = 44  # of the power series up to there
_BESSEL_LARGE_TERMS: Final = 26
_ERF_ENDS: Final = 6.0  # erf() is -1 or 1 from here on
_STEP: Final = 0.5  # of the trapezoidal rule for erfcx


@cache
def _bernoulli(count: int) -> list[Fraction]:
    """The Bernoulli numbers B2, B4, ..., `count` of them."""
    found = [fractions.Fraction(1)]
    for n in range(1, 2 * count + 1):
        found.append(-sum((math.comb(n + 1, k) * found[k] for k in range(n)), fractions.Fraction(0)) / (n + 1))
    return found[2::2]

# Wichura, "Algorithm AS 241: The Percentage Points of the Normal Distribution", 1988: numerators and denominators,
# highest power first, for the middle, the tail and the far tail.
_QUANTILE: Final = (
    (
        (2509.0809287301226727, 33430.575583588128105, 67265.770927008700853, 45921.953931549871457,
         13731.693765509461125, 1971.5909503065514427, 133.14166789178437745, 3.387132872796366608),
        (5226.495278852854561, 28729.085735721942674, 39307.89580009271061, 21213.794301586595867,
         5394.1960214247511077, 687.1870074920579083, 42.313330701600911252, 1.0),
    ),
    (
        (7.7454501427834140764e-4, 0.0227238449892691845833, 0.24178072517745061177, 1.27045825245236838258,
         3.64784832476320460504, 5.7694972214606914055, 4.6303378461565452959, 1.42343711074968357734),
        (1.05075007164441684324e-9, 5.475938084995344946e-4, 0.0151986665636164571966, 0.14810397642748007459,
         0.68976733498510000455, 1.6763848301838038494, 2.05319162663775882187, 1.0),
    ),
    (
        (2.01033439929228813265e-7, 2.71155556874348757815e-5, 0.0012426609473880784386, 0.026532189526576123093,
         0.29656057182850489123, 1.7848265399172913358, 5.4637849111641143699, 6.6579046435011037772),
        (2.04426310338993978564e-15, 1.4215117583164458887e-7, 1.8463183175100546818e-5, 7.868691311456132591e-4,
         0.0148753612908506148525, 0.13692988092273580531, 0.59983220655588793769, 1.0),
    ),
)  # fmt: skip


class Special(Pairs):
    """Functions that have no elementary form."""

    __slots__ = ()

    def _precise(self) -> Self:
        return self.cast(dtypes.float64)

    def _polynomial(self, coefficients: Sequence[float]) -> Self:
        """The polynomial with the given coefficients, highest power first."""
        result = self._constant(coefficients[0])
        for coefficient in coefficients[1:]:
            result = result * self + coefficient
        return result

    # Gamma ------------------------------------------------------------------------------------------------------

    def _mirrored(self) -> tuple[Self, Self, Self]:
        """Where an argument is below 1/2; 1 - x there, else x; and the distance of x to a whole number there."""
        mirrored = self < 0.5
        return mirrored, mirrored.where(1 - self, self), mirrored.where(self - self.round(), 0.5)

    def _raised(self) -> tuple[Self, Self]:
        """Where a positive argument is small; and an argument large enough for asymptotic series."""
        small = self < _SHIFT
        return small, small.where(self + _SHIFT, self)

    @composite
    def lgamma(self) -> Self:
        """log |gamma(x)|, infinite at 0, -1, -2, ..., where its slope is digamma()'s value.

        >>> Tensor([1.0, 5.0]).lgamma().exp().round().tolist()
        [1.0, 24.0]
        """
        given = self._floating()._precise()
        pole = (given <= 0) & given.eq(given.floor())
        x = (pole | given.isinf()).where(1, given)
        mirrored, y, distance = x._mirrored()
        result = y._log_gamma_from_half(type(y).log)
        sine = (distance * math.pi).sin().abs()
        result = mirrored.where(math.log(math.pi) - sine.log() - result, result)
        endless = given.eq(math.inf)
        result = pole.where(given._infinite(), endless.where(endless.where(given, 0).exp(), result))
        return result.cast(self._floating().dtype)

    def _log_gamma_from_half(self, log: Callable[[Self], Self]) -> Self:
        """log(gamma(x)) of float64 numbers from 1/2 on, by the logarithm given."""
        small, z = self._raised()
        series = [float(b / (2 * k * (2 * k - 1))) for k, b in enumerate(_bernoulli(_TERMS), start=1)]
        inverse = 1 / z
        result = (z - 0.5) * (log(z) - 1) + (0.5 * math.log(2 * math.pi) - 0.5)
        result = result + inverse * inverse.square()._polynomial(series[::-1])
        product = low = small.where(self, 1)
        for i in range(1, _SHIFT):
            product = product * (low + i)
        return small.where(result - log(product), result)

    def _infinite(self) -> Self:
        """Infinity at 0, -1, -2, ... and -inf with the slope lgamma() has there: -1/x at 0, elsewhere NaN."""
        zero = self.eq(0)
        low = (self < 0).where(self, -0.5)
        distance = low.isfinite().where(low - low.round(), 1 / low)
        return zero.where(-zero.where(self, 1).log(), -distance.square().log())

    @composite
    def digamma(self) -> Self:
        """The derivative of lgamma(); NaN at -1, -2, ..., infinite at 0."""
        x = self._floating()._precise()
        mirrored, y, distance = x._mirrored()
        small, z = y._raised()
        series = [float(b / (2 * k)) for k, b in enumerate(_bernoulli(_TERMS), start=1)]
        square = (1 / z).square()
        result = z.log() - 0.5 / z - square * square._polynomial(series[::-1])
        low = small.where(y, 1)
        steps = 1 / low
        for i in range(1, _SHIFT):
            steps = steps + 1 / (low + i)
        result = small.where(result - steps, result)
        pole = distance.eq(0)
        angle = pole.where(0.5, distance) * math.pi
        result = mirrored.where(result - math.pi * angle.cos() / angle.sin(), result)
        poles = (pole & x.ne(0)).where(distance, 1)
        result = pole.where(math.nan - 1 / poles, result)  # there is no value, but an infinite slope
        return x.eq(0).where(-1 / x, result).cast(self._floating().dtype)

    @composite
    def polygamma(self, n: int) -> Self:
        """The n-th derivative of digamma().

        raises ArgumentError for n < 0
        """
        if n < 0:
            raise ArgumentError(f"polygamma() takes an order n >= 0, got {n}")
        if n == 0:
            return self.digamma()
        x = self._floating()._precise()
        mirrored, y, distance = x._mirrored()
        result = (-1) ** (n + 1) * math.factorial(n) * y._hurwitz(n + 1)
        pole = distance.eq(0)
        angle = pole.where(0.5, distance) * math.pi
        cotangent = angle.cos() / angle.sin()
        reflected = -(math.pi ** (n + 1)) * cotangent._polynomial(_cotangent_derivative(n))
        result = mirrored.where(reflected + (-1) ** n * result, result)
        ends = pole.where((-1) ** n * pole.where(distance, 1)._steep(), result)
        return pole.where(math.inf if n % 2 else -math.inf, result)._with_slope_of(ends).cast(self._floating().dtype)

    def _hurwitz(self, s: int) -> Self:
        """The sum of (x + i)^-s for i >= 0, by Euler and Maclaurin, for x >= 1/2 and whole s > 1."""
        small, z = self._raised()
        low = small.where(self, 1)
        total = low**-s
        for i in range(1, _SHIFT):
            total = total + (low + i) ** -s
        series = []
        for k, b in enumerate(_bernoulli(_TERMS), start=1):
            series.append(float(b * math.prod(range(s, s + 2 * k - 1)) / math.factorial(2 * k)))
        inverse = 1 / z
        rest = 0.5 + inverse * inverse.square()._polynomial(series[::-1])
        result = z ** (1 - s) / (s - 1) + rest * z**-s
        return small.where(result + total, result)

    @composite
    def mvlgamma(self, p: int) -> Self:
        """log of the multivariate gamma function of order p, p (p - 1) / 4 log(pi) + sum_j lgamma(x - j / 2), j < p."""
        if p < 1:
            raise ArgumentError(f"mvlgamma() takes an order p >= 1, got {p}")
        x = self._floating()
        result = x.lgamma() + p * (p - 1) / 4 * math.log(math.pi)
        for j in range(1, p):
            result = result + (x - j / 2).lgamma()
        return result

    # The error function and the normal distribution -------------------------------------------------------------

    @composite
    def erfcx(self) -> Self:
        """exp(x^2) (1 - erf(x)), which stays in range for large x."""
        x = self._floating()._precise()
        low, high = x < -_ERF_ENDS, x >= 1
        middle = (low | high).where(0, x)
        usual = middle.square().exp() * (1 - middle.erf())
        inside = low.where(2 * low.where(x, 0).square().exp(), usual)
        return high.where(high.where(x, 1)._scaled_complement(), inside).cast(self._floating().dtype)

    @composite
    def erfc(self) -> Self:
        """1 - erf(x), without cancellation where that is small."""
        x = self._floating()._precise()
        far = x > 1
        large = far.where(x, 1).clamp(max_=30)
        tail = (-large.square()).exp() * large._scaled_complement()
        return far.where(tail, 1 - far.where(1, x).erf()).cast(self._floating().dtype)

    def _scaled_complement(self) -> Self:
        """exp(x^2) (1 - erf(x)) for x >= 1: the trapezoidal rule and the residue at its pole.

        source  Chiarella and Reichel, "On the evaluation of integrals related to the error function", 1968
        """
        square = self.square()
        total = 1 / square
        for k in range(1, 14):
            total = total + 2 * math.exp(-((k * _STEP) ** 2)) / (square + (k * _STEP) ** 2)
        near = self < 2 * math.pi
        bounded = near.where(self, 1)
        residue = 2 * bounded.square().exp() / (1 - (bounded * (2 * math.pi / _STEP)).exp())
        result = self * total * (_STEP / math.pi) + near.where(residue, 0)
        return self.isinf().where(0, result)

    @composite
    def erfinv(self) -> Self:
        """The inverse of erf(): infinite at -1 and 1, NaN outside.

        >>> Tensor([0.5]).erfinv().erf().tolist()
        [0.5]
        """
        x = self._floating()._precise()
        tail = (x < 0).where(1 + x, 1 - x) * 0.5
        return ((x * 0.5)._normal_quantile(tail) * math.sqrt(0.5)).cast(self._floating().dtype)

    def _normal_quantile(self, tail: Self) -> Self:
        """The number normal numbers lie below with probability 1/2 + self, which is `tail` away from 0 or 1."""
        middle = self.abs() <= 0.425
        ends = tail.eq(0)
        near = middle.where(self, 0)
        central = near * (0.180625 - near.square())._ratio(0)
        depth = (-(middle | ends).where(0.25, tail).log()).sqrt()
        far = depth > 5
        outer = far.where((depth - 5)._ratio(2), (depth - 1.6)._ratio(1))
        outer = ends.where(0.5 / ends.where(tail, 1), outer)  # at an end infinite, and of infinite slope
        return middle.where(central, (self < 0).where(-outer, outer))

    def _ratio(self, part: int) -> Self:
        above, below = _QUANTILE[part]
        return self._polynomial(above) / self._polynomial(below)

    @composite
    def ndtr(self) -> Self:
        """The probability that a normal number is below x."""
        return 0.5 * (self._floating() * -math.sqrt(0.5)).erfc()

    @composite
    def ndtri(self) -> Self:
        """The inverse of ndtr(): infinite at 0 and 1, NaN outside."""
        p = self._floating()._precise()
        tail = (p > 0.5).where(1 - p, p.eq(0).where(1 - (1 - p), p))  # the zero without a sign
        return (p - 0.5)._normal_quantile(tail).cast(self._floating().dtype)

    @composite
    def log_ndtr(self) -> Self:
        """log(ndtr(x)), accurate for large negative x."""
        x = self._floating()._precise()
        below = x < -1
        tail = below.where(x, -1) * -math.sqrt(0.5)
        far = (tail.erfcx() * 0.5).log() - tail.square()
        near = (-0.5 * (below.where(0, x) * math.sqrt(0.5)).erfc()).log1p()
        return below.where(far, near).cast(self._floating().dtype)

    # Bessel functions -------------------------------------------------------------------------------------------

    def _bessel(self, order: int, scaled: bool) -> Self:
        """The modified Bessel function of the first kind of order 0 or 1, times exp(-|x|) if scaled."""
        x = self._floating()._precise()
        magnitude = x.abs()
        large = magnitude > _BESSEL_LARGE
        low, high = large.where(0, x), large.where(magnitude, _BESSEL_LARGE)
        powers = [1 / (math.factorial(k) * math.factorial(k + order)) for k in range(_BESSEL_TERMS)]
        near = (low * low * 0.25)._polynomial(powers[::-1]) * ((low * 0.5) if order else 1)
        factors = [1.0]
        for k in range(1, _BESSEL_LARGE_TERMS):
            factors.append(-factors[-1] * (4 * order**2 - (2 * k - 1) ** 2) / (8 * k))
        far = (1 / high)._polynomial(factors[::-1]) * (high * (2 * math.pi)).rsqrt()
        far = (x < 0).where(-far, far) if order else far
        if scaled:
            near = near * (-low.abs()).exp()
        else:
            root = (high * 0.5).exp()
            far = far * root * root
        return large.where(far, near).cast(self._floating().dtype)

    @composite
    def i0(self) -> Self:
        """The modified Bessel function of the first kind of order 0."""
        return self._bessel(0, False)

    @composite
    def i0e(self) -> Self:
        """exp(-|x|) i0(x)."""
        return self._bessel(0, True)

    @composite
    def i1(self) -> Self:
        """The modified Bessel function of the first kind of order 1."""
        return self._bessel(1, False)

    @composite
    def i1e(self) -> Self:
        """exp(-|x|) i1(x)."""
        return self._bessel(1, True)

    # Logarithms -------------------------------------------------------------------------------------------------

    @composite
    def xlog1py(self, other: Operand) -> Self:
        """self * log(1 + other), 0 where self is 0 unless other is NaN."""
        x, y = self._both_floating(other)
        beyond = x.eq(0) & (y <= -1)
        return x._times_logarithm(beyond.where(0, y).log1p())

    @composite
    def entr(self) -> Self:
        """-x log(x): 0 at 0, -inf below."""
        x = self._floating()
        zero, endless = x.eq(0), x.isinf()
        plain = (zero | endless).where(1, x)
        slope = zero.where(zero.where(x, 1)._steep(), endless.where(-x.square(), -plain * plain.log()))
        below = x < 0
        return below.where(-math.inf, slope)._with_slope_of(below.where(below.where(x, 1).sqrt(), slope))


def _cotangent_derivative(n: int) -> list[int]:
    """The n-th derivative of the cotangent as a polynomial in the cotangent, highest power first."""
    lowest_first = [0, 1]
    for _ in range(n):
        slope = [k * c for k, c in enumerate(lowest_first)][1:]
        lowest_first = [-(a + b) for a, b in zip([*slope, 0, 0], [0, 0, *slope])]
    return lowest_first[::-1]
