"""Normalisation with weights, and the norms of vectors and matrices, by torch's names.

Comes in: tensors.  Goes out: tensors of the same shape, or without the dimensions a norm is taken over.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Self

from codegen.dtypes import DType
from kernelforge import shape as shapes
from kernelforge.errors import ArgumentError, DTypeError, ShapeError
from kernelforge.kinds import as_dtype
from kernelforge.tensor.assembling import Assembling
from kernelforge.tensor.composite import composite, repeatable
from kernelforge.tensor.core import Operand


class Norms(Assembling):
    """Lengths, and division by them."""

    __slots__ = ()

    # Normalisation ----------------------------------------------------------------------------------------------

    def _last_dimensions(self, shape: int | Sequence[int], what: str) -> tuple[int, ...]:
        """The last dimensions, which have the given sizes.

        raises ShapeError
        """
        sizes = shapes.sequence(shape)
        if not sizes or self.shape[-len(sizes) :] != sizes:
            raise ShapeError(f"{what} of {self.shape} over {sizes}: these must be its last sizes")
        return tuple(range(self.ndim - len(sizes), self.ndim))

    def _weighted_by(self, weight: Self | None, bias: Self | None) -> Self:
        result = self if weight is None else self * weight
        return result if bias is None else result + bias

    @composite
    def layer_norm(
        self,
        normalized_shape: int | Sequence[int],
        weight: Self | None = None,
        bias: Self | None = None,
        eps: float = 1e-5,
    ) -> Self:
        """layernorm() over the last dimensions, of the given sizes, times weight plus bias."""
        axes = self._last_dimensions(normalized_shape, "layer_norm")
        return self.layernorm(axes, eps)._weighted_by(weight, bias)

    @composite
    def rms_norm(
        self, normalized_shape: int | Sequence[int], weight: Self | None = None, eps: float | None = None
    ) -> Self:
        """rmsnorm() over the last dimensions, of the given sizes, times weight; eps None: the type's precision."""
        axes = self._last_dimensions(normalized_shape, "rms_norm")
        small = 2.0**-52 if self.dtype.bits == 64 else 2.0**-23
        return self.rmsnorm(axes, small if eps is None else eps)._weighted_by(weight, None)

    @composite
    def group_norm(
        self, num_groups: int, weight: Self | None = None, bias: Self | None = None, eps: float = 1e-5
    ) -> Self:
        """layernorm() of [N, C, ...] over each group of channels with all that follows, times weight plus bias [C].

        raises ShapeError
        """
        if self.ndim < 2 or num_groups < 1 or self.shape[1] % num_groups:
            raise ShapeError(f"group_norm({num_groups}) of {self.shape}: the groups must divide the channels")
        batch, channels, *rest = self.shape
        parts = self.reshape(batch, num_groups, channels // num_groups, *rest)
        found = parts.layernorm(tuple(range(2, parts.ndim)), eps).reshape(self.shape)
        column = (channels, *(1,) * len(rest))
        each = (None if x is None else x.reshape(column) for x in (weight, bias))
        return found._weighted_by(*each)

    def instance_norm(self, weight: Self | None = None, bias: Self | None = None, eps: float = 1e-5) -> Self:
        """group_norm() with each channel a group."""
        return self.group_norm(self.shape[1] if self.ndim > 1 else 0, weight, bias, eps)

    # Norms ------------------------------------------------------------------------------------------------------

    @composite
    def vector_norm(
        self, ord: float = 2, dim: int | Sequence[int] | None = None, keepdim: bool = False, *,
        dtype: DType | str | None = None,
    ) -> Self:  # fmt: skip
        """norm() by the name and with the arguments of torch.linalg; dtype: of the elements before and of the norm.

        raises DTypeError when numbers are to be complex that are not, or the other way round
        """
        return self._in_type(dtype, "vector_norm").norm(ord, dim, keepdim)

    def _in_type(self, dtype: DType | str | None, what: str) -> Self:
        """This tensor in the type a norm is computed in: another of its kind."""
        kind = self.dtype if dtype is None else as_dtype(dtype)
        if dtype is not None and (kind.is_complex is not self.dtype.is_complex or not kind.is_inexact):
            wanted = "a complex" if self.dtype.is_complex else "a real floating-point"
            raise DTypeError(f"{what} of {self.dtype} with dtype={kind}: it is computed in {wanted} type")
        return self.cast(kind)

    @repeatable
    def matrix_norm(
        self, ord: float | str = "fro", dim: Sequence[int] = (-2, -1), keepdim: bool = False, *,
        dtype: DType | str | None = None,
    ) -> Self:  # fmt: skip
        """A norm of matrices, two dimensions of a tensor.

        ord   "fro": of all elements as a vector; "nuc": the sum of the singular values; 2, -2: the largest, the
              smallest of them; 1, -1: the largest, smallest sum of magnitudes of a column; inf, -inf: of a row
        dtype  of the elements before and of the norm

        raises ShapeError, ArgumentError, DTypeError
        """
        if dtype is not None:
            return self._in_type(dtype, "matrix_norm").matrix_norm(ord, dim, keepdim)
        first, second = (self._dim(axis, "matrix_norm") for axis in dim)
        if first == second:
            raise ShapeError(f"matrix_norm of {self.shape} takes two different dimensions, got {tuple(dim)}")
        x = self.movedim((first, second), (-2, -1))._floating()
        if ord == "fro":
            found = x.norm(2, (-2, -1))
        elif ord in ("nuc", 2, -2):
            values = x.svdvals()
            values = values if values.shape[-1] else values.pad((0, 1))  # matrices of no elements are as short as 0
            found = values.sum(-1) if ord == "nuc" else values.max(-1) if ord == 2 else values.min(-1)
        elif ord in (1, -1, math.inf, -math.inf):
            sums = x.abs().sum(-2 if abs(float(ord)) == 1 else -1)
            sums = sums if sums.shape[-1] or ord not in (1, math.inf) else sums.pad((0, 1))
            found = sums.max(-1) if float(ord) > 0 else sums.min(-1)
        else:
            raise ArgumentError(f"matrix_norm() knows the orders fro, nuc, 1, 2, inf and negative ones, got {ord!r}")
        return found.reshape(shapes.reduced_shape(self.shape, (first, second), True)) if keepdim else found

    @composite
    def vecdot(self, other: Self, dim: int = -1) -> Self:
        """The sum of the products of the vectors along dim of both, broadcast."""
        return (self * other).sum(dim, dtype=(self * other).dtype)

    # Real numbers -----------------------------------------------------------------------------------------------

    def isreal(self) -> Self:
        """True everywhere: the numbers are real."""
        return self.eq(self) | True

    def angle(self) -> Self:
        """pi where the value is negative, else 0; NaN stays NaN."""
        x = self.detach()._floating()
        return x.isnan().where(x, (x < 0).where(math.pi, x._constant(0)))

    def embedding(self, weight: Self) -> Self:
        """The rows of a weight that these indices name."""
        return weight[self]

    @composite
    def bilinear(self, input2: Self, weight: Self, bias: Operand | None = None) -> Self:
        """sum_{i,j} self[.., i] weight[k, i, j] input2[.., j] + bias[k]."""
        mixed = self.unsqueeze(-2).unsqueeze(-2).dot(weight).squeeze(-2)
        found = (mixed * input2.unsqueeze(-2)).sum(-1)
        return found if bias is None else found + bias
