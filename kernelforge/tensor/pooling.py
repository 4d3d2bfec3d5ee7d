"""Pooling: one value for each window of the last dimensions.

Comes in: tensors [..., spatial] and window parameters.  Goes out: reductions over windows.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Self

from kernelforge import graph
from kernelforge import shape as shapes
from kernelforge.errors import ShapeError
from kernelforge.tensor.convolution import Convolution, Sizes


class Pooling(Convolution):
    """Maxima and means over windows."""

    __slots__ = ()

    def _pooled(
        self, what: str, kernel_size: Sizes, stride: Sizes | None, dilation: Sizes, padding: Sizes, ceil_mode: bool
    ) -> tuple[Sequence[int], Sequence[int], Sequence[int], list[tuple[int, int]]]:
        """Window, stride, dilation and padding for each dimension; ceil_mode adds padding for a last, partial window.

        raises ShapeError
        """
        window = (kernel_size,) * 2 if isinstance(kernel_size, int) else tuple(kernel_size)
        rank = len(window)
        if self.ndim < rank:
            raise ShapeError(f"{what} with a window of {window} on {self.shape}: there are fewer dimensions than that")
        strides = window if stride is None else shapes.per_axis(stride, rank, what, "stride")
        dilations = shapes.per_axis(dilation, rank, what, "dilation")
        pads = self._spatial_padding(padding, window, dilations)
        if ceil_mode:
            sizes = zip(self.shape[-rank:], window, strides, dilations, pads)
            pads = [_ceiling_pads(*size) for size in sizes]
        return window, strides, dilations, pads

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

        stride           the kernel_size when None
        ceil_mode        also the partial windows at the end
        return_indices   also the place of each maximum in the flattened spatial dimensions, int32
        """
        window, strides, dilations, pads = self._pooled("max_pool2d", kernel_size, stride, dilation, padding, ceil_mode)
        rank = len(window)
        full_pads = [(0, 0)] * (self.ndim - rank) + pads
        x = self.pad(full_pads, value=self.dtype.min)._windows(window, strides, dilations, "max_pool2d")
        axes = tuple(range(self.ndim - rank + 1, self.ndim + rank, 2))
        largest = x.max(axes)
        if not return_indices:
            return largest
        n = prod(self.shape[-rank:])
        places = self._wrap(graph.reshape(graph.iota(n), self.shape[-rank:]), None)
        places = places.pad(pads, value=n)._windows(window, strides, dilations, "max_pool2d")
        hit = x.eq(x.max(axes, keepdim=True)) | x.isnan()
        return largest, hit.where(places, n).min(axes)

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
        window = (kernel_size,) if isinstance(kernel_size, int) else kernel_size
        return self.max_pool2d(window, stride, dilation, padding, ceil_mode)  # type: ignore[return-value]

    def avg_pool1d(
        self,
        kernel_size: Sizes = 2,
        stride: Sizes | None = None,
        padding: Sizes = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
    ) -> Self:
        """avg_pool2d over the last dimension alone."""
        window = (kernel_size,) if isinstance(kernel_size, int) else kernel_size
        return self.avg_pool2d(window, stride, 1, padding, ceil_mode, count_include_pad)

    def adaptive_avg_pool2d(self, output_size: Sizes) -> Self:
        """The mean of output_size windows that divide the last dimensions evenly.

        raises ShapeError when a size is no multiple of its output size
        """
        sizes = (output_size,) * 2 if isinstance(output_size, int) else tuple(output_size)
        spatial = self.shape[-len(sizes) :]
        if any(n % m for n, m in zip(spatial, sizes)):
            raise ShapeError(f"adaptive_avg_pool2d of {self.shape} to {sizes}: sizes must be multiples of the output's")
        return self.avg_pool2d([n // m for n, m in zip(spatial, sizes)])


def _ceiling_pads(size: int, window: int, stride: int, dilation: int, pads: tuple[int, int]) -> tuple[int, int]:
    """pads with what a last partial window needs; no window begins in the padding after the end, as in torch."""
    before, after = pads
    span = dilation * (window - 1) + 1
    count = -(-(size + before + after - span) // stride) + 1
    if (count - 1) * stride >= size + before:
        count -= 1
    return before, max(after, (count - 1) * stride + span - size - before)
