"""Reductions, and what is made of them: statistics, softmax, cumulative sums, normalisation.

Comes in: tensors and axes.  Goes out: tensors without those axes, or with size 1 there when keepdim is set.  Sums and
statistics of 16-bit floats are computed in float32 and rounded once, at the end.  Composites are written so that one
pass over the data can compute them: the maximum is a constant to gradients.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from math import prod
from typing import Self

from codegen.dtypes import DType, dtypes
from kernelforge import graph
from kernelforge import shape as shapes
from kernelforge.errors import ArgumentError, AxisError
from kernelforge.kinds import as_dtype
from kernelforge.tensor.composite import composite, repeatable
from kernelforge.tensor.core import Core, Operand
from kernelforge.tensor.diagonals import Diagonals
from kernelforge.tensor.results import Extremes, Selected

Axis = int | Sequence[int] | None


def _corrected(axis: Axis, correction: float, unbiased: bool | None) -> tuple[Axis, float]:
    """Axes and correction; a bool in place of the axes says whether there is a correction, over all elements."""
    if isinstance(axis, bool):
        axis, unbiased = None, axis
    return axis, correction if unbiased is None else int(unbiased)


class Reduce(Diagonals):
    """Operations that combine the elements along axes."""

    __slots__ = ()

    def _reduce(self, op: str, axis: Axis, keepdim: bool, what: str) -> Self:
        """The elements combined by op; the dtype stays."""
        node = self._node
        axes = shapes.normal_axes(axis, len(node.shape), what)
        result = graph.reduce(op, node, axes)
        return self._derived(graph.reshape(result, shapes.reduced_shape(node.shape, axes, True)) if keepdim else result)

    def _count(self, axis: Axis, what: str) -> int:
        """The number of elements combined into one."""
        return prod([self.shape[i] for i in shapes.normal_axes(axis, self.ndim, what)])

    def _summed_dtype(self) -> DType:
        """The type a sum is computed in: float32 for 16-bit floats, int64 for integers and bool."""
        if self.dtype.is_inexact or self.dtype is dtypes.uint64:
            return self.dtype.arithmetic
        return dtypes.int64

    def _accumulated(self, op: str, axis: Axis, keepdim: bool, dtype: DType | str | None) -> Self:
        """The sum or the product, or what these are of bools in bool: any() and all()."""
        work = self._summed_dtype() if dtype is None else as_dtype(dtype).arithmetic
        way = op if work is not dtypes.bool else "or" if op == "add" else "and"
        result = self.cast(work)._reduce(way, axis, keepdim, "sum" if op == "add" else "prod")
        return result.cast(self.dtype if dtype is None and self.dtype.is_inexact else as_dtype(dtype or work))

    @composite
    def sum(self, axis: Axis = None, keepdim: bool = False, dtype: DType | str | None = None) -> Self:
        """The sum over axes; all when None.

        Integers and bool are added up as int64, 16-bit floats in float32.

        >>> Tensor([[1, 2], [3, 4]]).sum(axis=0).tolist()
        [4, 6]
        """
        return self._accumulated("add", axis, keepdim, dtype)

    @composite
    def prod(self, axis: Axis = None, keepdim: bool = False, dtype: DType | str | None = None) -> Self:
        """The product over axes; all when None.  Integers and bool give int64."""
        return self._accumulated("mul", axis, keepdim, dtype)

    def _extreme(self, op: str, axis: Axis, keepdim: bool) -> Self:
        if not self._count(axis, op):
            raise AxisError(f"{op} of {self.shape} over axis {axis}: there is no {op} of no elements")
        return self._reduce(op, axis, keepdim, op)

    @composite
    def max(self, axis: Axis | Self = None, keepdim: bool = False) -> Self:
        """The largest element over axes; NaN if there is one.  max(other) is maximum(other)."""
        if isinstance(axis, Core):
            return self.maximum(axis)
        return self._extreme("max", axis, keepdim)

    @composite
    def min(self, axis: Axis | Self = None, keepdim: bool = False) -> Self:
        """The smallest element over axes; NaN if there is one.  min(other) is minimum(other)."""
        if isinstance(axis, Core):
            return self.minimum(axis)
        return self._extreme("min", axis, keepdim)

    @composite
    def amax(self, axis: Axis = None, keepdim: bool = False) -> Self:
        """Another name of max()."""
        return self.max(axis, keepdim)

    @composite
    def amin(self, axis: Axis = None, keepdim: bool = False) -> Self:
        """Another name of min()."""
        return self.min(axis, keepdim)

    @repeatable
    def aminmax(self, *, axis: Axis = None, keepdim: bool = False) -> Extremes[Self]:
        """The smallest and the largest element over axes."""
        return Extremes(self.min(axis, keepdim), self.max(axis, keepdim))

    @composite
    def any(self, axis: Axis = None, keepdim: bool = False) -> Self:
        """True where any element over axes is not zero."""
        return self.bool()._reduce("or", axis, keepdim, "any")

    @composite
    def all(self, axis: Axis = None, keepdim: bool = False) -> Self:
        """True where no element over axes is zero."""
        return self.bool()._reduce("and", axis, keepdim, "all")

    @composite
    def mean(self, axis: Axis = None, keepdim: bool = False, dtype: DType | str | None = None) -> Self:
        """The arithmetic mean over axes; integers give floats, no elements NaN."""
        x = self._floating() if dtype is None else self.cast(as_dtype(dtype))
        total = x._wide()._reduce("add", axis, keepdim, "mean")
        return (total / float(self._count(axis, "mean"))).cast(x.dtype)

    @composite
    def nansum(self, axis: Axis = None, keepdim: bool = False, dtype: DType | str | None = None) -> Self:
        """The sum over axes of what is not NaN."""
        return self.isnan().where(0, self).sum(axis, keepdim, dtype)

    @composite
    def nanmean(self, axis: Axis = None, keepdim: bool = False, dtype: DType | str | None = None) -> Self:
        """The arithmetic mean over axes of what is not NaN."""
        x = self._floating() if dtype is None else self.cast(as_dtype(dtype))
        count = x.isnan().logical_not().cast(x.dtype.arithmetic).sum(axis, keepdim)
        return (x._wide().nansum(axis, keepdim) / count).cast(x.dtype)

    @composite
    def count_nonzero(self, axis: Axis = None) -> Self:
        """The int64 number of elements over axes that are not zero."""
        return self.bool().sum(axis)

    @composite
    def var(
        self, axis: Axis = None, keepdim: bool = False, correction: float = 1, unbiased: bool | None = None
    ) -> Self:
        """The variance over axes, sum((x - mean)^2) / (count - correction), in two passes.

        unbiased   False: a correction of 0; True: of 1; var(False) is var(unbiased=False)
        """
        return self.var_mean(axis, keepdim, correction, unbiased)[0]

    @composite
    def std(
        self, axis: Axis = None, keepdim: bool = False, correction: float = 1, unbiased: bool | None = None
    ) -> Self:
        """The standard deviation over axes, sqrt(var); its gradient is 0 where all elements are equal."""
        return self._wide().var(axis, keepdim, correction, unbiased)._power_from_zero(0.5).cast(self._floating().dtype)

    @repeatable
    def var_mean(
        self, axis: Axis = None, keepdim: bool = False, correction: float = 1, unbiased: bool | None = None
    ) -> tuple[Self, Self]:
        """The variance and the mean over axes."""
        axis, correction = _corrected(axis, correction, unbiased)
        x, dtype = self._wide(), self._floating().dtype
        mean = x.mean(axis, keepdim=True)
        count = float(max(0, self._count(axis, "var") - correction))
        variance = (x - mean).square()._reduce("add", axis, keepdim, "var") / count
        return variance.cast(dtype), mean.reshape(variance.shape).cast(dtype)

    @repeatable
    def std_mean(
        self, axis: Axis = None, keepdim: bool = False, correction: float = 1, unbiased: bool | None = None
    ) -> tuple[Self, Self]:
        """The standard deviation and the mean over axes."""
        variance, mean = self._wide().var_mean(axis, keepdim, correction, unbiased)
        dtype = self._floating().dtype
        return variance._power_from_zero(0.5).cast(dtype), mean.cast(dtype)

    @composite
    def norm(
        self, p: float | str | None = 2.0, axis: Axis = None, keepdim: bool = False, dtype: DType | str | None = None
    ) -> Self:
        """The p-norm over axes, sum(|x|^p)^(1/p); inf: the largest magnitude, -inf: the smallest; 0 counts.

        Its gradient is 0 where all elements are 0.

        p       None and "fro" are 2; "nuc" is matrix_norm()'s, of the last two dimensions or of the two that axis names
        dtype   what is computed in
        """
        if dtype is not None:
            return self.cast(as_dtype(dtype)).norm(p, axis, keepdim)
        if p is None:
            return self.norm(2.0, axis, keepdim)
        if isinstance(p, str):
            return self._norm_by_name(p, axis, keepdim)
        x = self._wide()
        if p == 0:
            return x.ne(0).cast(self._floating().dtype).sum(axis, keepdim)
        if p == -float("inf"):
            return x.abs().min(axis, keepdim).cast(self._floating().dtype)
        if p == float("inf") and self._count(axis, "norm"):
            return x.abs().max(axis, keepdim).cast(self._floating().dtype)
        powers = x.square() if p == 2 else x.abs() ** p
        total = powers.sum(axis, keepdim)
        return (total._power_from_zero(1 / p) if p > 0 else total ** (1 / p)).cast(self._floating().dtype)

    def _norm_by_name(self, name: str, axis: Axis, keepdim: bool) -> Self:
        """norm() for "fro" and "nuc"."""
        if name == "fro":
            return self.norm(2.0, axis, keepdim)
        if name != "nuc":
            raise ArgumentError(f"norm() knows numbers, 'fro' and 'nuc', got {name!r}")
        return self.matrix_norm(name, (-2, -1) if axis is None else axis, keepdim)  # type: ignore[attr-defined]

    def _found(self, op: str, axis: int | None, keepdim: bool) -> Self:
        """The first place of the largest or smallest element, of the first NaN if there is one."""
        if axis is None or (not self.shape and axis in (0, -1)):
            return self.flatten()._found(op, 0, False).reshape((1,) * self.ndim if keepdim else ())
        axis = self._dim(axis, f"arg{op}")
        n = self.shape[axis]
        hit = self.eq(self._extreme(op, axis, True))
        if self.dtype.is_float:
            hit = hit | self.isnan()
        column = graph.reshape(graph.iota(n), tuple([n if i == axis else 1 for i in range(self.ndim)]))
        return hit.where(self._wrap(column, None), n).min(axis, keepdim)

    @composite
    def argmax(self, axis: int | None = None, keepdim: bool = False) -> Self:
        """The int32 index of the first largest element along axis; of the flattened tensor when None."""
        return self.detach()._found("max", axis, keepdim)

    @composite
    def argmin(self, axis: int | None = None, keepdim: bool = False) -> Self:
        """The int32 index of the first smallest element along axis; of the flattened tensor when None."""
        return self.detach()._found("min", axis, keepdim)

    @composite
    def isclose(self, other: Operand, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> Self:
        """True where |self - other| <= atol + rtol * |other|, or both are equal."""
        if rtol < 0 or atol < 0:
            raise ArgumentError(f"isclose() takes tolerances of at least 0, got rtol={rtol} and atol={atol}")
        y = self._as_tensor(other)
        if self.dtype is dtypes.bool and y.dtype is dtypes.bool:
            return self.eq(y)
        both = self.isfinite() & y.isfinite()
        close = (both & ((self - y).abs() <= atol + rtol * y.abs())) | self.eq(y)
        return close | (self.isnan() & y.isnan()) if equal_nan else close

    # Sums of exponentials ---------------------------------------------------------------------------------------

    def _largest(self, axis: Axis) -> Self:
        """The maximum over axes as a constant to gradients."""
        return self._reduce("max", axis, True, "max").detach()

    @composite
    def logsumexp(self, axis: Axis = None, keepdim: bool = False) -> Self:
        """log(sum(exp(self))) over axes, without overflow; -inf where all elements are."""
        x = self._wide()
        largest = x._largest(axis)
        shift = largest.isfinite().where(largest, 0)
        result = (x - shift).exp()._reduce("add", axis, True, "logsumexp").log() + shift
        if not keepdim:
            axes = shapes.normal_axes(axis, self.ndim, "logsumexp")
            result = result.reshape(shapes.reduced_shape(self.shape, axes, False))
        return result.cast(self._floating().dtype)

    @composite
    def softmax(self, axis: Axis = -1, dtype: DType | str | None = None) -> Self:
        """exp(self) / sum(exp(self)) along axis: positive, adding up to 1; dtype is the result's.

        NaN where a +inf, or nothing but -inf, is among the elements along axis.  A dtype is also what is computed in.
        """
        if dtype is not None:
            return self.cast(as_dtype(dtype)).softmax(axis)
        x = self._wide()
        weights = (x - x._largest(axis)).exp()
        result = weights / weights._reduce("add", axis, True, "softmax")
        return result.cast(self._floating().dtype)

    def _softmax_or_zero(self, axis: Axis) -> Self:
        """softmax() with 0 where all elements along axis are -inf, which also have no gradient."""
        largest = self._largest(axis)
        weights = (self - largest.eq(-math.inf).where(0, largest)).exp()
        total = weights._reduce("add", axis, True, "softmax")
        return weights / total.eq(0).where(1, total)

    @composite
    def log_softmax(self, axis: Axis = -1, dtype: DType | str | None = None) -> Self:
        """log(softmax(self)) along axis, accurate for small probabilities; dtype as in softmax()."""
        if dtype is not None:
            return self.cast(as_dtype(dtype)).log_softmax(axis)
        x = self._wide()
        centred = x - x._largest(axis)
        result = centred - centred.exp()._reduce("add", axis, True, "log_softmax").log()
        return result.cast(self._floating().dtype)

    # Normalisation ----------------------------------------------------------------------------------------------

    @composite
    def layernorm(self, axis: Axis = -1, eps: float = 1e-5) -> Self:
        """(self - mean) / sqrt(var + eps) over axes, var with correction 0."""
        x = self._wide()
        centred = x - x.mean(axis, keepdim=True)
        variance = centred.square().mean(axis, keepdim=True)
        return (centred * (variance + eps).rsqrt()).cast(self._floating().dtype)

    @composite
    def rmsnorm(self, axis: Axis = -1, eps: float = 1e-6) -> Self:
        """self / sqrt(mean(self^2) + eps) over axes."""
        x = self._wide()
        return (x * (x.square().mean(axis, keepdim=True) + eps).rsqrt()).cast(self._floating().dtype)

    @composite
    def batchnorm(
        self, weight: Self | None, bias: Self | None, mean: Self, invstd: Self, axis: int | Sequence[int] = 1
    ) -> Self:
        """(self - mean) * invstd * weight + bias; the four hold one element per place along axis."""
        axes = shapes.normal_axes(axis, self.ndim, "batchnorm")
        shape = [n if i in axes else 1 for i, n in enumerate(self.shape)]
        scale = invstd.reshape(shape) if invstd.ndim == len(axes) else invstd
        if weight is not None:
            scale = scale * weight.reshape(shape)
        result = (self - mean.reshape(shape)) * scale
        return result if bias is None else result + bias.reshape(shape)

    # Cumulative -------------------------------------------------------------------------------------------------

    @composite
    def cumsum(self, axis: int = 0, dtype: DType | str | None = None) -> Self:
        """The sum of all elements up to each place along axis.

        Integers and bool are added up as int64, 16-bit floats in float32.

        >>> Tensor([3, 1, 2]).cumsum().tolist()
        [3, 4, 6]
        """
        return self._running_total("add", axis, dtype)

    @composite
    def cumprod(self, axis: int = 0, dtype: DType | str | None = None) -> Self:
        """The product of all elements up to each place along axis; integers and bool give int64."""
        return self._running_total("mul", axis, dtype)

    @repeatable
    def logcumsumexp(self, axis: int = 0) -> Self:
        """The logarithm of the sum of the exponentials of all elements up to each place along axis.

        No sum overflows; 16-bit floats are computed in float32.

        >>> (Tensor([1000.0, 1000.0]).logcumsumexp() - 1000).exp().round().tolist()
        [1.0, 2.0]
        """
        x = self._floating()
        if x.dtype.is_complex:
            return x._complex_logcumsumexp(self._dim(axis, "logcumsumexp")) if self.ndim else x
        return x.cast(x.dtype.arithmetic)._scan("logaddexp", axis).cast(x.dtype)

    def _complex_logcumsumexp(self, axis: int) -> Self:
        """Each place joined with the one before it, then with that two before it, then four, ..."""
        x, n, step = self, self.shape[axis], 1
        while step < n:
            late = x._between(axis, step, n)
            x = x._between(axis, 0, step).cat(late.logaddexp(x._between(axis, 0, n - step)), dim=axis)
            step *= 2
        return x

    @repeatable
    def cummax(self, axis: int = 0) -> Selected[Self]:
        """The largest element up to each place along axis, and its int32 index; NaN from the first one on.

        Of equal elements the last one counts, also to gradients.

        >>> [found.tolist() for found in Tensor([2, 3, 1, 3]).cummax()]
        [[2, 3, 3, 3], [0, 1, 1, 3]]
        """
        values = self._scan("max", axis)
        return Selected(values, self.detach()._last_places(values.detach(), axis))

    @repeatable
    def cummin(self, axis: int = 0) -> Selected[Self]:
        """The smallest element up to each place along axis, and its int32 index; see cummax()."""
        values = self._scan("min", axis)
        return Selected(values, self.detach()._last_places(values.detach(), axis))

    @composite
    def _last_places(self, extremes: Self, axis: int) -> Self:
        """For each of the running extremes along axis the index of the last element up to there that it was found at;
        NaN are what they meet."""
        found = self.eq(extremes) | self.isnan() if self.dtype.is_float else self.eq(extremes)
        if not self.shape:
            return found.where(0, found.cast(dtypes.int32))
        dim = self._dim(axis, "cumulative places")
        line = graph.reshape(graph.iota(self.shape[dim]), tuple(n if i == dim else 1 for i, n in enumerate(self.shape)))
        return found.where(self._derived(graph.expand(line, self.shape)), 0)._scan("max", dim)

    def _running_total(self, op: str, axis: int, dtype: DType | str | None) -> Self:
        if dtype is None:
            dtype = self.dtype if self.dtype.is_float else self._summed_dtype()
        result = as_dtype(dtype)
        return self.cast(result.arithmetic)._scan(op, axis).cast(result)

    def _scan(self, op: str, axis: int) -> Self:
        """The elements up to each place along axis combined by op; a scalar is its own."""
        dim = shapes.normal_axis(axis, max(1, self.ndim), "cumulative " + op)
        return self._derived(graph.scan(op, self._node, dim)) if self.shape else self
