"""Elementwise arithmetic, comparison, selection and the operators that spell them.

Comes in: tensors, Python scalars and NumPy arrays.  Goes out: tensors of the broadcast shape and the promoted type.
A Python scalar takes the type of the tensor beside it where that can hold it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any, Self, overload

import numpy as np

from codegen.dtypes import dtypes, promote
from kernelforge import graph
from kernelforge.errors import ArgumentError, DivisionError, DTypeError
from kernelforge.native import compiled
from kernelforge.tensor.bits import Bits
from kernelforge.tensor.broadcasting import broadcast
from kernelforge.tensor.comparing import COMPARISONS, are_mixed, beyond, mixed
from kernelforge.tensor.composite import composite, is_spelling, of_tensors
from kernelforge.tensor.core import Core, Operand, broadcasts, narrow_type
from kernelforge.tensor.spent import either
from kernelforge.tensor.storage import pinned

_LOGICAL = {"add": "or", "mul": "and", "sub": "sub"}
_UNLIKE = {
    "div": "_dividing", "mod": "_remaining", "shl": "_shifting", "shr": "_shifting",
    **dict.fromkeys(("and", "or", "xor"), "_of_bits"),
}  # fmt: skip
"""Operations that not all types have, or that change their operands' types, and what then becomes of these."""

_LARGEST_UNROLLED_POWER = 16
ROUNDINGS = frozenset(("floor", "ceil", "trunc", "round"))


class Elementwise(Bits):
    """Operations that compute each element of the result from the elements at the same place."""

    __slots__ = ()

    # Arithmetic -------------------------------------------------------------------------------------------------

    if TYPE_CHECKING or compiled is None:  # else in native/tensors.c, which leaves what is not usual to the next one

        def _arithmetic(self, op: str, other: Operand, reverse: bool) -> Self:
            return self._any_arithmetic(op, other, reverse)

        def _unary(self, op: str) -> Self:
            return self._any_unary(op)

    def _any_unary(self, op: str) -> Self:
        """An operation on this tensor alone, of a type it may have to be converted from first."""
        if op in ("neg", "abs"):
            return self._derived(graph.elementwise(op, self._node))
        return self._rounding(op) if op in ROUNDINGS else self._function(op)  # type: ignore[attr-defined]

    def _any_arithmetic(self, op: str, other: Operand, reverse: bool) -> Self:
        if isinstance(other, Core):
            a, b = self._node, other._node
            if a.shape != b.shape:
                return _broadcasting(op, reverse)(self, other)
            if a.dtype is b.dtype and graph.gives(op, a.dtype):
                node = graph.binary(op, b, a) if reverse else graph.binary(op, a, b)
                tracked = None if op in COMPARISONS else either(self._tracked, other._tracked)
                return self._wrap(node, tracked, 3)
        elif graph.gives(op, self._node.dtype) and (number := graph.beside(op, other, self._node)) is not None:  # type: ignore[arg-type]
            a = self._node
            node = graph.binary(op, number, a) if reverse else graph.binary(op, a, number)
            return self._wrap(node, None if op in COMPARISONS else self._tracked, 3)
        return self._combined(op, other, reverse)

    def _combined(self, op: str, other: Operand, reverse: bool) -> Self:
        """An operation on operands of any shapes and types."""
        if op in COMPARISONS and (found := self._compared(op, other, reverse)) is not None:
            return self._wrap(found, None, 2)
        a, b, tracked = self._operands(other, reverse)
        if a.dtype is dtypes.bool and op in _LOGICAL:
            if op == "sub":
                raise DTypeError("- is not defined for bool tensors; use ^ or logical_not(), or cast() to a number")
            op = _LOGICAL[op]
        elif op in _UNLIKE:
            a, b = getattr(self, _UNLIKE[op])(op, a, b, other, reverse)
        return self._wrap(graph.elementwise(op, a, b), None if op in COMPARISONS else tracked, 2)

    def _compared(self, op: str, other: Operand, reverse: bool) -> graph.Node | None:
        """A comparison of integers that no type of integers holds; None for others."""
        if isinstance(other, Core):
            if not are_mixed(self.dtype, other.dtype):
                return None
            a, b = broadcast(self._node, other._node)
            return mixed(op, b, a) if reverse else mixed(op, a, b)
        if not isinstance(other, int | np.integer):
            return None
        truth = beyond(op, int(other), self.dtype, reverse)
        return None if truth is None else pinned(graph.full(self.shape, truth, dtypes.bool), self._node.device)

    def _dividing(
        self, op: str, a: graph.Node, b: graph.Node, other: Operand, reverse: bool
    ) -> tuple[graph.Node, graph.Node]:
        """The operands of a true division, which are floats; a number 16-bit floats are divided by has all digits."""
        if a.dtype.is_narrow_float and isinstance(other, int | float) and not reverse:
            b = graph.factor(a.shape, other, a.dtype)
        if not a.dtype.is_inexact:
            a, b = graph.cast(a, dtypes.default_float), graph.cast(b, dtypes.default_float)
        return a, b

    def _remaining(
        self, op: str, a: graph.Node, b: graph.Node, other: Operand, reverse: bool
    ) -> tuple[graph.Node, graph.Node]:
        """The operands of a remainder, which are numbers."""
        if a.dtype is dtypes.bool:
            raise DTypeError("% is not defined for bool tensors; cast() to an integer first")
        return a, b

    def add(self, other: Operand, reverse: bool = False, *, alpha: float = 1) -> Self:
        """The sum self + alpha * other; logical or for two bool tensors.

        raises DTypeError for an alpha that is none of the result's kind of number
        """
        return self._arithmetic("add", self._times(other, alpha), reverse)

    def _times(self, other: Operand, alpha: complex) -> Operand:
        """other times alpha, a number of the kind of numbers that both are."""
        if alpha == 1 and type(alpha) is int:
            return other
        if type(alpha) is float and isinstance(other, Core) and other.dtype is self.dtype and self.dtype.is_float:
            return other * alpha  # type: ignore[operator]
        y = self._as_tensor(other)
        kind = promote(self.dtype, y.dtype)
        fits = kind.is_complex or (kind.is_float and not isinstance(alpha, bool | complex))
        if not fits and not (isinstance(alpha, int) and (kind is dtypes.bool or not isinstance(alpha, bool))):
            raise DTypeError(f"alpha={alpha!r} beside {self.dtype} and {y.dtype}: it is of the result's, {kind}")
        return y & bool(alpha) if kind is dtypes.bool else y * alpha

    def sub(self, other: Operand, reverse: bool = False, *, alpha: float = 1) -> Self:
        """The difference self - alpha * other, or other - alpha * self if reverse."""
        if not reverse:
            return self._arithmetic("sub", self._times(other, alpha), False)
        return self._arithmetic("sub", other, True) if alpha == 1 else (self * alpha).sub(other, reverse)

    def mul(self, other: Operand, reverse: bool = False) -> Self:
        """The product of both; logical and for two bool tensors."""
        return self._arithmetic("mul", other, reverse)

    def div(self, other: Operand, reverse: bool = False, rounding_mode: str | None = None) -> Self:
        """The quotient self / other.

        rounding_mode   None: true division, integers become floats; "trunc": towards zero; "floor": down

        An integer rounded after division by a zero in a tensor is 0, as in NumPy.

        raises ZeroDivisionError when integers are divided by the number 0 and rounded
        """
        if rounding_mode is None:
            return self._arithmetic("div", other, reverse)
        if not reverse:
            self._check_divisor(other)
        a, b, tracked = self._operands(other, reverse)
        if rounding_mode not in ("trunc", "floor"):
            raise ArgumentError(f"rounding_mode is None, 'trunc' or 'floor', got {rounding_mode!r}")
        if a.dtype.is_int:
            down = self._wrap(graph.elementwise("floordiv", a, b), tracked)
            if rounding_mode == "floor" or a.dtype.kind == "u":
                return down
            left, right = self._wrap(a, tracked), self._wrap(b, tracked)
            inexact = ((left < 0) ^ (right < 0)) & (left % right).ne(0)
            return down + inexact.cast(a.dtype)
        if not a.dtype.is_inexact:
            a, b = graph.cast(a, dtypes.default_float), graph.cast(b, dtypes.default_float)
        quotient = self._wrap(graph.elementwise("div", a, b), tracked)
        if rounding_mode == "floor":
            return quotient._floor_of_exact(self._wrap(a, tracked), self._wrap(b, tracked))
        return quotient.trunc()

    def _floor_of_exact(self, a: Self, b: Self) -> Self:
        """The floor of a / b before rounding makes it this tensor: 1.0 // 0.1 is 9, though 1.0 / 0.1 is 10.

        A zero has the quotient's sign: -0.0 // 2 is -0.0.
        """
        rest = a.fmod(b)
        below = rest.ne(0) & ((rest < 0) ^ (b < 0))
        whole = ((a - rest) / b).round() - below.cast(a.dtype)
        return b.eq(0).where(self.floor(), whole.copysign(self))  # type: ignore[attr-defined]

    def _check_divisor(self, other: Operand) -> None:
        """raises ZeroDivisionError when other is the number 0 and this tensor has no floats, which could be infinite"""
        if isinstance(other, Core) or self.dtype.is_float:
            return
        if isinstance(other, int | np.integer) and other == 0:
            raise DivisionError(f"division of a tensor of {self.dtype} by 0: only floats have infinity; cast()")

    def mod(self, other: Operand, reverse: bool = False) -> Self:
        """The remainder of floor division; it has the sign of the divisor, as in Python.

        An integer's remainder of division by a zero in a tensor is 0, as in NumPy.

        raises ZeroDivisionError when integers are divided by the number 0
        """
        if not reverse:
            self._check_divisor(other)
        return self._arithmetic("mod", other, reverse)

    @of_tensors
    def fmod(self, other: Operand) -> Self:
        """The remainder of truncating division; it has the sign of the dividend, as in C; see mod() for zeros."""
        self._check_divisor(other)
        a, b, tracked = self._operands(other, False)
        x, y = self._wrap(a, tracked), self._wrap(b, tracked)
        if not a.dtype.is_float:
            rest = x.mod(y)
            return (rest.ne(0) & ((rest < 0) ^ (x < 0))).where(rest - y, rest)
        negative = x.detach().bitcast(f"int{x.dtype.bits}") < 0  # so is a zero whose sign the remainder has
        rest = negative.where(-x, x).mod((y < 0).where(-y, y))
        return negative.where(-rest, rest)

    @of_tensors
    def maximum(self, other: Operand) -> Self:
        """The larger of both at each place; NaN where either is NaN."""
        return self._arithmetic("max", other, False)

    @of_tensors
    def minimum(self, other: Operand) -> Self:
        """The smaller of both at each place; NaN where either is NaN."""
        return self._arithmetic("min", other, False)

    def pow(self, exponent: Operand, reverse: bool = False) -> Self:
        """self to the power of exponent; integer tensors stay integers for exponents >= 0.

        Small whole exponents are multiplied out, so they are exact and their gradient has no logarithm.
        """
        if not reverse and isinstance(exponent, int | float) and not isinstance(exponent, bool):
            return self._power_of_scalar(exponent)
        if isinstance(exponent, Core) and self.dtype.is_float and exponent._node.dtype is self.dtype:
            return self._arithmetic("pow", exponent, reverse)
        a, b, tracked = self._operands(exponent, reverse)
        if not a.dtype.is_float:
            return self._wrap(a, tracked)._integer_power(self._wrap(b, tracked))
        return self._wrap(graph.elementwise("pow", a, b), tracked)

    @composite
    def _power_of_scalar(self, exponent: int | float) -> Self:
        if not self.dtype.is_inexact and (isinstance(exponent, float) or exponent < 0):
            if not isinstance(exponent, float):
                raise DTypeError(f"{self.dtype} ** {exponent}: an integer tensor needs an exponent >= 0; use .float()")
            return self._floating()._power_of_scalar(exponent)
        special = {0.5: "sqrt", -0.5: "rsqrt"}.get(float(exponent))
        if special is not None:
            return self._derived(graph.elementwise(special, self._floating()._node))
        whole = float(exponent).is_integer()
        if not self.dtype.is_inexact or (whole and abs(exponent) <= _LARGEST_UNROLLED_POWER):
            power = self._repeated_product(abs(int(exponent)))
            return power.reciprocal() if exponent < 0 else power
        return self._wrap(graph.elementwise("pow", self._node, self._full(float(exponent))), self._tracked)

    def _repeated_product(self, count: int) -> Self:
        """self multiplied with itself count times, by squaring."""
        if count == 0:
            ones = pinned(self._full(1), self._node.device)
            return self._wrap(graph.elementwise("where", self.eq(self)._node, ones, ones), None)  # looks at indices
        base: Self = self if self.dtype is not dtypes.bool else self.cast(dtypes.default_int)
        result: Self | None = None
        while True:
            if count & 1:
                result = base if result is None else result * base
            count >>= 1
            if not count:
                return base if result is None else result
            base = base * base

    def _integer_power(self, exponent: Self) -> Self:
        """self ** exponent for integers, one squaring per bit of the exponent.

        Negative exponents give 0, but of 1 and -1 what they give of floats.
        """
        base = self
        if base.dtype is dtypes.bool:
            base, exponent = base.cast(dtypes.default_int), exponent.cast(dtypes.default_int)
        if base.dtype.kind == "u":
            broken = exponent < 0
        else:
            broken = (exponent < 0) & base.ne(1) & base.ne(-1)
        result = base._constant(1)
        for bit in range(base.dtype.bits - (base.dtype.kind == "i")):
            result = (exponent.rshift(bit) & 1).ne(0).where(result * base, result)
            base = base * base
        return broken.where(0, result)

    @composite
    def neg(self) -> Self:
        """The negated values; logical not for bool."""
        return self.logical_not() if self.dtype is dtypes.bool else self._unary("neg")

    @composite
    def abs(self) -> Self:
        """The absolute values."""
        return self if self.dtype.kind in "bu" else self._unary("abs")

    def square(self) -> Self:
        """self * self; truth values are the integers 0 and 1, as in torch."""
        x = self.cast(dtypes.int64) if self.dtype is dtypes.bool else self
        return x * x

    def reciprocal(self) -> Self:
        """1 / self."""
        return self.div(1, reverse=True)

    @composite
    def lerp(self, end: Self, weight: Operand) -> Self:
        """self + (end - self) * weight: self at weight 0, end at weight 1."""
        return self + (end - self) * weight

    # Comparison and selection -----------------------------------------------------------------------------------

    def lt(self, other: Operand) -> Self:
        """True where self < other."""
        return self._arithmetic("lt", other, False)

    def le(self, other: Operand) -> Self:
        """True where self <= other."""
        return self._arithmetic("le", other, False)

    def gt(self, other: Operand) -> Self:
        """True where self > other."""
        return self._arithmetic("lt", other, True)

    def ge(self, other: Operand) -> Self:
        """True where self >= other."""
        return self._arithmetic("le", other, True)

    def eq(self, other: Operand) -> Self:
        """True where both are equal; NaN equals nothing."""
        return self._arithmetic("eq", other, False)

    def ne(self, other: Operand) -> Self:
        """True where both differ."""
        return self._arithmetic("ne", other, False)

    @overload
    def where(self) -> tuple[Self, ...]: ...

    @overload
    def where(self, x: Operand, y: Operand) -> Self: ...

    @composite
    def where(self, x: Operand | None = None, y: Operand | None = None) -> Self | tuple[Self, ...]:
        """x where self is true, else y, all three broadcast together; without both, where self is not zero.

        >>> (Tensor([1, 2, 3]) > 1).where(10, Tensor([4, 5, 6])).tolist()
        [4, 10, 10]
        """
        if x is None and y is None:
            return NotImplemented if is_spelling() else self.nonzero(as_tuple=True)  # type: ignore[attr-defined]
        if x is None or y is None:
            raise ArgumentError("where() takes both x and y, or neither")
        return self._choice(x, y)

    @composite
    def _choice(self, x: Operand, y: Operand) -> Self:
        """`where` of two operands."""
        a, b, tracked = self._pair(x, y)
        condition = graph.cast(self._node, dtypes.bool)
        if condition.shape != a.shape:
            condition, a, b = broadcast(condition, a, b)
        return self._wrap(graph.elementwise("where", condition, a, b), tracked)

    @composite
    def clamp(self, min_: Operand | None = None, max_: Operand | None = None) -> Self:
        """The values limited to at least min_ and at most max_; the gradient at a limit that is a number is 1."""
        if min_ is None and max_ is None:
            raise ArgumentError("clamp() needs min_, max_ or both")
        if any(isinstance(limit, float) and math.isnan(limit) for limit in (min_, max_)):
            return self.detach() * math.nan + self * 0
        result = self._where_a_number()
        if min_ is not None:
            result = result.maximum(min_) if isinstance(min_, Core) else (result < min_).where(min_, result)
        if max_ is not None:
            result = result.minimum(max_) if isinstance(max_, Core) else (result > max_).where(max_, result)
        return result

    def _where_a_number(self) -> Self:
        """The same values, NaN being constants: what limits values has no slope there."""
        return self.isnan().where(self.detach(), self) if self.dtype.is_float else self

    def clamp_min(self, min_: Operand) -> Self:
        """The values limited to at least min_."""
        return self.clamp(min_)

    def clamp_max(self, max_: Operand) -> Self:
        """The values limited to at most max_."""
        return self.clamp(None, max_)

    def clip(self, min_: Operand | None = None, max_: Operand | None = None) -> Self:
        """Another name of clamp()."""
        return self.clamp(min_, max_)

    @composite
    def isnan(self) -> Self:
        """True where the value is NaN."""
        return self.ne(self)

    @composite
    def isinf(self, detect_positive: bool = True, detect_negative: bool = True) -> Self:
        """True where the value is infinite, of the signs asked for."""
        positive, negative = self.eq(math.inf), self.eq(-math.inf)
        return (positive & detect_positive) | (negative & detect_negative)

    @composite
    def isfinite(self) -> Self:
        """True where the value is neither infinite nor NaN."""
        return self._floating().abs() < math.inf

    # Rounding ---------------------------------------------------------------------------------------------------

    def _rounding(self, op: str) -> Self:
        if self.dtype.is_complex:
            raise DTypeError(f"{op} of {self.dtype}: complex numbers are in no order; round the parts, .real and .imag")
        return self._derived(graph.elementwise(op, self._node)) if self.dtype.is_float else self

    def floor(self) -> Self:
        """The largest whole number not above each value."""
        return self._unary("floor")

    def ceil(self) -> Self:
        """The smallest whole number not below each value."""
        return self._unary("ceil")

    def trunc(self) -> Self:
        """Each value rounded towards zero."""
        return self._unary("trunc")

    def round(self, decimals: int = 0) -> Self:
        """Each value rounded to so many decimals, halves to the even digit; to tens, hundreds for negative ones."""
        if not decimals or not self.dtype.is_float:
            return self._unary("round")
        factor = 10.0 ** abs(decimals)
        return (self / factor)._rounding("round") * factor if decimals < 0 else (self * factor).round() / factor

    # Operators --------------------------------------------------------------------------------------------------

    @composite
    def __neg__(self) -> Self:
        return self.neg()

    def __pos__(self) -> Self:
        return self

    @composite
    def __abs__(self) -> Self:
        return self.abs()

    def __add__(self, other: Operand) -> Self:
        return self._arithmetic("add", other, False)

    def __radd__(self, other: Operand) -> Self:
        return self._arithmetic("add", other, True)

    def __sub__(self, other: Operand) -> Self:
        return self._arithmetic("sub", other, False)

    def __rsub__(self, other: Operand) -> Self:
        return self._arithmetic("sub", other, True)

    def __mul__(self, other: Operand) -> Self:
        return self._arithmetic("mul", other, False)

    def __rmul__(self, other: Operand) -> Self:
        return self._arithmetic("mul", other, True)

    def __truediv__(self, other: Operand) -> Self:
        return self._arithmetic("div", other, False)

    def __rtruediv__(self, other: Operand) -> Self:
        return self._arithmetic("div", other, True)

    @composite
    def __floordiv__(self, other: Operand) -> Self:
        return self._rounded_down(other, False)

    @composite
    def __rfloordiv__(self, other: Operand) -> Self:
        return self._rounded_down(other, True)

    def _rounded_down(self, other: Operand, reverse: bool) -> Self:
        """floor(a / b), with an infinity among the two as well, where div() gives NaN and -1 as Python does.

        A number that is finite in the result's type is no infinity, so it is not looked at.
        """
        down = self.div(other, reverse, "floor")
        if not down.dtype.is_float:
            return down
        a, b, tracked = self._operands(other, reverse)
        a, b = graph.cast(a, down.dtype), graph.cast(b, down.dtype)
        quotient = self._wrap(graph.elementwise("div", a, b), tracked)
        ours, theirs = (b, a) if reverse else (a, b)
        limit = self._wrap(ours, None).abs().eq(math.inf)
        if not isinstance(other, int | float) or abs(other) > down.dtype.largest:
            limit = limit | self._wrap(theirs, None).abs().eq(math.inf)
        return limit.where(quotient.floor(), down)

    def __mod__(self, other: Operand) -> Self:
        return self.mod(other)

    def __rmod__(self, other: Operand) -> Self:
        return self.mod(other, reverse=True)

    def __pow__(self, other: Operand) -> Self:
        plain = other.__class__ is int or other.__class__ is float
        if plain and self._node.dtype.kind != "c" and narrow_type.get() is None:
            return self._power_of_scalar(other)  # type: ignore[arg-type]
        return self.pow(other)

    def __rpow__(self, other: Operand) -> Self:
        return self.pow(other, reverse=True)

    def __lt__(self, other: Operand) -> Self:
        return self._arithmetic("lt", other, False)

    def __le__(self, other: Operand) -> Self:
        return self._arithmetic("le", other, False)

    def __gt__(self, other: Operand) -> Self:
        return self._arithmetic("lt", other, True)

    def __ge__(self, other: Operand) -> Self:
        return self._arithmetic("le", other, True)

    def __eq__(self, other: Any) -> Self:  # type: ignore[override]
        return self._arithmetic("eq", other, False)

    def __ne__(self, other: Any) -> Self:  # type: ignore[override]
        return self._arithmetic("ne", other, False)

    __hash__ = Bits.__hash__


@cache
def _broadcasting(op: str, reverse: bool) -> Callable[[Any, Any], Any]:
    """An operation on tensors of two shapes, as one node for what takes up to five."""

    def broadcasting(x: Elementwise, y: Elementwise) -> Elementwise:
        return x._combined(op, y, reverse)

    known: Callable[[Any, Any], Any] = composite(broadcasting)
    broadcasts[reverse][op] = known.recipes  # type: ignore[attr-defined]
    return known
