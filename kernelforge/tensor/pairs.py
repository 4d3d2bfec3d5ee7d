"""Functions of two values, and sums of products.

Comes in: tensors and numbers; integers are taken as the default float type where the result has fractions.  Goes out:
tensors of the broadcast shape.  Neither they nor their gradients overflow where the result is finite.
"""

from __future__ import annotations

import math
from typing import Self

from codegen.dtypes import dtypes, promote
from kernelforge import graph
from kernelforge.errors import DTypeError
from kernelforge.tensor.composite import composite
from kernelforge.tensor.core import Core, Operand
from kernelforge.tensor.functions import Functions


class Pairs(Functions):
    """Mathematical functions of two values."""

    __slots__ = ()

    def _both(self, other: Operand) -> tuple[Self, Self]:
        """This tensor and other in one shape and dtype."""
        a, b, _ = self._operands(other, False)
        return self._derived(a), self._as_tensor(other)._derived(b)

    def _both_floating(self, other: Operand) -> tuple[Self, Self]:
        x, y = self._both(other)
        return x._floating(), y._floating()

    def copysign(self, other: Operand) -> Self:
        """The magnitude of self with the sign of other; the sign of a zero counts."""
        x, source = self._both_floating(other)
        magnitude = x.abs()
        return source.signbit().where(-magnitude, magnitude)._in_steps_of(source)

    @composite
    def atan2(self, other: Operand) -> Self:
        """The angle in radians from the x axis to the point with y = self and x = other, from -pi to pi.

        >>> Tensor([1.0, -1.0]).atan2(Tensor([0.0, 0.0])).rad2deg().tolist()
        [90.0, -90.0]
        """
        y, x = self._both_floating(other)
        below, behind = y.signbit(), x.signbit()
        height, width = below.where(-y, y), behind.where(-x, x)
        steep = height > width
        larger, smaller = steep.where(height, width), steep.where(width, height)
        undefined = larger.eq(smaller) & (larger.eq(0) | larger.isinf())
        ratio = undefined.where(larger.ne(0).cast(larger.dtype), smaller / undefined.where(1, larger))
        angle = ratio.atan()
        angle = steep.where(math.pi / 2 - angle, angle)
        angle = behind.where(math.pi - angle, angle)
        return below.where(-angle, angle)

    @composite
    def hypot(self, other: Operand) -> Self:
        """sqrt(self^2 + other^2), without overflow."""
        x, y = self._both_floating(other)
        largest = x.abs().maximum(y.abs()).detach()
        infinite = x.isinf() | y.isinf()
        scale = (infinite | largest.eq(0)).where(1, largest)
        length = ((x / scale).square() + (y / scale).square())._power_from_zero(0.5) * scale
        return infinite.where(math.inf, length)

    @composite
    def xlogy(self, other: Operand) -> Self:
        """self * log(other), 0 where self is 0 unless other is NaN."""
        x, y = self._both_floating(other)
        beyond = x.eq(0) & (y <= 0)
        return x._times_logarithm(beyond.where(1, y).log())

    def _times_logarithm(self, logarithm: Self) -> Self:
        """self * logarithm, 0 where self is 0 unless logarithm is NaN."""
        product = self * logarithm
        return (self.eq(0) & logarithm.isinf()).where(0, product)._with_slope_of(product)

    @composite
    def heaviside(self, values: Operand) -> Self:
        """The step function: 0 below 0, 1 above, values at 0."""
        x, y = self._both(values)
        return x.eq(0).where(y, (x > 0).cast(x.dtype))

    def float_power(self, exponent: Operand) -> Self:
        """self to the power of exponent, in float64, or in complex128 if one is complex."""
        other = exponent.dtype if isinstance(exponent, Functions) else None
        kind = dtypes.complex128 if self.dtype.is_complex or (other and other.is_complex) else dtypes.float64
        if isinstance(exponent, complex):
            kind = dtypes.complex128
        return self.cast(kind).pow(exponent.cast(kind) if isinstance(exponent, Functions) else exponent)

    @composite
    def fmax(self, other: Operand) -> Self:
        """The larger of both; the other one where one is NaN.  Of two equal ones the first has the gradient."""
        x, y = self._both(other)
        return ((x >= y) | y.isnan()).where(x, y)

    @composite
    def fmin(self, other: Operand) -> Self:
        """The smaller of both; the other one where one is NaN.  Of two equal ones the first has the gradient."""
        x, y = self._both(other)
        return ((x <= y) | y.isnan()).where(x, y)

    @composite
    def logaddexp(self, other: Operand) -> Self:
        """log(exp(self) + exp(other)) without overflow."""
        if self.dtype.is_complex or (isinstance(other, Core) and other.dtype.is_complex):
            return self._complex_logaddexp(other)
        x, y = self._both_floating(other)
        larger, smaller = x.maximum(y), x.minimum(y)
        equal = larger.eq(smaller)
        gap = equal.where(0, smaller - equal.where(0, larger))
        return larger + equal.where(math.log(2), gap.exp().log1p())

    def _part(self, which: str) -> Self:
        """The "real" or "imag" parts of complex numbers."""
        return self._derived(graph.part(self._node, which))

    def _complex_logaddexp(self, other: Operand) -> Self:
        """logaddexp() of complex numbers, by the one with the larger real part."""
        x, y = self._both(other)
        behind = x._part("real") < y._part("real")
        larger, smaller = behind.where(y, x), behind.where(x, y)
        gone = smaller._part("real").eq(-math.inf)
        return gone.where(larger, larger + (gone.where(0, smaller) - gone.where(0, larger)).exp().log1p())

    @composite
    def logaddexp2(self, other: Operand) -> Self:
        """log2(2^self + 2^other) without overflow."""
        x, y = self._both_floating(other)
        return (x * math.log(2)).logaddexp(y * math.log(2)) / math.log(2)

    @composite
    def gcd(self, other: Operand) -> Self:
        """The greatest common divisor of integers, at least 0; that of x and 0 is |x|.

        >>> Tensor([12, -9]).gcd(Tensor([18, 0])).tolist()
        [6, 9]
        """
        a, b = self._both(other)
        if not a.dtype.is_int:
            raise DTypeError(f"gcd and lcm are not defined for {a.dtype}; cast() to an integer first")
        a, b = a.abs(), b.abs()
        for _ in range(3 * a.dtype.bits // 2):  # neighbouring Fibonacci numbers take the most steps
            ended = b.eq(0)
            a, b = ended.where(a, b), ended.where(0, a % b)
        return a

    @composite
    def lcm(self, other: Operand) -> Self:
        """The least common multiple of integers; 0 with 0."""
        a, b = self._both(other)
        return a.abs() // a.gcd(b) * b.abs()

    def ldexp(self, exponent: Operand) -> Self:
        """self * 2^exponent, in this tensor's type, or that of both where exponents have fractions."""
        power = self._as_tensor(exponent)
        kind = promote(self.dtype, power.dtype) if power.dtype.is_inexact else self._floating().dtype
        power = power.cast(kind) if power.dtype.is_inexact else power
        return (self.cast(kind) * power.exp2()).cast(kind)

    @composite
    def addcmul(self, tensor1: Operand, tensor2: Operand, *, value: float = 1) -> Self:
        """self + value * tensor1 * tensor2."""
        return self + value * self._as_tensor(tensor1) * tensor2

    @composite
    def addcdiv(self, tensor1: Operand, tensor2: Operand, *, value: float = 1) -> Self:
        """self + value * tensor1 / tensor2."""
        return self + value * self._as_tensor(tensor1).div(tensor2)
