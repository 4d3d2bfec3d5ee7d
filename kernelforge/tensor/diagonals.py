"""Diagonals and triangles of matrices.

Comes in: tensors two dimensions of which are rows and columns.  Goes out: views of diagonals, matrices made of
diagonals, and matrices with one side of a diagonal set to zero.
"""

from __future__ import annotations

from operator import index
from typing import Self

from kernelforge import graph
from kernelforge.errors import ShapeError
from kernelforge.tensor.composite import composite
from kernelforge.tensor.widths import Widths


class Diagonals(Widths):
    """Operations on what lies on, above and below a diagonal."""

    __slots__ = ()

    @composite
    def diagonal(self, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Self:
        """The elements [i, i + offset] of dimensions dim1 and dim2, which one last dimension replaces."""
        dim1, dim2, offset = self._dim(dim1, "diagonal"), self._dim(dim2, "diagonal"), index(offset)
        if dim1 == dim2:
            raise ShapeError(f"diagonal of {self.shape} takes two different dimensions, got {dim1} twice")
        rest = [dim for dim in range(self.ndim) if dim not in (dim1, dim2)]
        x = self.permute(*rest, dim1, dim2)
        rows, columns = x.shape[-2:]
        length = max(0, min(rows + min(offset, 0), columns - max(offset, 0)))
        top, left = max(-offset, 0), max(offset, 0)
        square = x.narrow(-2, min(top, rows), length).narrow(-1, min(left, columns), length)
        lead = square.shape[:-2]
        if not length:
            return square.reshape(*lead, 0)
        padded = square.reshape(*lead, length * length)._zero_padded(x.ndim - 2, 0, length)
        return padded.reshape(*lead, length, length + 1)._between(x.ndim - 1, 0, 1).reshape(*lead, length)

    def diag(self, diagonal: int = 0) -> Self:
        """The matrix with a vector on a diagonal, or a diagonal of a matrix."""
        if self.ndim not in (1, 2):
            raise ShapeError(f"diag() takes a vector or a matrix, got {self.shape}; diagonal() takes any tensor")
        return self.diagonal(diagonal) if self.ndim == 2 else self.diag_embed(diagonal)

    @composite
    def diag_embed(self, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Self:
        """The last dimension as the elements [i, i + offset] of two new ones, dim1 and dim2, and zeros.

        >>> Tensor([1, 2]).diag_embed(1).tolist()
        [[0, 1, 0], [0, 0, 2], [0, 0, 0]]
        """
        if not self.ndim:
            raise ShapeError("diag_embed() takes a vector or a batch of them, got a tensor without dimensions")
        dim1, dim2, offset = self._dim(dim1, "diag_embed", 1), self._dim(dim2, "diag_embed", 1), index(offset)
        if dim1 == dim2:
            raise ShapeError(f"diag_embed of {self.shape} takes two different dimensions, got {dim1} twice")
        n, last = self.shape[-1] + abs(offset), self.ndim - 1
        wide = self._zero_padded(last, max(offset, 0), max(-offset, 0))
        rows, columns = self._places(n, n)
        square = columns.eq(rows + offset).where(wide.unsqueeze(last), wide._constant(0).unsqueeze(last))
        return square.movedim((last, last + 1), (dim1, dim2))

    def diagflat(self, offset: int = 0) -> Self:
        """The matrix with all elements on a diagonal."""
        return self.flatten().diag_embed(offset)

    def _places(self, rows: int, columns: int) -> tuple[Self, Self]:
        """The row, as a column, and the column, as a row, of each element of a matrix."""
        return self._wrap(graph.reshape(graph.iota(rows), (rows, 1)), None), self._wrap(graph.iota(columns), None)

    def _triangle(self, diagonal: int, lower: bool) -> Self:
        if self.ndim < 2:
            raise ShapeError(f"tril() and triu() take a matrix or a batch of them, got {self.shape}")
        rows, columns = self._places(*self.shape[-2:])
        kept = columns <= rows + diagonal if lower else columns >= rows + diagonal
        return kept.where(self, self._constant(0))

    @composite
    def tril(self, diagonal: int = 0) -> Self:
        """Zero above the given diagonal."""
        return self._triangle(diagonal, lower=True)

    @composite
    def triu(self, diagonal: int = 0) -> Self:
        """Zero below the given diagonal."""
        return self._triangle(diagonal, lower=False)
