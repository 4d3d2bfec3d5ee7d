"""Variables: sizes and positions that change from call to call.

Comes in: a name and a range.  Goes out: `Variable`; bound to a value it is an int, so it goes wherever a size or a
position goes.  A captured function that is given one is captured again for another value, without compiling anything.
"""

from __future__ import annotations

from typing import Any

from kernelforge.errors import ShapeError


class Variable:
    """A named integer between two bounds, both included.

    >>> n = Variable("n", 1, 1024)
    >>> n, n.bind(5) + 1, n.bind(5).variable is n
    (Variable('n', 1, 1024), 6, True)

    raises ShapeError for an empty range, or one below 0
    """

    __slots__ = ("max", "min", "name")

    def __init__(self, name: str, min_val: int, max_val: int) -> None:
        if not 0 <= min_val <= max_val:
            raise ShapeError(f"variable {name} from {min_val} to {max_val}: sizes and positions need 0 <= min <= max")
        self.name, self.min, self.max = name, min_val, max_val

    @property
    def vmin(self) -> int:
        """The least value."""
        return self.min

    @property
    def vmax(self) -> int:
        """The greatest value."""
        return self.max

    def bind(self, value: int) -> Bound:
        """The variable with a value: an int that knows its variable.

        raises ShapeError for a value outside the bounds
        """
        if not self.min <= value <= self.max:
            raise ShapeError(f"variable {self.name} is bound to {value}: it is between {self.min} and {self.max}")
        return Bound(self, value)

    def __index__(self) -> int:
        raise TypeError(f"variable {self.name} has no value: use {self.name}.bind(value) where a number is needed")

    def __repr__(self) -> str:
        return f"Variable({self.name!r}, {self.min}, {self.max})"


class Bound(int):
    """A variable's value.  What is computed from it is an ordinary int."""

    variable: Variable

    def __new__(cls, variable: Variable, value: int) -> Bound:
        self = super().__new__(cls, value)
        self.variable = variable
        return self

    @property
    def val(self) -> int:
        """The value."""
        return int(self)

    def unbind(self) -> tuple[Variable, int]:
        """The variable and the value."""
        return self.variable, int(self)

    def __reduce__(self) -> tuple[Any, ...]:
        return Bound, (self.variable, int(self))
