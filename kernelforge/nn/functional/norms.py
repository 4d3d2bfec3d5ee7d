"""Normalisation with torch's arguments, and distances between vectors.

Comes in: tensors, scales, shifts, running statistics.  Goes out: tensors of the same shape; while training the running
statistics move towards the batch's.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from kernelforge.errors import ArgumentError, DTypeError, ShapeError
from kernelforge.shape import sequence
from kernelforge.tensor import Tensor, no_grad
from kernelforge.tensor.composite import composite


@composite
def _layer_norm(x: Tensor, weight: Tensor | None, bias: Tensor | None, rank: int, eps: float) -> Tensor:
    """Layer norm over the last `rank` dimensions."""
    result = x.cast(x.dtype.arithmetic).layernorm(tuple(range(-rank, 0)), eps)
    result = result if weight is None else result * weight
    return (result if bias is None else result + bias).cast(x.dtype)


@composite
def _rms_norm(x: Tensor, weight: Tensor | None, rank: int, eps: float) -> Tensor:
    result = x.cast(x.dtype.arithmetic).rmsnorm(tuple(range(-rank, 0)), eps)
    return (result if weight is None else result * weight).cast(x.dtype)


@composite
def _group_norm(x: Tensor, weight: Tensor | None, bias: Tensor | None, groups: int, eps: float) -> Tensor:
    inner = x.shape[1] // max(1, groups) * math.prod(x.shape[2:])
    grouped = x.cast(x.dtype.arithmetic).reshape(x.shape[0], groups, inner)
    result = grouped.layernorm(-1, eps).reshape(x.shape)
    shape = (1, -1, *(1,) * (x.ndim - 2))
    result = result if weight is None else result * weight.reshape(shape)
    return (result if bias is None else result + bias.reshape(shape)).cast(x.dtype)


@composite
def _followed(average: Tensor, new: Tensor, momentum: float | Tensor) -> Tensor:
    """The running average after a batch."""
    return (average * (1 - momentum) + new * momentum).cast(average.dtype)


def _last_dimensions(input: Tensor, normalized_shape: int | Sequence[int], what: str) -> int:
    """How many last dimensions a norm is over.

    raises ShapeError
    """
    shape = sequence(normalized_shape)
    if not shape or input.shape[-len(shape) :] != shape:
        raise ShapeError(f"{what} of {input.shape}: the last dimensions must be {shape}")
    return len(shape)


def layer_norm(
    input: Tensor,
    normalized_shape: int | Sequence[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """(x - mean) / sqrt(var + eps) * weight + bias over the last dimensions."""
    return _layer_norm(input, weight, bias, _last_dimensions(input, normalized_shape, "layer_norm"), eps)


def rms_norm(
    input: Tensor, normalized_shape: int | Sequence[int], weight: Tensor | None = None, eps: float | None = None
) -> Tensor:
    """x / sqrt(mean(x^2) + eps) * weight over the last dimensions; eps None: the type's precision."""
    rank = _last_dimensions(input, normalized_shape, "rms_norm")
    if not input.dtype.is_inexact:
        raise DTypeError(f"rms_norm of {input.dtype}: only floats have a norm of their type; cast() them")
    if eps is None:
        eps = input.dtype.arithmetic.real.eps
    return _rms_norm(input, weight, rank, eps)


def group_norm(
    input: Tensor, num_groups: int, weight: Tensor | None = None, bias: Tensor | None = None, eps: float = 1e-5
) -> Tensor:
    """(x - mean) / sqrt(var + eps) * weight + bias over each group of channels with all that follows."""
    if input.ndim < 2 or input.shape[1] % num_groups:
        raise ShapeError(
            f"Expected number of channels in input to be divisible by num_groups, but got input of shape "
            f"{list(input.shape)} and num_groups={num_groups}"
        )
    return _group_norm(input, weight, bias, num_groups, eps)


def batch_norm(
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float | Tensor = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """(x - mean) / sqrt(var + eps) * weight + bias, one mean and variance for each place along dimension 1.

    training   with the batch's statistics, which the running ones then follow; else with the running ones
    """
    if input.shape == (0,):
        return input.clone()
    wide = input.cast(input.dtype.arithmetic)
    if not training:
        if running_mean is None or running_var is None:
            raise ArgumentError("Expected running_mean and running_var to be defined when training=False")
        return wide.batchnorm(weight, bias, running_mean, (running_var + eps).rsqrt()).cast(input.dtype)
    if not isinstance(eps, Tensor) and eps <= 0:
        raise ArgumentError(f"batch_norm eps must be positive during training, got {eps}")
    count = input.numel() // max(1, input.shape[1])
    if count == 1:
        raise ArgumentError(f"Expected more than 1 value per channel when training, got input size {list(input.shape)}")
    axes = tuple(i for i in range(input.ndim) if i != 1)
    mean, variance = wide.mean(axes), wide.var(axes, correction=0)
    if count:
        _follow(running_mean, running_var, mean, variance, count, momentum)
    return wide.batchnorm(weight, bias, mean, (variance + eps).rsqrt()).cast(input.dtype)


@no_grad()
def _follow(
    running_mean: Tensor | None,
    running_var: Tensor | None,
    mean: Tensor,
    variance: Tensor,
    count: int,
    momentum: float | Tensor,
) -> None:
    """Move the running averages towards a batch's statistics, the variance unbiased."""
    unbiased = variance * (count / max(1, count - 1))
    for average, new in ((running_mean, mean), (running_var, unbiased)):
        if average is not None:
            average.assign(_followed(average, new, momentum))


def instance_norm(
    input: Tensor,
    running_mean: Tensor | None = None,
    running_var: Tensor | None = None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """batch_norm() with a mean and a variance for each element of the batch."""
    if not use_input_stats:
        return batch_norm(input, running_mean, running_var, weight, bias, False, momentum, eps)
    count = math.prod(input.shape[2:])
    if count == 1:
        raise ArgumentError(f"Expected more than 1 spatial element when training, got input size {list(input.shape)}")
    if running_mean is not None or running_var is not None:
        flat = input.cast(input.dtype.arithmetic).reshape(*input.shape[:2], -1)
        mean, variance = flat.mean(-1).mean(0), flat.var(-1, correction=0).mean(0)
        _follow(running_mean, running_var, mean, variance, count, momentum)
    return _group_norm(input, weight, bias, input.shape[1], eps)


def local_response_norm(
    input: Tensor, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0
) -> Tensor:
    """x / (k + alpha * mean(x^2))^beta, the mean taken over `size` neighbouring channels.

    The mean of integers loses its fraction.
    """
    if not input.numel():
        return input
    return input.local_response_norm(size, alpha, beta, k)


def normalize(input: Tensor, p: float = 2.0, dim: int = 1, eps: float = 1e-12) -> Tensor:
    """x / max(norm(x, p), eps) along dim."""
    return input.normalize(p, dim, eps)


def cosine_similarity(x1: Tensor, x2: Tensor, dim: int = 1, eps: float = 1e-8) -> Tensor:
    """The cosine of the angle between the vectors along dim."""
    if x1.ndim != x2.ndim or x1.shape != x2.shape:
        shape = np.broadcast_shapes(x1.shape, x2.shape)
        x1, x2 = x1.expand(shape), x2.expand(shape)
    return x1.cosine_similarity(x2, dim, eps)


def pairwise_distance(x1: Tensor, x2: Tensor, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False) -> Tensor:
    """The p-norm over the last dimension of x1 - x2 + eps."""
    return x1.pairwise_distance(x2, p, eps, keepdim)


def pdist(input: Tensor, p: float = 2.0) -> Tensor:
    """The p-norms of the differences of all pairs of a matrix's rows."""
    return input.pdist(p)
