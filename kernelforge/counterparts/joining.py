"""Counterparts of NumPy's functions that put tensors together or take them apart.

Comes in: tensors, arrays, numbers and sequences of them.  Goes out: tensors, and lists of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from codegen.dtypes import dtypes
from kernelforge.counterparts.table import alike, counterpart, flattened, tensor, tensors
from kernelforge.errors import ShapeError
from kernelforge.shape import is_several
from kernelforge.tensor import Tensor


@counterpart("concatenate", "concat")
def concatenate(arrays: Sequence[Any], /, axis: int | None = 0, *, dtype: Any = None) -> Tensor:
    """Side by side along an axis; as vectors without one."""
    parts = alike(arrays, dtype)
    if axis is None:
        parts, axis = [x.reshape(-1) for x in parts], 0
    return parts[0].cat(*parts[1:], dim=axis)


@counterpart("stack")
def stack(arrays: Sequence[Any], axis: int = 0, *, dtype: Any = None) -> Tensor:
    """Side by side along a new axis."""
    parts = alike(arrays, dtype)
    return parts[0].stack(*parts[1:], dim=axis)


@counterpart("vstack")
def vstack(tup: Sequence[Any], *, dtype: Any = None) -> Tensor:
    """One below the other."""
    return concatenate([x.atleast_2d() for x in alike(tup, dtype)])


@counterpart("hstack")
def hstack(tup: Sequence[Any], *, dtype: Any = None) -> Tensor:
    """One beside the other."""
    parts = [x.atleast_1d() for x in alike(tup, dtype)]
    return concatenate(parts, 0 if parts[0].ndim == 1 else 1)


@counterpart("dstack")
def dstack(tup: Sequence[Any]) -> Tensor:
    """One behind the other."""
    return concatenate([x.atleast_3d() for x in alike(tup)], 2)


@counterpart("column_stack")
def column_stack(tup: Sequence[Any]) -> Tensor:
    """Vectors as columns, and matrices, side by side."""
    return concatenate([x if x.ndim > 1 else x.reshape(-1, 1) for x in alike(tup)], 1)


@counterpart("append")
def append(arr: Any, values: Any, axis: int | None = None) -> Tensor:
    """With values at the end."""
    return concatenate(tensors((arr, values)), axis)


@counterpart("block")
def block(arrays: Any) -> Tensor:
    """Nested lists of parts as one: the innermost lists side by side, the next ones below each other."""
    depth, ndim = _depth(arrays)

    def joined(parts: Any, level: int) -> Tensor:
        if not isinstance(parts, list):
            x = tensor(parts)
            return x.reshape((1,) * (max(ndim, depth) - x.ndim) + x.shape)
        return concatenate([joined(part, level + 1) for part in parts], level - depth)

    return joined(arrays, 0)


def _depth(arrays: Any) -> tuple[int, int]:
    """How deep lists are nested, and the most axes a part has."""
    if not isinstance(arrays, list):
        return 0, tensor(arrays).ndim
    found = [_depth(part) for part in arrays]
    return 1 + found[0][0], max(ndim for _, ndim in found)


@counterpart("array_split")
def array_split(ary: Any, indices_or_sections: Any, axis: int = 0) -> list[Tensor]:
    """Parts along an axis, the first ones larger by one where it does not come out even."""
    x = tensor(ary)
    if not is_several(indices_or_sections):
        return list(x.tensor_split(indices_or_sections, axis))
    bounds = [0, *[int(bound) for bound in indices_or_sections], x.shape[axis]]
    lead = (slice(None),) * (axis % x.ndim)
    return [x[(*lead, slice(start, stop))] for start, stop in pairwise(bounds)]


@counterpart("split")
def split(ary: Any, indices_or_sections: Any, axis: int = 0) -> list[Tensor]:
    """Equal parts along an axis, or parts between indices."""
    x = tensor(ary)
    if not is_several(indices_or_sections) and x.shape[axis] % indices_or_sections:
        raise ShapeError(
            f"split of axis {axis} of {x.shape} into {indices_or_sections} equal parts: {x.shape[axis]} does not "
            "divide evenly; see array_split()"
        )
    return array_split(x, indices_or_sections, axis)


@counterpart("vsplit")
def vsplit(ary: Any, indices_or_sections: Any) -> list[Tensor]:
    """Parts along axis 0."""
    return split(ary, indices_or_sections, 0)


@counterpart("hsplit")
def hsplit(ary: Any, indices_or_sections: Any) -> list[Tensor]:
    """Parts along axis 1, or along the only one."""
    return split(ary, indices_or_sections, 0 if tensor(ary).ndim == 1 else 1)


@counterpart("dsplit")
def dsplit(ary: Any, indices_or_sections: Any) -> list[Tensor]:
    """Parts along axis 2."""
    return split(ary, indices_or_sections, 2)


@counterpart("unstack")
def unstack(x: Any, /, *, axis: int = 0) -> tuple[Tensor, ...]:
    """The parts along an axis, without it."""
    return tensor(x).unbind(axis)


@counterpart("take")
def take(a: Any, indices: Any, axis: int | None = None) -> Tensor:
    """The parts along an axis that indices name."""
    x, axis = flattened(tensor(a), axis)
    places = int(indices) if isinstance(indices, int) else tensor(indices, x)
    if isinstance(places, Tensor) and places.dtype is dtypes.bool:  # 0 and 1 here, no mask
        places = places.cast(dtypes.int32)
    return x[(slice(None),) * (axis % x.ndim) + (places,)]
