"""Linear algebra: equations, inverses, determinants and decompositions.

Comes in: matrices and batches of matrices, the last two dimensions being rows and columns; integers are taken as the
default float type, 16-bit floats as float32.  Goes out: tensors.  What no kernel does (see `decompositions`) NumPy
computes on the host when the values are needed; LinAlgError is raised then.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Self

from codegen.dtypes import promote
from kernelforge import graph
from kernelforge.errors import ArgumentError, ShapeError
from kernelforge.shape import broadcast_shapes
from kernelforge.tensor import decompositions as hosts
from kernelforge.tensor.composite import composite
from kernelforge.tensor.core import Core, Operand
from kernelforge.tensor.decompositions import Decompositions
from kernelforge.tensor.results import QR, SVD, Determinant, Eigen, TriangularSolution


class Solving(Decompositions):
    """Methods of matrices."""

    __slots__ = ()

    def _matrices(self, what: str, square: bool = True) -> Self:
        """The tensor in float32 or float64.

        raises ShapeError unless it is a matrix or a batch of them, square where they have to be
        """
        if self.ndim < 2 or (square and self.shape[-1] != self.shape[-2]):
            kind = "square matrices" if square else "a matrix"
            raise ShapeError(f"{what} of {self.shape}: it takes {kind}, or a batch, as the last two dimensions")
        return self._wide()

    def _solved(self, other: Self, what: str, solve: Callable[[Self, Self], Self]) -> Self:
        """solve(self, other), for matrices of one batch; a vector on the right is a matrix of one column.

        raises ShapeError
        """
        a, b = self._matrices(what), other._wide()
        vector = b.ndim == 1 or (self.ndim > 2 and b.shape == self.shape[:-1])
        b = b.unsqueeze(-1) if vector else b
        if b.ndim < 2 or b.shape[-2] != a.shape[-1]:
            raise ShapeError(f"{what} of {self.shape} and {other.shape}: the right side has a row for each row of it")
        wide, kind = promote(a.dtype, b.dtype), promote(self._floating().dtype, other._floating().dtype)
        batch = broadcast_shapes(a.shape[:-2], b.shape[:-2], what=what)
        a, b = (x.cast(wide).expand(*batch, *x.shape[-2:]) for x in (a, b))
        found = solve(a, b)
        return (found.squeeze(-1) if vector else found).cast(kind)

    # Equations --------------------------------------------------------------------------------------------------

    @composite
    def solve(self, other: Self, *, left: bool = True) -> Self:
        """The x of self @ x = other, or of x @ self = other where left is False; other may be a vector.

        >>> Tensor([[2.0, 0.0], [0.0, 4.0]]).solve(Tensor([2.0, 2.0])).tolist()
        [1.0, 0.5]

        raises ShapeError, and LinAlgError when the values are computed, for a singular matrix
        """
        if not left:
            return self.mT.solve(other.mT).mT
        return self._solved(other, "solve", lambda a, b: a._hosted(hosts.SOLUTION, b.shape, b))

    @composite
    def solve_triangular(self, other: Self, *, upper: bool, left: bool = True, unitriangular: bool = False) -> Self:
        """solve() that reads one triangle of the matrix only.

        upper           which one
        unitriangular   take ones for its diagonal
        """
        if not left:
            return self.mT.solve_triangular(other.mT, upper=not upper, unitriangular=unitriangular).mT
        function = hosts.triangular(upper, unitriangular)
        return self._solved(other, "solve_triangular", lambda a, b: a._hosted(function, b.shape, b))

    def triangular_solve(
        self, A: Self, upper: bool = True, transpose: bool = False, unitriangular: bool = False
    ) -> TriangularSolution[Self]:
        """The x of A @ x = self for a triangular A, or of A.T @ x = self, and A; see solve_triangular()."""
        matrix, above = (A.mT, not upper) if transpose else (A, upper)
        return TriangularSolution(matrix.solve_triangular(self, upper=above, unitriangular=unitriangular), A)

    @composite
    def lstsq(self, other: Self, rcond: float | None = None, *, driver: str | None = None) -> Self:
        """The x, of those the smallest, for which |self @ x - other| is smallest; other may be a vector.

        rcond    singular values up to rcond times the largest count as 0; None: as in pinv()
        driver   of no account: it is always the pseudoinverse that finds x
        """
        vector = other.ndim == self.ndim - 1
        found = self.pinv(rcond).dot(other.unsqueeze(-1) if vector else other)
        return found.squeeze(-1) if vector else found

    # Inverses ---------------------------------------------------------------------------------------------------

    @composite
    def inv(self) -> Self:
        """The inverse of square matrices; raises LinAlgError when the values are computed, for a singular one.

        >>> Tensor([[2.0, 0.0], [0.0, 4.0]]).inv().tolist()
        [[0.5, 0.0], [0.0, 0.25]]
        """
        x = self._matrices("inv")
        return x._hosted(hosts.INVERSE, x.shape).cast(self._floating().dtype)

    def inverse(self) -> Self:
        """Another name of inv()."""
        return self.inv()

    @composite
    def pinv(
        self,
        rcond: float | Self | None = None,
        hermitian: bool = False,
        *,
        rtol: float | Self | None = None,
        atol: float | Self | None = None,
    ) -> Self:
        """The pseudoinverse of matrices of any shape and rank.

        rcond, rtol   singular values up to that times the largest count as 0; None: the larger size times the
                      precision, or 0 where there is an atol
        atol          those up to that count as 0, too; all three may be tensors, one value for each matrix
        hermitian     the lower triangle alone is read, as that of a symmetric matrix
        """
        rcond = rtol if rcond is None else rcond
        x = self._matrices("pinv", square=False)
        x = x._of_lower_triangle() if hermitian else x
        if atol is not None or isinstance(rcond, Core):
            return x._pinv_above(0.0 if rcond is None else rcond, 0.0 if atol is None else atol)
        limit = max(self.shape[-2:]) * x.dtype.real.eps if rcond is None else rcond
        shape = (*x.shape[:-2], x.shape[-1], x.shape[-2])
        return x._hosted(hosts.pseudoinverse(limit), shape).cast(self._floating().dtype)

    def _of_lower_triangle(self) -> Self:
        """The matrices that are their own transposes, conjugated, with this one's lower triangle."""
        half, diagonal = self.tril(-1), self.diagonal(dim1=-2, dim2=-1)
        if self.dtype.is_complex:
            diagonal = self._derived(graph.part(diagonal._node, "real")).cast(self.dtype)
        return half + half.mH + diagonal.diag_embed()

    def _pinv_above(self, rtol: float | Self, atol: float | Self) -> Self:
        """pinv() by singular values, those above limits of each matrix."""
        u, values, vh = self.svd(full_matrices=False)
        share, low = (values._as_tensor(limit).unsqueeze(-1) for limit in (rtol, atol))
        kept = values > (values._largest(-1) * share).maximum(low)
        inverse = kept.where(1 / kept.where(values, 1), 0)
        return ((vh.mH * inverse.unsqueeze(-2)) @ u.mH).cast(self.dtype)

    def pinverse(self, rcond: float = 1e-15) -> Self:
        """pinv() with another rcond unless given."""
        return self.pinv(rcond)

    @composite
    def matrix_power(self, n: int) -> Self:
        """The product of n equal square matrices, by squaring; the identity for 0, powers of the inverse below.

        raises ShapeError
        """
        x = self._matrices("matrix_power") if n < 0 else self
        if self.ndim < 2 or self.shape[-1] != self.shape[-2]:
            raise ShapeError(f"matrix_power({n}) of {self.shape}: it takes square matrices")
        if not n:
            return type(self).eye(self.shape[-1], dtype=self.dtype).expand(self.shape)
        power, n = x.inv() if n < 0 else self, abs(n)
        while not n & 1:
            power, n = power.dot(power), n >> 1
        result = power
        while n := n >> 1:
            power = power.dot(power)
            result = result.dot(power) if n & 1 else result
        return result

    @composite
    def newton_schulz(self, steps: int, params: Sequence[float], eps: float = 1e-7) -> Self:
        """The odd polynomial sum_i params[i] (x x.T)^i x applied `steps` times to matrices of norm 1, in the singular
        values: with fitting parameters it brings them to 1, so that the result is the nearest orthogonal matrix.

        raises ShapeError
        """
        if self.ndim < 2:
            raise ShapeError(f"newton_schulz of {self.shape}: it takes matrices")
        if self.shape[-2] > self.shape[-1]:
            return self.mT.newton_schulz(steps, params, eps).mT
        x = self / (self.square().sum((-2, -1), keepdim=True).sqrt() + eps)
        for _ in range(steps):
            square, power = x.dot(x.mT), x
            total = x * params[0]
            for factor in params[1:]:
                power = square.dot(power)
                total = total + power * factor
            x = total
        return x

    @composite
    def matrix_exp(self) -> Self:
        """The exponential sum_k x^k / k! of square matrices."""
        x = self._matrices("matrix_exp")
        return x._hosted(hosts.EXPONENTIAL, x.shape).cast(self._floating().dtype)

    # Determinants -----------------------------------------------------------------------------------------------

    @composite
    def det(self) -> Self:
        """The determinant of square matrices; its gradient needs an inverse.

        >>> Tensor([[2.0, 1.0], [0.0, 4.0]]).det().item()
        8.0
        """
        x = self._matrices("det")
        return x._hosted(hosts.DETERMINANT, x.shape[:-2]).cast(self._floating().dtype)

    def slogdet(self) -> Determinant[Self]:
        """The sign of the determinant, and the logarithm of its magnitude, -inf for 0."""
        return Determinant(self._determinant_sign(), self._log_determinant())

    @composite
    def _determinant_sign(self) -> Self:
        x = self._matrices("slogdet")
        return x._hosted(hosts.SIGN, x.shape[:-2]).cast(self._floating().dtype)

    @composite
    def _log_determinant(self) -> Self:
        x = self._matrices("slogdet")
        return x._hosted(hosts.LOG_DETERMINANT, x.shape[:-2]).cast(self._floating().dtype.real)

    @composite
    def logdet(self) -> Self:
        """The logarithm of the determinant; NaN where that is negative."""
        if self.dtype.is_complex:
            return self._determinant_sign().log() + self._log_determinant()
        return (self._determinant_sign() < 0).where(math.nan, self._log_determinant())

    # Decompositions ---------------------------------------------------------------------------------------------

    @composite
    def cholesky(self, upper: bool = False) -> Self:
        """The lower triangular L with L @ L.T = self, for symmetric positive matrices; L.T if upper.

        raises LinAlgError when the values are computed, for others
        """
        x = self._matrices("cholesky")
        found = (x.mT if upper else x)._hosted(hosts.CHOLESKY, x.shape).cast(self._floating().dtype)
        return found.mT if upper else found

    @composite
    def cholesky_solve(self, L: Self, upper: bool = False) -> Self:
        """The x of L @ L.T @ x = self, or of L.T @ L @ x = self if upper."""
        lower = L.mH if upper else L
        return lower.mH.solve_triangular(lower.solve_triangular(self, upper=False), upper=True)

    @composite
    def cholesky_inverse(self, upper: bool = False) -> Self:
        """The inverse of the matrix whose Cholesky factor this is."""
        one = type(self).eye(self.shape[-1], dtype=self._floating().dtype)
        return one.cholesky_solve(self, upper)

    def qr(self, mode: str = "reduced") -> QR[Self]:
        """Q with orthonormal columns and an upper triangular R, Q @ R = self.

        mode   "reduced", or "complete" for a square Q

        raises ShapeError, ArgumentError
        """
        if mode not in ("reduced", "complete"):
            raise ArgumentError(f"qr() knows the modes 'reduced' and 'complete', got {mode!r}")
        x = self._matrices("qr", square=False)
        rows, n = x.shape[-2:]
        if rows < n:  # Q of the first columns, which are square, takes the others along
            q, r = x._first_columns(rows).qr()
            r = r.cat(q.mH.dot(x._between(x.ndim - 1, rows, n)), dim=-1)
        else:
            width = rows if mode == "complete" else n
            packed = x._hosted(hosts.qr(mode == "complete"), (*x.shape[:-2], rows * width + width * n))
            q, r = packed._parts((rows, width), (width, n))
        return QR(q.cast(self._floating().dtype), r.cast(self._floating().dtype))

    def eigh(self, UPLO: str = "L") -> Eigen[Self]:
        """The eigenvalues of symmetric matrices, smallest first, and their vectors as columns.

        Gradients of the vectors are infinite where two values are equal.

        UPLO   "L" or "U": the triangle that is read
        """
        if UPLO not in ("L", "U"):
            raise ArgumentError(f"eigh() reads the triangle 'L' or 'U', got {UPLO!r}")
        x = self._matrices("eigh")
        n = x.shape[-1]
        values, vectors = x._hosted(hosts.eigh(UPLO == "L"), (*x.shape[:-2], n + n * n))._parts((n,), (n, n))
        kind = self._floating().dtype
        return Eigen(values.cast(kind.real), vectors.cast(kind))

    def eigvalsh(self, UPLO: str = "L") -> Self:
        """The eigenvalues of symmetric matrices, smallest first."""
        return self.eigh(UPLO)[0]

    def svd(self, full_matrices: bool = True) -> SVD[Self]:
        """U, the singular values S, largest first, and V.T, with U @ diag(S) @ V.T = self.

        Gradients of U and V are infinite where two singular values are equal, and leave out what full_matrices adds.

        full_matrices   False: only as many columns of U and rows of V.T as there are singular values
        """
        x = self._matrices("svd", square=False)
        m, n = x.shape[-2:]
        k = min(m, n)
        shapes = (m, m if full_matrices else k), (k,), (n if full_matrices else k, n)
        size = sum(math.prod(shape) for shape in shapes)
        u, s, vh = x._hosted(hosts.svd(full_matrices), (*x.shape[:-2], size))._parts(*shapes)
        kind = self._floating().dtype
        return SVD(u.cast(kind), s.cast(kind.real), vh.cast(kind))

    def svdvals(self) -> Self:
        """The singular values of matrices, largest first."""
        return self.svd(full_matrices=False)[1]

    def matrix_rank(
        self, rtol: Operand | None = None, *, hermitian: bool = False, atol: Operand | None = None
    ) -> Self:
        """The int64 number of singular values above atol and above rtol times the largest one.

        rtol   None: as in pinv(), or 0 where there is an atol; both may be tensors, one for each matrix
        """
        x = self._matrices("matrix_rank", square=False)
        values = x.eigvalsh().abs() if hermitian else x.svdvals()
        usual = max(self.shape[-2:]) * x.dtype.real.eps if atol is None else 0.0
        if not values.shape[-1]:
            return values.sum(-1).long()
        low, share = (
            values._as_tensor(0.0 if atol is None else atol), values._as_tensor(usual if rtol is None else rtol)
        )  # fmt: skip
        limit = (values.max(-1) * share).maximum(low)
        return (values > limit.unsqueeze(-1)).sum(-1)

    def cond(self) -> Self:
        """The ratio of the largest singular value to the smallest."""
        values = self.svdvals()
        return values.max(-1) / values.min(-1)
