"""Logarithm, exponential function and sine that are the same to the last digit on every device.

Comes in: float32 and float64 tensors.  Goes out: tensors of the same type.  They are sums and products, which round
alike everywhere, where each device's own functions differ in the last digit; those of float64 divide too.  Random
numbers are computed with them.  Gradients do not flow through them.
"""

from __future__ import annotations

import math
from typing import Final, NamedTuple, Self

from codegen.dtypes import DType, dtypes
from kernelforge.tensor.composite import composite
from kernelforge.tensor.pooling import Pooling


class _Kind(NamedTuple):
    """What the functions of one float type need; polynomials from the highest power down.

    word             the integer type of the same width
    digits, bias     the bits of the fraction that are stored, and what is added to exponents
    half             the bits of the square root of 1/2
    high, low        log(2) as a sum of two numbers, the first so short that products with exponents are exact
    logarithm        see `_log_alike`
    exponential      (exp(r) - 1 - r) / r^2 for |r| up to log(2) / 2
    sine             sin(2 pi w) / w of w^2, for |w| up to 1/4
    least, greatest  exponents whose exp() is 0 and infinity, and all between them
    """

    word: DType
    digits: int
    bias: int
    half: int
    high: float
    low: float
    logarithm: tuple[float, ...]
    exponential: tuple[float, ...]
    sine: tuple[float, ...]
    least: float
    greatest: float


# The polynomials are weighted minimax fits (least squares on Chebyshev nodes, reweighted) whose coefficients were
# rounded one by one, each before the next was fitted.
_KINDS: Final[dict[DType, _Kind]] = {
    dtypes.float32: _Kind(
        dtypes.int32, 23, 127, 0x3F3504F3, 0.693359375, -2.12194440e-4,
        (0.0673150867, -0.116598547, 0.118863821, -0.124083176, 0.142202288, -0.166678503, 0.20002073, -0.250000119,
         0.333333135),
        (0.00139374926, 0.00836895127, 0.0416664369, 0.166665182, 0.5),
        (39.13364, -76.496025, 81.59865, -41.341618, 6.283185),
        -104.0, 89.0,
    ),
    dtypes.float64: _Kind(
        dtypes.int64, 52, 1023, 0x3FE6A09E667F3BCD, 0.693147180369123816490, 1.90821492927058770002e-10,
        (0.14795579045098425, 0.1531409019094441, 0.1818356264833942, 0.22222198608730817, 0.2857142874199674,
         0.3999999999941674, 0.6666666666666734),
        (2.0919687267105448e-09, 2.5112696692523762e-08, 2.7557258688155937e-07, 2.7557232758521537e-06,
         2.4801587341080585e-05, 0.00019841269898761187, 0.0013888888888877312, 0.008333333333315925,
         0.04166666666666668, 0.16666666666666685, 0.5),
        (1.8083531052162949, -0.4090694240510501, -0.6577766594851554, 3.816123692392336, -15.094500824054274,
         42.05869085669214, -76.70585971515534, 81.60524927584062, -41.341702240399194, 6.283185307179586),
        -746.0, 710.0,
    ),
}  # fmt: skip


class Alike(Pooling):
    """Functions that random numbers are computed with."""

    __slots__ = ()

    @composite
    def _log_alike(self) -> Self:
        """The natural logarithm of finite numbers above 0 that are not too small to have all their digits.

        x = 2^k (1 + f) with 1 + f between the square roots of 1/2 and 2, log(x) = k log(2) + log(1 + f), and
        float32: log(1 + f) = f - f^2 / 2 + f^3 p(f); float64: = 2 s + s^3 p(s^2) of s = f / (2 + f)
        """
        kind = _KINDS[self.dtype]
        shifted = self.bitcast(kind.word) + ((kind.bias << kind.digits) - kind.half)
        k = (shifted.rshift(kind.digits) - kind.bias).cast(self.dtype)
        f = ((shifted & ((1 << kind.digits) - 1)) + kind.half).bitcast(self.dtype) - 1
        square = f * f
        if self.dtype is dtypes.float32:
            tail = square * (f * f._polynomial(kind.logarithm) - 0.5)
            return k * kind.high + (f + (tail + k * kind.low))
        s = f / (f + 2)
        halved = square * 0.5
        rest = s * (halved + s * s * (s * s)._polynomial(kind.logarithm))
        return k * kind.high + (f - (halved - (rest + k * kind.low)))

    @composite
    def _exp_alike(self) -> Self:
        """exp(x): x = n log(2) + r with whole n, exp(x) = 2^n exp(r), in two steps for the sake of the smallest."""
        kind = _KINDS[self.dtype]
        x = self.clamp(kind.least, kind.greatest)
        n = (x * (1 / math.log(2))).round()
        r = (x - n * kind.high) - n * kind.low
        power = r * r * r._polynomial(kind.exponential) + r + 1
        count = n.cast(kind.word)
        first = count.rshift(1)
        return power * self._power_of_two(first) * self._power_of_two(count - first)

    def _power_of_two(self, exponent: Self) -> Self:
        """2 to the power of exponents that this tensor's type has for its usual numbers, in that type."""
        kind = _KINDS[self.dtype]
        return (exponent + kind.bias).lshift(kind.digits).bitcast(self.dtype)

    @composite
    def _sine_of_turn(self) -> Self:
        """sin(2 pi w) for w from -1/4 to 1/4."""
        return self * (self * self)._polynomial(_KINDS[self.dtype].sine)

    def _quotient_alike(self, divisor: Self) -> Self:
        """self / divisor: of float32 the float64 quotient, rounded; it is what exact division gives."""
        return (self.double() / divisor.double()).cast(self.dtype)

    @composite
    def _log1p_alike(self) -> Self:
        """log(1 + x) for x above -1 and up to 1, with what 1 + x has lost put right."""
        total = 1 + self
        kept = total - 1
        whole = kept.eq(0)
        return whole.where(self, total._log_alike() * (self / whole.where(1, kept)))

    @composite
    def _log_of_factorial(self) -> Self:
        """log(k!) of float64 numbers from 0 on."""
        return (self + 1)._log_gamma_from_half(type(self)._log_alike)
