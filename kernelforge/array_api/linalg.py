"""The array API's linear algebra.

Comes in: tensors, whose last axes are matrices or vectors.  Goes out: tensors, and named tuples of several.
Decompositions are computed by NumPy on the host, as the methods of tensors are.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import inf
from typing import Any, Literal

from codegen.dtypes import DType
from kernelforge.array_api.reductions import sum as total
from kernelforge.array_api.types import finfo, result_type
from kernelforge.errors import ArgumentError
from kernelforge.shape import broadcast_shapes
from kernelforge.tensor import Tensor
from kernelforge.tensor.results import QR, SVD, Determinant, Eigen


def matmul(x1: Tensor, x2: Tensor, /) -> Tensor:
    """The matrix products."""
    if not x1.ndim or not x2.ndim:
        raise ArgumentError(f"matmul() of {x1.shape} and {x2.shape}: both need dimensions")
    kind = result_type(x1, x2)
    return x1.cast(kind).dot(x2.cast(kind), dtype=kind)


def matrix_transpose(x: Tensor, /) -> Tensor:
    """Each matrix transposed."""
    return x.mT


def tensordot(x1: Tensor, x2: Tensor, /, *, axes: int | tuple[Sequence[int], Sequence[int]] = 2) -> Tensor:
    """The sums of products over axes of both."""
    kind = result_type(x1, x2)
    return x1.cast(kind).tensordot(x2.cast(kind), axes).cast(kind)


def vecdot(x1: Tensor, x2: Tensor, /, *, axis: int = -1) -> Tensor:
    """The products of vectors along an axis; the first is conjugated.

    raises ValueError when the vectors have different sizes
    """
    if x1.shape[axis] != x2.shape[axis]:
        raise ArgumentError(f"vecdot() of {x1.shape} and {x2.shape}: axis {axis} must have the same size in both")
    kind = result_type(x1, x2)
    found = [x.cast(kind).movedim(axis, -1) for x in (x1, x2)]
    product = found[0].conj() * found[1]
    return product.sum(-1, dtype=kind)


def cholesky(x: Tensor, /, *, upper: bool = False) -> Tensor:
    """The triangular factors of positive matrices."""
    return x.cholesky(upper)


def cross(x1: Tensor, x2: Tensor, /, *, axis: int = -1) -> Tensor:
    """The cross products of vectors of 3 along an axis."""
    if x1.shape[axis] != 3 or x2.shape[axis] != 3:
        raise ArgumentError(f"cross() of {x1.shape} and {x2.shape}: axis {axis} must have size 3 in both")
    kind, shape = result_type(x1, x2), broadcast_shapes(x1.shape, x2.shape)
    return x1.cast(kind).expand(shape).cross(x2.cast(kind).expand(shape), axis)


def det(x: Tensor, /) -> Tensor:
    """The determinants."""
    return x.det()


def diagonal(x: Tensor, /, *, offset: int = 0) -> Tensor:
    """The diagonals of the matrices."""
    return x.diagonal(offset, -2, -1)


def eigh(x: Tensor, /) -> Eigen[Tensor]:
    """The eigenvalues and eigenvectors of symmetric matrices."""
    return x.eigh()


def eigvalsh(x: Tensor, /) -> Tensor:
    """The eigenvalues of symmetric matrices."""
    return x.eigvalsh()


def inv(x: Tensor, /) -> Tensor:
    """The inverses."""
    return x.inv()


def matrix_norm(x: Tensor, /, *, keepdims: bool = False, ord: Any = "fro") -> Tensor:
    """The norms of matrices."""
    return x.matrix_norm(ord, (-2, -1), keepdims)


def matrix_power(x: Tensor, n: int, /) -> Tensor:
    """The powers of matrices."""
    return x.matrix_power(n)


def matrix_rank(x: Tensor, /, *, rtol: float | Tensor | None = None) -> Tensor:
    """The number of singular values above rtol times the largest."""
    values = svdvals(x)
    limit = max(x.shape[-2:]) * finfo(values.dtype).eps if rtol is None else rtol
    limit = limit.unsqueeze(-1) if isinstance(limit, Tensor) else limit
    return total((values > values.max(-1, keepdim=True) * limit), axis=-1)


def outer(x1: Tensor, x2: Tensor, /) -> Tensor:
    """The products of each element of one vector with each of another."""
    return x1.unsqueeze(-1) * x2


def pinv(x: Tensor, /, *, rtol: float | Tensor | None = None) -> Tensor:
    """The pseudoinverses."""
    limit = max(x.shape[-2:]) * finfo(x.dtype).eps if rtol is None else rtol
    if not isinstance(limit, Tensor):
        return x.pinv(limit)
    u, s, vh = x.svd(False)
    kept = s > limit.unsqueeze(-1) * s.max(-1, keepdim=True)
    return vh.mT @ (kept.where(1 / kept.where(s, 1), 0).unsqueeze(-1) * u.mT)


def qr(x: Tensor, /, *, mode: Literal["reduced", "complete"] = "reduced") -> QR[Tensor]:
    """Orthogonal and upper triangular factors."""
    return x.qr(mode)


def slogdet(x: Tensor, /) -> Determinant[Tensor]:
    """The signs and logarithms of the determinants."""
    return x.slogdet()


def solve(x1: Tensor, x2: Tensor, /) -> Tensor:
    """The solutions of x1 @ x = x2; x2 is a vector if it has one dimension."""
    kind = result_type(x1, x2)
    a, b = x1.cast(kind), x2.cast(kind)
    if b.ndim == 1:
        return a.solve(b.unsqueeze(-1)).squeeze(-1)
    lead = broadcast_shapes(a.shape[:-2], b.shape[:-2])
    return a.expand(*lead, *a.shape[-2:]).solve(b.expand(*lead, *b.shape[-2:]))


def svd(x: Tensor, /, *, full_matrices: bool = True) -> SVD[Tensor]:
    """The singular value decompositions."""
    return x.svd(full_matrices)


def svdvals(x: Tensor, /) -> Tensor:
    """The singular values."""
    return x.svdvals()


def trace(x: Tensor, /, *, offset: int = 0, dtype: DType | None = None) -> Tensor:
    """The sums of the diagonals."""
    return total(diagonal(x, offset=offset), axis=-1, dtype=dtype)


def vector_norm(
    x: Tensor, /, *, axis: int | tuple[int, ...] | None = None, keepdims: bool = False, ord: float = 2
) -> Tensor:
    """The norms of vectors."""
    if axis == ():
        return x.ne(0).cast(x.dtype) if ord == 0 else x.abs()
    return x.vector_norm(ord if abs(ord) != inf else float(ord), axis, keepdims)
