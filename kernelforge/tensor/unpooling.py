"""Pooling in one and three dimensions, by other means, and backwards.

Comes in: tensors [N, C, spatial ...] and window parameters.  Goes out: tensors with other spatial dimensions.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Literal, Self, overload

from kernelforge import graph
from kernelforge import shape as shapes
from kernelforge.errors import ShapeError
from kernelforge.tensor.composite import composite
from kernelforge.tensor.convolution import Sizes
from kernelforge.tensor.counting import Counting
from kernelforge.tensor.pooling import OutputSizes


class Unpooling(Counting):
    """Operations on windows, as torch has them beside those over two dimensions."""

    __slots__ = ()

    # In three dimensions and one --------------------------------------------------------------------------------

    @overload
    def max_pool3d(
        self,
        kernel_size: Sizes = 2,
        stride: Sizes | None = None,
        dilation: Sizes = 1,
        padding: Sizes = 0,
        ceil_mode: bool = False,
        return_indices: Literal[False] = False,
    ) -> Self: ...

    @overload
    def max_pool3d(
        self,
        kernel_size: Sizes = 2,
        stride: Sizes | None = None,
        dilation: Sizes = 1,
        padding: Sizes = 0,
        ceil_mode: bool = False,
        *,
        return_indices: Literal[True],
    ) -> tuple[Self, Self]: ...

    def max_pool3d(
        self,
        kernel_size: Sizes = 2,
        stride: Sizes | None = None,
        dilation: Sizes = 1,
        padding: Sizes = 0,
        ceil_mode: bool = False,
        return_indices: bool = False,
    ) -> Self | tuple[Self, Self]:
        """max_pool2d() over the last three dimensions."""
        window = shapes.per_axis(kernel_size, 3, "max_pool3d", "kernel_size")
        if return_indices:
            return self.max_pool2d(window, stride, dilation, padding, ceil_mode, return_indices=True)
        return self.max_pool2d(window, stride, dilation, padding, ceil_mode)

    def avg_pool3d(
        self,
        kernel_size: Sizes = 2,
        stride: Sizes | None = None,
        padding: Sizes = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
    ) -> Self:
        """avg_pool2d() over the last three dimensions."""
        window = shapes.per_axis(kernel_size, 3, "avg_pool3d", "kernel_size")
        return self.avg_pool2d(window, stride, 1, padding, ceil_mode, count_include_pad)

    def adaptive_avg_pool1d(self, output_size: int) -> Self:
        """adaptive_avg_pool2d() over the last dimension alone."""
        sizes = shapes.per_axis(output_size, 1, "adaptive_avg_pool1d", "output_size", shapes.kept_or_index)
        return self.adaptive_avg_pool2d(sizes)

    def adaptive_avg_pool3d(self, output_size: OutputSizes) -> Self:
        """adaptive_avg_pool2d() over the last three dimensions."""
        sizes = shapes.per_axis(output_size, 3, "adaptive_avg_pool3d", "output_size", shapes.kept_or_index)
        return self.adaptive_avg_pool2d(sizes)

    def adaptive_max_pool1d(self, output_size: int) -> Self:
        """adaptive_max_pool2d() over the last dimension alone."""
        sizes = shapes.per_axis(output_size, 1, "adaptive_max_pool1d", "output_size", shapes.kept_or_index)
        return self.adaptive_max_pool2d(sizes)

    def adaptive_max_pool3d(self, output_size: OutputSizes) -> Self:
        """adaptive_max_pool2d() over the last three dimensions."""
        sizes = shapes.per_axis(output_size, 3, "adaptive_max_pool3d", "output_size", shapes.kept_or_index)
        return self.adaptive_max_pool2d(sizes)

    # By other means ---------------------------------------------------------------------------------------------

    def lp_pool1d(
        self, norm_type: float, kernel_size: Sizes, stride: Sizes | None = None, ceil_mode: bool = False
    ) -> Self:
        """(sum of x^norm_type)^(1 / norm_type) of each window of the last dimension."""
        window = shapes.per_axis(kernel_size, 1, "lp_pool1d", "kernel_size")
        return self._power_pooled(norm_type, window, stride, ceil_mode)

    def lp_pool2d(
        self, norm_type: float, kernel_size: Sizes, stride: Sizes | None = None, ceil_mode: bool = False
    ) -> Self:
        """(sum of x^norm_type)^(1 / norm_type) of each window of the last two dimensions."""
        window = shapes.per_axis(kernel_size, 2, "lp_pool2d", "kernel_size")
        return self._power_pooled(norm_type, window, stride, ceil_mode)

    @composite
    def _power_pooled(self, p: float, window: tuple[int, ...], stride: Sizes | None, ceil_mode: bool) -> Self:
        means = (self._floating() ** p).avg_pool2d(window, stride, 1, 0, ceil_mode)
        return (means.sign() * means.abs().relu() * prod(window)) ** (1 / p)

    @composite
    def local_response_norm(self, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> Self:
        """x / (k + alpha * mean(x^2))^beta, the mean taken over `size` neighbouring channels, dimension 1.

        raises ShapeError
        """
        if self.ndim < 3 or size < 1:
            raise ShapeError(f"local_response_norm({size}) of {self.shape}: it takes [N, C, ...] and a size above 0")
        squares = self.square()._zero_padded(1, size // 2, (size - 1) // 2)
        sums = squares._window(1, size)._reduce("add", 2, False, "local_response_norm")
        means = sums.div(size, rounding_mode="trunc" if sums.dtype.is_int else None)
        return self / (means * alpha + k) ** beta

    # Backwards --------------------------------------------------------------------------------------------------

    def max_unpool1d(
        self,
        indices: Self,
        kernel_size: Sizes,
        stride: Sizes | None = None,
        padding: Sizes = 0,
        output_size: Sequence[int] | None = None,
    ) -> Self:
        """max_unpool2d() of the last dimension."""
        return self._unpooled(indices, 1, kernel_size, stride, padding, output_size)

    def max_unpool2d(
        self,
        indices: Self,
        kernel_size: Sizes = 2,
        stride: Sizes | None = None,
        dilation: Sizes = 1,
        padding: Sizes = 0,
        output_size: Sequence[int] | None = None,
    ) -> Self:
        """The maxima of max_pool2d() put back where it found them, by its indices, and zeros elsewhere.

        output_size   the last dimensions of the result; None: the smallest that the windows come from

        raises ShapeError, and IndexError when the values are next synchronised
        """
        return self._unpooled(indices, 2, kernel_size, stride, padding, output_size, dilation)

    def max_unpool3d(
        self,
        indices: Self,
        kernel_size: Sizes,
        stride: Sizes | None = None,
        padding: Sizes = 0,
        output_size: Sequence[int] | None = None,
    ) -> Self:
        """max_unpool2d() of the last three dimensions."""
        return self._unpooled(indices, 3, kernel_size, stride, padding, output_size)

    def _unpooled(
        self,
        indices: Self,
        rank: int,
        kernel_size: Sizes,
        stride: Sizes | None,
        padding: Sizes,
        output_size: Sequence[int] | None,
        dilation: Sizes = 1,
    ) -> Self:
        window = shapes.per_axis(kernel_size, rank, "max_unpool", "kernel_size")
        if indices.shape != self.shape or self.ndim < rank:
            raise ShapeError(f"max_unpool of {self.shape} with indices of {indices.shape}: the shapes must be equal")
        strides = window if stride is None else shapes.per_axis(stride, rank, "max_unpool", "stride")
        pads = shapes.per_axis(padding, rank, "max_unpool", "padding")
        lead, spatial = self.shape[:-rank], self.shape[-rank:]
        spans = [d * (k - 1) + 1 for d, k in zip(shapes.per_axis(dilation, rank, "max_unpool", "dilation"), window)]
        sizes = [(n - 1) * s - 2 * p + k for n, s, p, k in zip(spatial, strides, pads, spans)]
        sizes = sizes if output_size is None else list(output_size)[-rank:]
        zeros = self.new_zeros(*lead, prod(sizes))
        count = prod(spatial)
        return zeros.scatter(-1, indices.reshape(*lead, count), self.reshape(*lead, count)).reshape(*lead, *sizes)

    @composite
    def fold(
        self, output_size: Sizes, kernel_size: Sizes, dilation: Sizes = 1, padding: Sizes = 0, stride: Sizes = 1
    ) -> Self:
        """Windows [N, C * h * w, count], as columns, added up where they overlap: [N, C, H, W].

        raises ShapeError
        """
        rank = 2
        sizes, window, strides, dilations, pads = (
            shapes.per_axis(value, rank, "fold", name)
            for value, name in (
                (output_size, "output_size"), (kernel_size, "kernel_size"), (stride, "stride"),
                (dilation, "dilation"), (padding, "padding"),
            )
        )  # fmt: skip
        full = [n + 2 * p for n, p in zip(sizes, pads)]
        counts = [shapes.window_count(*each, "fold") for each in zip(full, window, strides, dilations)]
        if self.ndim != 3 or self.shape[1] % prod(window) or self.shape[2] != prod(counts):
            raise ShapeError(
                f"fold of {self.shape} to {sizes}: it takes [N, C * {prod(window)}, {prod(counts)}], a column for each "
                f"of {counts} windows"
            )
        x = self.reshape(self.shape[0], self.shape[1] // prod(window), *window, *counts)
        x = x.permute(0, 1, *[axis for i in range(rank) for axis in (2 + rank + i, 2 + i)])
        node = x._node
        for i in range(rank):
            node = graph.unwindow(node, 2 + 2 * i, full[i], strides[i], dilations[i])
        total = x._derived(node)._reduce("add", tuple(range(3, 3 + 2 * rank, 2)), False, "fold")
        return total.shrink([None, None, *[(p, n - p) for n, p in zip(full, pads)]])
