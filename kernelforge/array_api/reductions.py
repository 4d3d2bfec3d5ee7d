"""The array API's statistics and other reductions.

Comes in: tensors.  Goes out: tensors without the axes reduced.
"""

from __future__ import annotations

import builtins
from collections.abc import Sequence

from codegen.dtypes import DType, dtypes
from kernelforge.errors import ArgumentError
from kernelforge.tensor import Tensor

Axis = int | Sequence[int] | None


def _axis(axis: Axis) -> Axis:
    return tuple(axis) if isinstance(axis, list | tuple) else axis


def _total_type(x: Tensor, dtype: DType | None) -> DType:
    """The type of a sum: an integer's is the default integer, or the unsigned one as wide, unless it is wider."""
    if dtype is not None or x.dtype.is_inexact:
        return dtype or x.dtype
    if x.dtype.bits >= dtypes.default_int.bits and x.dtype.kind != "b":
        return x.dtype
    return dtypes.uint32 if x.dtype.kind == "u" else dtypes.default_int


def all(x: Tensor, /, *, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Whether all elements are true."""
    return x.bool().all(_axis(axis), keepdims) if axis != () else x.bool()


def any(x: Tensor, /, *, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Whether any element is true."""
    return x.bool().any(_axis(axis), keepdims) if axis != () else x.bool()


def max(x: Tensor, /, *, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The largest element."""
    return x.max(_axis(axis), keepdims) if axis != () else x


def min(x: Tensor, /, *, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The smallest element."""
    return x.min(_axis(axis), keepdims) if axis != () else x


def mean(x: Tensor, /, *, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The mean."""
    return x.mean(_axis(axis), keepdims) if axis != () else x


def sum(x: Tensor, /, *, axis: Axis = None, dtype: DType | None = None, keepdims: bool = False) -> Tensor:
    """The sum."""
    kind = _total_type(x, dtype)
    return x.cast(kind).sum(_axis(axis), keepdims, dtype=kind) if axis != () else x.cast(kind)


def prod(x: Tensor, /, *, axis: Axis = None, dtype: DType | None = None, keepdims: bool = False) -> Tensor:
    """The product."""
    kind = _total_type(x, dtype)
    return x.cast(kind).prod(_axis(axis), keepdims, dtype=kind) if axis != () else x.cast(kind)


def var(x: Tensor, /, *, axis: Axis = None, correction: float = 0.0, keepdims: bool = False) -> Tensor:
    """The variance; correction is taken from the number of elements it is divided by."""
    return x.var(_axis(axis), keepdims, correction)


def std(x: Tensor, /, *, axis: Axis = None, correction: float = 0.0, keepdims: bool = False) -> Tensor:
    """The square root of the variance."""
    return x.std(_axis(axis), keepdims, correction)


def count_nonzero(x: Tensor, /, *, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The number of elements that are not zero."""
    return sum(x.ne(0), axis=axis, keepdims=keepdims)


def cumulative_sum(
    x: Tensor, /, *, axis: int | None = None, dtype: DType | None = None, include_initial: bool = False
) -> Tensor:
    """The sums of the elements up to each; with a 0 in front if include_initial."""
    return _running(x, "cumsum", axis, dtype, 0 if include_initial else None)


def cumulative_prod(
    x: Tensor, /, *, axis: int | None = None, dtype: DType | None = None, include_initial: bool = False
) -> Tensor:
    """The products of the elements up to each; with a 1 in front if include_initial."""
    return _running(x, "cumprod", axis, dtype, 1 if include_initial else None)


def _running(x: Tensor, method: str, axis: int | None, dtype: DType | None, first: int | None) -> Tensor:
    if axis is None:
        if x.ndim > 1:
            raise ArgumentError(f"a cumulative operation on {x.shape} needs an axis")
        axis, x = 0, x.reshape(-1) if x.ndim else x.reshape(1)
    kind = _total_type(x, dtype)
    found: Tensor = getattr(x.cast(kind), method)(axis, dtype=kind)
    if first is None:
        return found
    shape = [1 if i == axis % x.ndim else n for i, n in enumerate(x.shape)]
    return found.new_full(shape, first).cat(found, dim=axis)


def diff(
    x: Tensor, /, n: int = 1, *, axis: int = -1, prepend: Tensor | None = None, append: Tensor | None = None
) -> Tensor:
    """The differences of neighbours, n times over; n has its place after x too, as in NumPy and torch."""
    parts = [part for part in (prepend, x, append) if part is not None]
    found = parts[0].cat(*parts[1:], dim=axis) if len(parts) > 1 else x
    axis %= builtins.max(1, x.ndim)
    for _ in range(n):
        size = found.shape[axis]
        later = found._between(axis, builtins.min(1, size), size)
        earlier = found._between(axis, 0, builtins.max(0, size - 1))
        found = later.ne(earlier) if found.dtype is dtypes.bool else later - earlier
    return found
