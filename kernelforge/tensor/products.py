"""Products by the names of linear algebra.

Comes in: scalars, vectors, matrices and batches of matrices, each product taking the ranks its name stands for.  Goes
out: matrix products, with something added, chained, or over chosen dimensions.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Self, TypeVar

from codegen.dtypes import dtypes
from kernelforge.errors import DTypeError, ShapeError
from kernelforge.shape import is_several
from kernelforge.tensor.composite import composite, repeatable
from kernelforge.tensor.linalg import Linalg

T = TypeVar("T", bound=Linalg)


class Products(Linalg):
    """Forms of the matrix product."""

    __slots__ = ()

    # Of given ranks ---------------------------------------------------------------------------------------------

    def _check_ranks(self, other: Self, ranks: tuple[int, int], what: str) -> None:
        """raises ShapeError unless both have the given ranks and batches are equally large"""
        if (self.ndim, other.ndim) != ranks or (ranks == (3, 3) and self.shape[0] != other.shape[0]):
            raise ShapeError(
                f"{what} of {self.shape} and {other.shape}: it takes {ranks[0]} and {ranks[1]} dimensions, and batches "
                "of one size; matmul() broadcasts"
            )

    def _product(self, other: Self, ranks: tuple[int, int], what: str) -> Self:
        self._check_ranks(other, ranks, what)
        return self.dot(other)

    @composite
    def mm(self, mat2: Self) -> Self:
        """The product of two matrices."""
        return self._product(mat2, (2, 2), "mm")

    @composite
    def mv(self, vec: Self) -> Self:
        """The product of a matrix and a vector."""
        return self._product(vec, (2, 1), "mv")

    @composite
    def bmm(self, mat2: Self) -> Self:
        """The products of two equally large batches of matrices."""
        return self._product(mat2, (3, 3), "bmm")

    def vdot(self, other: Self) -> Self:
        """The sum of the products of two vectors' elements."""
        return self._product(other, (1, 1), "vdot")

    # With something added ---------------------------------------------------------------------------------------

    def _added_to(self, product: Self, beta: float, alpha: float) -> Self:
        """beta * self + alpha * product; with beta 0 even a NaN of self does not count.

        Of integers alone the factors lose their fractions, as in torch.
        """
        if self.dtype.is_int and product.dtype.is_int:
            beta, alpha = int(beta), int(alpha)
        scaled = product if alpha == 1 else product * alpha
        result = scaled + (self._constant(0) if beta == 0 else self if beta == 1 else self * beta)
        both = self.dtype is product.dtype is dtypes.bool
        return result.cast(dtypes.bool) if both and isinstance(alpha, int) and isinstance(beta, int) else result

    @composite
    def addmm(self, mat1: Self, mat2: Self, *, beta: float = 1, alpha: float = 1) -> Self:
        """beta * self + alpha * (mat1 @ mat2)."""
        return self._added_to(mat1.mm(mat2), beta, alpha)

    @composite
    def addmv(self, mat: Self, vec: Self, *, beta: float = 1, alpha: float = 1) -> Self:
        """beta * self + alpha * (mat @ vec)."""
        return self._added_to(mat.mv(vec), beta, alpha)

    @composite
    def addr(self, vec1: Self, vec2: Self, *, beta: float = 1, alpha: float = 1) -> Self:
        """beta * self + alpha * vec1.outer(vec2).

        raises ShapeError; DTypeError for floats as factors of integers
        """
        vec1._check_ranks(vec2, (1, 1), "addr")
        if not (self.dtype.is_inexact or vec1.dtype.is_inexact or vec2.dtype.is_inexact):
            for name, factor in (("beta", beta), ("alpha", alpha)):
                if isinstance(factor, float):
                    raise DTypeError(f"addr() of {self.dtype} and {vec1.dtype} takes an integer {name}, got {factor}")
        return self._added_to(vec1.outer(vec2), beta, alpha)

    @composite
    def baddbmm(self, batch1: Self, batch2: Self, *, beta: float = 1, alpha: float = 1) -> Self:
        """beta * self + alpha * (batch1 @ batch2)."""
        return self._added_to(batch1.bmm(batch2), beta, alpha)

    @composite
    def addbmm(self, batch1: Self, batch2: Self, *, beta: float = 1, alpha: float = 1) -> Self:
        """beta * self + alpha * the sum of the products of a batch."""
        products = batch1.bmm(batch2)
        return self._added_to(products.sum(0, dtype=products.dtype), beta, alpha)

    # Over chosen dimensions -------------------------------------------------------------------------------------

    @composite
    def tensordot(self, other: Self, dims: int | Sequence[Sequence[int]] = 2) -> Self:
        """Products summed over pairs of dimensions: the last `dims` of self and the first of other, or lists of each.

        >>> Tensor([[1, 2], [3, 4]]).tensordot(Tensor([[1, 0], [0, 1]])).item()
        5

        raises ShapeError
        """
        if not is_several(dims):
            dims = (range(self.ndim - dims, self.ndim), range(dims))
        left, right = ([x._dim(dim, "tensordot") for dim in chosen] for x, chosen in zip((self, other), dims))
        first, second = self._single_sums(left, other, right), other._single_sums(right, self, left)
        summed = [first.shape[dim] for dim in left]
        if summed != [second.shape[dim] for dim in right]:
            raise ShapeError(f"tensordot of {self.shape} and {other.shape} over dimensions {left} and {right}")
        rows = [dim for dim in range(self.ndim) if dim not in left]
        columns = [dim for dim in range(other.ndim) if dim not in right]
        shape = [self.shape[dim] for dim in rows] + [other.shape[dim] for dim in columns]
        a = first.permute(rows + left).reshape(prod(shape[: len(rows)]), prod(summed))
        b = second.permute(right + columns).reshape(prod(summed), prod(shape[len(rows) :]))
        return a.dot(b).reshape(shape)

    def _single_sums(self, dims: Sequence[int], other: Self, others: Sequence[int]) -> Self:
        """This tensor summed over those of its dimensions whose partners have a single element."""
        alone = [dim for dim, its in zip(dims, others) if other.shape[its] == 1 != self.shape[dim]]
        return self.sum(alone, keepdim=True, dtype=self.dtype) if alone else self

    @repeatable
    def inner(self, other: Self) -> Self:
        """Products summed over the last dimension of both; a scalar multiplies.

        raises ShapeError where these are of two sizes
        """
        if self.ndim and other.ndim and self.shape[-1] != other.shape[-1]:
            raise ShapeError(f"inner of {self.shape} and {other.shape}: the last sizes must be equal")
        return self.tensordot(other, ([-1], [-1])) if self.ndim and other.ndim else self * other

    @composite
    def kron(self, other: Self) -> Self:
        """Kronecker's product: each element of self replaced by its product with the whole of other.

        >>> Tensor([1, 2]).kron(Tensor([1, 10])).tolist()
        [1, 10, 2, 20]
        """
        rank = max(self.ndim, other.ndim)
        outer, inner = ((1,) * (rank - x.ndim) + x.shape for x in (self, other))
        left = self.reshape([size for n in outer for size in (n, 1)])
        right = other.reshape([size for n in inner for size in (1, n)])
        return (left * right).reshape([n * m for n, m in zip(outer, inner)])

    @composite
    def cross(self, other: Self, axis: int | None = None) -> Self:
        """The vectors perpendicular to those along axis, of size 3, of both; the first such axis when None.

        raises ShapeError
        """
        x, y = self._broadcasted(other)
        if axis is None and 3 in x.shape:
            axis = x.shape.index(3)
        ends = () if axis is None else (x._dim(axis, "cross") - x.ndim, self.ndim, other.ndim)
        if not ends or any(-ends[0] > t.ndim or t.shape[ends[0]] != 3 for t in (self, other)):
            raise ShapeError(f"cross of {self.shape} and {other.shape} along {axis}: it takes vectors of 3 elements")
        return x.roll(-1, axis) * y.roll(-2, axis) - x.roll(-2, axis) * y.roll(-1, axis)

    @composite
    def trace(self) -> Self:
        """The sum of a matrix's diagonal."""
        if self.ndim != 2:
            raise ShapeError(f"trace() takes a matrix, got {self.shape}")
        return self.diagonal().sum()

    # Chains -----------------------------------------------------------------------------------------------------

    @composite
    def multi_dot(self, *others: Self) -> Self:
        """The product of a chain of matrices in the order that multiplies least; the ends may be vectors."""
        chain = [self, *others]
        first, last = self.ndim == 1, chain[-1].ndim == 1
        chain[0] = self.unsqueeze(0) if first else self
        chain[-1] = chain[-1].unsqueeze(1) if last else chain[-1]
        if any(x.ndim != 2 for x in chain):
            raise ShapeError(f"multi_dot of {[x.shape for x in chain]}: it takes matrices, and vectors at the ends")
        result = _chained(chain, _cheapest_cuts([chain[0].shape[0], *[x.shape[1] for x in chain]]), 0, len(chain))
        return result.reshape(result.shape[first : 2 - last])


def _cheapest_cuts(sizes: list[int]) -> dict[tuple[int, int], int]:
    """(start, stop) -> where to cut the matrices start .. stop - 1, of sizes[i] rows and sizes[i + 1] columns."""
    cost = {(i, i + 1): 0 for i in range(len(sizes) - 1)}
    cuts = {}
    for length in range(2, len(sizes)):
        for start in range(len(sizes) - length):
            stop = start + length
            cost[start, stop], cuts[start, stop] = min(
                (cost[start, cut] + cost[cut, stop] + sizes[start] * sizes[cut] * sizes[stop], cut)
                for cut in range(start + 1, stop)
            )
    return cuts


def _chained(chain: list[T], cuts: dict[tuple[int, int], int], start: int, stop: int) -> T:
    """The product of the matrices start .. stop - 1, cut where cuts says."""
    if stop - start == 1:
        return chain[start]
    cut = cuts[start, stop]
    return _chained(chain, cuts, start, cut).dot(_chained(chain, cuts, cut, stop))
