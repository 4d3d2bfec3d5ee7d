"""Factors of matrices: LU, LDL, Householder's reflections, and eigenvalues of matrices without symmetry.

Comes in: batches of matrices.  Goes out: tensors.  Elimination and eigenvalues are computed on the host (see
`decompositions`), with gradients in tensor algebra; products of reflections are kernels.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from codegen.dtypes import dtypes
from kernelforge.errors import LinAlgError, ShapeError
from kernelforge.graph import Node
from kernelforge.hosted import HostFunction
from kernelforge.shape import broadcast_shapes
from kernelforge.tensor import elimination
from kernelforge.tensor.complexes import Complexes
from kernelforge.tensor.composite import spelled_out
from kernelforge.tensor.decompositions import Formula
from kernelforge.tensor.results import (
    LU,
    CheckedLDLFactors,
    CheckedLUFactors,
    Eigen,
    LDLFactors,
    LUFactors,
    Reflections,
)

_FINITE: Final = "look for NaN and infinity in it"


def _gradient(formula: Formula) -> Any:
    """formula(result, cotangent, *sources) of tensors as a function of nodes."""

    def applied(node: Node, dy: Node) -> Sequence[Node | None]:
        with spelled_out():
            tensors = [Factors._wrap(x, None) for x in (node, dy, *node.src)]
            return [None if part is None else part._node for part in formula(*tensors)]

    return applied


def _none(*tensors: Any) -> tuple[Any, ...]:
    return (None,) * (len(tensors) - 2)


def _packed(batch: tuple[int, ...], *arrays: NDArray) -> NDArray:
    """The arrays of one batch, each of its elements flattened, one after the other."""
    kind = np.result_type(arrays[0])
    return np.concatenate([x.reshape(*batch, int(np.prod(x.shape[len(batch) :]))).astype(kind) for x in arrays], -1)


@lru_cache(maxsize=2)
def _lu(pivot: bool) -> HostFunction:
    """The factors side by side, the exchanges, the first zero pivot, and the order of rows."""

    def run(a: NDArray) -> NDArray:
        factors, pivots, info = elimination.lu(a, pivot)
        order = elimination.order_of_rows(pivots, a.shape[-2])
        return _packed(a.shape[:-2], factors, pivots, info[..., None], order)

    def gradient(packed: Any, dy: Any, a: Any) -> tuple[Any, ...]:
        m, n = a.shape[-2:]
        k = min(m, n)
        shapes = ((m, n), (k,), (), (m,))
        factors, _, _, order = packed._parts(*shapes)
        found = factors._lu_gradient(dy._parts(*shapes)[0])
        return (order._row_exchange(a.dtype) @ found,)

    return HostFunction("lu_factor", run, _gradient(gradient), _FINITE)


@lru_cache(maxsize=64)
def _order(m: int) -> HostFunction:
    return HostFunction("lu_unpack", lambda p: elimination.order_of_rows(p, m).astype(p.dtype), _gradient(_none), "")


@lru_cache(maxsize=2)
def _ldl(hermitian: bool) -> HostFunction:
    def run(a: NDArray) -> NDArray:
        factors, pivots, info = elimination.ldl(a, hermitian)
        return _packed(a.shape[:-2], factors, pivots, info[..., None])

    return HostFunction("ldl_factor", run, _gradient(_none), _FINITE)


@lru_cache(maxsize=2)
def _ldl_solution(hermitian: bool) -> HostFunction:
    def run(b: NDArray, factors: NDArray, pivots: NDArray) -> NDArray:
        return elimination.ldl_solve(factors, pivots, b, hermitian)

    def gradient(x: Any, dy: Any, b: Any, factors: Any, pivots: Any) -> tuple[Any, ...]:
        back = factors if hermitian else factors.conj()
        return dy._hosted(_ldl_solution(hermitian), dy.shape, back, pivots), None, None

    return HostFunction("ldl_solve", run, _gradient(gradient), "its block of D is singular")


def _reflections(a: NDArray) -> NDArray:
    rows, tau = np.linalg.qr(a, "raw")
    return _packed(a.shape[:-2], np.ascontiguousarray(np.swapaxes(rows, -1, -2)), tau)


REFLECTIONS: Final = HostFunction("geqrf", _reflections, _gradient(_none), _FINITE)


def _eigen(a: NDArray) -> NDArray:
    """Eigenvalues and vectors; of real matrices their real parts, then their imaginary parts."""
    w, v = np.linalg.eig(a)
    if np.iscomplexobj(a):
        return _packed(a.shape[:-2], w.astype(a.dtype), v.astype(a.dtype))
    found = _packed(a.shape[:-2], w.astype(complex), v.astype(complex))
    return np.concatenate([found.real, found.imag], -1)


def _eigen_gradient(packed: Any, dy: Any, a: Any) -> tuple[Any, ...]:
    n = a.shape[-1]
    (w, v), (dw, dv) = (x._eigen_parts(n) for x in (packed, dy))
    inner = v.mH @ dv
    along = inner.diagonal(0, -2, -1).real  # what changes a vector's length, which is 1
    inner = inner - (v.mH @ v) * along.unsqueeze(-2)
    gaps = (w.unsqueeze(-2) - w.unsqueeze(-1)).conj()
    same = gaps.eq(0)
    inner = same.where(0, inner / same.where(1, gaps)) + dw.diag_embed()
    found = v.mH.solve(inner @ v.mH)
    return (found if a.dtype.is_complex else found.real,)


EIGEN: Final = HostFunction("eig", _eigen, _gradient(_eigen_gradient), _FINITE)


class Factors(Complexes):
    """Factors of matrices."""

    __slots__ = ()

    # LU ---------------------------------------------------------------------------------------------------------

    def _row_exchange(self, dtype: Any) -> Self:
        """The matrices that take row i to row self[i]."""
        rows = type(self).arange(self.shape[-1]).unsqueeze(-1)
        return self.real.detach().cast(dtypes.int32).unsqueeze(-2).eq(rows).cast(dtype)

    def _lu_gradient(self, dy: Self) -> Self:
        """The cotangent of P.T @ A from that of its factors."""
        m, n = self.shape[-2:]
        k = min(m, n)
        square = self._first_rows(k)._first_columns(k)
        d_square = dy._first_rows(k)._first_columns(k)
        low, up = square.tril(-1) + square._identity(), square.triu()
        inner_low, inner_up = low.mH @ d_square.tril(-1), d_square.triu() @ up.mH
        if n > k:
            d_right = dy._between(self.ndim - 1, k, n)
            inner_low = inner_low - d_right @ self._between(self.ndim - 1, k, n).mH
        if m > k:
            d_below = dy._between(self.ndim - 2, k, m)
            inner_up = inner_up - self._between(self.ndim - 2, k, m).mH @ d_below
        inner = inner_low.tril(-1) + inner_up.triu()
        rows = inner
        if n > k:
            rows = up.solve_triangular(rows.mH, upper=True).mH.cat(d_right, dim=-1)
            return low.mH.solve_triangular(rows, upper=True, unitriangular=True)
        found = low.mH.solve_triangular(rows, upper=True, unitriangular=True)
        found = found.cat(d_below, dim=-2) if m > k else found
        return up.solve_triangular(found.mH, upper=True).mH

    def lu_factor_ex(self, *, pivot: bool = True, check_errors: bool = False) -> CheckedLUFactors[Self]:
        """L below the diagonal and U from it on, in one matrix; the int32 row, counted from 1, that each row of it
        was exchanged with; and the int32 number of the first pivot that is 0, or 0.

        check_errors   raise LinAlgError at once for such a pivot
        """
        x = self._matrices("lu_factor", square=False)
        m, n = x.shape[-2:]
        k = min(m, n)
        packed = x._hosted(_lu(pivot), (*x.shape[:-2], m * n + k + 1 + m))
        factors, pivots, info, _ = packed._parts((m, n), (k,), (), (m,))
        places = [part.real.detach().cast(dtypes.int32) for part in (pivots, info)]
        if check_errors:
            places[1]._no_zero_pivot("lu_factor")
        return CheckedLUFactors(factors.cast(self._floating().dtype), *places)

    def _no_zero_pivot(self, what: str) -> None:
        if self.numel() and (worst := int(self.max().item())):
            from_one = f"U[{worst},{worst}]" if what == "lu_factor" else f"block {worst} of D"
            raise LinAlgError(f"{what}: {from_one} is zero, and using it to solve would divide by it")

    def lu_factor(self, *, pivot: bool = True) -> LUFactors[Self]:
        """lu_factor_ex() without the last result.

        >>> factors, pivots = Tensor([[1.0, 2.0], [4.0, 6.0]]).lu_factor()
        >>> factors.tolist(), pivots.tolist()
        ([[4.0, 6.0], [0.25, 0.5]], [2, 2])
        """
        return LUFactors(*self.lu_factor_ex(pivot=pivot)[:2])

    def lu(self, pivot: bool = True, get_infos: bool = False) -> tuple[Self, ...]:
        """lu_factor(), or lu_factor_ex() with get_infos; kernelforge.linalg.lu() gives three matrices."""
        found = self.lu_factor_ex(pivot=pivot)
        return found if get_infos else found[:2]

    def lu_unpack(self, pivots: Self, unpack_data: bool = True, unpack_pivots: bool = True) -> LU[Self]:
        """P, L and U with P @ L @ U the matrix that lu_factor() was given; without elements where not asked for."""
        m, n = self.shape[-2:]
        k = min(m, n)
        none = type(self).zeros(0, dtype=self.dtype)
        if unpack_pivots:
            p = pivots._hosted(_order(m), (*pivots.shape[:-1], m))._row_exchange(self.dtype)
        if not unpack_data:
            return LU(p if unpack_pivots else none, none, none)
        eye = type(self).eye(m, k, dtype=self.dtype)
        lower = self._first_columns(k).tril(-1) + eye
        return LU(p if unpack_pivots else none, lower, self._first_rows(k).triu())

    def lu_solve(self, LU_data: Self, LU_pivots: Self) -> Self:
        """The x of A @ x = self, from lu_factor() of A.

        raises ShapeError
        """
        if LU_data.ndim < 2 or LU_data.shape[-1] != LU_data.shape[-2] or self.ndim < 2:
            raise ShapeError(f"lu_solve of {self.shape} by factors of {LU_data.shape}: it takes square matrices")
        p, low, up = LU_data.lu_unpack(LU_pivots)
        found = low.solve_triangular(p.mT @ self, upper=False, unitriangular=True)
        return up.solve_triangular(found, upper=True)

    # LDL --------------------------------------------------------------------------------------------------------

    def ldl_factor_ex(self, *, hermitian: bool = False, check_errors: bool = False) -> CheckedLDLFactors[Self]:
        """L and D with L @ D @ L.T = self, in one matrix, int32 exchanges as LAPACK's sytrf has them, and the int32
        number of the first block that is 0, or 0; for symmetric matrices, whose lower triangle is read.

        hermitian   complex matrices are Hermitian, and L.T is conjugated
        """
        x = self._matrices("ldl_factor")
        n = x.shape[-1]
        packed = x._hosted(_ldl(hermitian), (*x.shape[:-2], n * n + n + 1)).detach()
        factors, pivots, info = packed._parts((n, n), (n,), ())
        places = [part.real.cast(dtypes.int32) for part in (pivots, info)]
        if check_errors:
            places[1]._no_zero_pivot("ldl_factor")
        return CheckedLDLFactors(factors.cast(self._floating().dtype), *places)

    def ldl_factor(self, *, hermitian: bool = False) -> LDLFactors[Self]:
        """ldl_factor_ex() without the last result."""
        return LDLFactors(*self.ldl_factor_ex(hermitian=hermitian)[:2])

    def ldl_solve(self, pivots: Self, B: Self, *, hermitian: bool = False) -> Self:
        """The x of A @ x = B, self being the factors that ldl_factor() made of A."""
        factors = self._matrices("ldl_solve")
        batch = broadcast_shapes(factors.shape[:-2], B.shape[:-2])
        factors, right = factors.expand(*batch, *factors.shape[-2:]), B.expand(*batch, *B.shape[-2:])
        places = pivots.expand(*batch, pivots.shape[-1]).cast(factors.dtype)
        return right.cast(factors.dtype)._hosted(_ldl_solution(hermitian), right.shape, factors, places)

    # Reflections ------------------------------------------------------------------------------------------------

    def geqrf(self) -> Reflections[Self]:
        """R on and above the diagonal with the vectors of reflections below, and their factors: see orgqr()."""
        x = self._matrices("geqrf", square=False)
        m, n = x.shape[-2:]
        packed = x._hosted(REFLECTIONS, (*x.shape[:-2], m * n + min(m, n)))
        found, tau = packed._parts((m, n), (min(m, n),))
        return Reflections(found.cast(self._floating().dtype), tau.cast(self._floating().dtype))

    def _reflectors(self, tau: Self, what: str) -> tuple[Self, Self]:
        """V and T of the product I - V @ T @ V.mH of reflections; source: Schreiber and Van Loan, 1989."""
        k = tau.shape[-1] if tau.ndim else 0
        if self.ndim < 2 or not tau.ndim or k > self.shape[-1] or self.shape[:-2] != tau.shape[:-1]:
            raise ShapeError(f"{what} of {self.shape} and {tau.shape}: it takes at most a factor for each column")
        columns = self._first_columns(k)
        v = columns.tril(-1) + type(self).eye(self.shape[-2], k, dtype=self.dtype)
        inner = tau.unsqueeze(-1) * (v.mH @ v).triu(1)
        return v, (inner + inner._identity()).solve_triangular(tau.diag_embed(), upper=True, unitriangular=True)

    def householder_product(self, tau: Self) -> Self:
        """The first columns of the product of reflections I - tau[i] v[i] v[i].mH, v[i] being column i below a 1.

        >>> q = Tensor.householder_product(*Tensor([[3.0, 1.0], [4.0, 2.0]]).geqrf())
        >>> (q.T @ q).abs().round().tolist()
        [[1.0, 0.0], [0.0, 1.0]]
        """
        v, t = self._reflectors(tau, "householder_product")
        eye = type(self).eye(self.shape[-2], self.shape[-1], dtype=self.dtype)
        return eye - v @ (t @ v.mH._first_columns(self.shape[-1]))

    orgqr = householder_product

    def ormqr(self, tau: Self, other: Self, left: bool = True, transpose: bool = False) -> Self:
        """The product Q @ other of the reflections of geqrf() with a matrix, Q having all its columns.

        left        False: other @ Q
        transpose   Q.mH instead of Q
        """
        v, t = self._reflectors(tau, "ormqr")
        t = t.mH if transpose else t
        return other - v @ (t @ (v.mH @ other)) if left else other - ((other @ v) @ t) @ v.mH

    # Eigenvalues ------------------------------------------------------------------------------------------------

    def _eigen_parts(self, n: int) -> tuple[Self, Self]:
        if self.dtype.is_complex:
            values, vectors = self._parts((n,), (n, n))
        else:
            a, v, b, u = self._parts((n,), (n, n), (n,), (n, n))
            values, vectors = a._with_imaginary(b), v._with_imaginary(u)
        return values, vectors

    def eig(self) -> Eigen[Self]:
        """The complex eigenvalues of square matrices, in no order, and their vectors, of length 1, as columns.

        Gradients of the vectors are those of functions that do not depend on the vectors' phase.

        >>> values, vectors = Tensor([[0.0, 1.0], [-1.0, 0.0]]).eig()
        >>> values.tolist()
        [1j, -1j]
        """
        x = self._matrices("eig")
        n = x.shape[-1]
        size = (n + n * n) * (1 if x.dtype.is_complex else 2)
        return Eigen(*x._hosted(EIGEN, (*x.shape[:-2], size))._eigen_parts(n))

    def eigvals(self) -> Self:
        """The complex eigenvalues of square matrices, in no order."""
        return self.eig()[0]
