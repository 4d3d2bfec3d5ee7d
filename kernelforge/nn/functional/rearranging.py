"""Padding, resizing and rearranging with torch's arguments.

Comes in: tensors.  Goes out: tensors of other shapes.
"""

from __future__ import annotations

from collections.abc import Sequence

from kernelforge.errors import ArgumentError, ShapeError
from kernelforge.shape import per_axis
from kernelforge.tensor import Tensor
from kernelforge.tensor.composite import in_c, repeatable

Sizes = int | Sequence[int]


def pad(input: Tensor, pad: Sequence[int], mode: str = "constant", value: float | None = None) -> Tensor:
    """Enlarged by (before, after) of the last dimension, then of the one before it, ...; negative amounts crop."""
    return input.pad(pad, mode, 0.0 if value is None else value)


def interpolate(
    input: Tensor,
    size: Sizes | None = None,
    scale_factor: float | Sequence[float] | None = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None,
    antialias: bool = False,
) -> Tensor:
    """The spatial dimensions of [N, C, ...] resized to size, or by factors.

    mode   "nearest", "nearest-exact", "linear", "bilinear", "trilinear", "bicubic" or "area"

    raises ValueError
    """
    if mode in ("nearest", "area", "nearest-exact") and align_corners is not None:
        raise ArgumentError(
            "align_corners option can only be set with the interpolating modes: linear | bilinear | bicubic | trilinear"
        )
    if (size is None) == (scale_factor is None):
        raise ArgumentError("only one of size or scale_factor should be defined" if size else
                         "either size or scale_factor should be defined")  # fmt: skip
    rank = input.ndim - 2
    what = f"interpolate of the {rank} spatial dimensions of {input.shape}"
    factors: tuple[float, ...] = ()
    recomputed = recompute_scale_factor or scale_factor is None
    if scale_factor is not None:
        factors = scale_factor = per_axis(scale_factor, rank, what, "scale_factor", float, alone=False)
        if recompute_scale_factor or antialias:
            size, scale_factor = [int(n * factor) for n, factor in zip(input.shape[2:], factors)], None
    size = size if size is None else per_axis(size, rank, what, "size", alone=False)
    if antialias:
        assert size is not None
        steps = () if recomputed else tuple([1 / factor for factor in factors])
        return _smoothly(input, size, mode, bool(align_corners), steps)
    return input.interpolate(size, mode, bool(align_corners), scale_factor)


def _smoothly(input: Tensor, sizes: Sequence[int], mode: str, align_corners: bool, steps: Sequence[float]) -> Tensor:
    """Resized so that each element is a weighted mean of all it covers: one matrix product per dimension.

    steps   how far apart their centres are; none: as far as fits the sizes
    """
    if mode not in ("bilinear", "bicubic"):
        raise ArgumentError("Anti-alias option is restricted to bilinear and bicubic modes and requires a 4-D tensor")
    for dim, size in enumerate(sizes, start=2):
        n = input.shape[dim]
        step = (n - 1) / max(1, size - 1) if align_corners else steps[dim - 2] if steps else n / size
        stretch = max(1.0, step)
        centre = (Tensor.arange(size).float() + 0.5) * step
        gap = ((Tensor.arange(n).float() + 0.5).unsqueeze(0) - centre.unsqueeze(1)).abs() / stretch
        weights = (1 - gap).relu() if mode == "bilinear" else _keys(gap)
        weights = weights / weights.sum(1, keepdim=True)
        input = input.movedim(dim, -1).linear(weights.T.cast(input.dtype)).movedim(-1, dim)
    return input


def _keys(gap: Tensor, a: float = -0.5) -> Tensor:
    """Keys' cubic kernel at distances from its middle."""
    near = ((a + 2) * gap - (a + 3)) * gap * gap + 1
    far = (((gap - 5) * gap + 8) * gap - 4) * a
    return (gap < 1).where(near, (gap < 2).where(far, 0))


def upsample(
    input: Tensor,
    size: Sizes | None = None,
    scale_factor: float | Sequence[float] | None = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
) -> Tensor:
    """interpolate()."""
    return interpolate(input, size, scale_factor, mode, align_corners)


def upsample_nearest(
    input: Tensor, size: Sizes | None = None, scale_factor: float | Sequence[float] | None = None
) -> Tensor:
    """interpolate() with mode="nearest"."""
    return interpolate(input, size, scale_factor, "nearest")


def upsample_bilinear(
    input: Tensor, size: Sizes | None = None, scale_factor: float | Sequence[float] | None = None
) -> Tensor:
    """interpolate() with mode="bilinear" and the corners in their places."""
    return interpolate(input, size, scale_factor, "bilinear", True)


def pixel_shuffle(input: Tensor, upscale_factor: int) -> Tensor:
    """[.., C r^2, H, W] as [.., C, H r, W r]."""
    return input.pixel_shuffle(upscale_factor)


def pixel_unshuffle(input: Tensor, downscale_factor: int) -> Tensor:
    """[.., C, H r, W r] as [.., C r^2, H, W]."""
    return input.pixel_unshuffle(downscale_factor)


def channel_shuffle(input: Tensor, groups: int) -> Tensor:
    """The channels of [N, C, ...] with the groups' interleaved."""
    return input.channel_shuffle(groups)


def grid_sample(
    input: Tensor,
    grid: Tensor,
    mode: str = "bilinear",
    padding_mode: str = "zeros",
    align_corners: bool | None = None,
) -> Tensor:
    """The values of images at the places of a grid."""
    return input.grid_sample(grid, mode, padding_mode, bool(align_corners))


def affine_grid(theta: Tensor, size: Sequence[int], align_corners: bool | None = None) -> Tensor:
    """The places that affine maps take those of an image from."""
    return theta.affine_grid(size, bool(align_corners))


def fold(
    input: Tensor,
    output_size: Sizes,
    kernel_size: Sizes,
    dilation: Sizes = 1,
    padding: Sizes = 0,
    stride: Sizes = 1,
) -> Tensor:
    """Windows [N, C * h * w, count], as columns, added up where they overlap: [N, C, H, W]; N may be missing."""
    if input.ndim == 2:
        return input.unsqueeze(0).fold(output_size, kernel_size, dilation, padding, stride).squeeze(0)
    return input.fold(output_size, kernel_size, dilation, padding, stride)


@in_c
@repeatable
def unfold(
    input: Tensor, kernel_size: Sizes, dilation: Sizes = 1, padding: Sizes = 0, stride: Sizes = 1
) -> Tensor:
    """The windows of [N, C, H, W] as columns: [N, C * h * w, count]; N may be missing.

    raises ShapeError
    """
    if input.ndim == 3:
        return unfold(input.unsqueeze(0), kernel_size, dilation, padding, stride).squeeze(0)
    if input.ndim != 4:
        raise ShapeError(f"unfold of {input.shape}: it takes [N, C, H, W] or [C, H, W]")
    window, dilations, pads, strides = (
        tuple(per_axis(value, 2, "unfold", name))
        for value, name in (
            (kernel_size, "kernel_size"), (dilation, "dilation"), (padding, "padding"), (stride, "stride"),
        )
    )  # fmt: skip
    x = input.pad([(0, 0), (0, 0), *[(p, p) for p in pads]])._windows(window, strides, dilations, "unfold")
    x = x.permute(0, 1, 3, 5, 2, 4)  # [N, C, H', h, W', w] -> channels and taps, then places
    return x.reshape(x.shape[0], x.shape[1] * window[0] * window[1], x.shape[4] * x.shape[5])
