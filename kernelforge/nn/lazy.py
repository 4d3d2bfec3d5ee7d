"""Layers that learn the number of their input features from their first input.

Comes in: what the layers of the same names take, but for the number of features.  Goes out: modules that become those
layers when they are first called; before that they have no parameters.
"""

from __future__ import annotations

from typing import Any, ClassVar

from codegen.dtypes import DType
from kernelforge.nn.convolution import (
    Conv1d,
    Conv2d,
    Conv3d,
    ConvTranspose1d,
    ConvTranspose2d,
    ConvTranspose3d,
)  # fmt: skip
from kernelforge.nn.linear import Linear
from kernelforge.nn.module import Module
from kernelforge.nn.normalisation import (
    BatchNorm1d,
    BatchNorm2d,
    BatchNorm3d,
    InstanceNorm1d,
    InstanceNorm2d,
    InstanceNorm3d,
)  # fmt: skip


class _Lazy(Module):
    """A layer that is not made yet.

    becomes    the class of the layer
    axis       the dimension of the input that has the features
    is_unmade  says to captured functions that a call which makes the layer is not one to replay
    """

    becomes: ClassVar[Any]
    axis: ClassVar[int] = 1
    is_unmade: ClassVar[bool] = True

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._given = (args, kwargs)
        self._place: dict[str, Any] = {}

    def has_uninitialized_params(self) -> bool:
        """True: what has become the layer is no such object any more."""
        return True

    def forward(self, *inputs: Any) -> Any:
        """Become the layer, and apply it."""
        (args, kwargs), place, kind = self._given, self._place, self.becomes
        features = inputs[0].shape[self._axis(inputs[0].ndim)]
        del self._given, self._place
        self.__class__ = kind
        kind.__init__(self, features, *args, **kwargs)
        self.to(**place)
        return self.forward(*inputs)

    def _follow(self, device: str | None, dtype: DType | None) -> None:
        """Keep where to, and to what type, the layer's tensors go once there are any."""
        self._place |= {name: value for name, value in (("device", device), ("dtype", dtype)) if value is not None}

    def _axis(self, ndim: int) -> int:
        """The dimension of the features in an input of ndim dimensions, one less without a batch."""
        rank = getattr(self.becomes, "rank", None)
        return self.axis if rank is None or ndim == rank + 2 else 0

    def extra_repr(self) -> str:
        """What the layer will be made with."""
        args, kwargs = self._given
        return ", ".join([*map(repr, args), *[f"{name}={value!r}" for name, value in kwargs.items()]])


class LazyLinear(_Lazy):
    """Linear(in_features, ...) without in_features."""

    becomes = Linear
    axis = -1


class LazyConv1d(_Lazy):
    """Conv1d(in_channels, ...) without in_channels."""

    becomes = Conv1d


class LazyConv2d(_Lazy):
    """Conv2d(in_channels, ...) without in_channels."""

    becomes = Conv2d


class LazyConv3d(_Lazy):
    """Conv3d(in_channels, ...) without in_channels."""

    becomes = Conv3d


class LazyConvTranspose1d(_Lazy):
    """ConvTranspose1d(in_channels, ...) without in_channels."""

    becomes = ConvTranspose1d


class LazyConvTranspose2d(_Lazy):
    """ConvTranspose2d(in_channels, ...) without in_channels."""

    becomes = ConvTranspose2d


class LazyConvTranspose3d(_Lazy):
    """ConvTranspose3d(in_channels, ...) without in_channels."""

    becomes = ConvTranspose3d


class LazyBatchNorm1d(_Lazy):
    """BatchNorm1d(num_features, ...) without num_features."""

    becomes = BatchNorm1d


class LazyBatchNorm2d(_Lazy):
    """BatchNorm2d(num_features, ...) without num_features."""

    becomes = BatchNorm2d


class LazyBatchNorm3d(_Lazy):
    """BatchNorm3d(num_features, ...) without num_features."""

    becomes = BatchNorm3d


class LazyInstanceNorm1d(_Lazy):
    """InstanceNorm1d(num_features, ...) without num_features."""

    becomes = InstanceNorm1d


class LazyInstanceNorm2d(_Lazy):
    """InstanceNorm2d(num_features, ...) without num_features."""

    becomes = InstanceNorm2d


class LazyInstanceNorm3d(_Lazy):
    """InstanceNorm3d(num_features, ...) without num_features."""

    becomes = InstanceNorm3d
