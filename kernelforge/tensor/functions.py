"""Functions of each element: exponentials, logarithms, trigonometry.

Comes in: tensors; integers are taken as the default float type.  Goes out: tensors of the same shape.  Composites are
written in terms of scalar operations so that neither they nor their gradients overflow where the result is finite.
"""

from __future__ import annotations

import math
from typing import Self

from kernelforge import graph
from kernelforge.tensor.composite import composite
from kernelforge.tensor.elementwise import Elementwise

_LARGE = 20.0  # where exp(-x) is nothing beside exp(x)
FAR = 80.0  # exponents beyond are shifted by SHIFT, without loss, so that exp stays in its range
SHIFT = 32.0
_BITS = {8: "int8", 16: "int16", 32: "int32", 64: "int64"}  # types as wide as a float, by their bits


class Functions(Elementwise):
    """Mathematical functions of one value."""

    __slots__ = ()

    def _function(self, op: str) -> Self:
        return self._derived(graph.elementwise(op, self._floating()._node))

    @composite
    def exp(self) -> Self:
        """e to the power of each value."""
        return self._unary("exp")

    @composite
    def exp2(self) -> Self:
        """2 to the power of each value."""
        return self._unary("exp2")

    @composite
    def expm1(self) -> Self:
        """exp(self) - 1, accurate near zero."""
        return self._unary("expm1")

    @composite
    def log(self) -> Self:
        """The natural logarithm."""
        return self._unary("log")

    @composite
    def log2(self) -> Self:
        """The logarithm to base 2."""
        return self._unary("log2")

    @composite
    @composite
    def log10(self) -> Self:
        """The logarithm to base 10."""
        return self._unary("log2") * math.log10(2)

    @composite
    def log1p(self) -> Self:
        """log(1 + self), accurate near zero."""
        return self._unary("log1p")

    @composite
    def sqrt(self) -> Self:
        """The square root."""
        return self._unary("sqrt")

    @composite
    def rsqrt(self) -> Self:
        """1 / sqrt(self)."""
        return self._unary("rsqrt")

    @composite
    def sin(self) -> Self:
        """The sine of an angle in radians."""
        return self._unary("sin")

    @composite
    def cos(self) -> Self:
        """The cosine of an angle in radians."""
        return self._unary("cos")

    @composite
    def tan(self) -> Self:
        """The tangent of an angle in radians."""
        return self.sin() / self.cos()

    @composite
    def sinh(self) -> Self:
        """The hyperbolic sine."""
        x = self._floating()
        large = x.abs() > _LARGE
        small = large.where(0, x)
        usual = (small.expm1() - (-small).expm1()) * 0.5
        return large.where((x > 0).where(x._half_exponential(), -(-x)._half_exponential()), usual)

    @composite
    def cosh(self) -> Self:
        """The hyperbolic cosine."""
        x = self._floating()
        size = (x < 0).where(-x, x)
        large = size > _LARGE
        grown = large.where(0, size).expm1()
        return large.where(size._half_exponential(), 1 + grown * grown * 0.5 / (1 + grown))

    def _half_exponential(self) -> Self:
        """exp(self) / 2, which may be finite where exp(self) is not, for self >= 0."""
        far = self > FAR
        half = far.where(self - SHIFT, self).exp() * 0.5
        return far.where(half * math.exp(SHIFT), half)

    @composite
    def tanh(self) -> Self:
        """The hyperbolic tangent."""
        return self._unary("tanh")

    def erf(self) -> Self:
        """The error function."""
        return self._unary("erf")

    def _with_slope_of(self, other: Self) -> Self:
        """These values, which to differentiation are those of other."""
        return other._derived(graph.surrogate(self.detach()._node, other._node)) if other._tracked else self

    def _in_steps_of(self, other: Self) -> Self:
        """These values, which to differentiation depend on another float's, with slope 0: they change in steps."""
        return self._with_slope_of(self + other.floor()) if other._tracked else self

    @composite
    def sign(self) -> Self:
        """-1, 0 or 1 by the sign of each value; NaN stays NaN. Its gradient is zero."""
        x = self.detach()
        if self.dtype.kind in "bu":
            return x.ne(0).cast(self.dtype)
        found = (x > 0).where(1, (x < 0).where(-1, x.isnan().where(x, 0))).cast(self.dtype)
        return found._in_steps_of(self)

    def _steep(self) -> Self:
        """0 at 0, with infinite slope there."""
        return (1 - self).acos()

    def _power_from_zero(self, exponent: float) -> Self:
        """A power of values that are at least 0, with gradient 0 at 0 where a root's would be infinite."""
        zero = self.eq(0)
        return zero.where(0, zero.where(1, self) ** exponent)

    @composite
    def logit(self, eps: float | None = None) -> Self:
        """log(x / (1 - x)), the inverse of sigmoid(), for x limited to eps .. 1 - eps if that is given."""
        x = self._floating() if eps is None else self._floating().clamp(eps, 1 - eps)
        inside, outside = (x > 0) & (x < 1), (x < 0) | (x > 1)
        odds, end = inside.where(x, 0.5), (inside | outside).where(0.5, x)
        ends = outside.where(outside.where(x, 0) * math.nan, end.log() - (-end).log1p())
        return inside.where((odds / (1 - odds)).log(), ends)

    @composite
    def sinc(self) -> Self:
        """sin(pi x) / (pi x), 1 at 0."""
        angle = self._floating() * math.pi
        zero = (angle * angle).eq(0)
        angle = zero.where(1, angle)
        return zero.where(1, angle.sin() / angle)

    @composite
    def deg2rad(self) -> Self:
        """An angle in degrees as one in radians."""
        return self._floating() * (math.pi / 180)

    @composite
    def rad2deg(self) -> Self:
        """An angle in radians as one in degrees."""
        return self._floating() * (180 / math.pi)

    # Parts and signs --------------------------------------------------------------------------------------------

    def frac(self) -> Self:
        """What truncation takes away, with the sign of the value."""
        return self - self.trunc()

    def signbit(self) -> Self:
        """True where the sign's bit is set: of negative values, negative zeros, and of NaN that has one."""
        if not self.dtype.is_float:
            return self < 0
        return self.detach().bitcast(_BITS[self.dtype.bits]) < 0

    def isposinf(self) -> Self:
        """True where the value is infinite and positive."""
        return self.eq(math.inf)

    def isneginf(self) -> Self:
        """True where the value is infinite and negative."""
        return self.eq(-math.inf)

    @composite
    def nan_to_num(self, nan: float = 0.0, posinf: float | None = None, neginf: float | None = None) -> Self:
        """The values with NaN and the infinities replaced; None stands for the largest finite values of the type."""
        if not self.dtype.is_float:
            return self
        x = self.isposinf().where(self.dtype.largest if posinf is None else posinf, self)
        x = self.isneginf().where(-self.dtype.largest if neginf is None else neginf, x)
        return self.isnan().where(nan, x)

    # Inverse functions ------------------------------------------------------------------------------------------

    @composite
    def asin(self) -> Self:
        """The angle in radians whose sine is each value."""
        return self._unary("asin")

    @composite
    def acos(self) -> Self:
        """The angle in radians whose cosine is each value."""
        return self._unary("acos")

    @composite
    def atan(self) -> Self:
        """The angle in radians whose tangent is each value."""
        return self._unary("atan")

    @composite
    def asinh(self) -> Self:
        """The inverse of sinh."""
        return self._unary("asinh")

    @composite
    def acosh(self) -> Self:
        """The inverse of cosh."""
        return self._unary("acosh")

    @composite
    def atanh(self) -> Self:
        """The inverse of tanh."""
        x = self._floating()
        return (x.log1p() - (-x).log1p()) * 0.5
