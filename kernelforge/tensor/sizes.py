"""The number of a tensor's elements, which as a call is its shape.

Comes in: a shape.  Goes out: an int.
"""

from __future__ import annotations

from typing import Self, overload


class Size(int):
    """A number of elements that tells the shape when it is called: the array API standard has it so, and torch so."""

    shape: tuple[int, ...]

    def __new__(cls, count: int, shape: tuple[int, ...]) -> Self:
        """The number of elements of a shape."""
        made = super().__new__(cls, count)
        made.shape = shape
        return made

    @overload
    def __call__(self, dim: None = None) -> tuple[int, ...]: ...

    @overload
    def __call__(self, dim: int) -> int: ...

    def __call__(self, dim: int | None = None) -> tuple[int, ...] | int:
        return self.shape if dim is None else self.shape[dim]
