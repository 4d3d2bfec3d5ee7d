"""Padding of every kind as modules.

Comes in: an amount, or (before, after) of the last dimension, then of the one before it.  Goes out: modules.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from kernelforge.errors import ShapeError
from kernelforge.nn import functional as F
from kernelforge.nn.module import Module
from kernelforge.shape import per_axis
from kernelforge.tensor import Tensor


class _Padding(Module):
    """What padding modules share."""

    rank: ClassVar[int]
    mode: ClassVar[str]
    value: float = 0.0

    def __init__(self, padding: int | Sequence[int]) -> None:
        self.padding = per_axis(padding, 2 * self.rank, type(self).__name__, "padding")

    def forward(self, input: Tensor) -> Tensor:
        """[.., spatial] -> the same with larger spatial dimensions.

        raises ShapeError
        """
        if self.mode != "constant" and input.ndim not in (self.rank + 1, self.rank + 2):
            raise ShapeError(f"expected {self.rank + 1}D or {self.rank + 2}D input (got {input.ndim}D input)")
        return F.pad(input, self.padding, self.mode, self.value)

    def extra_repr(self) -> str:
        """The amounts."""
        return f"{self.padding}"


class _ConstantPadding(_Padding):
    """Padding with a value."""

    mode = "constant"

    def __init__(self, padding: int | Sequence[int], value: float) -> None:
        super().__init__(padding)
        self.value = value

    def extra_repr(self) -> str:
        """The amounts and the value."""
        return f"padding={self.padding}, value={self.value}"


class ConstantPad1d(_ConstantPadding):
    """The last dimension padded with a value."""

    rank = 1


class ConstantPad2d(_ConstantPadding):
    """The last two dimensions padded with a value."""

    rank = 2


class ConstantPad3d(_ConstantPadding):
    """The last three dimensions padded with a value."""

    rank = 3


class ZeroPad1d(_Padding):
    """The last dimension padded with zeros."""

    rank = 1
    mode = "constant"


class ZeroPad2d(_Padding):
    """The last two dimensions padded with zeros."""

    rank = 2
    mode = "constant"


class ZeroPad3d(_Padding):
    """The last three dimensions padded with zeros."""

    rank = 3
    mode = "constant"


class ReflectionPad1d(_Padding):
    """The last dimension padded with the elements mirrored at the edge."""

    rank = 1
    mode = "reflect"


class ReflectionPad2d(_Padding):
    """The last two dimensions padded with the elements mirrored at the edge."""

    rank = 2
    mode = "reflect"


class ReflectionPad3d(_Padding):
    """The last three dimensions padded with the elements mirrored at the edge."""

    rank = 3
    mode = "reflect"


class ReplicationPad1d(_Padding):
    """The last dimension padded with the elements at the edge."""

    rank = 1
    mode = "replicate"


class ReplicationPad2d(_Padding):
    """The last two dimensions padded with the elements at the edge."""

    rank = 2
    mode = "replicate"


class ReplicationPad3d(_Padding):
    """The last three dimensions padded with the elements at the edge."""

    rank = 3
    mode = "replicate"


class CircularPad1d(_Padding):
    """The last dimension padded with the elements at the other end."""

    rank = 1
    mode = "circular"


class CircularPad2d(_Padding):
    """The last two dimensions padded with the elements at the other end."""

    rank = 2
    mode = "circular"


class CircularPad3d(_Padding):
    """The last three dimensions padded with the elements at the other end."""

    rank = 3
    mode = "circular"
