"""The array API's elementwise functions: each is a method of tensors.

Comes in: tensors and numbers.  Goes out: tensors of the broadcast shape.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from kernelforge.array_api.types import beside
from kernelforge.errors import KindError
from kernelforge.tensor import Tensor

Operand = Tensor | bool | int | float | complex

_UNARY: Final = {
    "abs": "abs", "acos": "acos", "acosh": "acosh", "asin": "asin", "asinh": "asinh", "atan": "atan", "atanh": "atanh",
    "bitwise_invert": "bitwise_not", "ceil": "ceil", "conj": "conj", "cos": "cos", "cosh": "cosh", "exp": "exp",
    "floor": "floor", "isfinite": "isfinite", "isinf": "isinf", "isnan": "isnan", "log": "log",
    "log10": "log10", "log1p": "log1p", "log2": "log2", "logical_not": "logical_not", "negative": "neg",
    "positive": "positive", "reciprocal": "reciprocal", "round": "round", "sign": "sgn",
    "signbit": "signbit", "sin": "sin", "sinh": "sinh", "sqrt": "sqrt", "square": "square", "tan": "tan",
    "trunc": "trunc",
}  # fmt: skip
_BINARY: Final = {
    "add": "add", "atan2": "atan2", "bitwise_and": "bitwise_and", "bitwise_left_shift": "lshift",
    "bitwise_or": "bitwise_or", "bitwise_right_shift": "rshift", "bitwise_xor": "bitwise_xor", "copysign": "copysign",
    "divide": "div", "equal": "eq", "greater": "gt", "greater_equal": "ge",
    "hypot": "hypot", "less": "lt", "less_equal": "le", "logaddexp": "logaddexp", "logical_and": "logical_and",
    "logical_or": "logical_or", "logical_xor": "logical_xor", "maximum": "maximum", "minimum": "minimum",
    "multiply": "mul", "nextafter": "nextafter", "not_equal": "ne", "pow": "pow", "remainder": "mod", "subtract": "sub",
}  # fmt: skip
_COMPARISONS: Final = ("equal", "not_equal", "less", "less_equal", "greater", "greater_equal")


def _unary(name: str, method: str) -> Callable[[Tensor], Tensor]:
    def function(x: Tensor, /) -> Tensor:
        made: Tensor = getattr(x, method)()
        return made

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"{method}() of each element."
    return function


def _binary(name: str, method: str) -> Callable[[Operand, Operand], Tensor]:
    def function(x1: Operand, x2: Operand, /) -> Tensor:
        if not isinstance(x1, Tensor):
            x1 = _beside(x1, x2)
        made: Tensor = getattr(x1, method)(x2)
        return made

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"{method}() of the elements of both at each place."
    return function


def _beside(value: Any, other: Any) -> Tensor:
    """A number as a tensor of the type it has beside another."""
    if not isinstance(other, Tensor):
        raise KindError(f"one operand must be a tensor, got {type(value).__name__} and {type(other).__name__}")
    return Tensor.full((), value, dtype=beside(value, other.dtype), device=other.device)


def clip(x: Tensor, /, min: Operand | None = None, max: Operand | None = None) -> Tensor:
    """The elements limited to at least min and at most max; NaN stays NaN."""
    found = x
    for limit, pick in ((min, "maximum"), (max, "minimum")):
        if limit is not None:
            bound = limit if isinstance(limit, Tensor) else Tensor.full((), limit, dtype=x.dtype, device=x.device)
            found = getattr(found, pick)(bound.cast(x.dtype))
    return found


def floor_divide(x1: Operand, x2: Operand, /) -> Tensor:
    """The quotients rounded down, as the operator // has them."""
    return (x1 if isinstance(x1, Tensor) else _beside(x1, x2)) // x2


def expm1(x: Tensor, /) -> Tensor:
    """exp(x) - 1; of complex infinities and NaN what exp() gives less 1, where the method has NaN, as torch does.

    A real part of 0 has no sign.
    """
    if not x.dtype.is_complex:
        return x.expm1()
    found = x.real.isfinite().where(x.expm1(), x.exp() - 1)
    return Tensor.complex(found.real.eq(0).where(0, found.real), found.imag)


def tanh(x: Tensor, /) -> Tensor:
    """tanh() of each element; where a real part is infinite the other part is 0 with the sign it had."""
    found = x.tanh()
    if not x.dtype.is_complex:
        return found
    limit = x.real.isinf() & x.imag.isfinite()
    return Tensor.complex(found.real, limit.where(x.imag * 0, found.imag))


def real(x: Tensor, /) -> Tensor:
    """The real parts."""
    return x.real


def imag(x: Tensor, /) -> Tensor:
    """The imaginary parts."""
    return x.imag


globals().update({name: _unary(name, method) for name, method in _UNARY.items()})
globals().update({name: _binary(name, method) for name, method in _BINARY.items()})

__all__ = ["clip", "expm1", "floor_divide", "imag", "real", "tanh", *_UNARY, *_BINARY]  # noqa: PLE0604
