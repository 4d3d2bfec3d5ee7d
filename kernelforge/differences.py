"""Slopes of sampled functions: `kernelforge.gradient(y, spacing=0.1)`.

Comes in: samples along dimensions of a tensor, and where they were taken.  Goes out: finite differences, in tensor
operations.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kernelforge.errors import AxisError, ShapeError
from kernelforge.shape import sequence
from kernelforge.tensor import Tensor

Spacing = float | Tensor | Sequence[float] | Sequence[Tensor]


def gradient(
    input: Tensor, *, spacing: Spacing | None = 1, dim: int | Sequence[int] | None = None, edge_order: int = 1
) -> tuple[Tensor, ...]:
    """The slopes along each dimension, exact for parabolas inside and, with edge_order 2, at both ends.

    spacing     the distance of samples; one for each dimension; or tensors [n] of places for each dimension
    dim         the dimensions, all when None
    edge_order  1: ends take the slope between two samples; 2: that of a parabola through three

    >>> gradient(Tensor([1.0, 4.0, 9.0, 16.0]))[0].tolist()
    [3.0, 4.0, 6.0, 7.0]

    raises ShapeError, AxisError; source: torch.gradient
    """
    if edge_order not in (1, 2):
        raise ShapeError(f"gradient() takes edge_order 1 or 2, got {edge_order}")
    dims = _dims(input, dim)
    gaps = _gaps(input, spacing, dims)
    for place in dims:
        if input.shape[place] < edge_order + 1:
            raise ShapeError(
                f"gradient of {input.shape} along dimension {place} with edge_order={edge_order}: it takes "
                f"{edge_order + 1} samples"
            )
    found = [_slopes(input.movedim(place, -1), gap, edge_order) for place, gap in zip(dims, gaps)]
    return tuple(slopes.movedim(-1, place) for place, slopes in zip(dims, found))


def _dims(x: Tensor, dim: int | Sequence[int] | None) -> list[int]:
    """The dimensions, counted from the front.

    raises AxisError
    """
    given = range(x.ndim) if dim is None else sequence(dim)
    if any(not -x.ndim <= place < x.ndim for place in given):
        raise AxisError(f"gradient of {x.shape} along {dim}: dimensions are in {-x.ndim} .. {x.ndim - 1}")
    found = [place % x.ndim for place in given]
    if len(set(found)) < len(found):
        raise AxisError(f"gradient of {x.shape} along {dim}: a dimension appears twice")
    return found


def _gaps(x: Tensor, spacing: Any, dims: list[int]) -> list[Any]:
    """For each dimension the distance of samples, or their distances as a tensor.

    raises ShapeError
    """
    spacing = 1 if spacing is None else spacing
    if not isinstance(spacing, list | tuple):
        spacing = [spacing] * (len(dims) if not isinstance(spacing, Tensor) or not spacing.ndim else 1)
    if len(spacing) != len(dims):
        raise ShapeError(f"gradient of {x.shape} along {len(dims)} dimensions with {len(spacing)} spacings")
    for gap, place in zip(spacing, dims):
        if isinstance(gap, Tensor) and gap.ndim and gap.shape != (x.shape[place],):
            raise ShapeError(f"gradient of {x.shape} along dimension {place}: its places are ({x.shape[place]},), "
                             f"got {gap.shape}")  # fmt: skip
    return [gap.diff() if isinstance(gap, Tensor) and gap.ndim else gap for gap in spacing]


def _slopes(y: Tensor, gap: Any, edge_order: int) -> Tensor:
    """The slopes along the last dimension."""
    n = y.shape[-1]
    first, last = _of_ends(y, gap, edge_order)
    if n == 2:
        return first.cat(last, dim=-1)
    if isinstance(gap, Tensor) and gap.ndim:
        left, right = gap[:-1], gap[1:]
        inner = (
            y[..., :-2] * (-right / (left * (left + right)))
            + y[..., 1:-1] * ((right - left) / (left * right))
            + y[..., 2:] * (left / (right * (left + right)))
        )
    else:
        inner = (y[..., 2:] - y[..., :-2]) / (gap * 2)
    return first.cat(inner, last, dim=-1)


def _of_ends(y: Tensor, gap: Any, edge_order: int) -> tuple[Tensor, Tensor]:
    """The slopes at the first and the last sample."""
    uneven = isinstance(gap, Tensor) and bool(gap.ndim)
    begin, end = (gap[:1], gap[-1:]) if uneven else (gap, gap)
    if edge_order == 1:
        return (y[..., 1:2] - y[..., :1]) / begin, (y[..., -1:] - y[..., -2:-1]) / end
    second, before = (gap[1:2], gap[-2:-1]) if uneven else (gap, gap)
    first = _parabola(y[..., :1], y[..., 1:2], y[..., 2:3], begin, second)
    return first, -_parabola(y[..., -1:], y[..., -2:-1], y[..., -3:-2], end, before)


def _parabola(a: Tensor, b: Tensor, c: Tensor, near: Any, far: Any) -> Tensor:
    """The slope at the first of three samples, whose distances are near and far."""
    both = near + far
    return a * (-(near + both) / (near * both)) + b * (both / (near * far)) - c * (near / (far * both))
