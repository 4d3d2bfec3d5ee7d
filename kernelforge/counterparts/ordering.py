"""Counterparts of NumPy's functions that sort, search, count, and take neighbours together.

Comes in: tensors, with NumPy's arguments.  Goes out: tensors.  What decides a shape by values is computed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from codegen.dtypes import dtypes
from kernelforge import array_api
from kernelforge.counterparts.table import Otherwise, alike, counterpart, flattened, floating, tensor, tensors
from kernelforge.errors import ShapeError
from kernelforge.shape import sequence
from kernelforge.tensor import Tensor

for _name in ("unique_all", "unique_counts", "unique_inverse", "unique_values", "cumulative_sum", "cumulative_prod"):
    counterpart(_name)(getattr(array_api, _name))


@counterpart("sort")
def sort(a: Any, axis: int | None = -1, kind: Any = None, *, stable: Any = None) -> Tensor:
    """In order along an axis."""
    x, place = flattened(_with_an_order(a), axis)
    return array_api.sort(x, axis=place)


@counterpart("argsort")
def argsort(a: Any, axis: int | None = -1, kind: Any = None, *, stable: Any = None) -> Tensor:
    """The places of the elements in order."""
    x, place = flattened(_with_an_order(a), axis)
    return array_api.argsort(x, axis=place)


def _with_an_order(a: Any) -> Tensor:
    """As a tensor; complex numbers, which NumPy orders by their parts, are left to it."""
    x = tensor(a)
    if x.dtype.is_complex:
        raise Otherwise
    return x


@counterpart("partition")
def partition(a: Any, kth: Any, axis: int | None = -1, kind: Any = None) -> Tensor:
    """In order: more than is asked for."""
    return sort(a, axis)


@counterpart("argpartition")
def argpartition(a: Any, kth: Any, axis: int | None = -1, kind: Any = None) -> Tensor:
    """The places in order: more than is asked for."""
    return argsort(a, axis)


@counterpart("lexsort")
def lexsort(keys: Any, axis: int = -1) -> Tensor:
    """The places in the order of the last key, then the one before it."""
    lines = tensors(list(keys))
    order = argsort(lines[0], axis)
    for key in lines[1:]:
        order = order.take_along_dim(argsort(key.take_along_dim(order, axis), axis), axis)
    return order


@counterpart("searchsorted")
def searchsorted(a: Any, v: Any, side: Any = "left", sorter: Any = None) -> Tensor:
    """Where elements would have to be put."""
    line, values = tensors((a, v))
    return array_api.searchsorted(line, values, side=side, sorter=None if sorter is None else tensor(sorter, line))


@counterpart("digitize")
def digitize(x: Any, bins: Any, right: bool = False) -> Tensor:
    """The number of the bin of each element; bins that rise are known by their values, so they are computed."""
    bounds = np.asarray(bins)
    if bounds.size > 1 and bounds[0] > bounds[-1]:
        raise Otherwise
    return searchsorted(bins, x, "left" if right else "right")


@counterpart("nonzero")
def nonzero(a: Any) -> tuple[Tensor, ...]:
    """The places of what is not 0."""
    return array_api.nonzero(tensor(a))


@counterpart("flatnonzero")
def flatnonzero(a: Any) -> Tensor:
    """The places of what is not 0, of all elements in a row."""
    return array_api.nonzero(tensor(a).reshape(-1))[0]


@counterpart("argwhere")
def argwhere(a: Any) -> Tensor:
    """The places of what is not 0, one a line."""
    return tensor(a).argwhere()


@counterpart("extract")
def extract(condition: Any, arr: Any) -> Tensor:
    """What a condition holds for."""
    x, mask = tensor(arr), tensor(condition)
    return x.reshape(-1)[mask.bool().reshape(-1)]


@counterpart("compress")
def compress(condition: Any, a: Any, axis: int | None = None) -> Tensor:
    """The parts along an axis a condition holds for."""
    x, axis = flattened(tensor(a), axis)
    places = flatnonzero(condition)
    return x[(slice(None),) * (axis % x.ndim) + (places,)]


@counterpart("take_along_axis")
def take_along_axis(arr: Any, indices: Any, axis: int | None = -1) -> Tensor:
    """The elements along an axis that places, one for each, name."""
    x, place = flattened(tensor(arr), axis)
    return x.take_along_dim(tensor(indices, x), place)


@counterpart("unravel_index")
def unravel_index(indices: Any, shape: Any) -> tuple[Tensor, ...]:
    """Places in a row as places in a shape."""
    rest, found = tensor(indices), []
    for n in reversed(sequence(shape)):
        found.append(rest % n)
        rest = rest // n
    return tuple(reversed(found))


@counterpart("ravel_multi_index")
def ravel_multi_index(multi_index: Any, dims: Any, mode: Any = "raise") -> Tensor:
    """Places in a shape as places in a row."""
    if mode != "raise":
        raise Otherwise
    found: Any = 0
    for place, n in zip(tensors(list(multi_index)), tuple(dims)):
        found = found * n + place
    return tensor(found)


@counterpart("bincount")
def bincount(x: Any, /, weights: Any = None, minlength: int = 0) -> Tensor:
    """How often each number occurs."""
    line = tensor(x)
    return line.bincount(None if weights is None else tensor(weights, line), minlength)


# -------------------------------------------------------------------------------------------------- neighbours


@counterpart("diff")
def diff(a: Any, n: int = 1, axis: int = -1, prepend: Any = None, append: Any = None) -> Tensor:
    """The differences of neighbours."""
    x = tensor(a)
    parts: dict[str, Tensor] = {}
    for name, value in (("prepend", prepend), ("append", append)):
        if value is not None:
            part = tensor(value, x).cast(x.dtype)
            shape = [1 if i == axis % x.ndim else size for i, size in enumerate(x.shape)]
            parts[name] = part if part.ndim else part.expand(shape)
    return array_api.diff(x, axis=axis, n=n, **parts)


@counterpart("ediff1d")
def ediff1d(ary: Any, to_end: Any = None, to_begin: Any = None) -> Tensor:
    """The differences of neighbours of all elements in a row, with others around them."""
    line = diff(tensor(ary).reshape(-1))
    parts = [to_begin, line, to_end]
    flat = [tensor(part, line).cast(line.dtype).reshape(-1) for part in parts if part is not None]
    return flat[0].cat(*flat[1:]) if len(flat) > 1 else flat[0]


@counterpart("gradient")
def gradient(f: Any, *varargs: Any, axis: Any = None, edge_order: int = 1) -> Any:
    """The slopes along axes, of evenly spaced values."""
    x = floating(tensor(f))
    axes = range(x.ndim) if axis is None else sequence(axis)
    steps = list(varargs) * (len(axes) if len(varargs) == 1 else 1) or [1.0] * len(axes)
    if edge_order != 1 or len(steps) != len(axes) or not all(isinstance(step, int | float) for step in steps):
        raise Otherwise
    found = []
    for place, step in zip(axes, steps):
        line = x.movedim(place, -1)
        if line.shape[-1] < 2:
            raise ShapeError(f"gradient of {x.shape} along axis {place}: slopes need two elements")
        inner = (line[..., 2:] - line[..., :-2]) / (2 * step)
        ends = [(line[..., 1:2] - line[..., :1]) / step, (line[..., -1:] - line[..., -2:-1]) / step]
        found.append(ends[0].cat(inner, ends[1], dim=-1).movedim(-1, place))
    return found[0] if len(found) == 1 else tuple(found)


@counterpart("interp")
def interp(x: Any, xp: Any, fp: Any, left: Any = None, right: Any = None, period: Any = None) -> Tensor:
    """Values between given points, on straight lines."""
    if period is not None:
        raise Otherwise
    known, values = (floating(one) for one in tensors((xp, fp)))
    places = floating(x) if isinstance(x, Tensor) else Tensor(x, dtype=known.dtype, device=known.device)
    count = known.shape[0]
    if count < 2:
        raise Otherwise
    after = array_api.searchsorted(known, places.reshape(-1), side="right").reshape(places.shape)
    after = after.clamp(1, count - 1).cast(dtypes.default_int)
    x0, x1, y0, y1 = known[after - 1], known[after], values[after - 1], values[after]
    found = y0 + (y1 - y0) * ((places - x0) / (x1 - x0))
    low, high = (values[0] if left is None else left), (values[-1] if right is None else right)
    found = places.lt(known[0]).where(low, found)
    found = places.gt(known[-1]).where(high, found)
    return places.eq(known[-1]).where(values[-1], found)


@counterpart("unwrap")
def unwrap(p: Any, discont: Any = None, axis: int = -1, *, period: float = 2 * np.pi) -> Tensor:
    """Angles without leaps of a period."""
    if discont is not None:
        raise Otherwise
    x = floating(tensor(p)).movedim(axis, -1)
    step = x[..., 1:] - x[..., :-1]
    near = (step + period / 2) % period - period / 2
    near = (near.eq(-period / 2) & step.gt(0)).where(period / 2, near)
    leap = step.abs().lt(period / 2).where(0, near - step)
    first = x[..., :1]
    return first.cat(x[..., 1:] + leap.cumsum(-1), dim=-1).movedim(-1, axis)


@counterpart("convolve")
def convolve(a: Any, v: Any, mode: Any = "full") -> Tensor:
    """The convolution of two vectors."""
    x, y = (x if x.ndim else x.reshape(1) for x in alike((a, v)))
    x, y = (x, y) if x.shape[0] >= y.shape[0] else (y, x)
    return _slid(x, y.flip(0), mode)


@counterpart("correlate")
def correlate(a: Any, v: Any, mode: Any = "valid") -> Tensor:
    """The correlation of two vectors."""
    x, y = alike((a, v))
    if x.shape[0] < y.shape[0]:
        return _slid(y.conj(), x, mode).flip(0)
    return _slid(x, y.conj(), mode)


def _slid(x: Tensor, y: Tensor, mode: str) -> Tensor:
    """The products of y with each window of x, summed."""
    m, n = y.shape[0], x.shape[0]
    if mode not in ("full", "same", "valid"):
        raise Otherwise
    before = {"full": m - 1, "same": m // 2, "valid": 0}[mode]
    after = {"full": m - 1, "same": m - 1 - m // 2, "valid": 0}[mode]
    del n
    return (x.pad([(before, after)]).unfold(0, m, 1) * y).sum(-1)


@counterpart("polyval")
def polyval(p: Sequence[Any], x: Any) -> Tensor:
    """The values of a polynomial, its highest power first."""
    factors = list(tensor(p).unbind(0)) if isinstance(p, Tensor | np.ndarray) else list(p)
    points = tensor(x)
    found: Any = points * 0
    for factor in factors:
        found = found * points + factor
    return tensor(found)
