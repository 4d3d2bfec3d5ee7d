"""The table of NumPy's functions that have a counterpart here, and what the counterparts share.

Comes in: names of NumPy's functions.  Goes out: for each the function that does the same on tensors and computes
nothing.  A counterpart has NumPy's parameters but for those that say where a result is put (`out`) and how arrays lie
in memory (`order`, `subok`), which concern no tensor; what it cannot do it leaves to NumPy, on the values.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

import numpy as np

from codegen.dtypes import promote
from kernelforge.array_api.types import result_type
from kernelforge.kinds import as_dtype
from kernelforge.shape import normal_axis, sequence
from kernelforge.tensor import Tensor

F = TypeVar("F", bound=Callable[..., Any])
Axis = int | Sequence[int] | None

TABLE: Final[dict[Callable[..., Any], Callable[..., Any]]] = {}


class Otherwise(Exception):
    """Raised by a counterpart that leaves a case to NumPy."""


def counterpart(*names: str) -> Callable[[F], F]:
    """A decorator: the function does what NumPy's of these names do.  Names this NumPy lacks are left out."""

    def noted(function: F) -> F:
        for name in names:
            theirs: Any = np
            for part in name.split("."):
                theirs = getattr(theirs, part, None)
            if theirs is not None:
                TABLE[theirs] = function
        return function

    return noted


def tensor(value: Any, like: Tensor | None = None) -> Tensor:
    """A tensor, array or number as a tensor, on the device of another."""
    if isinstance(value, Tensor):
        return value
    device = None if like is None else like.device
    return Tensor(value.item() if isinstance(value, np.generic) else value, device=device)


def tensors(values: Sequence[Any]) -> list[Tensor]:
    """Tensors, arrays and numbers as tensors, on the device of the first tensor."""
    first = next((value for value in values if isinstance(value, Tensor)), None)
    return [tensor(value, first) for value in values]


def alike(values: Sequence[Any], dtype: Any = None) -> list[Tensor]:
    """Tensors, arrays and numbers as tensors of one type."""
    found = tensors(values)
    kind = result_type(*found) if dtype is None else as_dtype(dtype)
    return [x.cast(kind) for x in found]


def floating(x: Tensor, dtype: Any = None) -> Tensor:
    """x in a type that has fractions."""
    if dtype is not None:
        return x.cast(as_dtype(dtype))
    return x if x.dtype.is_inexact else x.cast(promote(x.dtype, result_type(x, 0.5)))


def flattened(x: Tensor, axis: int | None) -> tuple[Tensor, int]:
    """x and an axis of it; all elements in a row if none is named."""
    return (x.reshape(-1), 0) if axis is None else (x, axis)


def axes_of(axis: Axis, ndim: int) -> tuple[int, ...]:
    """The axes that are meant, counted from the front, in the order in which they are named.

    raises AxisError when one is out of range
    """
    given = range(ndim) if axis is None else sequence(axis)
    return tuple([normal_axis(one, ndim, "a function of NumPy's") for one in given])
