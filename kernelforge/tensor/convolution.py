"""Convolution and its transpose, in any number of dimensions.

Comes in: an input [N, C, ...spatial], weights and window parameters.  Goes out: a product of windows and weights summed
over channels and window places, so that a convolution is a contraction like any other.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import gcd
from typing import Self

from codegen.dtypes import DType
from kernelforge import graph
from kernelforge import shape as shapes
from kernelforge.errors import ArgumentError, ShapeError
from kernelforge.tensor.composite import composite
from kernelforge.tensor.solving import Solving

Sizes = int | Sequence[int]


def _every(x: graph.Node, dim: int, step: int) -> graph.Node:
    """Every so many elements of a dimension, the first one among them."""
    if step == 1:
        return x
    shown = graph.window(x, dim, 1, step)
    return graph.reshape(shown, (*shown.shape[: dim + 1], *shown.shape[dim + 2 :]))


def _shown(
    count: int, k: int, stride: int, dilation: int, pads: tuple[int, int], extra: int
) -> tuple[int, tuple[int, int]]:
    """The size of a dimension of a transposed convolution without padding, and from where to where it is shown.

    raises ShapeError
    """
    full = shapes.spread_size(count, k, stride, dilation, "conv_transpose2d")
    size = full - pads[0] - pads[1] + extra
    if size < 1 or extra >= max(stride, dilation):
        raise ShapeError(
            f"conv_transpose2d with padding {pads} and output_padding {extra} on an output of {full}: "
            "output_padding must be smaller than stride or dilation, and something must be left"
        )
    return full, (pads[0], pads[0] + size)


class Convolution(Solving):
    """Convolutions, written with windows."""

    __slots__ = ()

    @staticmethod
    def _spatial_padding(padding: Sizes | str, window: Sequence[int], dilation: Sequence[int]) -> list[tuple[int, int]]:
        """(before, after) for each spatial dimension, of a padding given once, per dimension, in full, or by name.

        raises ShapeError, ArgumentError
        """
        rank = len(window)
        if isinstance(padding, str):
            if padding not in ("valid", "same"):
                raise ArgumentError(f"padding is a number, numbers, 'same' or 'valid', got {padding!r}")
            total = [d * (k - 1) if padding == "same" else 0 for k, d in zip(window, dilation)]
            return [(n // 2, n - n // 2) for n in total]
        if len(given := shapes.sequence(padding)) == 2 * rank != rank:
            return [(given[2 * i], given[2 * i + 1]) for i in range(rank)][::-1]
        return [(n, n) for n in shapes.per_axis(padding, rank, "convolution or pooling", "padding")]

    def _windows(self, window: Sequence[int], stride: Sequence[int], dilation: Sequence[int], what: str) -> Self:
        """The last len(window) dimensions each replaced by two: the windows' places, the places within a window.

        Where windows only meet every g-th element, these come first, and a gradient fills in the others last.
        """
        first = self.ndim - len(window)
        node = self._node
        met = [gcd(s, d) if k > 1 else 1 for k, s, d in zip(window, stride, dilation)]
        for i, (k, s, d, g) in enumerate(zip(window, stride, dilation, met)):
            shapes.window_count(node.shape[first + i], k, s, d, what)
            node = _every(node, first + i, g)
        for i, (k, s, d, g) in enumerate(zip(window, stride, dilation, met)):
            node = graph.window(node, first + 2 * i, k, s // g, d // g)
        return self._derived(node)

    @composite
    def conv2d(
        self,
        weight: Self,
        bias: Self | None = None,
        groups: int = 1,
        stride: Sizes = 1,
        dilation: Sizes = 1,
        padding: Sizes | str = 0,
        dtype: DType | str | None = None,
    ) -> Self:
        """The convolution of [N, C, H, W] with a weight of [O, C / groups, h, w]: [N, O, H', W'].

            out[n,o,y,x] = bias[o] + sum_{c,r,s} in[n, c, y*stride + r*dilation - pad, ...] weight[o,c,r,s]

        conv1d, conv2d and conv3d are one: the number of spatial dimensions is that of the weight.  A padding of
        2 numbers per dimension is (before, after), last dimension first; "same" keeps the size at stride 1.

        raises ShapeError
        """
        rank = self._checked_convolution(weight, groups, weight.ndim > 1 and weight.shape[1] * groups, "conv2d")
        window = weight.shape[2:]
        strides = shapes.per_axis(stride, rank, "conv2d", "stride")
        dilations = shapes.per_axis(dilation, rank, "conv2d", "dilation")
        pads = self._spatial_padding(padding, window, dilations)
        x = self.pad([(0, 0), (0, 0), *pads])._windows(window, strides, dilations, "conv2d")
        outputs, channels = weight.shape[:2]
        x = x.reshape(self.shape[0], groups, 1, channels, *x.shape[2:])
        return x._weighted(weight, (outputs // groups, channels), 3, bias, dtype)

    def _weighted(
        self, weight: Self, channels: tuple[int, int], summed: int, bias: Self | None, dtype: DType | str | None
    ) -> Self:
        """Windows [N, groups, .., .., places, window, ...] times a weight, summed over the windows and axis `summed`.

        channels   the sizes of the weight's axes 2 and 3, one of which is summed
        """
        batch, groups, counts = self.shape[0], self.shape[1], self.shape[4::2]
        window = [size for k in weight.shape[2:] for size in (1, k)]
        product = self._contracted(
            weight.reshape(1, groups, *channels, *window), (summed, *range(5, self.ndim, 2)), dtype
        )
        outputs = groups * channels[3 - summed]
        result = product.reshape(batch, outputs, *counts)
        return result if bias is None else result + bias.reshape(1, outputs, *(1,) * len(counts))

    conv1d = conv3d = conv2d

    def _checked_convolution(self, weight: Self, groups: int, channels: int, what: str) -> int:
        """The number of spatial dimensions.

        raises ShapeError when input, weight and groups do not fit
        """
        if self.ndim < 3 or weight.ndim != self.ndim:
            raise ShapeError(
                f"{what} of {self.shape} with a weight of {weight.shape}: both need the same number of dimensions, "
                "(batch, channels, spatial ...) and (output channels, input channels, window ...)"
            )
        divided = weight.shape[0] if what == "conv2d" else self.shape[1]
        if channels != self.shape[1] or groups < 1 or divided % groups:
            raise ShapeError(
                f"{what} of {self.shape} with a weight of {weight.shape} and groups={groups}: the weight expects "
                f"{channels} input channels, the input has {self.shape[1]}; groups must divide the channels"
            )
        return self.ndim - 2

    @composite
    def conv_transpose2d(
        self,
        weight: Self,
        bias: Self | None = None,
        groups: int = 1,
        stride: Sizes = 1,
        dilation: Sizes = 1,
        padding: Sizes = 0,
        output_padding: Sizes = 0,
    ) -> Self:
        """The transpose of conv2d: [N, C, H, W] with a weight of [C, O / groups, h, w] gives [N, O, H', W'].

            H' = (H - 1) * stride - 2 * padding + dilation * (h - 1) + output_padding + 1

        Where windows only meet every g-th place, the others are filled in last.

        raises ShapeError
        """
        rank = self._checked_convolution(weight, groups, weight.ndim and weight.shape[0], "conv_transpose2d")
        window, what = weight.shape[2:], "conv_transpose2d"
        strides, dilations, extras = (
            shapes.per_axis(value, rank, what, name)
            for value, name in ((stride, "stride"), (dilation, "dilation"), (output_padding, "output_padding"))
        )
        pads = self._spatial_padding(padding, window, dilations)
        batch, channels = self.shape[:2]
        met = [gcd(s, d) if k > 1 else 1 for k, s, d in zip(window, strides, dilations)]
        x = self.reshape(batch, groups, channels // groups, 1, *self.shape[2:])
        places = []
        for i, (k, s, d, g, extra) in enumerate(zip(window, strides, dilations, met, extras)):
            full, place = _shown(self.shape[2 + i], k, s, d, pads[i], extra)
            x = x._spread(4 + 2 * i, k, s // g, d // g, (full - 1) // g + 1 if g > 1 else full + extra)
            x = x if g > 1 else x._between(4 + 2 * i, *place)
            places.append((full + extra, place))
        if max(met) == 1:
            return x._weighted(weight, (channels // groups, weight.shape[1]), 2, bias, None)
        result = x._weighted(weight, (channels // groups, weight.shape[1]), 2, None, None)
        for dim, (g, (size, place)) in enumerate(zip(met, places), 2):
            if g > 1:
                result = result._spread(dim, 1, g, 1, size).squeeze(dim + 1)._between(dim, *place)
        return result if bias is None else result + bias.reshape(1, -1, *(1,) * rank)

    def _spread(self, dim: int, k: int, stride: int, dilation: int, size: int) -> Self:
        """Dimension dim replaced by two: the places of a transposed convolution's output, the places in the window."""
        shape = self.shape
        repeated = self.unsqueeze(dim + 1).expand(*shape[: dim + 1], k, *shape[dim + 1 :])
        return repeated._derived(graph.unwindow(repeated._node, dim, size, stride, dilation))

    conv_transpose1d = conv_transpose3d = conv_transpose2d
