"""Operations on bits and truth values, and the operators that spell them.

Comes in: tensors of integers or bool, and numbers.  Goes out: tensors of the broadcast shape and the promoted type.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from codegen.dtypes import dtypes
from kernelforge import graph
from kernelforge.errors import DTypeError
from kernelforge.tensor.casts import Casts
from kernelforge.tensor.composite import of_tensors
from kernelforge.tensor.core import Operand


class Bits(Casts):
    """Operations on each element's bits."""

    __slots__ = ()

    if TYPE_CHECKING:

        def _arithmetic(self, op: str, other: Operand, reverse: bool) -> Self: ...

    def _bitwise(self, op: str, other: Operand, reverse: bool = False) -> Self:
        return self._arithmetic(op, other, reverse)

    def _of_bits(
        self, op: str, a: graph.Node, b: graph.Node, other: Operand, reverse: bool
    ) -> tuple[graph.Node, graph.Node]:
        """The operands of an operation on bits, which floats have not."""
        if a.dtype.is_inexact:
            raise DTypeError(f"bitwise {op} is not defined for {a.dtype}; compare first, or cast() to an integer")
        return a, b

    def bitwise_and(self, other: Operand, reverse: bool = False) -> Self:
        """The bits set in both."""
        return self._bitwise("and", other, reverse)

    def bitwise_or(self, other: Operand, reverse: bool = False) -> Self:
        """The bits set in either."""
        return self._bitwise("or", other, reverse)

    def bitwise_xor(self, other: Operand, reverse: bool = False) -> Self:
        """The bits set in exactly one."""
        return self._bitwise("xor", other, reverse)

    def bitwise_not(self) -> Self:
        """Every bit flipped."""
        if self.dtype.is_inexact:
            raise DTypeError(f"bitwise not is not defined for {self.dtype}; use logical_not() or cast() to an integer")
        return self._derived(graph.elementwise("not", self._node))

    def lshift(self, other: Operand, reverse: bool = False) -> Self:
        """The bits moved up by other places; zero when other is at least the width."""
        return self._shift("shl", other, reverse)

    def rshift(self, other: Operand, reverse: bool = False) -> Self:
        """The bits moved down by other places, keeping the sign."""
        return self._shift("shr", other, reverse)

    def _shift(self, op: str, other: Operand, reverse: bool) -> Self:
        return self._arithmetic(op, other, reverse)

    def _shifting(
        self, op: str, a: graph.Node, b: graph.Node, other: Operand, reverse: bool
    ) -> tuple[graph.Node, graph.Node]:
        """The operands of a shift, which are integers."""
        if not a.dtype.is_int:
            raise DTypeError(f"shifts are not defined for {a.dtype}; cast() to an integer first")
        return a, b

    def logical_not(self) -> Self:
        """True where the value is zero."""
        return self._derived(graph.elementwise("not", graph.cast(self._node, dtypes.bool)))

    @of_tensors
    def logical_and(self, other: Operand) -> Self:
        """True where both are not zero."""
        return self._logical("and", other)

    @of_tensors
    def logical_or(self, other: Operand) -> Self:
        """True where either is not zero."""
        return self._logical("or", other)

    @of_tensors
    def logical_xor(self, other: Operand) -> Self:
        """True where exactly one is not zero."""
        return self._logical("xor", other)

    def _logical(self, op: str, other: Operand) -> Self:
        return self.bool()._bitwise(op, self._as_tensor(other).bool())

    # Operators --------------------------------------------------------------------------------------------------

    def __invert__(self) -> Self:
        return self.bitwise_not()

    def __and__(self, other: Operand) -> Self:
        return self._bitwise("and", other)

    def __rand__(self, other: Operand) -> Self:
        return self._bitwise("and", other, True)

    def __or__(self, other: Operand) -> Self:
        return self._bitwise("or", other)

    def __ror__(self, other: Operand) -> Self:
        return self._bitwise("or", other, True)

    def __xor__(self, other: Operand) -> Self:
        return self._bitwise("xor", other)

    def __rxor__(self, other: Operand) -> Self:
        return self._bitwise("xor", other, True)

    def __lshift__(self, other: Operand) -> Self:
        return self._shift("shl", other, False)

    def __rlshift__(self, other: Operand) -> Self:
        return self._shift("shl", other, True)

    def __rshift__(self, other: Operand) -> Self:
        return self._shift("shr", other, False)

    def __rrshift__(self, other: Operand) -> Self:
        return self._shift("shr", other, True)
