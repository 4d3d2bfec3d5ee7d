"""What layers are made of, under the names and arguments torch gives its lowest functions.

Comes in: tensors, and options as lists and numbers.  Goes out: the results of the functions beside this file, some with
the statistics they are computed by.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

from kernelforge.errors import ArgumentError, ShapeError
from kernelforge.nn.functional.norms import batch_norm, group_norm, layer_norm
from kernelforge.nn.functional.rearranging import affine_grid, grid_sample
from kernelforge.nn.functional.windows import (
    conv1d,
    conv2d,
    conv3d,
    conv_transpose1d,
    conv_transpose2d,
    conv_transpose3d,
)
from kernelforge.settings import Context
from kernelforge.tensor import Tensor

_MODES: Final = ("bilinear", "nearest", "bicubic")
_PADDINGS: Final = ("zeros", "border", "reflection")
_CONVOLUTIONS: Final = {1: conv1d, 2: conv2d, 3: conv3d}
_TRANSPOSED: Final = {1: conv_transpose1d, 2: conv_transpose2d, 3: conv_transpose3d}


def convolution(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    transposed: bool,
    output_padding: Sequence[int],
    groups: int,
) -> Tensor:
    """conv1d(), conv2d() or conv3d() by the dimensions of weight, or the transposed one.

    >>> convolution(Tensor.ones(1, 1, 4), Tensor.ones(1, 1, 3), None, [1], [0], [1], False, [0], 1).tolist()
    [[[3.0, 3.0]]]

    raises ShapeError
    """
    rank = weight.ndim - 2
    if rank not in _CONVOLUTIONS:
        raise ShapeError(f"convolution() of {input.shape} with {weight.shape}: weight has 3, 4 or 5 dimensions")
    if transposed:
        sizes = tuple(stride), tuple(padding), tuple(output_padding), groups, tuple(dilation)
        return _TRANSPOSED[rank](input, weight, bias, *sizes)
    return _CONVOLUTIONS[rank](input, weight, bias, tuple(stride), tuple(padding), tuple(dilation), groups)


def grid_sampler(
    input: Tensor, grid: Tensor, interpolation_mode: int, padding_mode: int, align_corners: bool
) -> Tensor:
    """grid_sample() with its modes by number: bilinear, nearest, bicubic; zeros, border, reflection."""
    if interpolation_mode not in range(3) or padding_mode not in range(3):
        raise ArgumentError(f"grid_sampler() knows modes 0, 1 and 2, got {interpolation_mode} and {padding_mode}")
    return grid_sample(input, grid, _MODES[interpolation_mode], _PADDINGS[padding_mode], align_corners)


def grid_sampler_2d(
    input: Tensor, grid: Tensor, interpolation_mode: int, padding_mode: int, align_corners: bool
) -> Tensor:
    """grid_sampler() of [N, C, H, W]."""
    if input.ndim != 4:
        raise ShapeError(f"grid_sampler_2d() takes [N, C, H, W], got {input.shape}")
    return grid_sampler(input, grid, interpolation_mode, padding_mode, align_corners)


def grid_sampler_3d(
    input: Tensor, grid: Tensor, interpolation_mode: int, padding_mode: int, align_corners: bool
) -> Tensor:
    """grid_sampler() of [N, C, D, H, W]."""
    if input.ndim != 5:
        raise ShapeError(f"grid_sampler_3d() takes [N, C, D, H, W], got {input.shape}")
    return grid_sampler(input, grid, interpolation_mode, padding_mode, align_corners)


def affine_grid_generator(theta: Tensor, size: Sequence[int], align_corners: bool) -> Tensor:
    """Another name of affine_grid()."""
    return affine_grid(theta, size, align_corners)


def feature_dropout(input: Tensor, p: float, train: bool) -> Tensor:
    """dropout() of whole channels of [N, C, ...].

    raises ShapeError
    """
    if input.ndim < 2:
        raise ShapeError(f"feature_dropout() takes [N, C, ...], got {input.shape}")
    if not train or p == 0:
        return input
    with Context(TRAINING=1):
        return input * input.new_ones(*input.shape[:2], *(1,) * (input.ndim - 2)).dropout(p)


def native_dropout(input: Tensor, p: float, train: bool | None) -> tuple[Tensor, Tensor]:
    """dropout(), and where elements were kept."""
    if train is False or p == 0:
        return input, input.detach().ones_like(dtype="bool")
    with Context(TRAINING=1):
        kept = input.detach().ones_like().dropout(p) > 0
    return kept.where(input, 0) * (0.0 if p == 1 else 1 / (1 - p)), kept


def native_layer_norm(
    input: Tensor, normalized_shape: Sequence[int], weight: Tensor | None, bias: Tensor | None, eps: float
) -> tuple[Tensor, Tensor, Tensor]:
    """layer_norm(), the means and 1 / sqrt(var + eps)."""
    dims = tuple(range(-len(tuple(normalized_shape)), 0))
    result = layer_norm(input, normalized_shape, weight, bias, eps)
    return (result, *_statistics(input, dims, eps, True))


def native_group_norm(
    input: Tensor, weight: Tensor | None, bias: Tensor | None, N: int, C: int, HxW: int, group: int, eps: float
) -> tuple[Tensor, Tensor, Tensor]:
    """group_norm() of [N, C, ...], the means and 1 / sqrt(var + eps), [N, group]."""
    if input.numel() != N * C * HxW:
        raise ShapeError(f"native_group_norm() of {input.shape}: N C HxW is {N} * {C} * {HxW}")
    result = group_norm(input, group, weight, bias, eps)
    return (result, *_statistics(input.reshape(N, group, -1), (2,), eps, False))


def native_batch_norm(
    input: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    training: bool,
    momentum: float,
    eps: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """batch_norm(), and while training the means and 1 / sqrt(var + eps) of the channels."""
    result = batch_norm(input, running_mean, running_var, weight, bias, training, momentum, eps)
    if not training:
        return result, input.new_empty(0), input.new_empty(0)
    dims = tuple(d for d in range(input.ndim) if d != 1)
    return (result, *_statistics(input, dims, eps, False))


def _statistics(input: Tensor, dims: tuple[int, ...], eps: float, keepdim: bool) -> tuple[Tensor, Tensor]:
    """The means over some dimensions, and one over the deviations."""
    if not math.prod(input.shape[d] for d in dims):
        empty = input.sum(dims, keepdim=keepdim)
        return empty, empty
    return input.mean(dims, keepdim=keepdim), (input.var(dims, correction=0, keepdim=keepdim) + eps).rsqrt()
