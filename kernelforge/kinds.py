"""The element type a user means.

Comes in: types and names of them.  Goes out: a `DType`, or an error that shows the user's line.
"""

from __future__ import annotations

from codegen import dtypes
from codegen.dtypes import DType
from kernelforge.errors import DTypeError, UnknownDTypeError


def as_dtype(value: object) -> DType:
    """The DType meant by a DType, a name, a NumPy type or a Python type.

    raises UnknownDTypeError for a name that is none, DTypeError
    """
    if isinstance(value, DType):
        return value
    try:
        return dtypes.as_dtype(value)
    except TypeError as error:
        raise (UnknownDTypeError if isinstance(value, str) else DTypeError)(str(error)) from None
