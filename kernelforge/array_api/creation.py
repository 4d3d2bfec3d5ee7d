"""The array API's functions that make tensors.

Comes in: shapes, numbers and other libraries' arrays.  Goes out: tensors.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from codegen.dtypes import DType, dtypes
from kernelforge.errors import ArgumentError
from kernelforge.tensor import Tensor

Number = bool | int | float | complex
Shape = int | Sequence[int]


def asarray(
    obj: Any, /, *, dtype: DType | None = None, device: str | None = None, copy: bool | None = None
) -> Tensor:
    """A tensor of numbers, nested lists of them, or an array of any library.

    raises ValueError when copy is False and only a copy would do
    """
    if isinstance(obj, Tensor):
        made = obj if dtype is None else obj.cast(dtype)
        made = made if device is None else made.to(device)
        if copy is False and made is not obj:
            raise ArgumentError(f"asarray() of {obj.dtype} on {obj.device} as {dtype} on {device}: that takes a copy")
        return made.clone() if copy and made is obj else made
    if copy is False:
        if dtype is None and isinstance(obj, np.ndarray):
            return Tensor.from_numpy(obj, device=device, copy=False)
        raise ArgumentError(f"asarray() of a {type(obj).__name__}: that takes a copy")
    return Tensor(obj, dtype=dtype, device=device)


def from_dlpack(x: object, /, *, device: str | None = None, copy: bool | None = None) -> Tensor:
    """A tensor of another library's array, in the same memory where that can be."""
    if isinstance(x, Tensor):
        return asarray(x, device=device, copy=copy)
    return Tensor.from_dlpack(x, device=device, copy=copy)


def arange(
    start: float,
    /,
    stop: float | None = None,
    step: float = 1,
    *,
    dtype: DType | None = None,
    device: str | None = None,
) -> Tensor:
    """The numbers from start, step apart, before stop."""
    return Tensor.arange(start, stop, step, dtype=dtype, device=device)


def empty(shape: Shape, *, dtype: DType | None = None, device: str | None = None) -> Tensor:
    """A tensor whose elements nobody has set."""
    return Tensor.empty(_sizes(shape), dtype=dtype, device=device)


def zeros(shape: Shape, *, dtype: DType | None = None, device: str | None = None) -> Tensor:
    """Zeros."""
    return Tensor.zeros(_sizes(shape), dtype=dtype, device=device)


def ones(shape: Shape, *, dtype: DType | None = None, device: str | None = None) -> Tensor:
    """Ones."""
    return Tensor.ones(_sizes(shape), dtype=dtype, device=device)


def full(shape: Shape, fill_value: Number, *, dtype: DType | None = None, device: str | None = None) -> Tensor:
    """One value everywhere."""
    return Tensor.full(_sizes(shape), fill_value, dtype=dtype, device=device)


def empty_like(x: Tensor, /, *, dtype: DType | None = None, device: str | None = None) -> Tensor:
    """A tensor like x whose elements nobody has set."""
    return empty(x.shape, dtype=dtype or x.dtype, device=device or x.device)


def zeros_like(x: Tensor, /, *, dtype: DType | None = None, device: str | None = None) -> Tensor:
    """Zeros like x."""
    return zeros(x.shape, dtype=dtype or x.dtype, device=device or x.device)


def ones_like(x: Tensor, /, *, dtype: DType | None = None, device: str | None = None) -> Tensor:
    """Ones like x."""
    return ones(x.shape, dtype=dtype or x.dtype, device=device or x.device)


def full_like(
    x: Tensor, /, fill_value: Number, *, dtype: DType | None = None, device: str | None = None
) -> Tensor:
    """One value everywhere, like x."""
    return full(x.shape, fill_value, dtype=dtype or x.dtype, device=device or x.device)


def eye(
    n_rows: int,
    n_cols: int | None = None,
    /,
    *,
    k: int = 0,
    dtype: DType | None = None,
    device: str | None = None,
) -> Tensor:
    """Ones on the k-th diagonal, zeros elsewhere."""
    columns = n_rows if n_cols is None else n_cols
    rows = Tensor.arange(n_rows, device=device).reshape(-1, 1)
    inside = max(-n_rows, min(k, columns))  # a diagonal beyond the corners has no elements
    return (Tensor.arange(columns, device=device) - rows).eq(inside).cast(dtype or dtypes.default_float)


def linspace(
    start: float,
    stop: float,
    /,
    num: int,
    *,
    dtype: DType | None = None,
    device: str | None = None,
    endpoint: bool = True,
) -> Tensor:
    """num evenly spaced numbers from start to stop, the last of which is left out without endpoint."""
    kind = dtype or dtypes.default_float
    steps = max(1, num - 1 if endpoint else num)
    place = Tensor.arange(num, dtype=dtypes.float64 if kind is not dtypes.float32 else kind, device=device)
    values = place * ((stop - start) / steps) + start
    if endpoint and num > 1:
        values = place.eq(num - 1).where(stop, values)
    return values.cast(kind)


def meshgrid(*arrays: Tensor, indexing: Literal["xy", "ij"] = "xy") -> list[Tensor]:
    """The coordinates of a grid, one tensor for each dimension."""
    return list(arrays[0].meshgrid(*arrays[1:], indexing=indexing)) if arrays else []


def tril(x: Tensor, /, *, k: int = 0) -> Tensor:
    """The lower triangle of each matrix, zeros above."""
    return x.tril(k)


def triu(x: Tensor, /, *, k: int = 0) -> Tensor:
    """The upper triangle of each matrix, zeros below."""
    return x.triu(k)


def _sizes(shape: Shape) -> tuple[int, ...]:
    return (shape,) if isinstance(shape, int) else tuple(shape)
