"""Linear algebra, as `torch.linalg` has it: the tensor's methods, as functions of matrices.

Comes in: tensors whose last two dimensions are rows and columns.  Goes out: tensors.  Factors and inverses are computed
on the host when the values are needed; see the methods.
"""

from __future__ import annotations

from collections.abc import Sequence

from codegen.dtypes import DType
from kernelforge.errors import ArgumentError, ShapeError
from kernelforge.shape import sequence
from kernelforge.tensor import Tensor
from kernelforge.tensor.results import LU, QR, CheckedCholesky, CheckedInverse, CheckedSolution, LeastSquares

__all__ = [
    "cholesky", "cholesky_ex", "cond", "cross", "det", "diagonal", "eig", "eigh", "eigvals", "eigvalsh",
    "householder_product", "inv", "inv_ex", "ldl_factor", "ldl_factor_ex", "ldl_solve", "lstsq", "lu", "lu_factor",
    "lu_factor_ex", "lu_solve", "matmul", "matrix_exp", "matrix_norm", "matrix_power", "matrix_rank", "multi_dot",
    "norm", "pinv", "qr", "slogdet", "solve", "solve_ex", "solve_triangular", "svd", "svdvals", "tensorinv",
    "tensorsolve", "vander", "vecdot", "vector_norm",
]  # fmt: skip

det, slogdet, inv, pinv, solve, solve_triangular = (
    Tensor.det, Tensor.slogdet, Tensor.inv, Tensor.pinv, Tensor.solve, Tensor.solve_triangular,
)  # fmt: skip
eig, eigvals, eigh, eigvalsh, svd, svdvals = (
    Tensor.eig, Tensor.eigvals, Tensor.eigh, Tensor.eigvalsh, Tensor.svd, Tensor.svdvals,
)  # fmt: skip
lu_factor, lu_factor_ex, ldl_factor, ldl_factor_ex, ldl_solve, householder_product = (
    Tensor.lu_factor, Tensor.lu_factor_ex, Tensor.ldl_factor, Tensor.ldl_factor_ex, Tensor.ldl_solve,
    Tensor.householder_product,
)  # fmt: skip
matmul, matrix_exp, matrix_power, matrix_rank, matrix_norm, vector_norm = (
    Tensor.matmul, Tensor.matrix_exp, Tensor.matrix_power, Tensor.matrix_rank, Tensor.matrix_norm,
    Tensor.vector_norm,
)  # fmt: skip
vecdot, tensorinv, tensorsolve, cholesky = Tensor.vecdot, Tensor.tensorinv, Tensor.tensorsolve, Tensor.cholesky


def cholesky_ex(A: Tensor, *, upper: bool = False, check_errors: bool = False) -> CheckedCholesky[Tensor]:
    """cholesky() and a 0 for each matrix: one that has no such factor raises LinAlgError when values are computed."""
    return CheckedCholesky(A.cholesky(upper), Tensor.zeros(A.shape[:-2], dtype="int32"))


def inv_ex(A: Tensor, *, check_errors: bool = False) -> CheckedInverse[Tensor]:
    """inv() and a 0 for each matrix: a singular one raises LinAlgError when values are computed."""
    return CheckedInverse(A.inv(), Tensor.zeros(A.shape[:-2], dtype="int32"))


def solve_ex(A: Tensor, B: Tensor, *, left: bool = True, check_errors: bool = False) -> CheckedSolution[Tensor]:
    """solve() and a 0 for each matrix: a singular one raises LinAlgError when values are computed."""
    return CheckedSolution(A.solve(B, left=left), Tensor.zeros(A.shape[:-2], dtype="int32"))


def lu(A: Tensor, *, pivot: bool = True) -> LU[Tensor]:
    """P, L and U with P @ L @ U = A; without pivot P has no elements.

    >>> p, l, u = lu(Tensor([[1.0, 2.0], [4.0, 6.0]]))
    >>> (p @ l @ u).tolist()
    [[1.0, 2.0], [4.0, 6.0]]
    """
    factors, pivots = A.lu_factor(pivot=pivot)
    return factors.lu_unpack(pivots, unpack_pivots=pivot)


def lu_solve(LU: Tensor, pivots: Tensor, B: Tensor, *, left: bool = True, adjoint: bool = False) -> Tensor:
    """The X of A @ X = B, or of X @ A = B where left is False, from lu_factor() of A; of A.mH if adjoint."""
    if not left:
        return lu_solve(LU, pivots, B.mH, adjoint=not adjoint).mH
    if not adjoint:
        return B.lu_solve(LU, pivots)
    p, low, up = LU.lu_unpack(pivots)
    found = up.mH.solve_triangular(B, upper=False)
    return p @ low.mH.solve_triangular(found, upper=True, unitriangular=True)


def multi_dot(tensors: Sequence[Tensor]) -> Tensor:
    """The product of a chain of matrices in the order that multiplies least; the ends may be vectors."""
    return tensors[0].multi_dot(*tensors[1:])


def qr(A: Tensor, mode: str = "reduced") -> QR[Tensor]:
    """Tensor.qr(); mode "r" leaves Q without elements."""
    if mode == "r":
        return QR(Tensor.zeros(0, dtype=A.dtype), A.qr().R)
    return A.qr(mode)


def lstsq(A: Tensor, B: Tensor, rcond: float | None = None, *, driver: str | None = None) -> LeastSquares[Tensor]:
    """The X for which |A @ X - B| is smallest, that square of each column, A's rank, and its singular values.

    The squares are left out, with no elements, where there are no more rows than columns.

    driver   which of LAPACK's functions torch would call; there is one here
    """
    vector = B.ndim == A.ndim - 1
    right = B.unsqueeze(-1) if vector else B
    found = A.lstsq(right, rcond)
    squares = (A @ found - right).abs().square().sum(-2) if A.shape[-2] > A.shape[-1] else found.real[..., :0, 0]
    rank = A.matrix_rank(rcond)
    return LeastSquares(found.squeeze(-1) if vector else found, squares, rank, A.svdvals())


def cond(A: Tensor, p: float | str | None = None) -> Tensor:
    """norm(A) norm(inv(A)) in matrix_norm() of order p; the ratio of singular values for None, 2 and -2."""
    if p in (None, 2):
        return A.cond()
    if p == -2:
        return 1 / A.cond()
    if A.shape[-1] != A.shape[-2]:
        raise ArgumentError(f"cond() of {A.shape} with p={p!r}: for this norm it takes square matrices")
    return A.matrix_norm(p) * A.inv().matrix_norm(p)


def cross(input: Tensor, other: Tensor, *, dim: int = -1) -> Tensor:
    """The vectors perpendicular to two vectors of size 3, along dimension dim.

    raises ShapeError
    """
    if input.ndim != other.ndim or not input.shape[dim] == other.shape[dim] == 3:
        raise ShapeError(f"cross of {input.shape} and {other.shape} along {dim}: it takes 3 elements there, of both")
    return input.cross(other, dim)


def vander(x: Tensor, N: int | None = None) -> Tensor:
    """The powers 0 to N - 1 of a vector's elements, a row for each; N None: as many as elements."""
    return x.vander(N, increasing=True)


def diagonal(A: Tensor, *, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Tensor:
    """The diagonals of matrices."""
    return A.diagonal(offset, dim1, dim2)


def norm(
    A: Tensor,
    ord: float | str | None = None,
    dim: int | Sequence[int] | None = None,
    keepdim: bool = False,
    *,
    dtype: DType | str | None = None,
) -> Tensor:
    """vector_norm() of all or one dimension, matrix_norm() of two, of the given order; of None: of order 2.

    dtype   of the elements before and of the norm

    raises ShapeError for a tensor of other than one or two dimensions where none are named
    """
    if ord is None:
        return A.vector_norm(2, dim, keepdim, dtype=dtype)
    if dim is None and A.ndim not in (1, 2):
        raise ShapeError(f"norm of order {ord!r} of {A.shape}: name its dimension or two, as dim=-1 or dim=(-2, -1)")
    dims = (-2, -1) if dim is None else sequence(dim)
    if len(dims) == 1 or (dim is None and A.ndim == 1):
        return A.vector_norm(ord, dim, keepdim, dtype=dtype)  # type: ignore[arg-type]
    return A.matrix_norm(ord, dims, keepdim, dtype=dtype)
