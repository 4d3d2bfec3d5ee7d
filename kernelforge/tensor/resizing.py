"""Resizing by neighbours.

Comes in: tensors.  Goes out: tensors whose last dimensions have other sizes, their elements picked from, or drawn
between, the nearest ones.
"""

from __future__ import annotations

from typing import Self

from kernelforge.errors import ShapeError
from kernelforge.tensor.composite import composite
from kernelforge.tensor.counting import Counting


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

    def interpolate(self, size: tuple[int, ...], mode: str = "linear", align_corners: bool = False) -> Self:
        """The last dimensions resized to size.

        mode            "linear" between the two nearest neighbours of each dimension, or "nearest"
        align_corners   the corner elements keep their places
        """
        if mode not in ("linear", "nearest"):
            raise ValueError(f"interpolate() knows the modes linear and nearest, got {mode!r}")
        if len(size) > self.ndim or 0 in self.shape[self.ndim - len(size) :] or min(size, default=1) < 1:
            raise ShapeError(f"interpolate of {self.shape} to {tuple(size)}: give last dimensions, at least 1")
        x = self._floating()
        for dim, n in enumerate(size, start=self.ndim - len(size)):
            x = x._resized(dim, n, mode, align_corners)
        return x

    def _resized(self, dim: int, size: int, mode: str, align_corners: bool) -> Self:
        n = self.shape[dim]
        places = type(self).arange(size)
        index = (slice(None),) * dim
        if mode == "nearest":
            return self[(*index, places * n // size)]
        if align_corners:
            position = places.float() * ((n - 1) / max(1, size - 1))
        else:
            position = ((places.float() + 0.5) * (n / size) - 0.5).clamp(0, n - 1)
        low = position.floor().int().minimum(n - 1)
        share = (position - low.float()).cast(self.dtype).reshape(-1, *(1,) * (self.ndim - dim - 1))
        return self[(*index, low)].lerp(self[(*index, (low + 1).minimum(n - 1))], share)
