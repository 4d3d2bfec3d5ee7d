"""Images looked up at places of a grid.

Comes in: images [N, C, spatial ...] and grids of places from -1 to 1.  Goes out: the images as seen at these places.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from math import prod
from typing import Self

from kernelforge import graph
from kernelforge.errors import ArgumentError, ShapeError
from kernelforge.tensor.composite import composite
from kernelforge.tensor.resizing import Resizing, cubic_weights


class Grids(Resizing):
    """Operations that sample images."""

    __slots__ = ()

    @composite
    def affine_grid(self, size: Sequence[int], align_corners: bool = False) -> Self:
        """The places that affine maps, this batch of 2 x 3 or 3 x 4 matrices, take those of an image from.

        size            [N, C, H, W] or [N, C, D, H, W], of the image to be
        align_corners   -1 and 1 are the middles of the outermost elements, not their outer edges
        returns         [N, H, W, 2] or [N, D, H, W, 3]

        raises ShapeError
        """
        rank, spatial = len(size) - 2, tuple(size[2:])
        if self.shape != (size[0], rank, rank + 1):
            raise ShapeError(f"affine_grid of {self.shape} for {tuple(size)}: it takes {(size[0], rank, rank + 1)}")
        columns: list[Self] = []
        for dim in reversed(range(rank)):
            n = spatial[dim]
            places = type(self).arange(n).cast(self.dtype)
            places = places * (2 / max(1, n - 1)) - (n > 1) if align_corners else (places * 2 + 1) / n - 1
            columns.append(places.reshape([-1 if i == dim else 1 for i in range(rank)]).expand(spatial))
        base = columns[0].stack(*columns[1:], columns[0] * 0 + 1, dim=-1).reshape(1, prod(spatial), rank + 1)
        return base.dot(self.mT).reshape(size[0], *spatial, rank)

    @composite
    def grid_sample(
        self, grid: Self, mode: str = "bilinear", padding_mode: str = "zeros", align_corners: bool = False
    ) -> Self:
        """The values of images [N, C, H, W] (or [N, C, D, H, W]) at the places of a grid [N, ..., 2] (or 3).

        grid            the last dimension counts columns first: x, y (, z), from -1 to 1 within the image
        mode            "bilinear", "nearest", or for two dimensions "bicubic"
        padding_mode    outside is "zeros", the "border", or the image by "reflection"
        align_corners   -1 and 1 are the middles of the outermost elements, not their outer edges
        returns         [N, C, ...]

        raises ShapeError, ArgumentError

        source  torch.nn.functional.grid_sample
        """
        if mode not in ("bilinear", "nearest", "bicubic") or padding_mode not in ("zeros", "border", "reflection"):
            raise ArgumentError(
                f"grid_sample() knows the modes bilinear, nearest and bicubic, got {mode!r}, and the padding modes "
                f"zeros, border and reflection, got {padding_mode!r}"
            )
        rank = self.ndim - 2
        if grid.ndim != self.ndim or grid.shape[0] != self.shape[0] or grid.shape[-1] != rank or 0 in self.shape[2:]:
            raise ShapeError(f"grid_sample of {self.shape} at {grid.shape}: a grid is [N, ..., {rank}], as long as it")
        taps = []
        for dim, n in enumerate(self.shape[2:]):
            place = grid._wide()._between(rank + 1, rank - 1 - dim, rank - dim).squeeze(-1)
            place = (place + 1) * ((n - 1) / 2) if align_corners else ((place + 1) * n - 1) / 2
            taps.append(place._taps(n, mode, padding_mode, align_corners))
        return self._at_taps(taps, grid.shape[1:-1])

    def _taps(self, n: int, mode: str, padding: str, align_corners: bool) -> list[tuple[Self, Self]]:
        """The elements of a dimension of n that count at each place: their indices, and how much."""
        place = self if mode == "bicubic" else self._inside(n, padding, align_corners)
        below = place.round() if mode == "nearest" else place.floor()
        share = place - below
        if mode == "nearest":
            found = [(below, share._constant(1))]
        elif mode == "bilinear":
            found = [(below, 1 - share), (below + 1, share)]
        else:
            found = [(below + i, weight) for i, weight in zip(range(-1, 3), cubic_weights(share))]
            found = [(index._inside(n, padding, align_corners), weight) for index, weight in found]
        return [
            (index._nearest_in(n).int(), ((index >= 0) & (index <= n - 1)).where(weight, weight * 0))
            for index, weight in found  # a weight of NaN stays one outside, as in torch
        ]

    def _inside(self, n: int, padding: str, align_corners: bool) -> Self:
        """Places outside a dimension of n as the padding has them."""
        if padding == "zeros":
            return self
        place = self
        if padding == "reflection":
            low, span = (0.0, float(n - 1)) if align_corners else (-0.5, float(n))
            if not span:
                return self._constant(0)
            distance = (self - low).abs()
            extra = distance.fmod(span)
            odd = ((distance / span).floor() % 2).ne(0)
            place = odd.where(span - extra, extra) + low
        return place._nearest_in(n)

    def _nearest_in(self, n: int) -> Self:
        """Places limited to a dimension of n; of NaN, the first one."""
        return (self > 0).where((self >= n - 1).where(n - 1, self), 0)

    def _at_taps(self, taps: Sequence[Sequence[tuple[Self, Self]]], shape: Sequence[int]) -> Self:
        """The sum of the elements at all combinations of one tap per dimension, each times its weights."""
        batch, channels, *spatial = self.shape
        count = prod(shape)
        flat = self.reshape(batch, channels, prod(spatial))
        total: Self | None = None
        for chosen in product(*taps):
            index, weight = chosen[0]
            for n, (further, factor) in zip(spatial[1:], chosen[1:]):
                index, weight = index * n + further, weight * factor
            places = index.reshape(batch, 1, count).expand(batch, channels, count)
            part = flat._derived(graph.gather(flat._node, places._node, 2)) * weight.reshape(batch, 1, count)
            total = part if total is None else total + part
        assert total is not None
        return total.cast(self.dtype).reshape(batch, channels, *shape)
