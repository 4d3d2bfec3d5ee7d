"""A few singular or eigenvectors of a large matrix.

Comes in: matrices, batches of them, and how many vectors are wanted.  Goes out: these vectors and their values.  The
space they lie in is found by products with random vectors, so only small matrices are decomposed on the host.

source  N. Halko, P. G. Martinsson, J. A. Tropp, "Finding structure with randomness", 2011, algorithms 4.4 and 5.1
"""

from __future__ import annotations

from typing import Any, Self

from kernelforge.errors import ArgumentError, ShapeError
from kernelforge.tensor.fourier import Fourier


class LowRank(Fourier):
    """Decompositions of small rank."""

    __slots__ = ()

    def svd_lowrank(self, q: int | None = 6, niter: int | None = 2, M: Self | None = None) -> tuple[Self, Self, Self]:
        """U [.., m, q], S [.., q] and V [.., n, q] with U @ diag(S) @ V.mH near a matrix [.., m, n], or near it less M.

        q       how many singular values: some more than the rank
        niter   how often the space they lie in is improved

        It draws random numbers: see manual_seed().
        """
        x = self._floating() if M is None else self._floating() - M
        if x.ndim < 2:
            raise ShapeError(f"svd_lowrank() takes matrices, got {self.shape}")
        wide, count = x.shape[-2] < x.shape[-1], 6 if q is None else q
        x = x.mH if wide else x
        if not 0 <= count <= x.shape[-1]:
            raise ArgumentError(f"svd_lowrank() of {self.shape} finds at most {x.shape[-1]} values, got q={count}")
        basis = (x @ type(self).randn(x.shape[-1], count, dtype=x.dtype, device=self._node.device)).qr()[0]
        for _ in range(2 if niter is None else niter):
            basis = (x @ (x.mH @ basis).qr()[0]).qr()[0]
        left, values, right = (basis.mH @ x).svd(full_matrices=False)
        found = basis @ left, values, right.mH
        return (found[2], found[1], found[0]) if wide else found

    def pca_lowrank(self, q: int | None = None, center: bool = True, niter: int = 2) -> tuple[Self, Self, Self]:
        """svd_lowrank() of the rows, less their mean if center: the columns of V are the principal directions.

        q   6 at most unless given
        """
        if self.ndim < 2:
            raise ShapeError(f"pca_lowrank() takes matrices, got {self.shape}")
        least = min(self.shape[-2:])
        count = min(6, least) if q is None else q
        if not 0 <= count <= least or niter < 0:
            raise ArgumentError(f"pca_lowrank() of {self.shape}: q is 0 to {least}, got {count}; niter={niter} is >= 0")
        return self.svd_lowrank(count, niter, self.mean(-2, keepdim=True) if center else None)

    def lobpcg(
        self,
        k: int | None = None,
        B: Self | None = None,
        X: Self | None = None,
        n: int | None = None,
        iK: Self | None = None,
        niter: int | None = None,
        tol: float | None = None,
        largest: bool | None = None,
        method: str | None = None,
        **options: Any,
    ) -> tuple[Self, Self]:
        """The k largest, or smallest, eigenvalues of symmetric matrices, from there on, and their vectors as columns.

        k         1 unless given, or as many as X has columns
        B         those of self @ x = value * B @ x instead, for positive definite B; then x.mH @ B @ x = 1
        largest   False: the smallest

        eigh() computes them all, exactly: the other arguments, which steer torch's iteration, are of no account.
        """
        count = k or (X.shape[-1] if X is not None else n) or 1
        if self.ndim < 2 or self.shape[-1] != self.shape[-2] or count > self.shape[-1]:
            raise ShapeError(f"lobpcg() takes square matrices of at least as many rows as k={count}, got {self.shape}")
        if B is None:
            values, vectors = self.eigh()
        else:
            root = B.cholesky()
            inner = root.solve_triangular(root.solve_triangular(self, upper=False).mH, upper=False)
            values, vectors = inner.mH.eigh()
            vectors = root.mH.solve_triangular(vectors, upper=True)
        if largest is not False:
            values, vectors = values.flip(-1), vectors.flip(-1)
        return values[..., :count], vectors[..., :count]
