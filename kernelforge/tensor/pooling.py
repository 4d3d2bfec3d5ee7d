"""Pooling: one value for each window of the last dimensions.

Comes in: tensors [..., spatial] and window parameters.  Goes out: reductions over windows.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Literal, Self, overload

from codegen.dtypes import dtypes
from kernelforge import graph
from kernelforge import shape as shapes
from kernelforge.errors import ShapeError
from kernelforge.tensor.composite import composite
from kernelforge.tensor.convolution import Convolution, Sizes
from kernelforge.tensor.empties import no_elements

OutputSizes = int | Sequence[int | None]


class Pooling(Convolution):
    """Maxima and means over windows."""

    __slots__ = ()

    def _pooled(
        self, what: str, kernel_size: Sizes, stride: Sizes | None, dilation: Sizes, padding: Sizes, ceil_mode: bool
    ) -> tuple[Sequence[int], Sequence[int], Sequence[int], list[tuple[int, int]]]:
        """Window, stride, dilation and padding for each dimension; ceil_mode adds padding for a last, partial window.

        raises ShapeError
        """
        rank = len(shapes.sequence(kernel_size, 2))
        window = shapes.per_axis(kernel_size, rank, what, "kernel_size")
        if self.ndim < rank:
            raise ShapeError(f"{what} with a window of {window} on {self.shape}: there are fewer dimensions than that")
        strides = window if stride is None else shapes.per_axis(stride, rank, what, "stride")
        dilations = shapes.per_axis(dilation, rank, what, "dilation")
        pads = self._spatial_padding(padding, window, dilations)
        if min(strides) < 1 or min(map(min, pads)) < 0:
            raise ShapeError(f"{what} with strides {strides} and padding {pads}: these are at least 1, and at least 0")
        if ceil_mode:
            sizes = zip(self.shape[-rank:], window, strides, dilations, pads)
            pads = [_ceiling_pads(*size) for size in sizes]
        return window, strides, dilations, pads

    @overload
    def max_pool2d(
        self,
        kernel_size: Sizes = (2, 2),
        stride: Sizes | None = None,
        dilation: Sizes = 1,
        padding: Sizes = 0,
        ceil_mode: bool = False,
        return_indices: Literal[False] = False,
    ) -> Self: ...

    @overload
    def max_pool2d(
        self,
        kernel_size: Sizes = (2, 2),
        stride: Sizes | None = None,
        dilation: Sizes = 1,
        padding: Sizes = 0,
        ceil_mode: bool = False,
        *,
        return_indices: Literal[True],
    ) -> tuple[Self, Self]: ...

    def max_pool2d(
        self,
        kernel_size: Sizes = (2, 2),
        stride: Sizes | None = None,
        dilation: Sizes = 1,
        padding: Sizes = 0,
        ceil_mode: bool = False,
        return_indices: bool = False,
    ) -> Self | tuple[Self, Self]:
        """The maximum of each window of the last dimensions, as many as kernel_size has; padding never wins.

        Of several equal maxima the first one gets the gradient, of several NaN the last one, as in torch.

        stride           the kernel_size when None
        ceil_mode        also the partial windows at the end
        return_indices   also the place of each maximum in the flattened spatial dimensions, int32
        """
        window, strides, dilations, pads = self._pooled("max_pool2d", kernel_size, stride, dilation, padding, ceil_mode)
        options = (tuple(window), tuple(strides), tuple(dilations), tuple([n for ends in pads for n in ends]))
        largest = self._max_pooled(*options, False)
        return (largest, self._max_pooled(*options, True)) if return_indices else largest

    @composite
    def _max_pooled(
        self,
        window: tuple[int, ...],
        strides: tuple[int, ...],
        dilations: tuple[int, ...],
        ends: tuple[int, ...],
        wants_places: bool,
    ) -> Self:
        """The maximum of each window, or the place of the element `_largest_at` takes, or, where padding is all there
        is, where the first tap after the padding before would be, as in torch.

        ends  the padding before and after each dimension, in one row: such calls are known in C
        """
        rank = len(window)
        pads = list(zip(ends[::2], ends[1::2]))
        full_pads = [(0, 0)] * (self.ndim - rank) + pads
        x = self.pad(full_pads, value=self.dtype.min)._windows(window, strides, dilations, "max_pool2d")
        axes = tuple(range(self.ndim - rank + 1, self.ndim + rank, 2))
        n = prod(self.shape[-rank:])
        places = self._wrap(graph.reshape(graph.iota(n), self.shape[-rank:]), None)
        places = places.pad(pads, value=n)._windows(window, strides, dilations, "max_pool2d")
        largest, first = x._largest_at(places, n, axes)
        if not wants_places:
            return largest
        sizes = list(zip(self.shape[-rank:], first.shape[-rank:], strides, dilations, ends[::2]))
        if all(d <= size and (m - 1) * step - lo < size for size, m, step, d, lo in sizes):
            return first
        starts = [type(self).arange(m, device=self.device) * step - lo for _, m, step, _, lo in sizes]
        reached = [x + (d - 1 - x).maximum(0) // d * d for x, d in zip(starts, dilations)]
        nowhere = self._wrap(graph.full((1,) * rank, 0, dtypes.int32), None)  # of windows with nothing but padding
        for i, start in enumerate(reached):
            lines = start.reshape([-1 if j == i else 1 for j in range(rank)])
            nowhere = nowhere + lines * prod(self.shape[self.ndim - rank + i + 1 :])
        return first.eq(n).where(nowhere, first)

    def _largest_at(self, places: Self, n: int, axes: tuple[int, ...]) -> tuple[Self, Self]:
        """The maximum over axes, and the smallest of the places below n where it is; that one gets the gradient.

        Of NaN it is the last one, as in torch: places of NaN come before all others, the last ones first.
        """
        x = self.detach()
        largest = self.max(axes, keepdim=True)
        found = x.eq(largest.detach()).where(places, n)
        if x.dtype.is_float:
            found = x.isnan().where(-1 - places, found)
        first = found.min(axes, keepdim=True)
        if x.dtype.is_float:
            first = (first < 0).where(-1 - first, first)
        result = largest.reshape([size for i, size in enumerate(self.shape) if i not in axes])
        if self.dtype.is_float:
            picked = places.eq(first).where(self, 0)._reduce("add", axes, False, "max")
            result = result._derived(graph.surrogate(result._node, picked._node))
        return result, first.reshape(result.shape)

    @composite
    def avg_pool2d(
        self,
        kernel_size: Sizes = (2, 2),
        stride: Sizes | None = None,
        dilation: Sizes = 1,
        padding: Sizes = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
    ) -> Self:
        """The mean of each window of the last dimensions, as many as kernel_size has.

        count_include_pad   whether padding counts as elements; what ceil_mode adds never does
        """
        window, strides, dilations, pads = self._pooled("avg_pool2d", kernel_size, stride, dilation, padding, ceil_mode)
        rank = len(window)
        lead = [(0, 0)] * (self.ndim - rank)
        axes = tuple(range(self.ndim - rank + 1, self.ndim + rank, 2))
        x = self._floating()._wide().pad(lead + pads)._windows(window, strides, dilations, "avg_pool2d")
        total = x._reduce("add", axes, False, "avg_pool2d")
        dtype = self._floating().dtype
        given = self._spatial_padding(padding, window, dilations)
        if (count_include_pad and given == pads) or not any(map(any, pads)):
            return (total / float(prod(window))).cast(dtype)
        counted = given if count_include_pad else [(0, 0)] * rank
        inside = [n + lo + hi for n, (lo, hi) in zip(self.shape[-rank:], counted)]
        ones = self._wrap(graph.full(tuple(inside), 1.0, x.dtype), None)
        rest = [(lo - a, hi - b) for (lo, hi), (a, b) in zip(pads, counted)]
        counts = ones.pad(rest)._windows(window, strides, dilations, "avg_pool2d")
        return (total / counts._reduce("add", tuple(range(1, 2 * rank, 2)), False, "avg_pool2d")).cast(dtype)

    def max_pool1d(
        self,
        kernel_size: Sizes = 2,
        stride: Sizes | None = None,
        dilation: Sizes = 1,
        padding: Sizes = 0,
        ceil_mode: bool = False,
    ) -> Self:
        """max_pool2d over the last dimension alone."""
        window = shapes.per_axis(kernel_size, 1, "max_pool1d", "kernel_size")
        return self.max_pool2d(window, stride, dilation, padding, ceil_mode)

    def avg_pool1d(
        self,
        kernel_size: Sizes = 2,
        stride: Sizes | None = None,
        padding: Sizes = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
    ) -> Self:
        """avg_pool2d over the last dimension alone."""
        window = shapes.per_axis(kernel_size, 1, "avg_pool1d", "kernel_size")
        return self.avg_pool2d(window, stride, 1, padding, ceil_mode, count_include_pad)

    @composite
    def adaptive_avg_pool2d(self, output_size: OutputSizes) -> Self:
        """The mean of each of the windows that cover the last dimensions, output_size of them; None keeps a size.

        Window i of m on n elements begins at floor(i * n / m) and ends before ceil((i + 1) * n / m).

        raises ShapeError
        """
        sizes = self._adaptive_sizes(output_size, "adaptive_avg_pool2d")
        if 0 in sizes:
            return no_elements(self, (*self.shape[: self.ndim - len(sizes)], *sizes))
        if (window := self._even_window(sizes)) is not None:
            return self.avg_pool2d(window)
        x = self._floating()._wide()
        for dim, m in enumerate(sizes, start=self.ndim - len(sizes)):
            n, places = x.shape[dim], x._adaptive_places(dim, m)
            windows = x._adaptive_windows(dim, places)
            total = (places < n).where(windows, 0)._reduce("add", dim + 1, False, "pooling")
            number = type(self).arange(m)
            lengths = ((number + 1) * n + m - 1) // m - number * n // m
            x = total / lengths.cast(x.dtype).reshape(m, *(1,) * (self.ndim - dim - 1))
            if dim < self.ndim - 1 and x.numel():  # whole lines are read where nothing is taken out of them yet
                x = x.contiguous()
        return x.cast(self._floating().dtype)

    @composite
    def adaptive_max_pool2d(self, output_size: OutputSizes) -> Self:
        """The maximum of each of the windows adaptive_avg_pool2d() takes; the first of equal ones gets the gradient.

        raises ShapeError
        """
        sizes = self._adaptive_sizes(output_size, "adaptive_max_pool2d")
        if 0 in sizes:
            return no_elements(self, (*self.shape[: self.ndim - len(sizes)], *sizes))
        if (window := self._even_window(sizes)) is not None:
            return self.max_pool2d(window)
        x = self
        for dim, m in reversed(list(enumerate(sizes, start=self.ndim - len(sizes)))):
            n, places = x.shape[dim], x._adaptive_places(dim, m)
            windows = (places < n).where(x._adaptive_windows(dim, places), self.dtype.min)
            x, _ = windows._largest_at(places, n, (dim + 1,))
        return x

    def _adaptive_sizes(self, output_size: OutputSizes, what: str) -> list[int]:
        """The size to be of each of the last dimensions.

        raises ShapeError
        """
        rank = len(shapes.sequence(output_size, 2))
        sizes = shapes.per_axis(output_size, rank, what, "output_size", shapes.kept_or_index)
        before = self.shape[max(0, self.ndim - len(sizes)) :]
        wanted = [n if m is None else m for n, m in zip(before, sizes)]
        if len(before) < len(sizes) or min([1, *before]) < 1 or min([0, *wanted]) < 0:
            raise ShapeError(f"{what} of {self.shape} to {sizes}: it takes last dimensions, each at least 1 long")
        return wanted

    def _even_window(self, sizes: Sequence[int]) -> list[int] | None:
        """The one window that divides the last dimensions into the given numbers of parts, if there is one."""
        pairs = list(zip(self.shape[self.ndim - len(sizes) :], sizes))
        return None if any(n % m for n, m in pairs) else [n // m for n, m in pairs]

    def _adaptive_places(self, dim: int, m: int) -> Self:
        """The places [m, longest, 1, ..] in dimension dim that its m windows hold; its size where one is shorter."""
        n, rest = self.shape[dim], (1,) * (self.ndim - dim - 1)
        longest = max(-(-(i + 1) * n // m) - i * n // m for i in range(m))
        number, offset = type(self).arange(m).reshape(m, 1), type(self).arange(longest)
        places = number * n // m + offset
        return (places < ((number + 1) * n + m - 1) // m).where(places, n).reshape(m, longest, *rest)

    def _adaptive_windows(self, dim: int, places: Self) -> Self:
        """Dimension dim as windows of the elements at the given places, the last one for places outside."""
        n, before, after = self.shape[dim], self.shape[:dim], self.shape[dim + 1 :]
        index = places.minimum(n - 1).reshape(places.numel(), *(1,) * len(after))
        index = index.expand(*before, places.numel(), *after)
        found = self._derived(graph.gather(self._node, index._node, dim))
        return found.unflatten(dim, places.shape[:2])


def _ceiling_pads(size: int, window: int, stride: int, dilation: int, pads: tuple[int, int]) -> tuple[int, int]:
    """pads with what a last partial window needs; no window begins in the padding after the end, as in torch."""
    before, after = pads
    span = dilation * (window - 1) + 1
    count = -(-(size + before + after - span) // stride) + 1
    if (count - 1) * stride >= size + before:
        count -= 1
    return before, max(after, (count - 1) * stride + span - size - before)
