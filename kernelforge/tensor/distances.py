"""Lengths of vectors, and distances and angles between them.

Comes in: tensors of vectors.  Goes out: numbers for each vector or pair, in at least float32 on the way.
"""

from __future__ import annotations

from typing import Self

from kernelforge.errors import ShapeError
from kernelforge.tensor.composite import composite
from kernelforge.tensor.products import Products
from kernelforge.tensor.reduce import Axis


class Distances(Products):
    """Operations on vectors as points and directions."""

    __slots__ = ()

    @composite
    def normalize(self, p: float = 2.0, axis: Axis = 1, eps: float = 1e-12) -> Self:
        """self / max(norm(self, p), eps) along axis: vectors of length 1."""
        return self / self.norm(p, axis, keepdim=True).maximum(eps)

    @composite
    def cosine_similarity(self, other: Self, axis: int = 1, eps: float = 1e-8) -> Self:
        """The cosine of the angle between the vectors along axis; no length counts as less than eps."""
        x, y = (tensor._wide() for tensor in self._broadcasted(other))
        a, b = (z.norm(axis=axis) for z in (x, y))
        endless = a.detach().isinf() | b.detach().isinf()  # 0, as no float is as long; NaN where an element is
        product = endless.where((x.detach() - x.detach() + y.detach() - y.detach()).sum(axis), (x * y).sum(axis))
        a, b = (endless.where(1, length).maximum(eps) for length in (a, b))
        return (product / (a * b)).cast((self._floating() * other._floating()).dtype)

    def pairwise_distance(self, other: Self, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False) -> Self:
        """The p-norm over the last dimension of self - other + eps."""
        return (self - other + eps).norm(p, -1, keepdim)

    def dist(self, other: Self, p: float = 2.0) -> Self:
        """The p-norm of self - other over all elements."""
        return (self - other).norm(p)

    @composite
    def cdist(self, other: Self, p: float = 2.0, compute_mode: str | None = None) -> Self:
        """The p-norm of the difference of every row of self and every row of other.

            [.., n, d], [.., m, d] -> [.., n, m]

        compute_mode   of no account: differences are always taken, never found by a product

        raises ShapeError
        """
        if min(self.ndim, other.ndim) < 2 or self.shape[-1] != other.shape[-1]:
            raise ShapeError(f"cdist of {self.shape} and {other.shape}: rows are the last dimension, of equal size")
        return (self.unsqueeze(-2) - other.unsqueeze(-3)).norm(p, -1)
