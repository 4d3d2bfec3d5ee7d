"""Pooling as modules.

Comes in: window parameters.  Goes out: modules that call the functions of nn.functional.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from kernelforge.errors import ArgumentError
from kernelforge.nn import functional as F
from kernelforge.nn.function import FunctionModule
from kernelforge.shape import per_axis
from kernelforge.tensor import Tensor

Sizes = int | Sequence[int]
OutputSizes = int | Sequence[int | None] | None


class _MaxPool(FunctionModule):
    """What pooling to maxima shares."""

    def __init__(
        self,
        kernel_size: Sizes,
        stride: Sizes | None = None,
        padding: Sizes = 0,
        dilation: Sizes = 1,
        return_indices: bool = False,
        ceil_mode: bool = False,
    ) -> None:
        self._keep(
            kernel_size=kernel_size,
            stride=kernel_size if stride is None else stride,
            padding=padding,
            dilation=dilation,
            ceil_mode=ceil_mode,
            return_indices=return_indices,
        )

    def extra_repr(self) -> str:
        """The window."""
        return super().extra_repr().split(", return_indices")[0]


class _AvgPool(FunctionModule):
    """What pooling to means shares."""

    def __init__(
        self,
        kernel_size: Sizes,
        stride: Sizes | None = None,
        padding: Sizes = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> None:
        self._keep(
            kernel_size=kernel_size,
            stride=kernel_size if stride is None else stride,
            padding=padding,
            ceil_mode=ceil_mode,
            count_include_pad=count_include_pad,
            divisor_override=divisor_override,
        )

    def extra_repr(self) -> str:
        """The window."""
        return super().extra_repr().split(", ceil_mode")[0]


class _LPPool(FunctionModule):
    """What pooling to p-norms shares."""

    def __init__(
        self, norm_type: float, kernel_size: Sizes, stride: Sizes | None = None, ceil_mode: bool = False
    ) -> None:
        self._keep(norm_type=norm_type, kernel_size=kernel_size, stride=stride, ceil_mode=ceil_mode)


class _MaxUnpool(FunctionModule):
    """What pooling undone shares."""

    function: ClassVar
    kernel_size: Sizes
    stride: Sizes
    padding: Sizes

    def __init__(self, kernel_size: Sizes, stride: Sizes | None = None, padding: Sizes = 0) -> None:
        self._keep(kernel_size=kernel_size, stride=kernel_size if stride is None else stride, padding=padding)

    def forward(self, input: Tensor, indices: Tensor, output_size: Sequence[int] | None = None) -> Tensor:
        """The maxima where their indices say, zeros elsewhere."""
        return type(self).function(input, indices, self.kernel_size, self.stride, self.padding, output_size)


class _AdaptiveAvgPool(FunctionModule):
    """What pooling to means of a given number shares."""

    named = False

    def __init__(self, output_size: OutputSizes) -> None:
        self._keep(output_size=output_size)

    def extra_repr(self) -> str:
        """The output size."""
        return f"output_size={vars(self)['output_size']}"


class _AdaptiveMaxPool(FunctionModule):
    """What pooling to maxima of a given number shares."""

    def __init__(self, output_size: OutputSizes, return_indices: bool = False) -> None:
        self._keep(output_size=output_size, return_indices=return_indices)

    def extra_repr(self) -> str:
        """The output size."""
        return f"output_size={vars(self)['output_size']}"


class _FractionalMaxPool(FunctionModule):
    """What pooling of random windows shares."""

    def __init__(
        self,
        kernel_size: Sizes,
        output_size: Sizes | None = None,
        output_ratio: float | Sequence[float] | None = None,
        return_indices: bool = False,
        _random_samples: Tensor | None = None,
    ) -> None:
        if (output_size is None) == (output_ratio is None):
            raise ArgumentError("FractionalMaxPool requires specifying either an output size, or a pooling ratio")
        self._keep(
            kernel_size=kernel_size,
            output_size=output_size,
            output_ratio=output_ratio,
            return_indices=return_indices,
            _random_samples=_random_samples,
        )


class MaxPool1d(_MaxPool):
    """The maximum of each window of [.., L]."""

    function = staticmethod(F.max_pool1d)


class MaxPool2d(_MaxPool):
    """The maximum of each window of [.., H, W]."""

    function = staticmethod(F.max_pool2d)


class MaxPool3d(_MaxPool):
    """The maximum of each window of [.., D, H, W]."""

    function = staticmethod(F.max_pool3d)


class AvgPool1d(_AvgPool):
    """The mean of each window of [.., L]."""

    function = staticmethod(F.avg_pool1d)

    def __init__(
        self,
        kernel_size: Sizes,
        stride: Sizes | None = None,
        padding: Sizes = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
    ) -> None:
        window, step, margin = (
            per_axis(value, 1, "AvgPool1d", name)
            for name, value in (
                ("kernel_size", kernel_size), ("stride", kernel_size if stride is None else stride),
                ("padding", padding),
            )
        )  # fmt: skip
        self._keep(
            kernel_size=window, stride=step, padding=margin, ceil_mode=ceil_mode, count_include_pad=count_include_pad
        )


class AvgPool2d(_AvgPool):
    """The mean of each window of [.., H, W]."""

    function = staticmethod(F.avg_pool2d)


class AvgPool3d(_AvgPool):
    """The mean of each window of [.., D, H, W]."""

    function = staticmethod(F.avg_pool3d)


class LPPool1d(_LPPool):
    """The p-norm of each window of [.., L]."""

    function = staticmethod(F.lp_pool1d)


class LPPool2d(_LPPool):
    """The p-norm of each window of [.., H, W]."""

    function = staticmethod(F.lp_pool2d)


class LPPool3d(_LPPool):
    """The p-norm of each window of [.., D, H, W]."""

    function = staticmethod(F.lp_pool3d)


class MaxUnpool1d(_MaxUnpool):
    """MaxPool undone, to [.., L]."""

    function = staticmethod(F.max_unpool1d)


class MaxUnpool2d(_MaxUnpool):
    """MaxPool undone, to [.., H, W]."""

    function = staticmethod(F.max_unpool2d)


class MaxUnpool3d(_MaxUnpool):
    """MaxPool undone, to [.., D, H, W]."""

    function = staticmethod(F.max_unpool3d)


class AdaptiveAvgPool1d(_AdaptiveAvgPool):
    """The means of output_size windows that cover [.., L]."""

    function = staticmethod(F.adaptive_avg_pool1d)


class AdaptiveAvgPool2d(_AdaptiveAvgPool):
    """The means of output_size windows that cover [.., H, W]."""

    function = staticmethod(F.adaptive_avg_pool2d)


class AdaptiveAvgPool3d(_AdaptiveAvgPool):
    """The means of output_size windows that cover [.., D, H, W]."""

    function = staticmethod(F.adaptive_avg_pool3d)


class AdaptiveMaxPool1d(_AdaptiveMaxPool):
    """The maxima of output_size windows that cover [.., L]."""

    function = staticmethod(F.adaptive_max_pool1d)


class AdaptiveMaxPool2d(_AdaptiveMaxPool):
    """The maxima of output_size windows that cover [.., H, W]."""

    function = staticmethod(F.adaptive_max_pool2d)


class AdaptiveMaxPool3d(_AdaptiveMaxPool):
    """The maxima of output_size windows that cover [.., D, H, W]."""

    function = staticmethod(F.adaptive_max_pool3d)


class FractionalMaxPool2d(_FractionalMaxPool):
    """The maxima of windows at random places of [.., H, W]."""

    function = staticmethod(F.fractional_max_pool2d)


class FractionalMaxPool3d(_FractionalMaxPool):
    """The maxima of windows at random places of [.., D, H, W]."""

    function = staticmethod(F.fractional_max_pool3d)
