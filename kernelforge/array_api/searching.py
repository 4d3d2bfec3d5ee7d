"""The array API's functions that look for elements, put them in order, or tell equal ones.

Comes in: tensors.  Goes out: tensors, and named tuples of several.  What decides a shape by values is computed.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

from codegen.dtypes import dtypes, promote
from kernelforge.array_api.types import beside, result_type
from kernelforge.errors import ArgumentError, KindError
from kernelforge.tensor import Tensor

Number = bool | int | float


class UniqueAll(NamedTuple):
    """What unique_all() gives."""

    values: Tensor
    indices: Tensor
    inverse_indices: Tensor
    counts: Tensor


class UniqueCounts(NamedTuple):
    """What unique_counts() gives."""

    values: Tensor
    counts: Tensor


class UniqueInverse(NamedTuple):
    """What unique_inverse() gives."""

    values: Tensor
    inverse_indices: Tensor


def argmax(x: Tensor, /, *, axis: int | None = None, keepdims: bool = False) -> Tensor:
    """The place of the largest element."""
    found = x.argmax(axis, keepdims) if x.ndim else x.reshape(1).argmax()
    return found.reshape((1,) * x.ndim) if axis is None and keepdims else found


def argmin(x: Tensor, /, *, axis: int | None = None, keepdims: bool = False) -> Tensor:
    """The place of the smallest element."""
    found = x.argmin(axis, keepdims) if x.ndim else x.reshape(1).argmin()
    return found.reshape((1,) * x.ndim) if axis is None and keepdims else found


def nonzero(x: Tensor, /) -> tuple[Tensor, ...]:
    """The places of the elements that are not zero, a vector for each axis.

    raises ValueError for a tensor without dimensions
    """
    if not x.ndim:
        raise ArgumentError("nonzero() of a tensor without dimensions")
    return x.nonzero(as_tuple=True)


def searchsorted(
    x1: Tensor, x2: Tensor, /, *, side: Literal["left", "right"] = "left", sorter: Tensor | None = None
) -> Tensor:
    """The places in the sorted x1 at which the elements of x2 would have to be put."""
    kind = result_type(x1, x2)
    line = (x1 if sorter is None else x1[sorter]).cast(kind)
    return line.searchsorted(x2.cast(kind), right=side == "right")


def where(condition: Tensor, x1: Tensor | Number | None = None, x2: Tensor | Number | None = None, /) -> Any:
    """x1 where condition holds, else x2; of a condition alone nonzero(), as in NumPy and torch."""
    if x1 is None or x2 is None:
        if x1 is not x2:
            raise ArgumentError("where() takes a condition, or a condition and two choices")
        return nonzero(condition)
    kinds = [x.dtype for x in (x1, x2) if isinstance(x, Tensor)]
    if not kinds:
        raise KindError("where() needs a tensor to choose from; see asarray()")
    kind = promote(kinds[0], *kinds[1:])
    for x in (x1, x2):
        kind = kind if isinstance(x, Tensor) else beside(x, kind)
    a, b = (x.cast(kind) if isinstance(x, Tensor) else Tensor.full((), x, dtype=kind) for x in (x1, x2))
    return condition.where(a, b)


def argsort(x: Tensor, /, *, axis: int = -1, descending: bool = False, stable: bool = True) -> Tensor:
    """The places of the elements in order along an axis; equal ones stay in theirs."""
    return x.sort(axis, descending)[1] if x.ndim else Tensor(0).expand(())


def sort(x: Tensor, /, *, axis: int = -1, descending: bool = False, stable: bool = True) -> Tensor:
    """The elements in order along an axis."""
    return x.sort(axis, descending)[0] if x.ndim else x


def take(x: Tensor, indices: Tensor, /, *, axis: int | None = None) -> Tensor:
    """The parts of x along an axis that a vector of places names."""
    if axis is None and x.ndim != 1:
        raise ArgumentError(f"take() from {x.shape} needs an axis")
    return x[(slice(None),) * ((axis or 0) % x.ndim) + (indices,)]


def take_along_axis(x: Tensor, indices: Tensor, /, *, axis: int = -1) -> Tensor:
    """The elements along an axis that places, one for each, name."""
    return x.take_along_dim(indices, axis)


def _order(flat: Tensor) -> Tensor:
    """The places of a vector's elements in order; complex ones by their real parts, then by the others."""
    if not flat.dtype.is_complex:
        return flat.sort()[1]
    order = flat.imag.sort()[1]
    return order[flat.real[order].sort()[1]]


def _runs(x: Tensor) -> UniqueAll:
    """The distinct elements in order, NaNs apart: first places, the number of each element's, and counts."""
    flat = x.reshape(-1)
    if not flat.shape[0]:
        none = Tensor.zeros(0, dtype=dtypes.default_int)
        return UniqueAll(flat, none, none.reshape(x.shape), none)
    order = _order(flat).cast(dtypes.default_int)
    values = flat[order]
    new = values[1:].ne(values[:-1])
    first = Tensor([True], device=x.device).cat(new)
    number = first.cast(dtypes.default_int).cumsum().cast(dtypes.default_int) - 1
    inverse = order.zeros_like().scatter(0, order, number)
    places = first.nonzero(as_tuple=True)[0]
    ends = places[1:].cat(Tensor([flat.shape[0]], dtype=places.dtype, device=x.device))
    return UniqueAll(values[places], order[places], inverse.reshape(x.shape), ends - places)


def unique_all(x: Tensor, /) -> UniqueAll:
    """The distinct elements, the first place of each, the number of each element's, and how often each occurs."""
    return _runs(x)


def unique_counts(x: Tensor, /) -> UniqueCounts:
    """The distinct elements, and how often each occurs."""
    found = _runs(x)
    return UniqueCounts(found.values, found.counts)


def unique_inverse(x: Tensor, /) -> UniqueInverse:
    """The distinct elements, and the number of each element's."""
    found = _runs(x)
    return UniqueInverse(found.values, found.inverse_indices)


def unique_values(x: Tensor, /) -> Tensor:
    """The distinct elements."""
    return _runs(x).values
