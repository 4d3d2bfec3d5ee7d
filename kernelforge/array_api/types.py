"""Element types of the array API: their limits, kinds and promotion.

Comes in: types, tensors, numbers.  Goes out: types and what is to be said of them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from codegen.dtypes import DType, dtypes, promote
from kernelforge.errors import ArgumentError
from kernelforge.kinds import as_dtype
from kernelforge.tensor import Tensor

Type = DType | np.dtype | type
_KINDS: Final = {
    "bool": "b", "signed integer": "i", "unsigned integer": "u", "integral": "iu", "real floating": "f",
    "complex floating": "c", "numeric": "iufc",
}  # fmt: skip


@dataclass(frozen=True)
class FloatLimits:
    """The limits of a float type."""

    bits: int
    eps: float
    max: float
    min: float
    smallest_normal: float
    dtype: DType

    @property
    def tiny(self) -> float:
        """Another name of smallest_normal."""
        return self.smallest_normal

    @property
    def resolution(self) -> float:
        """The power of ten that digits can be told apart to."""
        return float(10.0 ** -int(-math.log10(self.eps)))


@dataclass(frozen=True)
class IntLimits:
    """The limits of an integer type."""

    bits: int
    max: int
    min: int
    dtype: DType


def _dtype(value: Type | Tensor) -> DType:
    return value.dtype if isinstance(value, Tensor) else as_dtype(value)


def astype(x: Tensor, dtype: Type, /, *, copy: bool = True, device: str | None = None) -> Tensor:
    """x in another type; a new tensor if copy."""
    x = x if isinstance(x, Tensor) else Tensor(x)
    made = x.cast(as_dtype(dtype))
    made = made if device is None else made.to(device)
    return made.clone() if copy and made is x else made


def can_cast(from_: Type | Tensor, to: Type, /) -> bool:
    """Whether promotion leads from one type to another."""
    return promote(_dtype(from_), as_dtype(to)) is as_dtype(to)


def finfo(type: Type | Tensor, /) -> FloatLimits:
    """The limits of a float type; of the parts of a complex one.

    >>> finfo(dtypes.bfloat16).eps, finfo(dtypes.float16).max
    (0.0078125, 65504.0)

    raises TypeError for types of integers
    """
    dtype = _dtype(type).real
    if not dtype.is_float:
        raise TypeError(f"finfo() takes a floating-point type, got {dtype.name}; iinfo() takes integers")
    largest = float(dtype.largest)
    return FloatLimits(dtype.bits, dtype.eps, largest, -largest, dtype.smallest_normal, dtype)


def iinfo(type: Type | Tensor, /) -> IntLimits:
    """The limits of an integer type; raises TypeError for others."""
    dtype = _dtype(type)
    if dtype.kind not in "iu":
        raise TypeError(f"iinfo() takes an integer type, got {dtype.name}; finfo() takes floats")
    return IntLimits(dtype.bits, int(dtype.max), int(dtype.min), dtype)


def isdtype(dtype: Type, kind: Type | str | tuple[Type | str, ...]) -> bool:
    """Whether a type is of a kind, or of one of several; types may be NumPy's, as in other functions here.

    raises ValueError for a kind that is none
    """
    if isinstance(kind, tuple):
        return any(isdtype(dtype, one) for one in kind)
    if isinstance(kind, str):
        if kind not in _KINDS:
            raise ArgumentError(f"isdtype() knows the kinds {', '.join(_KINDS)}, not {kind!r}")
        return as_dtype(dtype).kind in _KINDS[kind]
    return as_dtype(dtype) is as_dtype(kind)


def result_type(*arrays_and_dtypes: Tensor | Type | float) -> DType:
    """The type that operations on all the given things together have; numbers take the type of what is beside them."""
    kinds = [_dtype(x) for x in arrays_and_dtypes if isinstance(x, Tensor | Type)]
    if not kinds:
        raise ArgumentError("result_type() needs one tensor or type")
    found = promote(kinds[0], *kinds[1:])
    for value in arrays_and_dtypes:
        if not isinstance(value, Tensor | Type):
            found = beside(value, found)
    return found


def beside(value: Any, dtype: DType) -> DType:
    """The type of a number beside a type: that, unless its kind cannot hold the number."""
    if isinstance(value, complex):
        return (dtype if dtype.is_inexact else dtypes.default_float).complex
    if isinstance(value, float):
        return dtype if dtype.is_inexact else dtypes.default_float
    if isinstance(value, bool) or dtype.kind != "b":
        return dtype
    return dtypes.default_int
