"""Python's numbers beside tensors.

Comes in: a number, and the type it stands beside.  Goes out: the type it takes there, and whether a constant stands for
it.
"""

from __future__ import annotations

import math

import numpy as np

from codegen.dtypes import DType, dtypes
from kernelforge.errors import DTypeError


def is_number(data: object) -> bool:
    """Whether data is a number of Python's that a constant stands for, which has no sign where it is NaN."""
    if data.__class__ is float and data != data:
        return math.copysign(1, data) > 0
    return isinstance(data, bool | int | float | complex) and not isinstance(data, np.generic)


def literal_dtype(value: object, beside: DType) -> DType:
    """The type a Python scalar takes beside a tensor: the tensor's own, unless its kind cannot hold the scalar.

    raises DTypeError for an integer outside the range of that type
    """
    if isinstance(value, bool):
        return beside
    if isinstance(value, int):
        found = dtypes.default_int if beside is dtypes.bool else beside
        if found.is_int and not found.min <= value <= found.max:
            raise DTypeError(f"{value} does not fit {found} ({found.min} to {found.max}); cast the tensor first")
        return found
    if isinstance(value, float):
        return beside if beside.is_inexact else dtypes.default_float
    if isinstance(value, complex):
        return (beside if beside.is_inexact else dtypes.default_float).complex
    raise DTypeError(f"a tensor cannot be combined with {type(value).__name__} {value!r}; wrap it in Tensor()")
