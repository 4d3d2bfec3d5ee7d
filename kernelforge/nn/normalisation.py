"""Normalisation layers: batch, layer, RMS, group and instance norm.

Comes in: feature sizes.  Goes out: modules whose parameters are named as torch's are; scales begin as ones, shifts as
zeros.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from kernelforge.errors import ShapeError
from kernelforge.nn.module import Module
from kernelforge.tensor import Tensor, no_grad
from kernelforge.tensor.composite import composite


def _parameter(shape: Sequence[int], value: float, wanted: bool) -> Tensor | None:
    return Tensor.full(tuple(shape), value, requires_grad=True) if wanted else None


@composite
def _layer_norm(x: Tensor, weight: Tensor | None, bias: Tensor | None, rank: int, eps: float) -> Tensor:
    """Layer norm over the last `rank` dimensions."""
    result = x.cast(x.dtype.arithmetic).layernorm(tuple(range(-rank, 0)), eps)
    result = result if weight is None else result * weight
    return (result if bias is None else result + bias).cast(x.dtype)


@composite
def _rms_norm(x: Tensor, weight: Tensor | None, eps: float) -> Tensor:
    result = x.cast(x.dtype.arithmetic).rmsnorm(-1, eps)
    return (result if weight is None else result * weight).cast(x.dtype)


@composite
def _group_norm(x: Tensor, weight: Tensor | None, bias: Tensor | None, groups: int, eps: float) -> Tensor:
    inner = x.shape[1] // groups * math.prod(x.shape[2:])
    grouped = x.cast(x.dtype.arithmetic).reshape(x.shape[0], groups, inner)
    result = grouped.layernorm(-1, eps).reshape(x.shape)
    shape = (1, -1, *(1,) * (x.ndim - 2))
    if weight is not None and bias is not None:
        result = result * weight.reshape(shape) + bias.reshape(shape)
    return result.cast(x.dtype)


@composite
def _followed(average: Tensor, new: Tensor, momentum: float) -> Tensor:
    """The running average after a batch."""
    return (average * (1 - momentum) + new * momentum).cast(average.dtype)


class BatchNorm(Module):
    """(x - mean) / sqrt(var + eps) * weight + bias, one mean and variance for each place along dimension 1.

    While training these are the batch's own, and running averages follow them; otherwise the running averages are used.

    momentum   the share of the new batch in a running average
    """

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
    ) -> None:
        self.num_features, self.eps, self.momentum = num_features, eps, momentum
        self.weight = _parameter((num_features,), 1.0, affine)
        self.bias = _parameter((num_features,), 0.0, affine)
        self.track_running_stats = track_running_stats
        if track_running_stats:
            self.running_mean = Tensor(np.zeros(num_features, np.float32), requires_grad=False)
            self.running_var = Tensor(np.ones(num_features, np.float32), requires_grad=False)
            self.num_batches_tracked = Tensor(np.zeros((), np.int64), requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:
        """[N, num_features, ...] -> the same shape.

        raises ShapeError
        """
        if x.ndim < 2 or x.shape[1] != self.num_features:
            raise ShapeError(f"{self!r} of {x.shape}: dimension 1 must be {self.num_features}")
        wide = x.cast(x.dtype.arithmetic)
        if self.training or not self.track_running_stats:
            axes = tuple(i for i in range(x.ndim) if i != 1)
            mean, variance = wide.mean(axes), wide.var(axes, correction=0)
            if self.track_running_stats:
                self._follow(mean, variance, x.numel() // max(1, self.num_features))
        else:
            mean, variance = self.running_mean, self.running_var
        return wide.batchnorm(self.weight, self.bias, mean, (variance + self.eps).rsqrt()).cast(x.dtype)

    @no_grad()
    def _follow(self, mean: Tensor, variance: Tensor, count: int) -> None:
        """Move the running averages towards a batch's statistics, the variance unbiased."""
        unbiased = variance * (count / max(1, count - 1))
        for average, new in ((self.running_mean, mean), (self.running_var, unbiased)):
            average.assign(_followed(average, new, self.momentum))
        self.num_batches_tracked.assign(self.num_batches_tracked + 1)

    def extra_repr(self) -> str:
        """The sizes."""
        return f"{self.num_features}, eps={self.eps}, momentum={self.momentum}"


BatchNorm1d = BatchNorm2d = BatchNorm3d = BatchNorm


class LayerNorm(Module):
    """(x - mean) / sqrt(var + eps) * weight + bias over the last dimensions, which have normalized_shape."""

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
    ) -> None:
        shape = (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)
        self.normalized_shape, self.eps = shape, eps
        self.weight = _parameter(shape, 1.0, elementwise_affine)
        self.bias = _parameter(shape, 0.0, elementwise_affine and bias)

    def forward(self, x: Tensor) -> Tensor:
        """[.., *normalized_shape] -> the same shape.

        raises ShapeError
        """
        rank = len(self.normalized_shape)
        if x.shape[-rank:] != self.normalized_shape:
            raise ShapeError(f"{self!r} of {x.shape}: the last dimensions must be {self.normalized_shape}")
        return _layer_norm(x, self.weight, self.bias, rank, self.eps)

    def extra_repr(self) -> str:
        """The sizes."""
        return f"{self.normalized_shape}, eps={self.eps}"


class RMSNorm(Module):
    """x / sqrt(mean(x^2) + eps) * weight over the last dimension."""

    def __init__(self, dim: int, eps: float = 1e-6, elementwise_affine: bool = True) -> None:
        self.dim, self.eps = dim, eps
        self.weight = _parameter((dim,), 1.0, elementwise_affine)

    def forward(self, x: Tensor) -> Tensor:
        """[.., dim] -> the same shape.

        raises ShapeError
        """
        if not x.ndim or x.shape[-1] != self.dim:
            raise ShapeError(f"{self!r} of {x.shape}: the last dimension must be {self.dim}")
        return _rms_norm(x, self.weight, self.eps)

    def extra_repr(self) -> str:
        """The sizes."""
        return f"{self.dim}, eps={self.eps}"


class GroupNorm(Module):
    """(x - mean) / sqrt(var + eps) * weight + bias over groups of channels and all spatial dimensions."""

    def __init__(self, num_groups: int, num_channels: int, eps: float = 1e-5, affine: bool = True) -> None:
        if num_channels % num_groups:
            raise ShapeError(f"GroupNorm: num_groups={num_groups} must divide num_channels={num_channels}")
        self.num_groups, self.num_channels, self.eps = num_groups, num_channels, eps
        self.weight = _parameter((num_channels,), 1.0, affine)
        self.bias = _parameter((num_channels,), 0.0, affine)

    def forward(self, x: Tensor) -> Tensor:
        """[N, num_channels, ...] -> the same shape.

        raises ShapeError
        """
        if x.ndim < 2 or x.shape[1] != self.num_channels:
            raise ShapeError(f"{self!r} of {x.shape}: dimension 1 must be {self.num_channels}")
        return _group_norm(x, self.weight, self.bias, self.num_groups, self.eps)

    def extra_repr(self) -> str:
        """The sizes."""
        return f"{self.num_groups}, {self.num_channels}, eps={self.eps}"


class InstanceNorm(GroupNorm):
    """GroupNorm with a group for each channel."""

    def __init__(self, num_features: int, eps: float = 1e-5, affine: bool = True) -> None:
        super().__init__(num_features, num_features, eps, affine)


InstanceNorm1d = InstanceNorm2d = InstanceNorm
