"""Pooling layers.

Comes in: window parameters.  Goes out: modules that call the tensor's pooling methods.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kernelforge.nn.module import Module
from kernelforge.tensor import Tensor

Sizes = int | Sequence[int]


class _Pooling(Module):
    """A module that calls one pooling method with fixed arguments."""

    method: str

    def __init__(self, kernel_size: Sizes, stride: Sizes | None = None, padding: Sizes = 0, **rest: Any) -> None:
        self.arguments = {"kernel_size": kernel_size, "stride": stride, "padding": padding, **rest}

    def forward(self, x: Tensor) -> Tensor:
        """[.., spatial] -> one value for each window."""
        return getattr(x, self.method)(**self.arguments)

    def extra_repr(self) -> str:
        """The window."""
        return ", ".join(f"{name}={value}" for name, value in self.arguments.items())


class MaxPool1d(_Pooling):
    """Tensor.max_pool1d as a module; also takes dilation and ceil_mode."""

    method = "max_pool1d"


class MaxPool2d(_Pooling):
    """Tensor.max_pool2d as a module; also takes dilation, ceil_mode and return_indices."""

    method = "max_pool2d"


class AvgPool1d(_Pooling):
    """Tensor.avg_pool1d as a module; also takes ceil_mode and count_include_pad."""

    method = "avg_pool1d"


class AvgPool2d(_Pooling):
    """Tensor.avg_pool2d as a module; also takes ceil_mode and count_include_pad."""

    method = "avg_pool2d"


class _AdaptivePooling(Module):
    """A module that calls one adaptive pooling method."""

    method: str

    def __init__(self, output_size: int | Sequence[int | None]) -> None:
        self.output_size = output_size

    def forward(self, x: Tensor) -> Tensor:
        """[.., H, W] -> [.., *output_size]."""
        return getattr(x, self.method)(self.output_size)

    def extra_repr(self) -> str:
        """The output size."""
        return f"{self.output_size}"


class AdaptiveAvgPool2d(_AdaptivePooling):
    """Tensor.adaptive_avg_pool2d as a module."""

    method = "adaptive_avg_pool2d"


class AdaptiveMaxPool2d(_AdaptivePooling):
    """Tensor.adaptive_max_pool2d as a module."""

    method = "adaptive_max_pool2d"
