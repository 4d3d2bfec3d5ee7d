"""Pooling to a given size, fractional pooling and pooling undone, with torch's arguments.

Comes in: tensors [N, C, ...] or [C, ...].  Goes out: tensors with other spatial sizes, or places of maxima.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

from codegen.dtypes import dtypes
from kernelforge.errors import ArgumentError, ShapeError
from kernelforge.shape import kept_or_index, per_axis, strides_or
from kernelforge.tensor import Tensor
from kernelforge.tensor.composite import in_c, repeatable

Sizes = int | Sequence[int]
OutputSizes = int | Sequence[int | None] | None


def _output_sizes(input: Tensor, output_size: OutputSizes, rank: int) -> list[int]:
    """The size of each of the last dimensions; None keeps one.

    raises ShapeError
    """
    if input.ndim not in (rank + 1, rank + 2):
        raise ShapeError(f"adaptive pooling: Expected {rank + 1}D or {rank + 2}D tensor, but got {input.shape}")
    wanted = per_axis(output_size, rank, "adaptive pooling", "output_size", kept_or_index, alone=False)
    return [n if m is None else m for n, m in zip(input.shape[-rank:], wanted)]


@in_c
@repeatable
def adaptive_avg_pool1d(input: Tensor, output_size: OutputSizes) -> Tensor:
    """The means of output_size windows that cover [.., L]."""
    return input.adaptive_avg_pool2d(_output_sizes(input, output_size, 1))


@in_c
@repeatable
def adaptive_avg_pool2d(input: Tensor, output_size: OutputSizes) -> Tensor:
    """The means of output_size windows that cover [.., H, W]."""
    return input.adaptive_avg_pool2d(_output_sizes(input, output_size, 2))


@in_c
@repeatable
def adaptive_avg_pool3d(input: Tensor, output_size: OutputSizes) -> Tensor:
    """The means of output_size windows that cover [.., D, H, W]."""
    return input.adaptive_avg_pool2d(_output_sizes(input, output_size, 3))


def _adaptive_max(input: Tensor, output_size: OutputSizes, return_indices: bool, rank: int) -> Any:
    sizes = _output_sizes(input, output_size, rank)
    values = input.adaptive_max_pool2d(sizes)
    if not return_indices:
        return values
    if 0 in sizes:
        return values, values.zeros_like(dtype=dtypes.int64)
    starts = [[i * n // m for i in range(m)] for n, m in zip(input.shape[-rank:], sizes)]
    lengths = [[-(-(i + 1) * n // m) - i * n // m for i in range(m)] for n, m in zip(input.shape[-rank:], sizes)]
    return values, _first_places(input, [Tensor(s) for s in starts], [Tensor(n) for n in lengths], lengths)[1]


def _first_places(
    input: Tensor, starts: Sequence[Tensor], counts: Sequence[Tensor], lengths: Sequence[Sequence[int]]
) -> tuple[Tensor, Tensor]:
    """The maximum of each box of the last dimensions, and its place among their elements: the first of equal ones, the
    last NaN.

    starts    for each dimension where the boxes begin along it, [m] or [.., m] with leading dimensions of the input
    counts    how many elements they have along it
    lengths   the same as numbers, for the longest
    """
    rank, spatial = len(starts), input.shape[-len(starts) :]
    lead, places, inside = input.shape[:-rank], None, None
    for i, (start, count) in enumerate(zip(starts, counts)):
        offset = Tensor.arange(max(lengths[i]))
        along = (start.unsqueeze(-1) + offset).minimum(spatial[i] - 1)
        valid = offset < count.unsqueeze(-1)
        shape = [1] * (2 * rank)
        shape[i], shape[rank + i] = along.shape[-2:]
        along = along.reshape(*along.shape[:-2], *shape)
        places = along if places is None else places * spatial[i] + along
        valid = valid.reshape(*valid.shape[:-2], *shape)
        inside = valid if inside is None else inside & valid
    assert places is not None and inside is not None
    grid = [*places.shape[-2 * rank : -rank]]
    full = (*lead, *places.shape[-2 * rank :])
    within = prod(full[-rank:])
    index = places.expand(full).reshape(*lead, prod(grid) * within)
    boxes = input.reshape(*lead, prod(spatial)).gather(-1, index).reshape(*lead, *grid, within)
    boxes = inside.expand(full).reshape(boxes.shape).where(boxes, input.dtype.min)
    found, first = boxes._largest_at(index.reshape(boxes.shape), prod(spatial), (boxes.ndim - 1,))
    return found, first.cast(dtypes.int64)


@in_c
@repeatable
def adaptive_max_pool1d(input: Tensor, output_size: OutputSizes, return_indices: bool = False) -> Any:
    """The maxima of output_size windows that cover [.., L]; return_indices: and their places."""
    return _adaptive_max(input, output_size, return_indices, 1)


@in_c
@repeatable
def adaptive_max_pool2d(input: Tensor, output_size: OutputSizes, return_indices: bool = False) -> Any:
    """The maxima of output_size windows that cover [.., H, W]; return_indices: and their places."""
    return _adaptive_max(input, output_size, return_indices, 2)


@in_c
@repeatable
def adaptive_max_pool3d(input: Tensor, output_size: OutputSizes, return_indices: bool = False) -> Any:
    """The maxima of output_size windows that cover [.., D, H, W]; return_indices: and their places."""
    return _adaptive_max(input, output_size, return_indices, 3)


def adaptive_max_pool1d_with_indices(input: Tensor, output_size: OutputSizes) -> tuple[Tensor, Tensor]:
    """adaptive_max_pool1d() with return_indices=True."""
    return adaptive_max_pool1d(input, output_size, True)


def adaptive_max_pool2d_with_indices(input: Tensor, output_size: OutputSizes) -> tuple[Tensor, Tensor]:
    """adaptive_max_pool2d() with return_indices=True."""
    return adaptive_max_pool2d(input, output_size, True)


def adaptive_max_pool3d_with_indices(input: Tensor, output_size: OutputSizes) -> tuple[Tensor, Tensor]:
    """adaptive_max_pool3d() with return_indices=True."""
    return adaptive_max_pool3d(input, output_size, True)


def _fractional(
    rank: int,
    input: Tensor,
    kernel_size: Sizes,
    output_size: Sizes | None,
    output_ratio: float | Sequence[float] | None,
    return_indices: bool,
    samples: Tensor | None,
) -> Any:
    """Maxima of windows that begin at random places, about evenly spread.

    source  Graham, "Fractional Max-Pooling", 2014, section 2
    """
    if (output_size is None) == (output_ratio is None):
        raise ArgumentError("fractional_max_pool requires specifying either an output_size or an output_ratio")
    window, spatial = per_axis(kernel_size, rank, "fractional_max_pool", "kernel_size"), input.shape[-rank:]
    if output_ratio is not None:
        ratios = per_axis(output_ratio, rank, "fractional_max_pool", "output_ratio", float)
        sizes: Sequence[int] = [int(n * ratio) for n, ratio in zip(spatial, ratios)]
    else:
        assert output_size is not None
        sizes = per_axis(output_size, rank, "fractional_max_pool", "output_size")
    if any(m + k - 1 > n for m, k, n in zip(sizes, window, spatial)):
        raise ShapeError(f"fractional_max_pool of {input.shape} with {window} to {tuple(sizes)}: it is too small")
    x = input if input.ndim == rank + 2 else input.unsqueeze(0)
    drawn = Tensor.rand(*x.shape[:2], rank) if samples is None else samples[: x.shape[0]]
    starts = []
    for i, (n, m, k) in enumerate(zip(spatial, sizes, window)):
        share = drawn[..., rank - 1 - i] if rank == 2 else drawn[..., i]
        starts.append(_random_starts(share.float().unsqueeze(-1), n, m, k))
    counts = [Tensor.full((m,), k) for m, k in zip(sizes, window)]
    values, places = _first_places(x, starts, counts, [[k] for k in window])
    if input.ndim == rank + 1:
        values, places = values.squeeze(0), places.squeeze(0)
    return (values, places) if return_indices else values


def _random_starts(share: Tensor, n: int, m: int, window: int) -> Tensor:
    """Where m windows on n elements begin; the last one at the end."""
    if m == 1:
        return (share * 0).int() + (n - window)
    alpha = (n - window) / (m - 1)
    places = Tensor.arange(m)
    middle = ((places.float() + share) * alpha).int() - (share * alpha).int()
    return (places < m - 1).where(middle, n - window)


def fractional_max_pool2d(
    input: Tensor,
    kernel_size: Sizes,
    output_size: Sizes | None = None,
    output_ratio: float | Sequence[float] | None = None,
    return_indices: bool = False,
    _random_samples: Tensor | None = None,
) -> Any:
    """Maxima of windows of [.., H, W] that begin at random places, output_size of them."""
    return _fractional(2, input, kernel_size, output_size, output_ratio, return_indices, _random_samples)


def fractional_max_pool3d(
    input: Tensor,
    kernel_size: Sizes,
    output_size: Sizes | None = None,
    output_ratio: float | Sequence[float] | None = None,
    return_indices: bool = False,
    _random_samples: Tensor | None = None,
) -> Any:
    """Maxima of windows of [.., D, H, W] that begin at random places, output_size of them."""
    return _fractional(3, input, kernel_size, output_size, output_ratio, return_indices, _random_samples)


def fractional_max_pool2d_with_indices(input: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
    """fractional_max_pool2d() with return_indices=True."""
    return fractional_max_pool2d(input, *args, **{**kwargs, "return_indices": True})


def fractional_max_pool3d_with_indices(input: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
    """fractional_max_pool3d() with return_indices=True."""
    return fractional_max_pool3d(input, *args, **{**kwargs, "return_indices": True})


def _unpool(
    rank: int,
    input: Tensor,
    indices: Tensor,
    kernel_size: Sizes,
    stride: Sizes | None,
    padding: Sizes,
    output_size: Sequence[int] | None,
) -> Tensor:
    window = per_axis(kernel_size, rank, "max_unpool", "kernel_size")
    return input._unpooled(indices, rank, window, strides_or(window, stride, "max_unpool"), padding, output_size)


def max_unpool1d(
    input: Tensor,
    indices: Tensor,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    padding: Sizes = 0,
    output_size: Sequence[int] | None = None,
) -> Tensor:
    """The maxima of max_pool1d() where it found them, zeros elsewhere."""
    return _unpool(1, input, indices, kernel_size, stride, padding, output_size)


def max_unpool2d(
    input: Tensor,
    indices: Tensor,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    padding: Sizes = 0,
    output_size: Sequence[int] | None = None,
) -> Tensor:
    """The maxima of max_pool2d() where it found them, zeros elsewhere."""
    return _unpool(2, input, indices, kernel_size, stride, padding, output_size)


def max_unpool3d(
    input: Tensor,
    indices: Tensor,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    padding: Sizes = 0,
    output_size: Sequence[int] | None = None,
) -> Tensor:
    """The maxima of max_pool3d() where it found them, zeros elsewhere."""
    return _unpool(3, input, indices, kernel_size, stride, padding, output_size)
