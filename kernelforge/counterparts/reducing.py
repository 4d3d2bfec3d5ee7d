"""Counterparts of NumPy's reductions, with its `where=`, `initial=` and `ddof=`, and those that leave out nan.

Comes in: tensors, with NumPy's arguments.  Goes out: tensors.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf, nan
from typing import Any

import numpy as np

from codegen.dtypes import DType, dtypes
from kernelforge.array_api import argmax as place_of_largest
from kernelforge.array_api import argmin as place_of_smallest
from kernelforge.counterparts.table import (
    Axis,
    Otherwise,
    axes_of,
    counterpart,
    flattened,
    floating,
    tensor,
    tensors,
)
from kernelforge.kinds import as_dtype
from kernelforge.shape import is_several, sequence
from kernelforge.tensor import Tensor


def _chosen(x: Tensor, where: Any, otherwise: Any) -> Tensor:
    """x with another value where it is not to count."""
    return x if where is True else tensor(where, x).bool().where(x, otherwise)


def _typed(dtype: Any) -> DType | None:
    return None if dtype is None else as_dtype(dtype)


def _axis(axis: Axis, x: Tensor) -> Any:
    if axis is None:
        return None
    if not sequence(axis):
        raise Otherwise
    return axes_of(axis, x.ndim) if is_several(axis) else axis


@counterpart("sum")
def total(a: Any, axis: Axis = None, dtype: Any = None, *, keepdims: bool = False, initial: Any = None,
          where: Any = True) -> Tensor:  # fmt: skip
    """The sums."""
    x = tensor(a)
    found = _chosen(x, where, 0).sum(_axis(axis, x), keepdims, dtype=_typed(dtype))
    return found if initial is None else found + initial


@counterpart("prod")
def product(a: Any, axis: Axis = None, dtype: Any = None, *, keepdims: bool = False, initial: Any = None,
            where: Any = True) -> Tensor:  # fmt: skip
    """The products."""
    x = tensor(a)
    found = _chosen(x, where, 1).prod(_axis(axis, x), keepdims, dtype=_typed(dtype))
    return found if initial is None else found * initial


def _extreme(name: str, bound: Callable[[DType], Any], pick: str) -> Callable[..., Tensor]:
    def found(a: Any, axis: Axis = None, *, keepdims: bool = False, initial: Any = None, where: Any = True) -> Tensor:
        x = tensor(a)
        made: Tensor = getattr(_chosen(x, where, bound(x.dtype)), name)(_axis(axis, x), keepdims)
        return made if initial is None else getattr(made, pick)(initial)

    found.__name__, found.__doc__ = name, f"{name}() along axes."
    return found


_highest = counterpart("max", "amax")(_extreme("max", lambda kind: kind.min, "maximum"))
_lowest = counterpart("min", "amin")(_extreme("min", lambda kind: kind.max, "minimum"))


@counterpart("all")
def every(a: Any, axis: Axis = None, *, keepdims: bool = False, where: Any = True) -> Tensor:
    """Whether all are true."""
    x = tensor(a).bool()
    return _chosen(x, where, True).all(_axis(axis, x), keepdims)


@counterpart("any")
def some(a: Any, axis: Axis = None, *, keepdims: bool = False, where: Any = True) -> Tensor:
    """Whether any is true."""
    x = tensor(a).bool()
    return _chosen(x, where, False).any(_axis(axis, x), keepdims)


@counterpart("count_nonzero")
def count_nonzero(a: Any, axis: Axis = None, *, keepdims: bool = False) -> Tensor:
    """How many are not 0."""
    x = tensor(a).ne(0)
    return x.sum(_axis(axis, x), keepdims)


def _counted(x: Tensor, where: Any, axis: Axis, kind: DType) -> Any:
    """How many elements count, for each result."""
    if where is True:
        return int(np.prod([x.shape[one] for one in axes_of(axis, x.ndim)]))
    return tensor(where, x).bool().expand(x.shape).cast(kind.real).sum(_axis(axis, x), True)


@counterpart("mean")
def mean(a: Any, axis: Axis = None, dtype: Any = None, *, keepdims: bool = False, where: Any = True) -> Tensor:
    """The means."""
    x = floating(tensor(a), dtype)
    if where is True:
        return x.mean(_axis(axis, x), keepdims)
    found = _chosen(x, where, 0).sum(_axis(axis, x), True) / _counted(x, where, axis, x.dtype)
    return found if keepdims else found.squeeze(axes_of(axis, x.ndim))


@counterpart("var")
def var(a: Any, axis: Axis = None, dtype: Any = None, *, ddof: float = 0, keepdims: bool = False, where: Any = True,
        correction: float | None = None) -> Tensor:  # fmt: skip
    """The variances; ddof is taken from the number of elements."""
    x, less = floating(tensor(a), dtype), ddof if correction is None else correction
    if where is True and not x.dtype.is_complex:
        return x.var(_axis(axis, x), keepdims, less)
    away = x - mean(x, axis, keepdims=True, where=where)
    squares = (away * away.conj()).real if x.dtype.is_complex else away * away
    count = _counted(x, where, axis, x.dtype)
    found = _chosen(squares, where, 0).sum(_axis(axis, x), True) / (count - less)
    return found if keepdims else found.squeeze(axes_of(axis, x.ndim))


@counterpart("std")
def std(a: Any, axis: Axis = None, dtype: Any = None, *, ddof: float = 0, keepdims: bool = False, where: Any = True,
        correction: float | None = None) -> Tensor:  # fmt: skip
    """The square roots of the variances."""
    return var(a, axis, dtype, ddof=ddof, keepdims=keepdims, where=where, correction=correction).sqrt()


@counterpart("ptp")
def ptp(a: Any, axis: Axis = None, *, keepdims: bool = False) -> Tensor:
    """The largest less the smallest."""
    return _highest(a, axis, keepdims=keepdims) - _lowest(a, axis, keepdims=keepdims)


@counterpart("argmax")
def argmax(a: Any, axis: int | None = None, *, keepdims: bool = False) -> Tensor:
    """The place of the largest."""
    return place_of_largest(tensor(a), axis=axis, keepdims=keepdims)


@counterpart("argmin")
def argmin(a: Any, axis: int | None = None, *, keepdims: bool = False) -> Tensor:
    """The place of the smallest."""
    return place_of_smallest(tensor(a), axis=axis, keepdims=keepdims)


@counterpart("average")
def average(a: Any, axis: Axis = None, weights: Any = None, returned: bool = False, *, keepdims: bool = False) -> Any:
    """The means, weighted."""
    x = floating(tensor(a))
    if weights is None:
        found, whole = mean(x, axis, keepdims=keepdims), tensor(float(_counted(x, True, axis, x.dtype)), x)
    else:
        share = tensor(weights, x)
        if share.shape != x.shape:
            if axis is None or is_several(axis) or share.ndim != 1:
                raise Otherwise
            share = share.reshape([-1 if i == axis % x.ndim else 1 for i in range(x.ndim)])
        whole = share.expand(x.shape).sum(_axis(axis, x), keepdims)
        found = (x * share).sum(_axis(axis, x), keepdims) / whole
    return (found, whole.cast(found.dtype).expand(found.shape)) if returned else found


# ------------------------------------------------------------------------------------------------- without nan


def _without(x: Tensor, otherwise: Any) -> Tensor:
    return x.isnan().where(otherwise, x) if x.dtype.is_inexact else x


@counterpart("nansum")
def nansum(a: Any, axis: Axis = None, dtype: Any = None, *, keepdims: bool = False, initial: Any = None,
           where: Any = True) -> Tensor:  # fmt: skip
    """The sums of what is not nan."""
    return total(_without(tensor(a), 0), axis, dtype, keepdims=keepdims, initial=initial, where=where)


@counterpart("nanprod")
def nanprod(a: Any, axis: Axis = None, dtype: Any = None, *, keepdims: bool = False, initial: Any = None,
            where: Any = True) -> Tensor:  # fmt: skip
    """The products of what is not nan."""
    return product(_without(tensor(a), 1), axis, dtype, keepdims=keepdims, initial=initial, where=where)


@counterpart("nanmax")
def nanmax(a: Any, axis: Axis = None, *, keepdims: bool = False) -> Tensor:
    """The largest that is not nan; nan if there is none."""
    x = tensor(a)
    found = _highest(_without(x, -inf), axis, keepdims=keepdims)
    return every(x.isnan(), axis, keepdims=keepdims).where(nan, found) if x.dtype.is_inexact else found


@counterpart("nanmin")
def nanmin(a: Any, axis: Axis = None, *, keepdims: bool = False) -> Tensor:
    """The smallest that is not nan; nan if there is none."""
    x = tensor(a)
    found = _lowest(_without(x, inf), axis, keepdims=keepdims)
    return every(x.isnan(), axis, keepdims=keepdims).where(nan, found) if x.dtype.is_inexact else found


@counterpart("nanmean")
def nanmean(a: Any, axis: Axis = None, dtype: Any = None, *, keepdims: bool = False) -> Tensor:
    """The means of what is not nan."""
    x = floating(tensor(a), dtype)
    return mean(x, axis, keepdims=keepdims, where=x.isnan().logical_not())


@counterpart("nanvar")
def nanvar(a: Any, axis: Axis = None, dtype: Any = None, *, ddof: float = 0, keepdims: bool = False) -> Tensor:
    """The variances of what is not nan."""
    x = floating(tensor(a), dtype)
    return var(x, axis, ddof=ddof, keepdims=keepdims, where=x.isnan().logical_not())


@counterpart("nanstd")
def nanstd(a: Any, axis: Axis = None, dtype: Any = None, *, ddof: float = 0, keepdims: bool = False) -> Tensor:
    """The square roots of the variances of what is not nan."""
    return nanvar(a, axis, dtype, ddof=ddof, keepdims=keepdims).sqrt()


# --------------------------------------------------------------------------------------------------- quantiles


def _quantile(x: Tensor, q: Any, axis: Axis, keepdims: bool, method: str, name: str) -> Tensor:
    if method not in ("linear", "lower", "higher", "midpoint", "nearest") or not x.numel() or x.dtype.is_complex:
        raise Otherwise
    axes = axes_of(axis, x.ndim)
    rest = [i for i in range(x.ndim) if i not in axes]
    picked = method in ("lower", "higher", "nearest") and not x.dtype.is_inexact
    line = (
        (x.cast(dtypes.float64) if picked else floating(x))
        .permute([*rest, *axes])
        .reshape(*[x.shape[i] for i in rest], -1)
    )
    shares = () if isinstance(q, float) else np.shape(q)
    lead = len(shares)
    given = q if isinstance(q, float) else floating(tensor(q, x)).cast(line.dtype).reshape(-1 if lead else ())
    found: Tensor = getattr(line, name)(given, -1, interpolation=method)
    found = found.cast(x.dtype) if picked else found
    found = found.reshape(*shares, *found.shape[1:]) if lead > 1 else found
    if not keepdims:
        return found
    return found.reshape(*found.shape[:lead], *[1 if i in axes else n for i, n in enumerate(x.shape)])


def _quantiles(name: str, scale: float, word: str) -> None:
    @counterpart(name)
    def found(a: Any, q: Any, axis: Axis = None, *, method: str = "linear", keepdims: bool = False) -> Tensor:
        share = q / scale if isinstance(q, int | float) else tensor(q) / scale
        return _quantile(tensor(a), share, axis, keepdims, method, word)

    found.__name__, found.__doc__ = name, f"{name}() along axes."


_quantiles("quantile", 1.0, "quantile")
_quantiles("percentile", 100.0, "quantile")
_quantiles("nanquantile", 1.0, "nanquantile")
_quantiles("nanpercentile", 100.0, "nanquantile")


@counterpart("median")
def median(a: Any, axis: Axis = None, *, keepdims: bool = False) -> Tensor:
    """The elements in the middle; of two, their mean."""
    return _quantile(tensor(a), 0.5, axis, keepdims, "linear", "quantile")


@counterpart("nanmedian")
def nanmedian(a: Any, axis: Axis = None, *, keepdims: bool = False) -> Tensor:
    """The elements in the middle of what is not nan."""
    return _quantile(tensor(a), 0.5, axis, keepdims, "linear", "nanquantile")


# ---------------------------------------------------------------------------------------------------- running


def _runs(name: str, method: str, neutral: int | None) -> None:
    @counterpart(name)
    def found(a: Any, axis: int | None = None, dtype: Any = None) -> Tensor:
        x, place = flattened(tensor(a), axis)
        x = x if neutral is None else _without(x, neutral)
        x = x.cast(dtypes.default_int) if x.dtype is dtypes.bool else x
        made: Tensor = getattr(x if dtype is None else x.cast(as_dtype(dtype)), method)(place)
        return made

    found.__name__, found.__doc__ = name, f"{name}() along an axis."


_runs("cumsum", "cumsum", None)
_runs("cumprod", "cumprod", None)
_runs("nancumsum", "cumsum", 0)
_runs("nancumprod", "cumprod", 1)


@counterpart("trapezoid")
def trapezoid(y: Any, x: Any = None, dx: float = 1.0, axis: int = -1) -> Tensor:
    """The integral along an axis by trapezoids."""
    heights = floating(tensor(y)).movedim(axis, -1)
    width: Any = dx
    if x is not None:
        places = tensors((heights, x))[1]
        places = places.movedim(axis, -1) if places.ndim > 1 else places
        width = places[..., 1:] - places[..., :-1]
    return ((heights[..., 1:] + heights[..., :-1]) * width / 2).sum(-1)
