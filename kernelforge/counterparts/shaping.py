"""Counterparts of NumPy's functions that say which element stands where.

Comes in: tensors, with NumPy's arguments.  Goes out: tensors with the same elements, or some of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from kernelforge.array_api import broadcast_arrays as broadcast
from kernelforge.array_api import roll as rolled
from kernelforge.array_api import squeeze as squeezed
from kernelforge.counterparts.table import Axis, Otherwise, axes_of, counterpart, flattened, tensor, tensors
from kernelforge.errors import ShapeError
from kernelforge.shape import is_several, normal_axis, sequence
from kernelforge.tensor import Tensor


@counterpart("reshape")
def reshape(a: Any, /, shape: Any, order: str = "C", *, copy: bool | None = None) -> Tensor:
    """The elements under another shape."""
    if order not in ("C", "A", "K"):
        raise Otherwise
    found = tensor(a).reshape(shape)
    return found.clone() if copy else found


@counterpart("ravel")
def ravel(a: Any, order: str = "C") -> Tensor:
    """The elements in a row."""
    if order not in ("C", "A", "K"):
        raise Otherwise
    return tensor(a).reshape(-1)


@counterpart("transpose", "permute_dims")
def transpose(a: Any, axes: Sequence[int] | None = None) -> Tensor:
    """The axes in another order, in the opposite one if none is given."""
    x = tensor(a)
    return x.permute(tuple(reversed(range(x.ndim))) if axes is None else tuple(axes))


@counterpart("matrix_transpose", "linalg.matrix_transpose")
def matrix_transpose(x: Any, /) -> Tensor:
    """Each matrix transposed."""
    return tensor(x).mT


@counterpart("swapaxes")
def swapaxes(a: Any, axis1: int, axis2: int) -> Tensor:
    """Two axes in each other's place."""
    return tensor(a).transpose(axis1, axis2)


@counterpart("moveaxis")
def moveaxis(a: Any, source: Any, destination: Any) -> Tensor:
    """Axes moved to other places."""
    return tensor(a).movedim(source, destination)


@counterpart("rollaxis")
def rollaxis(a: Any, axis: int, start: int = 0) -> Tensor:
    """An axis moved in front of another."""
    x = tensor(a)
    axis = normal_axis(axis, x.ndim, "rollaxis")
    start = normal_axis(start - (start < 0), x.ndim + 1, "rollaxis")
    return x.movedim(axis, start - (axis < start))


@counterpart("squeeze")
def squeeze(a: Any, axis: Axis = None) -> Tensor:
    """Without axes of size 1."""
    x = tensor(a)
    return x.squeeze() if axis is None else squeezed(x, axis)


@counterpart("expand_dims")
def expand_dims(a: Any, axis: int | Sequence[int]) -> Tensor:
    """With new axes of size 1."""
    x = tensor(a)
    axes = sequence(axis)
    places = sorted(axes_of(axes, x.ndim + len(axes)))
    if len(set(places)) < len(places):
        raise ShapeError(f"expand_dims with axis {axis}: an axis is there twice")
    for place in places:
        x = x.unsqueeze(place)
    return x


@counterpart("broadcast_to")
def broadcast_to(array: Any, shape: Any) -> Tensor:
    """Expanded to a shape."""
    return tensor(array).expand(shape)


@counterpart("broadcast_arrays")
def broadcast_arrays(*args: Any) -> tuple[Tensor, ...]:
    """Expanded to their common shape."""
    return tuple(broadcast(*tensors(args)))


def _at_least(ndim: int, name: str) -> None:
    @counterpart(name)
    def found(*arys: Any) -> Any:
        made = tuple([getattr(x, name)() for x in tensors(arys)])
        return made[0] if len(made) == 1 else made

    found.__name__, found.__doc__ = name, f"With at least {ndim} axes."


for _ndim in (1, 2, 3):
    _at_least(_ndim, f"atleast_{_ndim}d")


@counterpart("tile")
def tile(A: Any, reps: int | Sequence[int]) -> Tensor:
    """Repeated as a whole."""
    return tensor(A).tile(sequence(reps))


@counterpart("repeat")
def repeat(a: Any, repeats: Any, axis: int | None = None) -> Tensor:
    """Each element repeated."""
    x, axis = flattened(tensor(a), axis)
    return x.repeat_interleave(tensor(repeats, x) if is_several(repeats) else repeats, axis)


@counterpart("flip")
def flip(m: Any, axis: Axis = None) -> Tensor:
    """Reversed along axes."""
    x = tensor(m)
    return x.flip(axes_of(axis, x.ndim)) if x.ndim else x


@counterpart("fliplr")
def fliplr(m: Any) -> Tensor:
    """Reversed along axis 1."""
    return tensor(m).flip(1)


@counterpart("flipud")
def flipud(m: Any) -> Tensor:
    """Reversed along axis 0."""
    return tensor(m).flip(0)


@counterpart("rot90")
def rot90(m: Any, k: int = 1, axes: tuple[int, int] = (0, 1)) -> Tensor:
    """Turned by quarters of a turn."""
    return tensor(m).rot90(k, tuple(axes))


@counterpart("roll")
def roll(a: Any, shift: Any, axis: Any = None) -> Tensor:
    """Moved on, the last to the front."""
    x = tensor(a)
    if axis is None:
        shift = sum(sequence(shift))
    elif is_several(shift):
        shift = sequence(shift)
        axis = sequence(axis, len(shift))
    return rolled(x, shift, axis=axis)


def _matrix(x: Tensor) -> Tensor:
    return x.expand(x.shape[0], x.shape[0]) if x.ndim == 1 else x


@counterpart("tril")
def tril(m: Any, k: int = 0) -> Tensor:
    """The lower triangle; a vector is each row of a square matrix."""
    return _matrix(tensor(m)).tril(k)


@counterpart("triu")
def triu(m: Any, k: int = 0) -> Tensor:
    """The upper triangle; a vector is each row of a square matrix."""
    return _matrix(tensor(m)).triu(k)


@counterpart("diag")
def diag(v: Any, k: int = 0) -> Tensor:
    """A diagonal, or the matrix that has it."""
    return tensor(v).diag(k)


@counterpart("diagflat")
def diagflat(v: Any, k: int = 0) -> Tensor:
    """The matrix with all elements on its diagonal."""
    return tensor(v).diagflat(k)


@counterpart("diagonal")
def diagonal(a: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Tensor:
    """A diagonal of two axes."""
    return tensor(a).diagonal(offset, axis1, axis2)


@counterpart("linalg.diagonal")
def diagonals(x: Any, /, *, offset: int = 0) -> Tensor:
    """The diagonals of matrices."""
    return tensor(x).diagonal(offset, -2, -1)


@counterpart("resize")
def resize(a: Any, new_shape: Any) -> Tensor:
    """The elements again and again until a shape is full."""
    flat = tensor(a).reshape(-1)
    shape = sequence(new_shape)
    count = int(np.prod(shape))
    if not flat.shape[0]:
        return flat.new_zeros(shape)
    return flat.tile((-(-count // flat.shape[0]),))[:count].reshape(shape)


@counterpart("delete")
def delete(arr: Any, obj: Any, axis: int | None = None) -> Tensor:
    """Without the parts an index names."""
    x, axis = flattened(tensor(arr), axis)
    places = np.delete(np.arange(x.shape[axis]), obj.numpy() if isinstance(obj, Tensor) else obj)
    return x[(slice(None),) * (axis % x.ndim) + (places,)]


@counterpart("pad")
def pad(array: Any, pad_width: Any, mode: Any = "constant", constant_values: Any = 0) -> Tensor:
    """With a margin along each axis."""
    x = tensor(array)
    names = {"constant": "constant", "edge": "replicate", "reflect": "reflect", "wrap": "circular"}
    if mode not in names or isinstance(pad_width, dict) or np.ndim(constant_values):
        raise Otherwise
    widths = np.broadcast_to(np.asarray(pad_width), (x.ndim, 2)).tolist()
    if mode == "constant":
        return x.pad([tuple(width) for width in widths], value=constant_values)
    for axis, (before, after) in enumerate(widths):
        if before or after:
            places = np.pad(np.arange(x.shape[axis]), (before, after), mode)
            x = x[(slice(None),) * axis + (places,)]
    return x
