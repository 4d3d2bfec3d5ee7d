"""Convolution layers.

Comes in: channel numbers, window parameters.  Goes out: modules with parameters named and initialised as torch's are.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar

from kernelforge.errors import ShapeError
from kernelforge.nn.linear import uniform_parameter
from kernelforge.nn.module import Module
from kernelforge.shape import per_axis
from kernelforge.tensor import Tensor

Sizes = int | Sequence[int]


class _Convolution(Module):
    """What convolution layers of every rank and direction share."""

    rank: ClassVar[int]
    transposed: ClassVar[bool] = False

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Sizes,
        stride: Sizes = 1,
        padding: Sizes | str = 0,
        output_padding: Sizes = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: Sizes = 1,
    ) -> None:
        if in_channels % groups or out_channels % groups:
            raise ShapeError(f"groups={groups} must divide in_channels={in_channels} and out_channels={out_channels}")
        self.in_channels, self.out_channels, self.groups = in_channels, out_channels, groups
        self.kernel_size = per_axis(kernel_size, self.rank, type(self).__name__, "kernel_size")
        self.stride, self.padding, self.dilation, self.output_padding = stride, padding, dilation, output_padding
        outer, inner = (in_channels, out_channels) if self.transposed else (out_channels, in_channels)
        bound = 1 / math.sqrt(max(1, inner // groups * math.prod(self.kernel_size)))
        self.weight = uniform_parameter(outer, inner // groups, *self.kernel_size, bound=bound)
        self.bias = uniform_parameter(out_channels, bound=bound) if bias else None

    def forward(self, x: Tensor) -> Tensor:
        """[N, in_channels, ...] -> [N, out_channels, ...].

        raises ShapeError
        """
        if x.ndim != self.rank + 2:
            raise ShapeError(f"{self!r} of {x.shape}: it takes [batch, channels] and {self.rank} spatial dimensions")
        if self.transposed:
            assert not isinstance(self.padding, str)
            return x.conv_transpose2d(
                self.weight, self.bias, self.groups, self.stride, self.dilation, self.padding, self.output_padding
            )
        return x.conv2d(self.weight, self.bias, self.groups, self.stride, self.dilation, self.padding)

    def extra_repr(self) -> str:
        """The parameters that differ from their defaults."""
        defaults = {"stride": 1, "padding": 0, "dilation": 1, "groups": 1, "output_padding": 0}
        extra = [f", {name}={getattr(self, name)}" for name, value in defaults.items() if getattr(self, name) != value]
        return f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}" + "".join(extra)


class _Forward(_Convolution):
    """Convolution layers, with torch's order of arguments."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Sizes,
        stride: Sizes = 1,
        padding: Sizes | str = 0,
        dilation: Sizes = 1,
        groups: int = 1,
        bias: bool = True,
    ) -> None:
        super().__init__(in_channels, out_channels, kernel_size, stride, padding, 0, groups, bias, dilation)


class Conv1d(_Forward):
    """Tensor.conv2d of [N, in_channels, L] with a weight [out_channels, in_channels / groups, k] of its own.

    weight, bias   uniform within 1 / sqrt(in_channels / groups * k)
    """

    rank = 1


class Conv2d(_Forward):
    """Tensor.conv2d of [N, in_channels, H, W] with a weight [out_channels, in_channels / groups, h, w] of its own.

    weight, bias   uniform within 1 / sqrt(in_channels / groups * h * w)
    """

    rank = 2


class Conv3d(_Forward):
    """Tensor.conv3d of [N, in_channels, D, H, W] with a weight [out_channels, in_channels / groups, d, h, w].

    weight, bias   uniform within 1 / sqrt(in_channels / groups * d * h * w)
    """

    rank = 3


class ConvTranspose1d(_Convolution):
    """Tensor.conv_transpose2d of [N, in_channels, L] with a weight [in_channels, out_channels / groups, k]."""

    rank = 1
    transposed = True


class ConvTranspose2d(_Convolution):
    """Tensor.conv_transpose2d of [N, in_channels, H, W] with a weight [in_channels, out_channels / groups, h, w]."""

    rank = 2
    transposed = True


class ConvTranspose3d(_Convolution):
    """Tensor.conv_transpose3d of [N, in_channels, ..] with a weight [in_channels, out_channels / groups, d, h, w]."""

    rank = 3
    transposed = True
