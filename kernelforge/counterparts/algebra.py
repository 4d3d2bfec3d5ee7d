"""Counterparts of NumPy's linear algebra and Fourier transforms.

Comes in: tensors, with NumPy's arguments.  Goes out: tensors, and NumPy's named tuples' like.  Decompositions are
computed by NumPy on the host, as the methods of tensors are.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from codegen.dtypes import dtypes
from kernelforge import array_api
from kernelforge import fft as transforms
from kernelforge.array_api import linalg
from kernelforge.counterparts.table import Axis, Otherwise, alike, axes_of, counterpart, floating, tensor, tensors
from kernelforge.shape import is_several, sequence
from kernelforge.tensor import Tensor


def _of_floats(*names: str) -> None:
    """Functions of the array API's linear algebra; integers count as floats."""
    for name in names:
        function = getattr(linalg, name)

        def found(*args: Any, _function: Callable[..., Any] = function, **options: Any) -> Any:
            given = [floating(tensor(x)) if isinstance(x, Tensor | np.ndarray) else x for x in args]
            return _function(*given, **options)

        found.__name__, found.__doc__ = name, function.__doc__
        counterpart(f"linalg.{name}")(found)


_of_floats("det", "inv", "slogdet", "eigvalsh", "eigh", "svdvals", "matrix_norm", "vector_norm", "cholesky")


@counterpart("linalg.solve")
def solve(a: Any, b: Any) -> Tensor:
    """The solutions of a @ x = b."""
    return linalg.solve(*[floating(x) for x in tensors((a, b))])


@counterpart("linalg.pinv")
def pinv(a: Any, rcond: Any = None, hermitian: bool = False, *, rtol: Any = None) -> Tensor:
    """The pseudoinverses."""
    limit = 1e-15 if rcond is None and rtol is None else rcond if rtol is None else rtol
    return floating(tensor(a)).pinv(limit, hermitian)


@counterpart("linalg.qr")
def qr(a: Any, mode: str = "reduced") -> Any:
    """Orthogonal and upper triangular factors."""
    if mode not in ("reduced", "complete", "r"):
        raise Otherwise
    found = floating(tensor(a)).qr("reduced" if mode == "r" else mode)
    return found.R if mode == "r" else found


@counterpart("linalg.svd")
def svd(a: Any, full_matrices: bool = True, compute_uv: bool = True, hermitian: bool = False) -> Any:
    """The singular value decompositions."""
    x = floating(tensor(a))
    return x.svd(full_matrices) if compute_uv else x.svdvals()


@counterpart("linalg.eig")
def eig(a: Any) -> Any:
    """Eigenvalues and eigenvectors."""
    return floating(tensor(a)).eig()


@counterpart("linalg.eigvals")
def eigvals(a: Any) -> Tensor:
    """Eigenvalues."""
    return floating(tensor(a)).eigvals()


@counterpart("linalg.matrix_power")
def matrix_power(a: Any, n: int) -> Tensor:
    """The powers of matrices."""
    return tensor(a).matrix_power(n)


@counterpart("linalg.matrix_rank")
def matrix_rank(A: Any, *, rtol: Any = None) -> Tensor:
    """How many singular values are not small; of what is no matrix 1, or 0 where all is 0."""
    x = tensor(A)
    if x.ndim < 2:
        return x.ne(0).any().cast(dtypes.default_int)
    if not min(x.shape[-2:]):
        return Tensor.zeros(x.shape[:-2], dtype=dtypes.default_int, device=x.device)
    return linalg.matrix_rank(floating(x), rtol=rtol)


@counterpart("linalg.multi_dot")
def multi_dot(arrays: Sequence[Any]) -> Tensor:
    """The product of several matrices, in the cheapest order."""
    first, *others = alike(arrays)
    return first.multi_dot(*others)


@counterpart("linalg.tensorinv")
def tensorinv(a: Any, ind: int = 2) -> Tensor:
    """The inverse of tensordot()."""
    return floating(tensor(a)).tensorinv(ind)


@counterpart("linalg.tensorsolve")
def tensorsolve(a: Any, b: Any, axes: Any = None) -> Tensor:
    """The solution of tensordot(a, x) = b."""
    x, y = (floating(one) for one in tensors((a, b)))
    return x.tensorsolve(y, axes)


@counterpart("linalg.norm")
def norm(x: Any, ord: Any = None, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The norms of vectors or matrices."""
    given = floating(tensor(x))
    if axis is None and ord is None:
        return given.vector_norm(2, None, keepdims)
    axes = axes_of(axis, given.ndim)
    if len(axes) == 1:
        return linalg.vector_norm(given, axis=axes[0], keepdims=keepdims, ord=2 if ord is None else ord)
    return given.matrix_norm("fro" if ord is None else ord, axes, keepdims)


@counterpart("linalg.cond")
def cond(x: Any, p: Any = None) -> Tensor:
    """How much a matrix can magnify errors."""
    given = floating(tensor(x))
    if p is None or p == 2:
        values = given.svdvals()
        return values[..., 0] / values[..., -1]
    return given.matrix_norm(p) * given.inv().matrix_norm(p)


# ---------------------------------------------------------------------------------------------------- products


@counterpart("dot")
def dot(a: Any, b: Any) -> Tensor:
    """The sums of products over the last axis of one and the last but one of the other."""
    x, y = alike((a, b))
    if not x.ndim or not y.ndim:
        return x * y
    return array_api.tensordot(x, y, axes=([x.ndim - 1], [max(0, y.ndim - 2)]))


@counterpart("inner")
def inner(a: Any, b: Any, /) -> Tensor:
    """The sums of products over the last axes."""
    x, y = alike((a, b))
    return x * y if not x.ndim or not y.ndim else array_api.tensordot(x, y, axes=([x.ndim - 1], [y.ndim - 1]))


@counterpart("outer", "linalg.outer")
def outer(a: Any, b: Any) -> Tensor:
    """The products of each element with each."""
    x, y = tensors((a, b))
    return x.reshape(-1, 1) * y.reshape(1, -1)


@counterpart("vdot")
def vdot(a: Any, b: Any, /) -> Tensor:
    """The sum of products of all elements, the first conjugated."""
    x, y = alike((a, b))
    return (x.reshape(-1).conj() * y.reshape(-1)).sum()


@counterpart("tensordot", "linalg.tensordot")
def tensordot(a: Any, b: Any, /, axes: Any = 2) -> Tensor:
    """The sums of products over axes of both."""
    x, y = alike((a, b))
    if is_several(axes):
        axes = tuple(map(sequence, axes))
    return array_api.tensordot(x, y, axes=axes)


@counterpart("linalg.matmul")
def matmul(x1: Any, x2: Any, /) -> Tensor:
    """The matrix products."""
    return array_api.matmul(*tensors((x1, x2)))


@counterpart("linalg.vecdot")
def vecdot(x1: Any, x2: Any, /, *, axis: int = -1) -> Tensor:
    """The products of vectors."""
    return array_api.vecdot(*tensors((x1, x2)), axis=axis)


@counterpart("kron")
def kron(a: Any, b: Any) -> Tensor:
    """The products of each element with the whole other."""
    x, y = tensors((a, b))
    return x.kron(y)


@counterpart("cross", "linalg.cross")
def cross(a: Any, b: Any, axisa: int = -1, axisb: int = -1, axisc: int = -1, axis: int | None = None) -> Tensor:
    """The cross products of vectors of 3."""
    x, y = tensors((a, b))
    axisa, axisb, axisc = (axisa, axisb, axisc) if axis is None else (axis,) * 3
    x, y = x.movedim(axisa, -1), y.movedim(axisb, -1)
    if x.shape[-1] != 3 or y.shape[-1] != 3:
        raise Otherwise
    return linalg.cross(x, y).movedim(-1, axisc)


@counterpart("trace")
def trace(a: Any, offset: int = 0, axis1: int = 0, axis2: int = 1, dtype: Any = None) -> Tensor:
    """The sums of diagonals."""
    return tensor(a).diagonal(offset, axis1, axis2).sum(-1, dtype=dtype)


@counterpart("linalg.trace")
def traces(x: Any, /, *, offset: int = 0, dtype: Any = None) -> Tensor:
    """The sums of the diagonals of matrices."""
    return trace(x, offset, -2, -1, dtype)


@counterpart("einsum")
def einsum(subscripts: Any, *operands: Any, optimize: Any = False) -> Tensor:
    """The sums of products that a formula names."""
    if not isinstance(subscripts, str):
        raise Otherwise
    return Tensor.einsum(subscripts, *alike(operands))


@counterpart("cov")
def cov(m: Any, y: Any = None, rowvar: bool = True, bias: bool = False, ddof: Any = None) -> Tensor:
    """The covariances of variables, each a row."""
    return _variables(m, y, rowvar).cov(correction=int(not bias) if ddof is None else ddof)


@counterpart("corrcoef")
def corrcoef(x: Any, y: Any = None, rowvar: bool = True) -> Tensor:
    """The correlations of variables, each a row."""
    return _variables(x, y, rowvar).corrcoef()


def _variables(x: Any, y: Any, rowvar: bool) -> Tensor:
    """The rows, or the columns, of one matrix or of two."""
    parts = [floating(one) for one in tensors([one for one in (x, y) if one is not None])]
    lines = [one.ndim < 2 for one in parts]
    parts = [one.atleast_2d() for one in parts]
    parts = [one if rowvar or line else one.mT for one, line in zip(parts, lines)]
    return parts[0].cat(*parts[1:], dim=0) if len(parts) > 1 else parts[0]


# ------------------------------------------------------------------------------------------- Fourier transforms


def _line(name: str) -> None:
    @counterpart(f"fft.{name}")
    def found(a: Any, n: int | None = None, axis: int = -1, norm: Any = None) -> Tensor:
        made: Tensor = getattr(transforms, name)(floating(tensor(a)), n, axis, norm)
        return made

    found.__name__, found.__doc__ = name, f"fft.{name}() along an axis."


def _space(name: str) -> None:
    plane = name.endswith("2")

    @counterpart(f"fft.{name}")
    def found(a: Any, s: Any = None, axes: Any = (-2, -1) if plane else None, norm: Any = None) -> Tensor:
        made: Tensor = getattr(transforms, name)(floating(tensor(a)), s, axes, norm)
        return made

    found.__name__, found.__doc__ = name, f"fft.{name}() along several axes."


for _name in ("fft", "ifft", "rfft", "irfft", "hfft", "ihfft"):
    _line(_name)
for _name in ("fft2", "ifft2", "rfft2", "irfft2", "fftn", "ifftn", "rfftn", "irfftn"):
    _space(_name)


@counterpart("fft.fftshift")
def fftshift(x: Any, axes: Any = None) -> Tensor:
    """Frequency 0 moved to the middle."""
    return transforms.fftshift(tensor(x), axes)


@counterpart("fft.ifftshift")
def ifftshift(x: Any, axes: Any = None) -> Tensor:
    """fftshift() undone."""
    return transforms.ifftshift(tensor(x), axes)
