"""Where values fall among others, and how often: searches, histograms, distinct elements.

Comes in: tensors.  Goes out: tensors.  How many distinct elements there are, or how large the largest is, decides a
shape: unique(), unique_consecutive() and bincount() compute for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from operator import index
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from codegen.dtypes import dtypes, promote
from kernelforge import graph
from kernelforge.errors import ArgumentError, DTypeError, ShapeError
from kernelforge.shape import sequence
from kernelforge.tensor.composite import composite
from kernelforge.tensor.core import Core
from kernelforge.tensor.ordering import WIDE_DIGIT
from kernelforge.tensor.results import Histogram
from kernelforge.tensor.statistics import Statistics

FEW = 4096  # elements the host has sorted before kernels for it are launched


class Counting(Statistics):
    """Operations that count."""

    __slots__ = ()

    # Searching --------------------------------------------------------------------------------------------------

    @composite
    def searchsorted(
        self,
        values: Self | float,
        right: bool = False,
        *,
        side: str | None = None,
        sorter: Self | None = None,
        out_int32: bool = True,
    ) -> Self:
        """int32 places in the sorted last dimension before which values can be put without breaking the order.

        values      of any shape for a vector; else of the same leading dimensions; or a number
        right       the last such place instead of the first: after equal elements instead of before them
        side        "left" or "right", the same in words
        sorter      the order that sorts the last dimension, as argsort() gives it, where it is not sorted
        out_int32   of no account: places are int32

        >>> Tensor([1, 3, 3, 5]).searchsorted(Tensor([3, 9])).tolist()
        [1, 4]

        raises ShapeError, ArgumentError
        """
        if side not in (None, "left", "right") or (side == "left" and right):
            raise ArgumentError(f"searchsorted() knows the sides 'left' and 'right', got {side!r} with right={right}")
        if sorter is not None and sorter.shape != self.shape:
            raise ShapeError(f"searchsorted in {self.shape} with a sorter of {sorter.shape}: it has a place for each")
        if sorter is not None:
            return self.gather(-1, sorter).searchsorted(values, right, side=side)
        right = right or side == "right"
        if not isinstance(values, Core):
            return self.searchsorted(type(self)(values, device=self.device), right)
        if not self.ndim or (self.ndim > 1 and self.shape[:-1] != values.shape[:-1]):
            raise ShapeError(f"searchsorted of {values.shape} in {self.shape}: the leading dimensions must agree")
        if not self.shape[-1] or not values.numel():
            return self._wrap(graph.full(values.shape, 0, dtypes.int32), None)
        return self._places_for(values, bool(right))

    @composite
    def _places_for(self, values: Self, right: bool) -> Self:
        """searchsorted() where there is something in something."""
        n, kind = self.shape[-1], promote(self.dtype, values.dtype)
        rows = self.numel() // n
        wanted = values.detach().cast(kind).reshape(rows, -1)
        return self.detach().cast(kind).reshape(rows, n)._places_of_rows(wanted, right).reshape(values.shape)

    def _places_of_rows(self, wanted: Self, right: bool) -> Self:
        """searchsorted() of rows [rows, ..] in sorted ones [rows, n]: the place is found bit by bit."""
        n = self.shape[1]
        found = self._wrap(graph.full(wanted.shape, 0, dtypes.int32), None)
        for step in [1 << bit for bit in reversed(range(n.bit_length()))]:
            ahead = found + step
            element = self._fetched((ahead - 1).minimum(n - 1))
            passed = element > wanted if right else element >= wanted
            found = (passed.logical_not() & (ahead <= n)).where(ahead, found)
        return found

    def bucketize(self, boundaries: Self, right: bool = False, *, out_int32: bool = True) -> Self:
        """searchsorted() of the elements in a vector of boundaries.

        out_int32   of no account: places are int32

        >>> Tensor([0.5, 1.0, 4.0]).bucketize(Tensor([1.0, 2.0])).tolist()
        [0, 0, 2]
        """
        if boundaries.ndim != 1:
            raise ShapeError(f"bucketize() takes a vector of boundaries, got {boundaries.shape}")
        return boundaries.searchsorted(self, right)

    # Histograms -------------------------------------------------------------------------------------------------

    def bincount(self, weights: Self | None = None, minlength: int = 0) -> Self:
        """How often each of 0 .. the largest value occurs, or the weights of its occurrences added up.

        This computes the largest value.

        >>> Tensor([0, 2, 2]).bincount(minlength=4).tolist()
        [1, 0, 2, 0]

        raises ShapeError, DTypeError, and ValueError for negative values and a negative minlength
        """
        if self.ndim != 1 or (weights is not None and weights.shape != self.shape):
            raise ShapeError(f"bincount of {self.shape}: it takes a vector, and weights of the same shape")
        if not self.dtype.is_int:
            raise DTypeError(f"bincount() takes integers, got {self.dtype}")
        minlength = index(minlength)
        if minlength < 0:
            raise ArgumentError(f"bincount() makes a vector of at least minlength elements, got {minlength}")
        if weights is not None and not weights.dtype.is_float:
            weights = weights.cast(dtypes.float64)
        if not self.numel():
            return self._wrap(graph.full((minlength,), 0, dtypes.int32 if weights is None else weights.dtype), None)
        low, high = self._ends().tolist()
        if low < 0:
            raise ArgumentError(f"bincount() counts values from 0 up, got {low}")
        count = max(int(high) + 1, minlength)
        length = 1 << (count - 1).bit_length()
        found = self._occurrences(length, weights)
        return found if length == count else found._between(0, 0, count)

    @composite
    def _ends(self) -> Self:
        """The smallest and the largest element."""
        return self.min().stack(self.max())

    @composite
    def _occurrences(self, count: int, weights: Self | None = None) -> Self:
        """How often each of 0 .. count-1 occurs in a vector of such integers, or the sums of weights."""
        kind = dtypes.int32 if weights is None else weights.dtype
        places = self.cast(dtypes.int64 if self.dtype.bits == 64 else dtypes.int32)._kept_inside(count)
        each = graph.full(self.shape, 1, kind) if weights is None else weights._node
        node = graph.scatter(graph.full((count,), 0, kind), places._node, each, 0, "add")
        return self._wrap(node, None if weights is None else weights._tracked)

    def histc(self, bins: int = 100, min: float = 0, max: float = 0) -> Self:
        """How many elements fall into each of equal parts of min .. max, in the tensor's own type.

        min, max   both equal: the smallest and the largest element; elements outside are not counted
        """
        bins = index(bins)
        if bins < 1 or max < min:
            raise ArgumentError(f"histc() needs at least one bin and min <= max, got {bins} bins from {min} to {max}")
        return self.detach().flatten()._equally_parted(bins, min, max)

    @composite
    def _equally_parted(self, bins: int, min: float, max: float) -> Self:
        """histc() of a vector."""
        wide = self._wide()
        low, high = (wide.min(), wide.max()) if min == max and self.numel() else (self._scalar(min), self._scalar(max))
        equal = low.eq(high)
        low, high = equal.where(low - 1, low), equal.where(high + 1, high)
        inside = (wide >= low) & (wide <= high)
        place = ((wide - low) / (high - low) * bins).int().minimum(bins - 1)
        return inside.where(place, bins)._occurrences(bins + 1)._between(0, 0, bins).cast(self.dtype)

    def _scalar(self, value: float) -> Self:
        return self._wrap(graph.const(value, self._wide().dtype), None)

    def histogram(
        self,
        bins: int | Self,
        range: tuple[float, float] | None = None,
        weight: Self | None = None,
        density: bool = False,
    ) -> Histogram[Self]:
        """The number, or weight, of the elements between each two neighbouring edges, and the edges.

        bins      a number of equal parts of range, or of the smallest to the largest element; or the edges themselves
        density   divided by all that was counted and by each part's width, so that the integral is 1
        returns   [bins], and [bins + 1]; the last part includes its upper edge
        """
        found, (edges,) = self.reshape(-1, 1).histogramdd([bins], range, weight, density)
        return Histogram(found, edges)

    def histogramdd(
        self,
        bins: int | Sequence[int | Self],
        range: Sequence[float] | None = None,
        weight: Self | None = None,
        density: bool = False,
    ) -> tuple[Self, tuple[Self, ...]]:
        """The number, or weight, of the points [.., n] in each box of a grid of n dimensions, and its edges.

        bins     for each dimension a number of equal parts of its range, or their edges; one number for all
        range    the lower and the upper end of each dimension, one after the other
        density  divided by all that was counted and by each box's volume, so that the integral is 1

        raises ShapeError, ArgumentError
        """
        if self.ndim < 2:
            raise ShapeError(f"histogramdd() takes points side by side, [count, dimensions], got {self.shape}")
        points = self.detach()._floating().reshape(-1, self.shape[-1])
        parts = sequence(bins, points.shape[1])
        if len(parts) != points.shape[1] or (range is not None and len(range) != 2 * len(parts)):
            raise ArgumentError(f"histogramdd() of {self.shape} takes bins and two ends for each dimension")
        place = points[:0]
        edges: list[Self] = []
        for number, (x, part) in enumerate(zip(points.unbind(1), parts)):
            ends = None if range is None else (range[2 * number], range[2 * number + 1])
            edges.append(part.cast(x.dtype) if isinstance(part, type(self)) else x._equal_parts(part, ends))
            at = x._part_of(edges[-1])
            place = at if not number else place._part_of_both(at, edges[-1].shape[0] - 1)
        shape = [x.shape[0] - 1 for x in edges]
        weights = None if weight is None else weight.flatten()
        found = place._occurrences_inside(prod(shape), weights)
        found = found.cast(points.dtype).reshape(shape)
        if density:
            found = found / found.sum()
            for dim, x in enumerate(edges):
                found = found / x.diff().reshape(-1, *[1] * (len(shape) - dim - 1))
        return found, tuple(edges)

    def _part_of(self, edges: Self) -> Self:
        """For each element the part between two edges it lies in, the last with its upper edge; -1 for none.

        raises ShapeError
        """
        if edges.shape[0] < 2:
            raise ShapeError(f"a histogram needs at least two edges, got {edges.shape}")
        return self._part_between(edges)

    @composite
    def _part_between(self, edges: Self) -> Self:
        count = edges.shape[0] - 1
        last = edges[count]
        place = self.eq(last).where(count - 1, edges.searchsorted(self, right=True) - 1)
        return ((self >= edges[0]) & (self <= last)).where(place, -1)

    @composite
    def _part_of_both(self, other: Self, count: int) -> Self:
        """The part of a grid for the parts of its first dimensions and of its last, of which there are count."""
        return ((self >= 0) & (other >= 0)).where(self * count + other, -1)

    @composite
    def _occurrences_inside(self, count: int, weights: Self | None) -> Self:
        """_occurrences() of those that are not negative."""
        return (self >= 0).where(self, count)._occurrences(count + 1, weights)._between(0, 0, count)

    @composite
    def _equal_parts(self, bins: int, range: Sequence[float] | None) -> Self:
        """bins + 1 edges from one end of the range to the other."""
        if range is None and not self.numel():
            range = (0, 1)
        low, high = (self.min(), self.max()) if range is None else (self._scalar(range[0]), self._scalar(range[1]))
        equal = low.eq(high)
        low, high = equal.where(low - 0.5, low), equal.where(high + 0.5, high)
        steps = self._integers((bins + 1,))
        return steps.eq(bins).where(high, low + (high - low) * (steps.cast(self.dtype) / bins)).cast(self.dtype)

    # Distinct elements ------------------------------------------------------------------------------------------

    def unique(
        self, sorted: bool = True, return_inverse: bool = False, return_counts: bool = False, dim: int | None = None
    ) -> Any:
        """The distinct elements in order; this computes the tensor.  Each NaN is distinct.

        sorted           of no account: they are always in order
        return_inverse   also for each element the int32 place of its value in the result
        return_counts    also how often each occurs
        dim              distinct slices along it instead of elements, which the host finds

        >>> [x.tolist() for x in Tensor([3, 1, 3]).unique(return_inverse=True, return_counts=True)]
        [[1, 3], [1, 0, 1], [1, 2]]
        """
        if dim is not None:
            return self._distinct_slices(self._dim(dim, "unique"), return_inverse, return_counts)
        if 0 < self.numel() <= FEW:
            return self._distinct_of_few(return_inverse, return_counts)
        x = self.detach().flatten()
        order = x._order_in_range() if x.dtype.is_int and x.numel() else x._order()
        return x._fetched(order).contiguous()._runs(return_inverse, return_counts, order, self.shape)

    def _distinct_of_few(self, inverse: bool, counts: bool) -> Self | tuple[Self, ...]:
        """What unique() finds, found by the host, which has to know how many they are."""
        elements = self.numpy().ravel()
        order = np.argsort(elements, kind="stable") if inverse or counts else None
        ordered = np.sort(elements, kind="stable") if order is None else elements[order]
        return self._runs_of_few(ordered, order, inverse, counts)

    def _runs_of_few(
        self, elements: NDArray[Any], order: NDArray[Any] | None, inverse: bool, counts: bool
    ) -> Self | tuple[Self, ...]:
        """What _runs() finds in elements in this order, found by the host, which has to know how many they are."""
        first = np.ones(elements.shape, np.bool_)
        np.not_equal(elements[1:], elements[:-1], out=first[1:])
        found = [type(self)(elements[first], device=self.device, dtype=self.dtype)]
        if inverse:
            runs = np.cumsum(first, dtype=np.int32) - 1
            if order is not None:
                ordered, runs = runs, np.empty_like(runs)
                runs[order] = ordered
            found.append(type(self)(runs.reshape(self.shape), device=self.device))
        if counts:
            ends = np.append(np.flatnonzero(first), elements.size).astype(np.int32)
            found.append(type(self)(ends[1:] - ends[:-1], device=self.device))
        return tuple(found) if len(found) > 1 else found[0]

    def _order_in_range(self) -> Self:
        """_order() of a vector of integers, whose smallest and largest are computed: few digits may tell them apart."""
        low = self.min()
        bits = (int(self.max().realize(low).item()) - int(low.item())).bit_length()
        return self._order_from(low, min(self.dtype.bits, max(1, -(-bits // WIDE_DIGIT)) * WIDE_DIGIT))

    @composite
    def _order_from(self, low: Self, bits: int) -> Self:
        """_order() of a vector of integers that are less than 2^bits above the smallest."""
        wide = dtypes.uint64 if self.dtype.bits == 64 else dtypes.uint32
        return (self.cast(wide) - low.cast(wide)).reshape(1, -1)._order_of_keys(bits).flatten()

    def unique_consecutive(
        self, return_inverse: bool = False, return_counts: bool = False, dim: int | None = None
    ) -> Any:
        """The first of each run of equal elements; this computes the tensor.  See unique().

        >>> Tensor([1, 1, 2, 1]).unique_consecutive().tolist()
        [1, 2, 1]
        """
        if dim is not None:
            return self._slices_in_runs(self._dim(dim, "unique_consecutive"), return_inverse, return_counts)
        if 0 < self.numel() <= 16 * FEW:
            return self._runs_of_few(self.numpy().ravel(), None, return_inverse, return_counts)
        return self.detach().flatten()._runs(return_inverse, return_counts, None, self.shape)

    def _distinct_slices(self, dim: int, inverse: bool, counts: bool) -> Any:
        """What unique() finds along a dimension."""
        found = np.unique(self.numpy(), True, True, True, axis=dim, equal_nan=False)
        others = [type(self)(x.astype(np.int32).reshape(-1), device=self.device) for x in found[1:]]
        values = self.detach().index_select(dim, others[0])
        return (values, *others[1:2] * inverse, *others[2:] * counts) if inverse or counts else values

    def _slices_in_runs(self, dim: int, inverse: bool, counts: bool) -> Any:
        """What unique_consecutive() finds along a dimension: equal neighbours are numbered alike, then counted."""
        rows = self.detach().movedim(dim, 0).reshape(self.shape[dim], -1) if self.numel() else self[:0].reshape(0, 1)
        n = rows.shape[0]
        changes = rows._between(0, 1, n).ne(rows._between(0, 0, n - 1)).any(1) if n > 1 else rows.any(1)[:0]
        numbers = changes.pad((min(n, 1), 0), value=False).cast(dtypes.int32).cumsum(0).cast(dtypes.int32)
        _, runs, lengths = numbers._runs(True, True, None, numbers.shape)
        first = (lengths.cumsum(0) - lengths).cast(dtypes.int32)
        values = self.detach().index_select(dim, first)
        return (values, *[runs] * inverse, *[lengths] * counts) if inverse or counts else values

    def _runs(self, inverse: bool, counts: bool, order: Self | None, shape: tuple[int, ...]) -> Self | tuple[Self, ...]:
        """The first of each run of equal elements of a vector, and what else is asked for.

        inverse   also for each element its run, brought back from `order` into `shape`
        counts    also how long each run is
        """
        n = self.numel()
        if not n:
            empty = self._integers((0,))
            return (self, *[empty.reshape(shape)] * inverse, *[empty] * counts) if inverse or counts else self
        runs = self._numbered_runs()
        starts = runs._beginnings()
        found = [runs._between(0, n - 1, n), self._firsts(starts)]
        found += [(runs if order is None else runs._placed(order)).reshape(shape)] * inverse
        found += [starts._differences()] * counts
        found[0].realize(*found[1:])
        count = int(found[0].item()) + 1
        short = [x if inverse and i == 1 else x._beginning(count) for i, x in enumerate(found[1:])]
        return tuple(short) if len(short) > 1 else short[0]

    @composite
    def _numbered_runs(self) -> Self:
        """For each element of a vector the number of its run of equal ones."""
        n = self.numel()
        first = self._between(0, 1, n).ne(self._between(0, 0, n - 1)).pad((1, 0), value=True)
        return (first.cast(dtypes.int32).cumsum(0).cast(dtypes.int32) - 1).contiguous()

    @composite
    def _beginnings(self) -> Self:
        """Where each run begins, of which the elements' numbers are given; n behind the last, n + 1 in all."""
        n = self.numel()
        first = self._between(0, 1, n).ne(self._between(0, 0, n - 1)).pad((1, 0), value=True)
        places, base = first.where(self, n + 1), graph.full((n + 2,), n, dtypes.int32)  # one for those that begin none
        starts = self._wrap(graph.scatter(base, places._node, self._integers((n,))._node, 0, "set"), None)
        return starts._between(0, 0, n + 1)

    @composite
    def _firsts(self, starts: Self) -> Self:
        """The elements at the beginnings of runs."""
        n = self.numel()
        return self._fetched(starts._between(0, 0, n).minimum(n - 1))

    @composite
    def _differences(self) -> Self:
        """How much more each element of a vector is than the one before."""
        n = self.numel()
        return self._between(0, 1, n) - self._between(0, 0, n - 1)

    def _beginning(self, count: int) -> Self:
        """The first elements of a vector as data: kernels would be made anew for each count that comes from data."""
        return type(self)(self.numpy()[:count], device=self.device, dtype=self.dtype)
