"""What a tensor can be made of, as a NumPy array.

Comes in: nested lists of numbers, arrays of any library, tensors, bytes, paths.  Goes out: an array, and the element
type a tensor of it has.  Nothing here knows of tensors.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codegen.dtypes import DType, dtypes, from_storage
from kernelforge import dlpack
from kernelforge.errors import DTypeError, ShapeError
from kernelforge.kinds import as_dtype


def as_array(data: Any, wanted: DType | None = None) -> tuple[NDArray, DType]:
    """Anything array-like as a NumPy array, and the dtype a tensor of it takes, unless another one is wanted.

    raises ShapeError, DTypeError
    """
    if isinstance(data, np.ndarray | np.generic):
        if isinstance(data, np.generic):
            _check_real(np.asarray(data), wanted)
        try:
            return np.asarray(data), as_dtype(data.dtype)
        except DTypeError:
            raise DTypeError(f"a tensor cannot hold NumPy's {data.dtype}; convert it with .astype(...)") from None
    if hasattr(data, "__dlpack__"):
        stored, dtype = dlpack.taken(dlpack.asked(data.detach() if hasattr(data, "detach") else data))
        return from_storage(stored, dtype), dtype
    if hasattr(data, "__array__"):
        return as_array(np.asarray(data))
    if data is None:
        return np.empty(0, np.float32), dtypes.default_float
    if isinstance(data, Path | bytes | bytearray):
        return np.frombuffer(data.read_bytes() if isinstance(data, Path) else data, np.uint8), dtypes.uint8
    return _of_numbers(data, wanted)


def _of_numbers(data: Any, wanted: DType | None) -> tuple[NDArray, DType]:
    """Nested lists of numbers and arrays as an array, and the dtype a tensor of it takes."""
    try:
        array = np.array(_plain(data))
    except ValueError:
        raise ShapeError("the nested lists have different lengths; a tensor is rectangular") from None
    if wanted is dtypes.uint64 and array.dtype.kind == "f":
        array = np.array(_plain(data), np.uint64)  # numbers on either side of 2^63 became floats
    _check_real(array, wanted)
    if array.size == 0:
        return array.astype(np.float32), dtypes.default_float
    default = {
        "b": dtypes.bool, "i": dtypes.default_int, "u": dtypes.default_int, "f": dtypes.default_float,
        "c": dtypes.default_float.complex,
    }  # fmt: skip
    found = default.get(array.dtype.kind)
    if found is None:
        raise DTypeError(f"a tensor is made of numbers, lists or arrays, not of {type(data).__name__} {str(data)[:60]}")
    if found.is_int and not (found.min <= array.min() and array.max() <= found.max):
        found = dtypes.int64
    return array, found


def _check_real(array: NDArray, wanted: DType | None) -> None:
    """raises DTypeError for complex numbers that are to be elements of a real type, and are none"""
    if array.dtype.kind == "c" and wanted is not None and wanted.kind not in "bc" and array.imag.any():
        raise DTypeError(f"complex numbers cannot be elements of {wanted}: give their real parts, or a complex dtype")


def _plain(data: Any) -> Any:
    """data with every tensor, and all bytes, inside nested lists replaced by an array."""
    if isinstance(data, list | tuple):
        return [_plain(item) for item in data]
    if isinstance(data, bytes | bytearray):
        return np.frombuffer(data, np.uint8)
    return np.asarray(data) if hasattr(data, "__array__") else data
