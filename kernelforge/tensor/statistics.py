"""Statistics of samples: quantiles, the most frequent value, covariances, integrals of samples.

Comes in: tensors.  Goes out: tensors without the dimension along which the samples lie.  Quantiles are made of elements
picked at places in the sorted order, so they differentiate like any gather.
"""

from __future__ import annotations

from typing import Self, overload

from codegen.dtypes import dtypes, promote
from kernelforge import graph
from kernelforge.checked import WEIGHTS
from kernelforge.errors import ArgumentError, DTypeError, ShapeError
from kernelforge.tensor.composite import composite, repeatable
from kernelforge.tensor.results import Selected
from kernelforge.tensor.sampling import Sampling


class Statistics(Sampling):
    """What describes a sample."""

    __slots__ = ()

    # Quantiles --------------------------------------------------------------------------------------------------

    def quantile(
        self,
        q: float | Self,
        dim: int | None = None,
        keepdim: bool = False,
        *,
        interpolation: str = "linear",
    ) -> Self:
        """The value that a share q of the elements along dim, or of all, lie below; NaN where there is a NaN.

        q              from 0 to 1, or a vector of them, which gives the result a first dimension
        interpolation  between the two nearest elements: "linear", "lower", "higher", "midpoint" or "nearest"

        >>> Tensor([1.0, 2.0, 4.0]).quantile(0.75).item()
        3.0

        raises ShapeError, DTypeError, ValueError
        """
        return self._quantile(q, dim, keepdim, interpolation, ignoring=False)

    def nanquantile(
        self,
        q: float | Self,
        dim: int | None = None,
        keepdim: bool = False,
        *,
        interpolation: str = "linear",
    ) -> Self:
        """quantile() of what is not NaN; NaN where there is nothing else."""
        return self._quantile(q, dim, keepdim, interpolation, ignoring=True)

    def _quantile(self, q: float | Self, dim: int | None, keepdim: bool, interpolation: str, ignoring: bool) -> Self:
        if not self.dtype.is_float:
            raise DTypeError(f"quantile() takes floats, got {self.dtype}; cast first, for instance with .float()")
        if interpolation not in ("linear", "lower", "higher", "midpoint", "nearest"):
            raise ArgumentError(f"interpolation is linear, lower, higher, midpoint or nearest, got {interpolation!r}")
        if isinstance(q, int | float) and not 0 <= q <= 1:
            raise ArgumentError(f"quantile() takes shares from 0 to 1, got {q}")
        x = self.flatten() if dim is None else self if self.ndim else self.reshape(1)
        along = x._dim(-1 if dim is None else dim, "quantile")
        if not x.numel():
            raise ShapeError(f"quantile of {self.shape} along {dim}: there are no elements")
        shares = q if isinstance(q, Statistics) else self._as_tensor(float(q))
        if shares.ndim > 1:
            raise ShapeError(f"quantile() takes a number or a vector of shares, got {shares.shape}")
        found = x.movedim(along, -1)._at_shares(shares.cast(x.dtype).reshape(-1), interpolation, ignoring)
        rest = [n for i, n in enumerate(x.shape) if i != along]
        if keepdim:
            rest = [1] * self.ndim if dim is None else [*rest[:along], 1, *rest[along:]][: self.ndim]
        return found.movedim(-1, 0).reshape(*shares.shape, *rest)

    @composite
    def _at_shares(self, shares: Self, interpolation: str, ignoring: bool) -> Self:
        """The quantiles [.., Q] of the last dimension for a vector of Q shares."""
        n = self.shape[-1]
        ordered = self.sort(-1)[0]
        count = self.isnan().logical_not().sum(-1, keepdim=True, dtype=dtypes.int32)
        last = (count - 1).maximum(0) if ignoring else count._constant(n - 1)
        place = shares.cast(dtypes.float64 if n > 1 << 20 else self.dtype.arithmetic) * last
        if interpolation == "nearest":
            place = place.round()
        below, above = place.floor(), place.ceil()
        low, high = (ordered._fetched(x.cast(dtypes.int32)) for x in (below, above))
        if interpolation in ("linear", "midpoint"):
            same = low.eq(high) & low.isinf()  # which have no difference
            gap = same.where(0, high - same.where(0, low))
            weight = (place - below).cast(self.dtype) if interpolation == "linear" else low._constant(0.5)
            result = (weight < 0.5).where(low + gap * weight, high - gap * (1 - weight))  # from the nearer one
        else:
            result = high if interpolation == "higher" else low
        return result if ignoring else (count < n).where(ordered[..., -1:], result)  # NaN, to whose place gradients go

    @overload
    def nanmedian(self, dim: None = None, keepdim: bool = False) -> Self: ...

    @overload
    def nanmedian(self, dim: int, keepdim: bool = False) -> Selected[Self]: ...

    @repeatable
    def nanmedian(self, dim: int | None = None, keepdim: bool = False) -> Self | Selected[Self]:
        """The lower median of what is not NaN; along dim, the medians and their int32 indices.

        >>> Tensor([1.0, -1.0, 9.0]).sqrt().nanmedian().item()
        1.0

        raises ShapeError when there is no element
        """
        x = self.flatten() if dim is None else self if self.ndim else self.reshape(1)
        along = x._dim(-1 if dim is None else dim, "nanmedian")
        if not x.shape[along]:
            raise ShapeError(f"nanmedian of {self.shape} along {dim}: there are no elements")
        count = x.isnan().logical_not().sum(along, keepdim=True, dtype=dtypes.int32)
        middle = (count - 1).maximum(0) // 2
        places = x.argsort(along)._picked_along(along, middle)
        values, places = x._at_one_place(along, places, keepdim and bool(self.ndim))
        return x._shared_by_equals(values) if dim is None else Selected(values, places)

    @repeatable
    def mode(self, dim: int = -1, keepdim: bool = False) -> Selected[Self]:
        """The most frequent element along dim, the smallest of several, and the int32 index of its last occurrence.

        >>> [found.item() for found in Tensor([3, 1, 3, 1, 1]).mode()]
        [1, 4]

        raises ShapeError when there is no element
        """
        x = self if self.ndim else self.reshape(1)
        along = x._dim(dim, "mode")
        n = x.shape[along]
        if not n:
            raise ShapeError(f"mode of {self.shape} along {dim}: there are no elements")
        rows = x.movedim(along, -1)
        order = rows.argsort(-1)
        ordered, places = rows._fetched(order).detach(), self._integers((n,))
        changes = ordered._between(x.ndim - 1, 1, n).ne(ordered._between(x.ndim - 1, 0, n - 1))
        begins = changes.pad([(0, 0)] * (x.ndim - 1) + [(1, 0)], value=True)
        length = places - begins.where(places, 0)._scan("max", -1)
        found = order._fetched(length.argmax(-1, keepdim=True)).movedim(-1, along)
        return x._at_one_place(along, found, keepdim and bool(self.ndim))

    # Covariance -------------------------------------------------------------------------------------------------

    def cov(self, *, correction: int = 1, fweights: Self | None = None, aweights: Self | None = None) -> Self:
        """The covariances of variables, the rows of a matrix, whose observations are its columns.

        correction   what is subtracted from the number of observations
        fweights     how often each observation occurs; aweights: how much each counts

        >>> Tensor([[1.0, 2.0, 3.0], [3.0, 2.0, 1.0]]).cov().tolist()
        [[1.0, -1.0], [-1.0, 1.0]]

        raises ShapeError, DTypeError; ValueError when the values are next synchronised, if a weight is negative
        """
        if self.ndim > 2:
            raise ShapeError(f"cov() takes a matrix of variables and observations, got {self.shape}")
        for weights in (fweights, aweights):
            if weights is not None and (weights.ndim != 1 or weights.shape[0] != (self.shape or (1,))[-1]):
                raise ShapeError(f"cov of {self.shape} takes a weight for each observation, got {weights.shape}")
        if fweights is not None and not fweights.dtype.is_int:
            raise DTypeError(f"cov() takes integers as fweights, how often each was observed, got {fweights.dtype}")
        return self._covariance(correction, fweights, aweights)

    @composite
    def _covariance(self, correction: int, fweights: Self | None, aweights: Self | None) -> Self:
        x = self._wide().reshape(1 if self.ndim < 2 else self.shape[0], (self.shape or (1,))[-1])
        kind = x.dtype.real
        given = [weights._where_allowed(weights >= 0, WEIGHTS).cast(kind) for weights in (fweights, aweights)
                 if weights is not None]  # fmt: skip
        weights = given[0] * given[1] if len(given) == 2 else given[0] if given else x._ones(x.shape[1])
        total = weights.sum()
        count = total - correction
        if aweights is not None and correction:
            count = total - correction * (weights * aweights.cast(kind)).sum() / total
        centred = x - (x * weights).sum(1, keepdim=True) / total
        found = centred.dot((centred * weights).mH) / count.maximum(0)
        result = self._floating().dtype if aweights is None else promote(self._floating().dtype, aweights.dtype)
        return found.cast(result).reshape(() if found.shape == (1, 1) else found.shape)

    def _ones(self, count: int) -> Self:
        return self._wrap(graph.full((count,), 1, self.dtype.real), None)

    @composite
    def corrcoef(self) -> Self:
        """The correlation coefficients of variables, the rows of a matrix, limited to -1 .. 1, part by part."""
        found = self.cov()
        if not found.ndim:
            return found / found
        variance = found.diagonal()
        deviation = (variance.abs() if variance.dtype.is_complex else variance).sqrt()
        found = found / deviation.unsqueeze(1) / deviation
        if not found.dtype.is_complex:
            return found.clamp(-1, 1)
        a, b = (found._derived(graph.part(found._node, which)).clamp(-1, 1) for which in ("real", "imag"))
        return found._derived(graph.complex_of(a._node, b._node))

    # Integrals --------------------------------------------------------------------------------------------------

    @composite
    def trapezoid(self, x: Self | None = None, *, dx: float = 1.0, dim: int = -1) -> Self:
        """The integral along dim by the trapezoidal rule, of samples at places x, or dx apart.

        >>> Tensor([1.0, 2.0, 4.0]).trapezoid().item()
        4.5
        """
        return self._trapezoids(x, dx, dim).sum(dim)

    @composite
    def cumulative_trapezoid(self, x: Self | None = None, *, dx: float = 1.0, dim: int = -1) -> Self:
        """The integrals along dim from the first sample to each further one; see trapezoid()."""
        return self._trapezoids(x, dx, dim).cumsum(dim)

    def _trapezoids(self, x: Self | None, dx: float, dim: int) -> Self:
        dim = self._dim(dim, "trapezoid")
        n = self.shape[dim]
        both = self._floating()._between(dim, min(1, n), n) + self._floating()._between(dim, 0, max(0, n - 1))
        if x is None:
            return both * (dx / 2)
        x = x._floating()
        places = x if x.ndim > 1 else x.reshape([-1 if i == dim else 1 for i in range(self.ndim)])
        return both * (places.diff(dim=dim if x.ndim <= 1 else dim - self.ndim + x.ndim) * 0.5)
