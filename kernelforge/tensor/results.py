"""Results of several tensors, with the names users of PyTorch know: `x.sort().values`, `x.topk(3).indices`.

Each is a tuple: `values, places = x.sort()` and `x.sort()[0]` work as well.  Source of the names: torch.return_types.

>>> from kernelforge import Tensor
>>> Tensor([3, 1, 2]).sort().values.tolist()
[1, 2, 3]
"""

from __future__ import annotations

from typing import Generic, NamedTuple, TypeVar

T = TypeVar("T")


class Selected(NamedTuple, Generic[T]):
    """Elements, and the indices they came from."""

    values: T
    indices: T


class Extremes(NamedTuple, Generic[T]):
    """The smallest and the largest elements."""

    min: T
    max: T


class Exponents(NamedTuple, Generic[T]):
    """Floats in two parts: mantissa * 2 ** exponent."""

    mantissa: T
    exponent: T


class Histogram(NamedTuple, Generic[T]):
    """How many elements there are in each part, and where the parts begin and end."""

    hist: T
    bin_edges: T


# ----------------------------------------------------------------------------------------------------- of matrices


class Determinant(NamedTuple, Generic[T]):
    """The sign of a determinant, and the logarithm of its magnitude."""

    sign: T
    logabsdet: T


class QR(NamedTuple, Generic[T]):
    """Q with orthonormal columns, and an upper triangular R."""

    Q: T
    R: T


class Eigen(NamedTuple, Generic[T]):
    """Eigenvalues, and their vectors as columns."""

    eigenvalues: T
    eigenvectors: T


class SVD(NamedTuple, Generic[T]):
    """Singular values S, and the matrices around them."""

    U: T
    S: T
    Vh: T


class LU(NamedTuple, Generic[T]):
    """A permutation, a lower and an upper triangular matrix."""

    P: T
    L: T
    U: T


class LUFactors(NamedTuple, Generic[T]):
    """L and U in one matrix, and the exchanges of rows."""

    LU: T
    pivots: T


class CheckedLUFactors(NamedTuple, Generic[T]):
    """LUFactors, and the number of the first pivot that is 0."""

    LU: T
    pivots: T
    info: T


class LDLFactors(NamedTuple, Generic[T]):
    """L and D in one matrix, and the exchanges of rows."""

    LD: T
    pivots: T


class CheckedLDLFactors(NamedTuple, Generic[T]):
    """LDLFactors, and the number of the first block that is 0."""

    LD: T
    pivots: T
    info: T


class CheckedCholesky(NamedTuple, Generic[T]):
    """A triangular factor, and 0 where there is one."""

    L: T
    info: T


class CheckedInverse(NamedTuple, Generic[T]):
    """An inverse, and 0 where there is one."""

    inverse: T
    info: T


class CheckedSolution(NamedTuple, Generic[T]):
    """A solution, and 0 where there is one."""

    result: T
    info: T


class TriangularSolution(NamedTuple, Generic[T]):
    """A solution, and the matrix it belongs to."""

    solution: T
    cloned_coefficient: T


class LeastSquares(NamedTuple, Generic[T]):
    """A solution, its squared distance for each column, and the rank and the singular values of the matrix."""

    solution: T
    residuals: T
    rank: T
    singular_values: T


class Reflections(NamedTuple, Generic[T]):
    """R above the vectors of reflections, and their factors."""

    a: T
    tau: T
