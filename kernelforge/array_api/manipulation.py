"""The array API's functions that say which element stands where.

Comes in: tensors.  Goes out: tensors with the same elements.
"""

from __future__ import annotations

from collections.abc import Sequence

from kernelforge.array_api.types import result_type
from kernelforge.errors import ArgumentError, PlaceError
from kernelforge.shape import broadcast_shapes
from kernelforge.tensor import Tensor

Axes = int | Sequence[int]


def broadcast_arrays(*arrays: Tensor) -> list[Tensor]:
    """The tensors expanded to their common shape."""
    shape = broadcast_shapes(*[x.shape for x in arrays])
    return [x.expand(shape) for x in arrays]


def broadcast_to(x: Tensor, /, shape: tuple[int, ...]) -> Tensor:
    """x expanded to a shape."""
    return x.expand(shape)


def concat(arrays: Sequence[Tensor], /, *, axis: int | None = 0) -> Tensor:
    """The tensors side by side along an axis; as vectors without one."""
    parts = [x.cast(result_type(*arrays)) for x in arrays]
    if axis is None:
        parts, axis = [x.reshape(-1) for x in parts], 0
    return parts[0].cat(*parts[1:], dim=axis)


def expand_dims(x: Tensor, /, axis: int) -> Tensor:
    """x with an axis of size 1.

    raises IndexError
    """
    if not -x.ndim - 1 <= axis <= x.ndim:
        raise PlaceError(f"expand_dims() of {x.shape} has no place {axis}")
    return x.unsqueeze(axis)


def flip(x: Tensor, /, *, axis: Axes | None = None) -> Tensor:
    """x reversed along axes, all of them if none are named."""
    return x.flip(tuple(range(x.ndim)) if axis is None else axis)


def moveaxis(x: Tensor, source: Axes, destination: Axes, /) -> Tensor:
    """x with axes moved to other places."""
    return x.movedim(source, destination)


def permute_dims(x: Tensor, /, axes: tuple[int, ...]) -> Tensor:
    """x with its axes in another order."""
    return x.permute(tuple(axes))


def repeat(x: Tensor, repeats: int | Tensor, /, *, axis: int | None = None) -> Tensor:
    """Each element repeated, along an axis or of x as a vector."""
    return x.repeat_interleave(repeats, axis)


def reshape(x: Tensor, /, shape: tuple[int, ...], *, copy: bool | None = None) -> Tensor:
    """The elements in row-major order under another shape."""
    return x.reshape(tuple(shape)).clone() if copy else x.reshape(tuple(shape))


def roll(x: Tensor, /, shift: Axes, *, axis: Axes | None = None) -> Tensor:
    """The elements moved on, those at the end to the front."""
    if isinstance(shift, int) and not isinstance(axis, int | None):
        shift = (shift,) * len(axis)
    return x.roll(shift, axis)


def squeeze(x: Tensor, /, axis: Axes) -> Tensor:
    """x without axes of size 1.

    raises ValueError for an axis of another size
    """
    made = x.squeeze(axis if isinstance(axis, int) else tuple(axis))
    if made.ndim != x.ndim - (1 if isinstance(axis, int) else len(axis)):
        raise ArgumentError(f"squeeze() of {x.shape}: axis {axis} has not size 1")
    return made


def stack(arrays: Sequence[Tensor], /, *, axis: int = 0) -> Tensor:
    """The tensors side by side along a new axis."""
    parts = [x.cast(result_type(*arrays)) for x in arrays]
    return parts[0].stack(*parts[1:], dim=axis)


def tile(x: Tensor, repetitions: tuple[int, ...], /) -> Tensor:
    """x repeated as a whole along each axis."""
    return x.tile(tuple(repetitions))


def unstack(x: Tensor, /, *, axis: int = 0) -> tuple[Tensor, ...]:
    """The parts of x along an axis, without it."""
    return x.unbind(axis)
