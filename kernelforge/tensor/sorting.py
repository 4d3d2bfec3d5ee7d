"""Order: sorting, the largest elements, and resizing by neighbours.

Comes in: tensors.  Goes out: tensors whose elements are gathered from places computed from their ranks.  An element's
rank is the number of elements before it in order, counted by comparing each with each: n^2 comparisons in one kernel,
and the result differentiates like any gather.
"""

from __future__ import annotations

from typing import Self

from codegen.dtypes import dtypes
from kernelforge.errors import ShapeError
from kernelforge.tensor.ordering import Ordering


class Sorting(Ordering):
    """Operations that depend on the order of elements."""

    __slots__ = ()

    def argsort(self, dim: int = -1, descending: bool = False) -> Self:
        """The int32 indices that sort the elements along dim; equal ones keep their order, NaN counts as largest.

        >>> Tensor([30, 10, 20]).argsort().tolist()
        [1, 2, 0]
        """
        if not self.shape:
            return self._constant(0).cast(dtypes.default_int)
        dim = self._dim(dim, "sort")
        return self.movedim(dim, -1)._order(descending).movedim(-1, dim)

    def sort(self, dim: int = -1, descending: bool = False) -> tuple[Self, Self]:
        """The elements in order along dim, and the int32 indices they came from; see argsort()."""
        order = self.argsort(dim, descending)
        return (self.gather(dim, order) if self.shape else self), order

    def topk(self, k: int, dim: int = -1, largest: bool = True, sorted_: bool = True) -> tuple[Self, Self]:
        """The k largest, or smallest, elements along dim in order, and their int32 indices."""
        dim = self._dim(dim, "topk")
        if not 0 <= k <= self.shape[dim]:
            raise ShapeError(f"topk({k}) along dimension {dim} of {self.shape}: there are {self.shape[dim]} elements")
        order = self.argsort(dim, descending=largest)._between(dim, 0, k)
        return self.gather(dim, order), order

    def interpolate(self, size: tuple[int, ...], mode: str = "linear", align_corners: bool = False) -> Self:
        """The last dimensions resized to size.

        mode            "linear" between the two nearest neighbours of each dimension, or "nearest"
        align_corners   the corner elements keep their places
        """
        if mode not in ("linear", "nearest"):
            raise ValueError(f"interpolate() knows the modes linear and nearest, got {mode!r}")
        if len(size) > self.ndim or 0 in self.shape[self.ndim - len(size) :] or min(size, default=1) < 1:
            raise ShapeError(f"interpolate of {self.shape} to {tuple(size)}: give last dimensions, at least 1")
        x = self._floating()
        for dim, n in enumerate(size, start=self.ndim - len(size)):
            x = x._resized(dim, n, mode, align_corners)
        return x

    def _resized(self, dim: int, size: int, mode: str, align_corners: bool) -> Self:
        n = self.shape[dim]
        places = type(self).arange(size)
        index = (slice(None),) * dim
        if mode == "nearest":
            return self[(*index, places * n // size)]
        if align_corners:
            position = places.float() * ((n - 1) / max(1, size - 1))
        else:
            position = ((places.float() + 0.5) * (n / size) - 0.5).clamp(0, n - 1)
        low = position.floor().int().minimum(n - 1)
        share = (position - low.float()).cast(self.dtype).reshape(-1, *(1,) * (self.ndim - dim - 1))
        return self[(*index, low)].lerp(self[(*index, (low + 1).minimum(n - 1))], share)
