"""Counterparts of NumPy's functions that change an array in place.

Comes in: a tensor that changes, and what is put where.  Goes out: nothing.  An array that is to take values of tensors
is changed by NumPy.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from kernelforge.counterparts.table import Otherwise, counterpart, tensor
from kernelforge.tensor import Tensor


def _target(a: Any) -> Tensor:
    if not isinstance(a, Tensor):
        raise Otherwise
    return a


@counterpart("copyto")
def copyto(dst: Any, src: Any, casting: Any = "same_kind", where: Any = True) -> None:
    """dst with the values of src."""
    if not isinstance(dst, Tensor):
        np.copyto(dst, np.asarray(src), casting, np.asarray(where))
        return
    x = tensor(src, dst).cast(dst.dtype)
    dst[...] = x if where is True else tensor(where, dst).bool().where(x, dst)


def _again(values: Any, place: Tensor, like: Tensor) -> Tensor:
    """The values at places, from the front again after the last."""
    line = tensor(values, like).cast(like.dtype).reshape(-1)
    return line[place % line.shape[0]]


@counterpart("putmask")
def putmask(a: Any, mask: Any, values: Any) -> None:
    """a with values where a mask is true: at each place the value of that number."""
    x = _target(a)
    found = _again(values, Tensor.arange(x.numel(), device=x.device), x).reshape(x.shape)
    x[...] = tensor(mask, x).bool().where(found, x)


@counterpart("place")
def place(arr: Any, mask: Any, vals: Any) -> None:
    """arr with the first values where a mask is true."""
    x = _target(arr)
    chosen = tensor(mask, x).bool().reshape(-1)
    found = _again(vals, chosen.cast("int32").cumsum(0) - 1, x).reshape(x.shape)
    x[...] = chosen.reshape(x.shape).where(found, x)


@counterpart("put")
def put(a: Any, ind: Any, v: Any, mode: Any = "raise") -> None:
    """a with values at places, counted in a row."""
    x = _target(a)
    if mode != "raise":
        raise Otherwise
    places = tensor(ind, x).reshape(-1)
    values = _again(v, Tensor.arange(places.shape[0], device=x.device), x)
    x[...] = x.reshape(-1).index_put((places,), values).reshape(x.shape)


@counterpart("put_along_axis")
def put_along_axis(arr: Any, indices: Any, values: Any, axis: int | None) -> None:
    """arr with values at places along an axis."""
    x = _target(arr)
    if axis is None:
        raise Otherwise
    places = tensor(indices, x)
    source = tensor(values, x).cast(x.dtype).expand(places.shape)
    count = x.shape[axis]
    x[...] = x.scatter(axis, (places < 0).where(places + count, places), source)


@counterpart("fill_diagonal")
def fill_diagonal(a: Any, val: Any, wrap: bool = False) -> None:
    """a with values on its diagonal."""
    x = _target(a)
    if wrap or np.ndim(val):
        raise Otherwise
    x[...] = x.fill_diagonal(val)


