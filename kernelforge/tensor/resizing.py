"""Resizing by neighbours.

Comes in: tensors.  Goes out: tensors whose last dimensions have other sizes, their elements picked from, or drawn
between, the nearest ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import gcd, isclose
from typing import Any, Final, Self

import numpy as np

from codegen.dtypes import DType, dtypes
from kernelforge.errors import ArgumentError, ModeError, ShapeError
from kernelforge.shape import per_axis, sequence
from kernelforge.tensor.composite import composite
from kernelforge.tensor.unpooling import Unpooling

LINEAR: Final = ("linear", "bilinear", "trilinear")
CUBIC: Final = ("cubic", "bicubic")
NEAREST: Final = ("nearest", "nearest-exact")
_KEYS: Final = -0.75  # the one parameter of cubic interpolation
MODES: Final = (*LINEAR, *CUBIC, *NEAREST, "area")


class Resizing(Unpooling):
    """Operations that change sizes and keep content."""

    __slots__ = ()

    @composite
    def pixel_shuffle(self, upscale_factor: int) -> Self:
        """[.., C r^2, H, W] as [.., C, H r, W r], r being the factor: channels become places within a pixel.

        raises ShapeError, KindError
        """
        (r,) = per_axis(upscale_factor, 1, "pixel_shuffle", "upscale_factor")
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

        raises ShapeError, KindError
        """
        (r,) = per_axis(downscale_factor, 1, "pixel_unshuffle", "downscale_factor")
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
                        the same), "cubic" ("bicubic") between four, "nearest", "nearest-exact", which takes the
                        neighbour nearest to the middle, or "area", the means of the elements covered
        align_corners   the corner elements keep their places

        raises ShapeError, ArgumentError
        """
        if mode not in MODES:
            raise ModeError(f"interpolate() knows the modes {', '.join(MODES)}, got {mode!r}")
        if (size is None) == (scale_factor is None):
            raise ArgumentError("interpolate() takes a size or a scale_factor, one of both")
        given = size if scale_factor is None else scale_factor
        assert given is not None
        wanted = sequence(given, self.ndim - 2)
        sources = self.shape[self.ndim - len(wanted) :]
        sizes = [int(n * x) for n, x in zip(sources, wanted)] if size is None else [int(x) for x in wanted]
        if len(wanted) > self.ndim or 0 in sources or min(sizes, default=1) < 1:
            raise ShapeError(f"interpolate of {self.shape} to {tuple(sizes)}: give last dimensions, at least 1")
        x = self if mode in NEAREST or (self.dtype is dtypes.uint8 and mode != "area") else self._floating()
        if mode == "area":
            x = x.adaptive_avg_pool2d(sizes)
            sizes = []
        dims = list(enumerate(zip(sources, sizes, wanted), start=self.ndim - len(sizes)))
        order = dims[::-1]
        if self.dtype.is_float:  # what shrinks most comes first: less is left for the others
            order.sort(key=lambda row: row[1][1] / row[1][0])
        for i, (dim, (n, result, factor)) in enumerate(order):
            step = n / result if size is not None else 1 / factor
            if self.dtype is dtypes.uint8 and mode not in NEAREST:
                x = x._resized_bytes(dim, result, step, mode in CUBIC, align_corners)
            else:
                x = x._resized(dim, result, step, mode, align_corners)._as_whole(self.dtype)
                if i + 1 < len(order) and _is_read_often(mode, *order[i + 1][1][:2]):
                    x = x.contiguous()
        return x.cast(self.dtype) if self.dtype.is_int else x

    def _as_whole(self, dtype: DType) -> Self:
        """The nearest whole numbers dtype holds, if it is a type of these; halves go up."""
        return (self + 0.5).floor().clamp(dtype.min, dtype.max) if dtype.is_int and self.dtype.is_float else self

    def _resized_bytes(self, dim: int, size: int, step: float, cubic: bool, align_corners: bool) -> Self:
        """Dimension dim of bytes with `size` elements, the weights being whole numbers over a power of two."""
        n = self.shape[dim]
        places = np.arange(size)
        spots = places * ((n - 1) / max(1, size - 1)) if align_corners else (places + 0.5) * step - 0.5
        spots = spots if cubic else spots.clip(0)
        below = np.floor(spots)
        offsets = range(-1, 3) if cubic else range(2)
        picked = np.stack([(below + offset).clip(0, n - 1) for offset in offsets])
        weights = np.stack(cubic_weights(spots - below) if cubic else [1 - (spots - below), spots - below])
        weights = np.stack([np.where(picked == row, weights, 0).sum(0) for row in picked])
        first = np.stack([(picked[:i] != row).all(0) for i, row in enumerate(picked)])
        largest = float(weights.max())
        bits = next((k for k in range(22) if int(0.5 + largest * 2 ** (k + 1)) >= 1 << 15), 22)
        whole = np.where(first, np.trunc(weights * 2**bits + np.copysign(0.5, weights)), 0).astype(np.int32)
        total: Any = 1 << bits >> 1
        for row, factors in zip(picked.astype(np.int32), whole):
            part = self[(*(slice(None),) * dim, type(self)(row, device=self.device))].int()
            spread = type(self)(factors, device=self.device).reshape(-1, *(1,) * (self.ndim - dim - 1))
            total = total + part * spread
        return (total >> bits).clamp(0, 255).cast(dtypes.uint8)

    def _resized(self, dim: int, size: int, step: float, mode: str, align_corners: bool) -> Self:
        """Dimension dim with `size` elements, `step` of the old ones apart."""
        n = self.shape[dim]
        if mode in NEAREST and isclose(step * size, n) and 1 in (n // gcd(n, size), size // gcd(n, size)):
            return self._repeated_or_skipped(dim, size, mode)
        places = type(self).arange(size)
        spots = places.cast(self.dtype.arithmetic if self.dtype.is_float else dtypes.float32)
        if mode == "nearest" and isclose(step * size, n):
            return self._lines_at(dim, places * n // size)
        if mode in CUBIC:
            return self._resized_by_cubes(dim, size, step, align_corners)
        if mode not in LINEAR:
            position = (spots + (0.5 if mode == "nearest-exact" else 0)) * step
            return self._lines_at(dim, position.int())
        if align_corners:
            position = spots * ((n - 1) / max(1, size - 1))
        else:
            position = ((spots + 0.5) * step - 0.5).clamp(0, n - 1)
        low = position.floor().int()
        share = (position - low).cast(self.dtype).reshape(-1, *(1,) * (self.ndim - dim - 1))
        return self._lines_at(dim, low).lerp(self._lines_at(dim, low + 1), share)

    def _repeated_or_skipped(self, dim: int, size: int, mode: str) -> Self:
        """The nearest lines along dim where its length is a multiple of `size` or the other way round: views."""
        blocks = gcd(self.shape[dim], size)
        each = self.shape[dim] // blocks
        place = each // 2 if mode == "nearest-exact" else 0  # of the lines of a block, where there are several
        before, after = self.shape[:dim], self.shape[dim + 1 :]
        lines = self.reshape(*before, blocks, each, *after)._between(dim + 1, place, place + 1)
        return lines.expand(*before, blocks, size // blocks, *after).reshape(*before, size, *after)

    def _lines_at(self, dim: int, places: Self) -> Self:
        """What lies at places along dim, or at the nearest end."""
        shape = (*self.shape[:dim], *places.shape, *self.shape[dim + 1 :])
        return self._picked_along(dim, places.reshape(-1, *(1,) * (self.ndim - dim - 1)).expand(shape))

    def _resized_by_cubes(self, dim: int, size: int, step: float, align_corners: bool) -> Self:
        """Dimension dim with `size` elements, each a sum of four neighbours; those beyond the ends are the ends."""
        n, places = self.shape[dim], type(self).arange(size).cast(self.dtype.arithmetic)
        position = places * ((n - 1) / max(1, size - 1)) if align_corners else (places + 0.5) * step - 0.5
        below = position.floor()
        result: Self | None = None
        for offset, weight in zip(range(-1, 3), cubic_weights(position - below)):
            part = self._lines_at(dim, (below + offset).int()) * weight.reshape(-1, *(1,) * (self.ndim - dim - 1))
            result = part if result is None else result + part
        assert result is not None
        return result.cast(self.dtype)


def _is_read_often(mode: str, n: int, result: int) -> bool:
    """Whether each of n elements is read more than once where `result` others are drawn between them."""
    return mode not in NEAREST and result * (4 if mode in CUBIC else 2) > n


def cubic_weights(place: Any) -> list[Any]:
    """How much the elements at -1, 0, 1 and 2 count at a place between 0 and 1, in Keys' interpolation."""
    return [
        ((_KEYS * (x + 1) - 5 * _KEYS) * (x + 1) + 8 * _KEYS) * (x + 1) - 4 * _KEYS
        if outer
        else ((_KEYS + 2) * x - (_KEYS + 3)) * x * x + 1
        for x, outer in ((place, True), (place, False), (1 - place, False), (1 - place, True))
    ]
