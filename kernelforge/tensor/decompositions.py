"""Decompositions and inverses of matrices: functions NumPy computes on the host, with gradients in tensor algebra.

Comes in: batches of square or rectangular matrices, real or complex.  Goes out: "host" nodes.  Gradients are made of
products, triangles and further such nodes, so they can be differentiated again.  Several results of one function are
parts of one array, so that it is computed once.

source  M. Giles, "Collected matrix derivative results for forward and reverse mode algorithmic differentiation", 2008
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from math import prod
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from kernelforge import graph
from kernelforge.graph import Node
from kernelforge.hosted import HostFunction
from kernelforge.tensor.blocked import cholesky, solved
from kernelforge.tensor.composite import spelled_out
from kernelforge.tensor.distances import Distances
from kernelforge.tensor.spent import either

_ADD: Final = "for instance add a small multiple of the identity"
_FINITE: Final = "look for NaN and infinity in it"


class Decompositions(Distances):
    """Host functions as methods of matrices."""

    __slots__ = ()

    def _hosted(self, function: HostFunction, shape: tuple[int, ...], *others: Self) -> Self:
        """What a host function makes of this tensor and others, an array of the given shape."""
        tensors = (self, *others)
        if not self.numel():
            values = function.run(*[np.zeros(x.shape, complex if x.dtype.is_complex else float) for x in tensors])
            made = type(self)(values, device=self._node.device, dtype=self.dtype)
            return made + self.sum(dtype=self.dtype) * 0 if self._tracked else made  # its gradient is zero, and there
        node = graph.host(function, [x._node for x in tensors], shape)
        return self._wrap(node, either(*[x._tracked for x in tensors]))

    def _parts(self, *shapes: tuple[int, ...]) -> list[Self]:
        """The last dimension taken apart into arrays of the given shapes."""
        pieces = self.split([prod(shape) for shape in shapes], self.ndim - 1)
        return [piece.reshape(*self.shape[:-1], *shape) for piece, shape in zip(pieces, shapes)]

    def _identity(self) -> Self:
        return type(self).eye(self.shape[-1], dtype=self.dtype)

    def _first_rows(self, count: int) -> Self:
        return self._between(self.ndim - 2, 0, count)

    def _first_columns(self, count: int) -> Self:
        return self._between(self.ndim - 1, 0, count)

    def conj(self) -> Self:
        """The numbers with their imaginary parts negated."""
        if not self.dtype.is_complex:
            return self
        real, imag = (graph.part(self._node, which) for which in ("real", "imag"))
        return self._derived(graph.complex_of(real, graph.elementwise("neg", imag)))

    def _of_real(self) -> Self:
        """A cotangent of numbers that are real, also where they are among complex ones."""
        return (self + self.conj()) * 0.5 if self.dtype.is_complex else self

    @property
    def mH(self) -> Self:
        """Matrices transposed and conjugated."""
        return self.mT.conj()

    def _scaled_columns(self, factors: Self) -> Self:
        return self * factors.unsqueeze(-2)

    def _differences(self) -> Self:
        """1 / (x[j] - x[i]) for the elements of vectors, 0 on the diagonal."""
        gaps = self.unsqueeze(-2) - self.unsqueeze(-1)
        diagonal = self._identity().ne(0)
        return diagonal.where(0, 1 / diagonal.where(1, gaps))


Formula = Callable[..., tuple[Any, ...]]


def _hermitian(x: Any) -> Any:
    return (x + x.mH) * 0.5



def _gradient(formula: Formula) -> Callable[[Node, Node], Sequence[Node | None]]:
    """formula(result, cotangent, *sources) of tensors as a function of nodes."""

    def applied(node: Node, dy: Node) -> Sequence[Node | None]:
        with spelled_out():
            tensors = [Decompositions._wrap(x, None) for x in (node, dy, *node.src)]
            return [None if part is None else part._node for part in formula(*tensors)]

    return applied


def _packed(arrays: Sequence[NDArray], batch: tuple[int, ...]) -> NDArray:
    """The arrays of one batch, each of its elements flattened, one after the other."""
    return np.concatenate([array.reshape(*batch, prod(array.shape[len(batch) :])) for array in arrays], -1)


# ---------------------------------------------------------------------------------------------------- inverses


def _inverse_gradient(x: Any, dy: Any, a: Any) -> tuple[Any, ...]:
    return (-(x.mH @ dy @ x.mH),)


INVERSE: Final = HostFunction("inv", np.linalg.inv, _gradient(_inverse_gradient), f"pinv() takes any matrix, or {_ADD}")


def _solution_gradient(x: Any, dy: Any, a: Any, b: Any) -> tuple[Any, ...]:
    db = a.mH._hosted(SOLUTION, dy.shape, dy)
    return -(db @ x.mH), db


SOLUTION: Final = HostFunction(
    "solve", np.linalg.solve, _gradient(_solution_gradient), f"lstsq() takes any matrix, or {_ADD}"
)


@lru_cache(maxsize=4)
def triangular(upper: bool, unit: bool) -> HostFunction:
    """The solution of a triangular system; unit: ones are taken for the diagonal."""

    def gradient(x: Any, dy: Any, a: Any, b: Any) -> tuple[Any, ...]:
        db = a.mH._hosted(triangular(not upper, unit), dy.shape, dy)
        offset = (1 if upper else -1) if unit else 0
        da = -(db @ x.mH)
        return (da.triu(offset) if upper else da.tril(offset)), db

    return HostFunction(
        "solve_triangular", lambda a, b: solved(a, b, upper, unit), _gradient(gradient), "its diagonal has a zero"
    )


def _pseudoinverse_gradient(p: Any, dy: Any, a: Any) -> tuple[Any, ...]:
    pt = p.mH
    left = dy.mH @ p @ pt
    right = pt @ p @ dy.mH
    return (left - a @ (p @ left) + right - (right @ p) @ a - pt @ dy @ pt,)


@lru_cache(maxsize=64)
def pseudoinverse(rcond: float) -> HostFunction:
    """The pseudoinverse, singular values up to rcond times the largest being 0."""
    return HostFunction(
        "pinv", lambda a: np.linalg.pinv(a, rcond), _gradient(_pseudoinverse_gradient), _FINITE
    )


# ------------------------------------------------------------------------------------------------- determinants


def _determinant_gradient(det: Any, dy: Any, a: Any) -> tuple[Any, ...]:
    return ((det.conj() * dy).unsqueeze(-1).unsqueeze(-1) * a._hosted(INVERSE, a.shape).mH,)


def _logarithm_gradient(log: Any, dy: Any, a: Any) -> tuple[Any, ...]:
    return (dy.unsqueeze(-1).unsqueeze(-1) * a._hosted(INVERSE, a.shape).mH,)


def _sign_gradient(sign: Any, dy: Any, a: Any) -> tuple[Any, ...]:
    """None of real matrices; a complex sign turns by the imaginary part of the logarithm of the determinant."""
    if not a.dtype.is_complex:
        return (None,)
    turned = dy.conj() * sign
    return (((turned.conj() - turned) * 0.5).unsqueeze(-1).unsqueeze(-1) * a._hosted(INVERSE, a.shape).mH,)


DETERMINANT: Final = HostFunction("det", np.linalg.det, _gradient(_determinant_gradient), _FINITE)
LOG_DETERMINANT: Final = HostFunction(
    "slogdet", lambda a: np.linalg.slogdet(a)[1], _gradient(_logarithm_gradient), _FINITE
)
SIGN: Final = HostFunction("slogdet", lambda a: np.linalg.slogdet(a)[0], _gradient(_sign_gradient), _FINITE)


# ------------------------------------------------------------------------------------------------------ factors


def _cholesky_gradient(factor: Any, dy: Any, a: Any) -> tuple[Any, ...]:
    inner = (factor.mH @ dy).tril()
    inner = inner - inner._identity() * inner * 0.5
    for _ in range(2):
        inner = factor.mH._hosted(triangular(True, False), inner.shape, inner).mH
    return (_hermitian(inner),)


CHOLESKY: Final = HostFunction(
    "cholesky", cholesky, _gradient(_cholesky_gradient), f"it must be symmetric and positive; {_ADD}"
)


@lru_cache(maxsize=2)
def qr(complete: bool) -> HostFunction:
    """Q and R of matrices with at least as many rows as columns."""

    def run(a: NDArray) -> NDArray:
        return _packed(np.linalg.qr(a, "complete" if complete else "reduced"), a.shape[:-2])

    def gradient(packed: Any, dy: Any, a: Any) -> tuple[Any, ...]:
        rows, n = a.shape[-2:]
        width = rows if complete else n
        (q, r), (dq, dr) = (x._parts((rows, width), (width, n)) for x in (packed, dy))
        q, r, dq, dr = q._first_columns(n), r._first_rows(n), dq._first_columns(n), dr._first_rows(n)
        m = r @ dr.mH - dq.mH @ q
        m = m.tril(-1) + m.tril(-1).mH + _hermitian(m._identity() * m)
        found = (dq + q @ m).mH
        return (r._hosted(triangular(True, False), found.shape, found).mH,)

    return HostFunction("qr", run, _gradient(gradient), _FINITE)


@lru_cache(maxsize=2)
def eigh(lower: bool) -> HostFunction:
    """The eigenvalues of symmetric matrices, smallest first, and their vectors as columns."""

    def run(a: NDArray) -> NDArray:
        return _packed(np.linalg.eigh(a, "L" if lower else "U"), a.shape[:-2])

    def gradient(packed: Any, dy: Any, a: Any) -> tuple[Any, ...]:
        n = a.shape[-1]
        (w, v), (dw, dv) = (x._parts((n,), (n, n)) for x in (packed, dy))
        inner = (v.mH @ dv) * w._differences() + dw._of_real().diag_embed()
        return (_hermitian(v @ inner @ v.mH),)

    return HostFunction("eigh", run, _gradient(gradient), _FINITE)


@lru_cache(maxsize=2)
def svd(full: bool) -> HostFunction:
    """Left singular vectors as columns, singular values, right singular vectors as rows."""

    def run(a: NDArray) -> NDArray:
        return _packed(np.linalg.svd(a, full_matrices=full), a.shape[:-2])

    def gradient(packed: Any, dy: Any, a: Any) -> tuple[Any, ...]:
        m, n = a.shape[-2:]
        k = min(m, n)
        shapes = ((m, m if full else k), (k,), (n if full else k, n))
        (u, s, vh), (du, ds, dvh) = (x._parts(*shapes) for x in (packed, dy))
        u, du, v, dv = u._first_columns(k), du._first_columns(k), vh._first_rows(k).mH, dvh._first_rows(k).mH
        gaps = s.square()._differences()
        left, right = u.mH @ du, v.mH @ dv
        inner = ((left - left.mH) * gaps)._scaled_columns(s) + ds._of_real().diag_embed()
        inner = inner + ((right - right.mH) * gaps) * s.unsqueeze(-1)
        if a.dtype.is_complex:  # turning u by a phase, which turns v as far back as the product needs
            inner = inner + (left - left.mH)._scaled_columns(0.5 / s) * left._identity()
        found = u @ inner @ v.mH
        if m > k:
            found = found + (du - u @ left)._scaled_columns(1 / s) @ v.mH
        if n > k:
            found = found + u._scaled_columns(1 / s) @ (dv - v @ right).mH
        return (found,)

    return HostFunction("svd", run, _gradient(gradient), _FINITE)


# -------------------------------------------------------------------------------------------------- exponentials

_PADE: Final = (
    64764752532480000, 32382376266240000, 7771770303897600, 1187353796428800, 129060195264000, 10559470521600,
    670442572800, 33522128640, 1323241920, 40840800, 960960, 16380, 182, 1,
)  # fmt: skip
_PADE_REACH: Final = 5.371920351148152


def _exponential(a: NDArray) -> NDArray:
    """exp of matrices: a Padé approximant of a / 2^s, squared s times.

    source  N. Higham, "The scaling and squaring method for the matrix exponential revisited", 2005
    """
    norm = float(np.abs(a).sum(-2).max()) if a.size else 0.0
    if not np.isfinite(norm):
        return np.full_like(a, np.nan)
    squarings = max(0, int(np.ceil(np.log2(norm / _PADE_REACH)))) if norm > _PADE_REACH else 0
    x = a.astype(np.result_type(a, np.float64)) / 2.0**squarings
    one = np.broadcast_to(np.eye(a.shape[-1]), x.shape)
    square, power = x @ x, one
    even, odd = np.zeros_like(x), np.zeros_like(x)
    for i in range(0, len(_PADE), 2):
        even, odd = even + _PADE[i] * power, odd + _PADE[i + 1] * power
        power = power @ square
    odd = x @ odd
    found = np.linalg.solve(even - odd, even + odd)
    for _ in range(squarings):
        found = found @ found
    return found


def _exponential_gradient(x: Any, dy: Any, a: Any) -> tuple[Any, ...]:
    """The upper right part of exp [[A', dy], [0, A']], A' being the transpose."""
    n = a.shape[-1]
    above = a.mH.cat(dy, dim=-1)
    below = (a.mH * 0).cat(a.mH, dim=-1)
    block = above.cat(below, dim=-2)
    return (block._hosted(EXPONENTIAL, block.shape)._first_rows(n)._between(a.ndim - 1, n, 2 * n),)


EXPONENTIAL: Final = HostFunction("matrix_exp", _exponential, _gradient(_exponential_gradient), _FINITE)
