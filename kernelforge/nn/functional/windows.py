"""Convolutions and pooling with torch's arguments; a batch dimension may be missing.

Comes in: tensors [N, C, ...] or [C, ...], weights, window parameters.  Goes out: tensors of as many dimensions.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

from codegen.dtypes import dtypes
from kernelforge.errors import ArgumentError, DTypeError, ShapeError
from kernelforge.shape import per_axis, strides_or
from kernelforge.tensor import Tensor
from kernelforge.tensor.composite import in_c, repeatable
from kernelforge.tensor.core import narrow_type

Sizes = int | Sequence[int]


def _batched(input: Tensor, rank: int, function: Callable[[Tensor], Any]) -> Any:
    """What a function of [N, C, ...] gives for that, or for one without N.

    raises ShapeError
    """
    if input.ndim == rank + 2:
        return function(input)
    if input.ndim != rank + 1:
        raise ShapeError(
            f"Expected {rank + 1}D (unbatched) or {rank + 2}D (batched) input, [channels] or [batch, channels] and "
            f"{rank} spatial dimensions, but got input of size: {list(input.shape)}"
        )
    found = function(input.unsqueeze(0))
    return tuple(x.squeeze(0) for x in found) if isinstance(found, tuple) else found.squeeze(0)


# Convolutions -----------------------------------------------------------------------------------------------------


def _check_types(what: str, input: Tensor, weight: Tensor, bias: Tensor | None) -> None:
    """Raises DTypeError unless all are of one type; autocast() makes them so."""
    others = [x.dtype for x in (weight, bias) if x is not None and x.dtype is not input.dtype]
    if others and narrow_type.get() is None:
        raise DTypeError(f"{what} of {input.dtype} with a weight or bias of {others[0]}: cast() them to one type")


def _convolution(
    rank: int,
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: Sizes,
    padding: Sizes | str,
    dilation: Sizes,
    groups: int,
) -> Tensor:
    _check_types(f"conv{rank}d", input, weight, bias)
    pads = padding
    if isinstance(padding, str):
        if padding not in ("same", "valid"):
            raise ArgumentError(f"Invalid padding string {padding!r}, should be one of 'same' or 'valid'")
        if padding == "same" and any(s != 1 for s in per_axis(stride, rank, "conv", "stride")):
            raise ArgumentError("padding='same' is not supported for strided convolutions")
        pads = 0 if padding == "valid" else "same"
    else:
        pads = per_axis(padding, rank, "conv", "padding")
        if min(pads) < 0:
            raise ArgumentError(f"conv{rank}d of {input.shape} with padding={padding}: padding is at least 0")
    return _batched(input, rank, lambda x: x.conv2d(weight, bias, groups, stride, dilation, pads))


def conv1d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Sizes = 1,
    padding: Sizes | str = 0,
    dilation: Sizes = 1,
    groups: int = 1,
) -> Tensor:
    """The convolution of [N, C, L] with a weight [O, C / groups, k]."""
    return _convolution(1, input, weight, bias, stride, padding, dilation, groups)


def conv2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Sizes = 1,
    padding: Sizes | str = 0,
    dilation: Sizes = 1,
    groups: int = 1,
) -> Tensor:
    """The convolution of [N, C, H, W] with a weight [O, C / groups, h, w]."""
    return _convolution(2, input, weight, bias, stride, padding, dilation, groups)


def conv3d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Sizes = 1,
    padding: Sizes | str = 0,
    dilation: Sizes = 1,
    groups: int = 1,
) -> Tensor:
    """The convolution of [N, C, D, H, W] with a weight [O, C / groups, d, h, w]."""
    return _convolution(3, input, weight, bias, stride, padding, dilation, groups)


def _transposed(
    rank: int,
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: Sizes,
    padding: Sizes,
    output_padding: Sizes,
    groups: int,
    dilation: Sizes,
) -> Tensor:
    _check_types(f"conv_transpose{rank}d", input, weight, None)
    pads = per_axis(padding, rank, "conv_transpose", "padding")
    return _batched(
        input, rank, lambda x: x.conv_transpose2d(weight, bias, groups, stride, dilation, pads, output_padding)
    )


def conv_transpose1d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Sizes = 1,
    padding: Sizes = 0,
    output_padding: Sizes = 0,
    groups: int = 1,
    dilation: Sizes = 1,
) -> Tensor:
    """The transposed convolution of [N, C, L] with a weight [C, O / groups, k]."""
    return _transposed(1, input, weight, bias, stride, padding, output_padding, groups, dilation)


def conv_transpose2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Sizes = 1,
    padding: Sizes = 0,
    output_padding: Sizes = 0,
    groups: int = 1,
    dilation: Sizes = 1,
) -> Tensor:
    """The transposed convolution of [N, C, H, W] with a weight [C, O / groups, h, w]."""
    return _transposed(2, input, weight, bias, stride, padding, output_padding, groups, dilation)


def conv_transpose3d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Sizes = 1,
    padding: Sizes = 0,
    output_padding: Sizes = 0,
    groups: int = 1,
    dilation: Sizes = 1,
) -> Tensor:
    """The transposed convolution of [N, C, D, H, W] with a weight [C, O / groups, d, h, w]."""
    return _transposed(3, input, weight, bias, stride, padding, output_padding, groups, dilation)


def conv_tbc(input: Tensor, weight: Tensor, bias: Tensor, pad: int = 0) -> Tensor:
    """The convolution of [L, N, C] with a weight [k, C, O]: [L', N, O]."""
    return conv1d(input.permute(1, 2, 0), weight.permute(2, 1, 0), bias, padding=pad).permute(2, 0, 1)


# Pooling ----------------------------------------------------------------------------------------------------------


def _check_pads(pads: Sequence[int], window: Sequence[int]) -> None:
    """Raises ArgumentError for padding that holds whole windows."""
    if any(2 * pad > size for pad, size in zip(pads, window)):
        raise ArgumentError(f"pad should be at most half of effective kernel size, but got pad={pads} and {window}")


def _max_pool(
    rank: int,
    input: Tensor,
    kernel_size: Sizes,
    stride: Sizes | None,
    padding: Sizes,
    dilation: Sizes,
    ceil_mode: bool,
    return_indices: bool,
) -> Any:
    window = per_axis(kernel_size, rank, "max_pool", "kernel_size")
    pads = per_axis(padding, rank, "max_pool", "padding")
    _check_pads(pads, window)
    if 0 in input.shape[-rank - 1 :]:
        raise ShapeError(f"max_pool of {input.shape}: channels and places have no elements")
    strides = strides_or(window, stride, "max_pool")

    def pooled(x: Tensor) -> Any:
        if return_indices:
            values, places = x.max_pool2d(window, strides, dilation, pads, ceil_mode, return_indices=True)
            return values, places.cast(dtypes.int64)
        return x.max_pool2d(window, strides, dilation, pads, ceil_mode)

    return _batched(input, rank, pooled)


@in_c
@repeatable
def max_pool1d(
    input: Tensor,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    padding: Sizes = 0,
    dilation: Sizes = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """The maximum of each window of [N, C, L]; return_indices: and its place."""
    return _max_pool(1, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


@in_c
@repeatable
def max_pool2d(
    input: Tensor,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    padding: Sizes = 0,
    dilation: Sizes = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """The maximum of each window of [N, C, H, W]; return_indices: and its place in the plane."""
    return _max_pool(2, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


@in_c
@repeatable
def max_pool3d(
    input: Tensor,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    padding: Sizes = 0,
    dilation: Sizes = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """The maximum of each window of [N, C, D, H, W]; return_indices: and its place in the volume."""
    return _max_pool(3, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


def max_pool1d_with_indices(input: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
    """max_pool1d() with return_indices=True."""
    return max_pool1d(input, *args, **{**kwargs, "return_indices": True})


def max_pool2d_with_indices(input: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
    """max_pool2d() with return_indices=True."""
    return max_pool2d(input, *args, **{**kwargs, "return_indices": True})


def max_pool3d_with_indices(input: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
    """max_pool3d() with return_indices=True."""
    return max_pool3d(input, *args, **{**kwargs, "return_indices": True})


def _avg_pool(
    rank: int,
    input: Tensor,
    kernel_size: Sizes,
    stride: Sizes | None,
    padding: Sizes,
    ceil_mode: bool,
    count_include_pad: bool,
    divisor_override: int | None,
) -> Tensor:
    if input.dtype.is_int:  # means of integers are integers, as torch has it
        options = kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override
        return _avg_pool(rank, input.cast(dtypes.float64), *options).trunc().cast(input.dtype)
    window = per_axis(kernel_size, rank, "avg_pool", "kernel_size")
    pads = per_axis(padding, rank, "avg_pool", "padding")
    _check_pads(pads, window)
    strides = strides_or(window, stride, "avg_pool")
    if divisor_override is None:
        return _batched(input, rank, lambda x: x.avg_pool2d(window, strides, 1, pads, ceil_mode, count_include_pad))
    if not divisor_override:
        raise ArgumentError("divisor must be not zero")
    if not ceil_mode:
        sums = _batched(input, rank, lambda x: x.avg_pool2d(window, strides, 1, pads, False, True))
        return sums * (prod(window) / divisor_override)
    margin = [(0, 0)] * (input.ndim - rank) + [(p, p) for p in pads]
    inside = input.pad(margin)  # padding is elements here; what ceil_mode adds has no part in the sums
    sizes = [_pooled_size(n, k, s, p) for n, k, s, p in zip(input.shape[-rank:], window, strides, pads)]
    needed = [(size - 1) * s + k for size, k, s in zip(sizes, window, strides)]
    more = [(0, max(0, want - n)) for want, n in zip(needed, inside.shape[-rank:])]
    padded = inside.pad([(0, 0)] * (input.ndim - rank) + more)
    sums = _batched(padded, rank, lambda x: x.avg_pool2d(window, strides, 1, 0, False, True))
    cut = sums[(..., *[slice(0, size) for size in sizes])]
    return cut * (prod(window) / divisor_override)


def _pooled_size(n: int, window: int, stride: int, padding: int) -> int:
    """The number of windows with ceil_mode: none begins in the padding after the end."""
    count = -(-(n + 2 * padding - window) // stride) + 1
    return count - 1 if (count - 1) * stride >= n + padding else count


@in_c
@repeatable
def avg_pool1d(
    input: Tensor,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    padding: Sizes = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Tensor:
    """The mean of each window of [N, C, L]."""
    return _avg_pool(1, input, kernel_size, stride, padding, ceil_mode, count_include_pad, None)


@in_c
@repeatable
def avg_pool2d(
    input: Tensor,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    padding: Sizes = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Tensor:
    """The mean of each window of [N, C, H, W]; divisor_override divides its sum instead of the number of elements."""
    return _avg_pool(2, input, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override)


@in_c
@repeatable
def avg_pool3d(
    input: Tensor,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    padding: Sizes = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Tensor:
    """The mean of each window of [N, C, D, H, W]; divisor_override divides its sum instead."""
    return _avg_pool(3, input, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override)


def _lp_pool(
    rank: int, input: Tensor, norm_type: float, kernel_size: Sizes, stride: Sizes | None, ceil_mode: bool
) -> Tensor:
    window = per_axis(kernel_size, rank, "lp_pool", "kernel_size")
    strides = strides_or(window, stride, "lp_pool")
    return _batched(input, rank, lambda x: x._power_pooled(float(norm_type), window, strides, ceil_mode))


def lp_pool1d(
    input: Tensor, norm_type: float, kernel_size: int, stride: Sizes | None = None, ceil_mode: bool = False
) -> Tensor:
    """(sum of x^norm_type)^(1 / norm_type) of each window of [N, C, L]."""
    return _lp_pool(1, input, norm_type, kernel_size, stride, ceil_mode)


def lp_pool2d(
    input: Tensor, norm_type: float, kernel_size: Sizes, stride: Sizes | None = None, ceil_mode: bool = False
) -> Tensor:
    """(sum of x^norm_type)^(1 / norm_type) of each window of [N, C, H, W]."""
    return _lp_pool(2, input, norm_type, kernel_size, stride, ceil_mode)


def lp_pool3d(
    input: Tensor, norm_type: float, kernel_size: Sizes, stride: Sizes | None = None, ceil_mode: bool = False
) -> Tensor:
    """(sum of x^norm_type)^(1 / norm_type) of each window of [N, C, D, H, W]."""
    return _lp_pool(3, input, norm_type, kernel_size, stride, ceil_mode)
