"""Resizing by neighbours.

Comes in: tensors.  Goes out: tensors whose last dimensions have other sizes, their elements picked from, or drawn
between, the nearest ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import isclose
from typing import Final, Self

from kernelforge.errors import ShapeError
from kernelforge.tensor.composite import composite
from kernelforge.tensor.counting import Counting

LINEAR: Final = ("linear", "bilinear", "trilinear")


class Resizing(Counting):
    """Operations that change sizes and keep content."""

    __slots__ = ()

    @composite
    def pixel_shuffle(self, upscale_factor: int) -> Self:
        """[.., C r^2, H, W] as [.., C, H r, W r], r being the factor: channels become places within a pixel.

        raises ShapeError
        """
        r = upscale_factor
        if self.ndim < 3 or r < 1 or self.shape[-3] % (r * r):
            raise ShapeError(f"pixel_shuffle({r}) of {self.shape}: {r}^2 must divide the third size from the end")
        *lead, channels, height, width = self.shape
        parts = self.reshape(*lead, channels // (r * r), r, r, height, width)
        n = len(lead)
        mixed = parts.permute(*range(n), n, n + 3, n + 1, n + 4, n + 2)
        return mixed.reshape(*lead, channels // (r * r), height * r, width * r)

    @composite
    def pixel_unshuffle(self, downscale_factor: int) -> Self:
        """[.., C, H r, W r] as [.., C r^2, H, W], r being the factor: the inverse of pixel_shuffle().

        raises ShapeError
        """
        r = downscale_factor
        if self.ndim < 3 or r < 1 or self.shape[-1] % r or self.shape[-2] % r:
            raise ShapeError(f"pixel_unshuffle({r}) of {self.shape}: {r} must divide the last two sizes")
        *lead, channels, height, width = self.shape
        parts = self.reshape(*lead, channels, height // r, r, width // r, r)
        n = len(lead)
        mixed = parts.permute(*range(n), n, n + 2, n + 4, n + 1, n + 3)
        return mixed.reshape(*lead, channels * r * r, height // r, width // r)

    @composite
    def interpolate(
        self,
        size: int | Sequence[int] | None = None,
        mode: str = "linear",
        align_corners: bool = False,
        scale_factor: float | Sequence[float] | None = None,
    ) -> Self:
        """The last dimensions resized to size, or by factors; one number stands for all after the first two.

        mode            "linear" between the two nearest neighbours of each dimension ("bilinear" and "trilinear" are
                        the same), "nearest", or "nearest-exact", which takes the neighbour nearest to the middle
        align_corners   the corner elements keep their places

        raises ShapeError, ValueError
        """
        if mode not in (*LINEAR, "nearest", "nearest-exact"):
            raise ValueError(f"interpolate() knows the modes linear and nearest, got {mode!r}")
        if (size is None) == (scale_factor is None):
            raise ValueError("interpolate() takes a size or a scale_factor, one of both")
        given = size if scale_factor is None else scale_factor
        wanted = (given,) * (self.ndim - 2) if isinstance(given, int | float) else tuple(given or ())
        sources = self.shape[self.ndim - len(wanted) :]
        sizes = [int(n * x) for n, x in zip(sources, wanted)] if size is None else [int(x) for x in wanted]
        if len(wanted) > self.ndim or 0 in sources or min(sizes, default=1) < 1:
            raise ShapeError(f"interpolate of {self.shape} to {tuple(sizes)}: give last dimensions, at least 1")
        x = self._floating()
        for dim, (n, result, factor) in enumerate(zip(sources, sizes, wanted), start=self.ndim - len(sizes)):
            step = n / result if size is not None else 1 / factor
            x = x._resized(dim, result, step, mode, align_corners)
        return x

    def _resized(self, dim: int, size: int, step: float, mode: str, align_corners: bool) -> Self:
        """Dimension dim with `size` elements, `step` of the old ones apart."""
        n = self.shape[dim]
        index = (slice(None),) * dim
        places = type(self).arange(size)
        if mode == "nearest" and isclose(step * size, n):
            return self[(*index, places * n // size)]
        if mode not in LINEAR:
            position = (places.float() + (0.5 if mode == "nearest-exact" else 0)) * step
            return self[(*index, position.int().minimum(n - 1))]
        if align_corners:
            position = places.float() * ((n - 1) / max(1, size - 1))
        else:
            position = ((places.float() + 0.5) * step - 0.5).clamp(0, n - 1)
        low = position.floor().int().minimum(n - 1)
        share = (position - low.float()).cast(self.dtype).reshape(-1, *(1,) * (self.ndim - dim - 1))
        return self[(*index, low)].lerp(self[(*index, (low + 1).minimum(n - 1))], share)
