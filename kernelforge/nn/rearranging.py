"""Layers that rearrange, resize or compare, without parameters.

Comes in: sizes and modes.  Goes out: modules that call the functions of nn.functional.
"""

from __future__ import annotations

from collections.abc import Sequence

from kernelforge.nn import functional as F
from kernelforge.nn.function import FunctionModule
from kernelforge.nn.module import Module
from kernelforge.tensor import Tensor

Sizes = int | Sequence[int]
Factors = float | Sequence[float]


class Flatten(Module):
    """The dimensions from start_dim to end_dim as one."""

    def __init__(self, start_dim: int = 1, end_dim: int = -1) -> None:
        self.start_dim, self.end_dim = start_dim, end_dim

    def forward(self, input: Tensor) -> Tensor:
        """The same elements."""
        return input.flatten(self.start_dim, self.end_dim)

    def extra_repr(self) -> str:
        """The dimensions."""
        return f"start_dim={self.start_dim}, end_dim={self.end_dim}"


class Unflatten(Module):
    """Dimension dim as dimensions of the given sizes."""

    def __init__(self, dim: int, unflattened_size: Sequence[int]) -> None:
        self.dim, self.unflattened_size = dim, tuple(unflattened_size)

    def forward(self, input: Tensor) -> Tensor:
        """The same elements."""
        return input.unflatten(self.dim, self.unflattened_size)

    def extra_repr(self) -> str:
        """The dimension and its sizes."""
        return f"dim={self.dim}, unflattened_size={self.unflattened_size}"


class Fold(FunctionModule):
    """Windows, as columns, added up where they overlap."""

    function = staticmethod(F.fold)

    def __init__(
        self, output_size: Sizes, kernel_size: Sizes, dilation: Sizes = 1, padding: Sizes = 0, stride: Sizes = 1
    ) -> None:
        self._keep(
            output_size=output_size, kernel_size=kernel_size, dilation=dilation, padding=padding, stride=stride
        )


class Unfold(FunctionModule):
    """The windows of an image as columns."""

    function = staticmethod(F.unfold)

    def __init__(self, kernel_size: Sizes, dilation: Sizes = 1, padding: Sizes = 0, stride: Sizes = 1) -> None:
        self._keep(kernel_size=kernel_size, dilation=dilation, padding=padding, stride=stride)


class PixelShuffle(FunctionModule):
    """[.., C r^2, H, W] as [.., C, H r, W r]."""

    function = staticmethod(F.pixel_shuffle)

    def __init__(self, upscale_factor: int) -> None:
        self._keep(upscale_factor=upscale_factor)


class PixelUnshuffle(FunctionModule):
    """[.., C, H r, W r] as [.., C r^2, H, W]."""

    function = staticmethod(F.pixel_unshuffle)

    def __init__(self, downscale_factor: int) -> None:
        self._keep(downscale_factor=downscale_factor)


class ChannelShuffle(FunctionModule):
    """The channels with the groups' interleaved."""

    function = staticmethod(F.channel_shuffle)

    def __init__(self, groups: int) -> None:
        self._keep(groups=groups)


class Upsample(FunctionModule):
    """The spatial dimensions resized to size, or by factors."""

    function = staticmethod(F.interpolate)

    def __init__(
        self,
        size: Sizes | None = None,
        scale_factor: Factors | None = None,
        mode: str = "nearest",
        align_corners: bool | None = None,
        recompute_scale_factor: bool | None = None,
    ) -> None:
        if isinstance(scale_factor, int | float):
            scale_factor = float(scale_factor)
        self._keep(
            size=size,
            scale_factor=scale_factor,
            mode=mode,
            align_corners=align_corners,
            recompute_scale_factor=recompute_scale_factor,
        )

    def extra_repr(self) -> str:
        """The size or the factors, and the mode."""
        given = vars(self)
        what = "size" if given["scale_factor"] is None else "scale_factor"
        return f"{what}={given[what]!r}, mode={given['mode']!r}"


class UpsamplingNearest2d(Upsample):
    """Upsample with mode="nearest"."""

    def __init__(self, size: Sizes | None = None, scale_factor: Factors | None = None) -> None:
        super().__init__(size, scale_factor)


class UpsamplingBilinear2d(Upsample):
    """Upsample with mode="bilinear" and the corners in their places."""

    def __init__(self, size: Sizes | None = None, scale_factor: Factors | None = None) -> None:
        super().__init__(size, scale_factor, "bilinear", True)


class CosineSimilarity(FunctionModule):
    """The cosine of the angle between the vectors along dim of two tensors."""

    function = staticmethod(F.cosine_similarity)

    def __init__(self, dim: int = 1, eps: float = 1e-8) -> None:
        self._keep(dim=dim, eps=eps)

    def extra_repr(self) -> str:
        """Nothing, as in torch."""
        return ""


class PairwiseDistance(FunctionModule):
    """The p-norm over the last dimension of the difference of two tensors."""

    function = staticmethod(F.pairwise_distance)

    def __init__(self, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False) -> None:
        self._keep(p=p, eps=eps, keepdim=keepdim)

    def extra_repr(self) -> str:
        """Nothing, as in torch."""
        return ""
