"""Sorted elements: sort(), the largest and smallest, the median.

Comes in: tensors.  Goes out: tensors whose elements are picked at places computed from the elements' order, so that
they differentiate like any gather.  Equal elements keep their order, NaN counts as largest.
"""

from __future__ import annotations

import math
from operator import index
from typing import Self, overload

from kernelforge.errors import ShapeError
from kernelforge.tensor.composite import composite, repeatable
from kernelforge.tensor.ordering import Ordering
from kernelforge.tensor.results import Selected


class Sorting(Ordering):
    """Operations that depend on the order of elements."""

    __slots__ = ()

    @repeatable
    @composite
    def argsort(self, dim: int = -1, descending: bool = False, stable: bool = True) -> Self:
        """The int32 indices that sort the elements along dim; equal ones keep their order, NaN counts as largest.

        stable   of no account: equal elements always keep their order

        >>> Tensor([30, 10, 20]).argsort().tolist()
        [1, 2, 0]
        """
        if not self.shape:
            self.reshape(1)._dim(dim, "sort")
            return self._integers((1,)).reshape(())
        dim = self._dim(dim, "sort")
        return self.movedim(dim, -1)._order(descending).movedim(-1, dim)

    @repeatable
    def sort(self, dim: int = -1, descending: bool = False, stable: bool = True) -> Selected[Self]:
        """The elements in order along dim, and the int32 indices they came from; see argsort()."""
        order = self.argsort(dim, descending)
        return Selected(self._picked_along(dim, order) if self.shape else self, order)

    def msort(self) -> Self:
        """The elements in order along the first dimension.

        >>> Tensor([[3, 1], [2, 5]]).msort().tolist()
        [[2, 1], [3, 5]]
        """
        return self.sort(0)[0]

    @repeatable
    def topk(self, k: int, dim: int = -1, largest: bool = True, sorted_: bool = True) -> Selected[Self]:
        """The k largest, or smallest, elements along dim in order, and their int32 indices.

        raises ShapeError when there are fewer than k
        """
        if not self.shape:
            return self._of_scalar(self.reshape(1).topk(k, dim, largest))
        dim, k = self._dim(dim, "topk"), index(k)
        if not 0 <= k <= self.shape[dim]:
            raise ShapeError(f"topk({k}) along dimension {dim} of {self.shape}: there are {self.shape[dim]} elements")
        order = self._first_places(dim, k, largest)
        return Selected(self._picked_along(dim, order), order)

    @composite
    def _first_places(self, dim: int, k: int, descending: bool) -> Self:
        """The first k of the int32 indices that sort dim."""
        return self.movedim(dim, -1)._first_in_order(k, descending).movedim(-1, dim)

    @repeatable
    def kthvalue(self, k: int, dim: int = -1, keepdim: bool = False) -> Selected[Self]:
        """The k-th smallest element along dim, counted from 1, and its int32 index.

        >>> [found.item() for found in Tensor([30, 10, 20]).kthvalue(2)]
        [20, 2]

        raises ShapeError when there are fewer than k
        """
        if not self.shape:
            return self._of_scalar(self.reshape(1).kthvalue(k, dim))
        dim = self._dim(dim, "kthvalue")
        if not 1 <= k <= self.shape[dim]:
            raise ShapeError(f"kthvalue({k}) along dimension {dim} of {self.shape}: k is from 1 to {self.shape[dim]}")
        return self._at_one_place(dim, self._places_of_kth(dim, k), keepdim)

    @overload
    def median(self, dim: None = None, keepdim: bool = False) -> Self: ...

    @overload
    def median(self, dim: int, keepdim: bool = False) -> Selected[Self]: ...

    @repeatable
    def median(self, dim: int | None = None, keepdim: bool = False) -> Self | Selected[Self]:
        """The lower median of all elements; along dim, the medians and their int32 indices.  NaN if there is a NaN.

        >>> Tensor([1, 7, 3, 5]).median().item()
        3

        raises ShapeError when there is no element
        """
        if not self.shape and dim is not None:
            return self._of_scalar(self.reshape(1).median(dim))
        x = self.flatten() if dim is None and self.ndim != 1 else self
        along = x._dim(-1 if dim is None else dim, "median")
        if not x.shape[along]:
            raise ShapeError(f"median of {self.shape} along {dim}: there are no elements")
        found = x._at_one_place(along, x._middle_places(along), keepdim)
        return x._shared_by_equals(found[0]) if dim is None else found

    def _shared_by_equals(self, value: Self) -> Self:
        """A value of self; all elements equal to it share its gradient, as they do that of a maximum."""
        if not self._tracked:
            return value
        found = value.detach()
        return (self.eq(found) | found.isnan()).where(self, -math.inf).max()

    @composite
    def _middle_places(self, dim: int) -> Self:
        """Where the lower median, or else the first NaN, is along dim."""
        places = self._places_of_kth(dim, (self.shape[dim] + 1) // 2)
        if not self.dtype.is_float:
            return places
        missing = self.isnan()
        return missing.any(dim, keepdim=True).where(missing.argmax(dim, keepdim=True), places)

    def _of_scalar(self, found: Selected[Self]) -> Selected[Self]:
        """What was found in a vector of one element for a tensor without dimensions."""
        return Selected(found[0].reshape(()), found[1].reshape(()))

    def _at_one_place(self, dim: int, places: Self, keepdim: bool) -> Selected[Self]:
        """The elements at one place of dim, and the places."""
        return Selected(self._elements_at(dim, places, keepdim), places if keepdim else places._only_one(dim))

    @composite
    def _elements_at(self, dim: int, places: Self, keepdim: bool) -> Self:
        values = self._picked_along(dim, places)
        return values if keepdim else values.squeeze(dim)

    @composite
    def _only_one(self, dim: int) -> Self:
        """squeeze() of a dimension of size 1, as a value of its own."""
        return self.squeeze(dim)
