"""Convolution layers.

Comes in: channel numbers, window parameters.  Goes out: modules with parameters named and initialised as torch's are.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar, Final

from kernelforge.errors import ArgumentError, ShapeError
from kernelforge.nn import functional as F
from kernelforge.nn.linear import uniform_parameter
from kernelforge.nn.resetting import Uniform
from kernelforge.shape import per_axis
from kernelforge.tensor import Tensor

Sizes = int | Sequence[int]
_PADDING_MODES: Final = {"reflect": "reflect", "replicate": "replicate", "circular": "circular", "zeros": "constant"}
_FORWARD: Final = (F.conv1d, F.conv2d, F.conv3d)
_TRANSPOSED: Final = (F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d)


class _Convolution(Uniform):
    """What convolution layers of every rank and direction share."""

    rank: ClassVar[int]
    transposed: ClassVar[bool] = False

    def _make(
        self,
        channels: tuple[int, int],
        kernel_size: Sizes,
        windows: dict[str, Any],
        groups: int,
        bias: bool,
        padding_mode: str,
        **place: Any,
    ) -> None:
        """Set the options as attributes, and the parameters.

        raises ShapeError, ValueError
        """
        inputs, outputs = channels
        if groups <= 0 or inputs % groups or outputs % groups:
            raise ShapeError(f"groups={groups} must divide in_channels={inputs} and out_channels={outputs}")
        if padding_mode not in _PADDING_MODES or (self.transposed and padding_mode != "zeros"):
            raise ArgumentError(f"padding_mode must be one of {list(_PADDING_MODES)}, but got {padding_mode!r}")
        self.in_channels, self.out_channels, self.groups, self.padding_mode = inputs, outputs, groups, padding_mode
        self.kernel_size = self._sizes(kernel_size, "kernel_size")
        self.stride, self.dilation = (self._sizes(windows[name], name) for name in ("stride", "dilation"))
        self.output_padding = self._sizes(windows.get("output_padding", 0), "output_padding")
        padding = windows["padding"]
        if isinstance(padding, str):
            if padding not in ("same", "valid"):
                raise ArgumentError(f"Invalid padding string {padding!r}, should be one of 'same', 'valid'")
            if padding == "same" and any(step != 1 for step in self.stride):
                raise ArgumentError("padding='same' is not supported for strided convolutions")
        self.padding = padding if isinstance(padding, str) else self._sizes(padding, "padding")
        outer, inner = (inputs, outputs) if self.transposed else (outputs, inputs)
        self._inputs = inner // groups
        bound = self._bound()
        self.weight = uniform_parameter(outer, self._inputs, *self.kernel_size, bound=bound, **place)
        self.bias = uniform_parameter(outputs, bound=bound, **place) if bias else None

    def _bound(self) -> float:
        return 1 / math.sqrt(max(1, self._inputs * math.prod(self.kernel_size)))

    def _sizes(self, value: Sizes, name: str) -> tuple[int, ...]:
        return tuple(per_axis(value, self.rank, type(self).__name__, name))

    def extra_repr(self) -> str:
        """The channels, the window, and the options that are not the default."""
        ones, zeros = (1,) * self.rank, (0,) * self.rank
        defaults = {
            "padding": zeros, "dilation": ones, "output_padding": zeros, "groups": 1, "padding_mode": "zeros",
        }  # fmt: skip
        extra = {name: getattr(self, name) for name, value in defaults.items() if getattr(self, name) != value}
        if self.bias is None:
            extra["bias"] = False
        order = ("padding", "dilation", "output_padding", "groups", "bias", "padding_mode")
        shown = "".join(f", {name}={extra[name]}" for name in order if name in extra)
        return f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}{shown}"


class _Forward(_Convolution):
    """Convolutions."""

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
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        windows = {"stride": stride, "padding": padding, "dilation": dilation}
        self._make((in_channels, out_channels), kernel_size, windows, groups, bias, padding_mode,
                   device=device, dtype=dtype)  # fmt: skip

    def forward(self, input: Tensor) -> Tensor:
        """[N, in_channels, ...] -> [N, out_channels, ...]; N may be missing.

        raises ShapeError
        """
        padding: Sizes | str = self.padding
        if self.padding_mode != "zeros":
            input, padding = F.pad(input, self._margins(), _PADDING_MODES[self.padding_mode]), 0
        convolve = _FORWARD[self.rank - 1]
        return convolve(input, self.weight, self.bias, self.stride, padding, self.dilation, self.groups)

    def _margins(self) -> list[int]:
        """The padding as (before, after) of the last dimension, then of the one before it."""
        if self.padding == "same":
            spans = [d * (k - 1) for d, k in zip(self.dilation, self.kernel_size)]
            pairs = [(span // 2, span - span // 2) for span in spans]
        elif self.padding == "valid":
            pairs = [(0, 0)] * self.rank
        else:
            pairs = [(int(p), int(p)) for p in self.padding]
        return [amount for pair in reversed(pairs) for amount in pair]


class _Transposed(_Convolution):
    """Transposed convolutions."""

    transposed = True

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Sizes,
        stride: Sizes = 1,
        padding: Sizes = 0,
        output_padding: Sizes = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: Sizes = 1,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        windows = {"stride": stride, "padding": padding, "dilation": dilation, "output_padding": output_padding}
        self._make((in_channels, out_channels), kernel_size, windows, groups, bias, padding_mode,
                   device=device, dtype=dtype)  # fmt: skip

    def forward(self, input: Tensor, output_size: Sequence[int] | None = None) -> Tensor:
        """[N, in_channels, ...] -> [N, out_channels, ...], of output_size if one is given; N may be missing.

        raises ShapeError
        """
        more = self.output_padding if output_size is None else self._needed(input, output_size)
        assert not isinstance(self.padding, str)
        convolve = _TRANSPOSED[self.rank - 1]
        return convolve(
            input, self.weight, self.bias, self.stride, self.padding, more, self.groups, self.dilation
        )

    def _needed(self, input: Tensor, output_size: Sequence[int]) -> list[int]:
        """The output_padding that gives a size."""
        assert not isinstance(self.padding, str)
        sizes = list(output_size)[-self.rank :]
        windows = zip(self.kernel_size, self.stride, self.padding, self.dilation)
        least = [(n - 1) * s - 2 * p + d * (k - 1) + 1 for n, (k, s, p, d) in zip(input.shape[-self.rank :], windows)]
        if any(not low <= size < low + step for low, size, step in zip(least, sizes, self.stride)):
            most = [low + step - 1 for low, step in zip(least, self.stride)]
            raise ShapeError(f"requested an output size of {sizes}, but valid sizes range from {least} to {most}")
        return [size - low for low, size in zip(least, sizes)]


class Conv1d(_Forward):
    """The convolution of [N, in_channels, L] with a weight [out_channels, in_channels / groups, k] of its own.

    weight, bias   uniform within 1 / sqrt(in_channels / groups * k)
    """

    rank = 1


class Conv2d(_Forward):
    """The convolution of [N, in_channels, H, W] with a weight [out_channels, in_channels / groups, h, w] of its own.

    weight, bias   uniform within 1 / sqrt(in_channels / groups * h * w)
    """

    rank = 2


class Conv3d(_Forward):
    """The convolution of [N, in_channels, D, H, W] with a weight [out_channels, in_channels / groups, d, h, w].

    weight, bias   uniform within 1 / sqrt(in_channels / groups * d * h * w)
    """

    rank = 3


class ConvTranspose1d(_Transposed):
    """The transpose of Conv1d, with a weight [in_channels, out_channels / groups, k] of its own."""

    rank = 1


class ConvTranspose2d(_Transposed):
    """The transpose of Conv2d, with a weight [in_channels, out_channels / groups, h, w] of its own."""

    rank = 2


class ConvTranspose3d(_Transposed):
    """The transpose of Conv3d, with a weight [in_channels, out_channels / groups, d, h, w] of its own."""

    rank = 3
