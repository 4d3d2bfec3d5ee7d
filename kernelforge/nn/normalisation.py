"""Normalisation layers: batch, instance, layer, RMS, group and local response norm.

Comes in: feature sizes.  Goes out: modules whose parameters are named as torch's are; scales begin as ones, shifts as
zeros.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from kernelforge.errors import ShapeError
from kernelforge.nn import functional as F
from kernelforge.nn.function import FunctionModule
from kernelforge.nn.module import Module
from kernelforge.nn.parameter import Buffer, Parameter
from kernelforge.tensor import Tensor, no_grad
from kernelforge.tensor.create import as_shape


def _parameter(shape: Sequence[int], value: float, wanted: bool, **place: Any) -> Tensor | None:
    return Parameter(Tensor.full(tuple(shape), value, **place)) if wanted else None


def _reset(weight: Tensor | None, bias: Tensor | None = None) -> None:
    """Sets a weight to 1 and a bias to 0."""
    with no_grad():
        for tensor, value in ((weight, 1), (bias, 0)):
            if tensor is not None:
                tensor.fill_(value)


class _RunningNorm(Module):
    """What norms with running statistics share.

    momentum   the share of the new batch in a running average; None: the average of all batches
    ranks      the numbers of dimensions the input may have
    """

    ranks: ClassVar[tuple[int, ...]] = ()
    running_mean: Tensor | None
    running_var: Tensor | None
    num_batches_tracked: Tensor | None

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        self.num_features, self.eps, self.momentum, self.affine = num_features, eps, momentum, affine
        self.track_running_stats = track_running_stats
        self.weight = _parameter((num_features,), 1.0, affine, device=device, dtype=dtype)
        self.bias = _parameter((num_features,), 0.0, affine and bias, device=device, dtype=dtype)
        self.running_mean = self.running_var = self.num_batches_tracked = None
        if track_running_stats:
            self.running_mean = Buffer(Tensor(np.zeros(num_features, np.float32), device=device))
            self.running_var = Buffer(Tensor(np.ones(num_features, np.float32), device=device))
            self.num_batches_tracked = Buffer(Tensor(np.zeros((), np.int64), device=device))

    def reset_running_stats(self) -> None:
        """Forget the batches so far."""
        for tensor, value in ((self.running_mean, 0), (self.running_var, 1), (self.num_batches_tracked, 0)):
            if tensor is not None:
                tensor.assign(tensor.full_like(value))

    def reset_parameters(self) -> None:
        """Forget the batches so far, and have the weight 1 and the bias 0 again."""
        self.reset_running_stats()
        _reset(self.weight, self.bias)

    def _check(self, input: Tensor) -> None:
        """raises ShapeError"""
        if self.ranks and input.ndim not in self.ranks:
            wanted = " or ".join(f"{rank}D" for rank in self.ranks)
            raise ShapeError(f"{self!r} of {input.shape}: expected {wanted} input (got {input.ndim}D input)")

    def _share(self) -> Any:
        """The share of the new batch in the averages, after counting it."""
        if self.num_batches_tracked is None:
            return self.momentum
        with no_grad():
            self.num_batches_tracked.assign(self.num_batches_tracked + 1)
        return self.momentum if self.momentum is not None else 1.0 / self.num_batches_tracked.float()

    def extra_repr(self) -> str:
        """The sizes and options."""
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={self.affine}, "
            f"bias={self.bias is not None}, track_running_stats={self.track_running_stats}"
        )


class BatchNorm(_RunningNorm):
    """(x - mean) / sqrt(var + eps) * weight + bias, one mean and variance for each place along dimension 1.

    While training these are the batch's own, and running averages follow them; otherwise the running averages are used.
    """

    def forward(self, input: Tensor) -> Tensor:
        """[N, num_features, ...] -> the same shape.

        raises ShapeError
        """
        self._check(input)
        if input.ndim < 2 or input.shape[1] != self.num_features:
            raise ShapeError(f"{self!r} of {input.shape}: dimension 1 must be {self.num_features}")
        share = self._share() if self.training else 0.0
        own = self.training or self.running_mean is None
        follows = self.training and self.track_running_stats
        mean, var = (self.running_mean, self.running_var) if follows or not own else (None, None)
        return F.batch_norm(input, mean, var, self.weight, self.bias, own, share, self.eps)


class BatchNorm1d(BatchNorm):
    """BatchNorm of [N, C] or [N, C, L]."""

    ranks = (2, 3)


class BatchNorm2d(BatchNorm):
    """BatchNorm of [N, C, H, W]."""

    ranks = (4,)


class BatchNorm3d(BatchNorm):
    """BatchNorm of [N, C, D, H, W]."""

    ranks = (5,)


class SyncBatchNorm(BatchNorm):
    """BatchNorm over all processes of a group, of which there is one: BatchNorm."""

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        process_group: Any = None,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(num_features, eps, momentum, affine, track_running_stats, device, dtype)
        self.process_group = process_group

    @classmethod
    def convert_sync_batchnorm(cls, module: Module, process_group: Any = None) -> Module:
        """The module with a SyncBatchNorm of the same tensors in the place of each BatchNorm."""
        if isinstance(module, BatchNorm) and not isinstance(module, SyncBatchNorm):
            made = cls(1, process_group=process_group)
            vars(made).update(vars(module))
            return made
        for name, child in list(module.named_children()):
            if name in vars(module):
                setattr(module, name, cls.convert_sync_batchnorm(child, process_group))
        return module


class _InstanceNorm(_RunningNorm):
    """(x - mean) / sqrt(var + eps) * weight + bias with a mean and a variance for each channel of each element.

    Running averages, if they are kept, are used when not training.
    """

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = False,
        track_running_stats: bool = False,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__(num_features, eps, momentum, affine, track_running_stats, device, dtype, bias=bias)

    def forward(self, input: Tensor) -> Tensor:
        """[N, num_features, ...] -> the same shape; N may be missing.

        raises ShapeError
        """
        self._check(input)
        if self.ranks and input.ndim == self.ranks[0]:
            return self.forward(input.unsqueeze(0)).squeeze(0)
        if input.shape[1] != self.num_features and self.affine:
            raise ShapeError(f"{self!r} of {input.shape}: dimension 1 must be {self.num_features}")
        own = self.training or not self.track_running_stats
        share = 0.0 if self.momentum is None else self.momentum
        return F.instance_norm(
            input, self.running_mean, self.running_var, self.weight, self.bias, own, share, self.eps
        )


class InstanceNorm(_InstanceNorm):
    """Instance norm of any number of dimensions, with a scale and a shift unless affine is False."""

    def __init__(self, num_features: int, eps: float = 1e-5, affine: bool = True) -> None:
        super().__init__(num_features, eps, affine=affine)


class InstanceNorm1d(_InstanceNorm):
    """Instance norm of [N, C, L] or [C, L]."""

    ranks = (2, 3)


class InstanceNorm2d(_InstanceNorm):
    """Instance norm of [N, C, H, W] or [C, H, W]."""

    ranks = (3, 4)


class InstanceNorm3d(_InstanceNorm):
    """Instance norm of [N, C, D, H, W] or [C, D, H, W]."""

    ranks = (4, 5)


class LayerNorm(Module):
    """(x - mean) / sqrt(var + eps) * weight + bias over the last dimensions, which have normalized_shape."""

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        shape = as_shape((normalized_shape,))
        self.normalized_shape, self.eps, self.elementwise_affine = shape, eps, elementwise_affine
        self.weight = _parameter(shape, 1.0, elementwise_affine, device=device, dtype=dtype)
        self.bias = _parameter(shape, 0.0, elementwise_affine and bias, device=device, dtype=dtype)

    def reset_parameters(self) -> None:
        """Have the weight 1 and the bias 0 again."""
        _reset(self.weight, self.bias)

    def forward(self, input: Tensor) -> Tensor:
        """[.., *normalized_shape] -> the same shape.

        raises ShapeError
        """
        return F.layer_norm(input, self.normalized_shape, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        """The sizes."""
        bias, affine = self.bias is not None, self.elementwise_affine
        return f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={affine}, bias={bias}"


class LayerNorm2d(LayerNorm):
    """LayerNorm over the channels of [N, C, H, W]."""

    def forward(self, input: Tensor) -> Tensor:
        """[N, C, H, W] -> the same shape."""
        return super().forward(input.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class RMSNorm(Module):
    """x / sqrt(mean(x^2) + eps) * weight over the last dimensions; eps None: the type's precision."""

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float | None = None,
        elementwise_affine: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        shape = as_shape((normalized_shape,))
        self.normalized_shape, self.eps, self.elementwise_affine = shape, eps, elementwise_affine
        self.weight = _parameter(shape, 1.0, elementwise_affine, device=device, dtype=dtype)

    def reset_parameters(self) -> None:
        """Have the weight 1 again."""
        _reset(self.weight)

    def forward(self, input: Tensor) -> Tensor:
        """[.., *normalized_shape] -> the same shape.

        raises ShapeError
        """
        return F.rms_norm(input, self.normalized_shape, self.weight, self.eps)

    def extra_repr(self) -> str:
        """The sizes."""
        return f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}"


class GroupNorm(Module):
    """(x - mean) / sqrt(var + eps) * weight + bias over groups of channels and all spatial dimensions."""

    def __init__(
        self,
        num_groups: int,
        num_channels: int,
        eps: float = 1e-5,
        affine: bool = True,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        if num_channels % num_groups:
            raise ShapeError(f"GroupNorm: num_groups={num_groups} must divide num_channels={num_channels}")
        self.num_groups, self.num_channels, self.eps, self.affine = num_groups, num_channels, eps, affine
        self.weight = _parameter((num_channels,), 1.0, affine, device=device, dtype=dtype)
        self.bias = _parameter((num_channels,), 0.0, affine and bias, device=device, dtype=dtype)

    def reset_parameters(self) -> None:
        """Have the weight 1 and the bias 0 again."""
        _reset(self.weight, self.bias)

    def forward(self, input: Tensor) -> Tensor:
        """[N, num_channels, ...] -> the same shape.

        raises ShapeError
        """
        if input.ndim < 2 or input.shape[1] != self.num_channels:
            raise ShapeError(f"{self!r} of {input.shape}: dimension 1 must be {self.num_channels}")
        return F.group_norm(input, self.num_groups, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        """The sizes."""
        bias = self.bias is not None
        return f"{self.num_groups}, {self.num_channels}, eps={self.eps}, affine={self.affine}, bias={bias}"


class LocalResponseNorm(FunctionModule):
    """x / (k + alpha * mean(x^2))^beta, the mean taken over `size` neighbouring channels."""

    function = staticmethod(F.local_response_norm)
    size: int

    def __init__(self, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> None:
        self._keep(size=size, alpha=alpha, beta=beta, k=k)

    def extra_repr(self) -> str:
        """The arguments."""
        return super().extra_repr().replace("size=", "", 1)


class CrossMapLRN2d(LocalResponseNorm):
    """LocalResponseNorm of [N, C, H, W], by another name."""
