"""Triangular systems and Cholesky factors on the host, block by block: most of the work is matrix products.

Comes in: NumPy arrays, perhaps batches of matrices.  Goes out: others.  NumPy alone would solve a triangular system as
any other, in n^3 steps rather than n^2 for each column.

source  Golub and Van Loan, "Matrix Computations", 4th edition, sections 3.1.4 and 4.2.9
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

BLOCK: Final = 32  # rows that are solved for at once
WIDE: Final = 128  # columns that are factored at once


def solved(a: NDArray, b: NDArray, upper: bool, unit: bool) -> NDArray:
    """The x of a @ x = b, where only one triangle of a is read; unit: ones are taken for its diagonal.

    raises LinAlgError where the diagonal has a zero
    """
    n = a.shape[-1]
    if n <= BLOCK:
        return np.linalg.solve(_triangle(a, upper, unit), b)
    batch = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    x = np.array(np.broadcast_to(b, (*batch, *b.shape[-2:])), np.result_type(a, b))
    starts = range(0, n, BLOCK)
    for start in reversed(starts) if upper else starts:
        here = slice(start, start + BLOCK)
        rest = slice(0, start) if upper else slice(start + BLOCK, n)
        x[..., here, :] = np.linalg.solve(_triangle(a[..., here, here], upper, unit), x[..., here, :])
        if rest.start < rest.stop:
            x[..., rest, :] -= a[..., rest, here] @ x[..., here, :]
    return x


def _triangle(a: NDArray, upper: bool, unit: bool) -> NDArray:
    part: NDArray = np.where(_places(a.shape[-1], upper, unit), a, a.dtype.type(0))
    return part + np.eye(a.shape[-1], dtype=a.dtype) if unit else part


@lru_cache
def _places(n: int, upper: bool, unit: bool) -> NDArray:
    """Where a triangle is, its diagonal among it unless it has ones there."""
    found: NDArray = np.tri(n, k=-1 if unit else 0, dtype=bool)
    return found.T if upper else found


def cholesky(a: NDArray) -> NDArray:
    """The lower triangular L of L @ L.conj().T = a, of which only the lower triangle is read.

    raises LinAlgError where a is not positive definite
    """
    n = a.shape[-1]
    if n < 2 * WIDE:
        return np.linalg.cholesky(a)
    found = np.tril(a)
    for start in range(0, n, WIDE):
        here, below = slice(start, start + WIDE), slice(start + WIDE, n)
        done = found[..., start:, :start]
        found[..., start:, here] -= done @ _adjoint(done[..., :WIDE, :])
        corner = found[..., here, here] = np.linalg.cholesky(found[..., here, here])
        if below.start < n:
            one = np.eye(WIDE, dtype=corner.dtype)
            found[..., below, here] = found[..., below, here] @ _adjoint(solved(corner, one, False, False))
    return found


def _adjoint(a: NDArray) -> NDArray:
    return a.conj().swapaxes(-1, -2)
