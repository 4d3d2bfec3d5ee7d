"""Changing the element type.

Comes in: tensors and types.  Goes out: tensors of the same shape.  The methods named after types stand in a file of
their own because `float`, `int` and `bool` mean them, not the types, in the class body below.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Self

from codegen.dtypes import DType, dtypes, promote
from kernelforge import graph
from kernelforge.kinds import as_dtype
from kernelforge.native import compiled
from kernelforge.tensor.core import Core
from kernelforge.tensor.create import Create
from kernelforge.tensor.literals import literal_dtype

_RANKS: Final = {"b": 0, "u": 1, "i": 1, "f": 2, "c": 3}
_Truth = bool  # what bool means outside of the class


class Casts(Create):
    """Conversions between element types."""

    __slots__ = ()

    if TYPE_CHECKING or compiled is None:  # else in native/tensors.c

        def _cast(self, dtype: DType) -> Self:
            """The tensor itself where its elements are of a type, else one of them converted."""
            return self if dtype is self._node.dtype else self._derived(graph.cast(self._node, dtype))

    def cast(self, dtype: DType | str | type) -> Self:
        """The values converted to dtype; float to integer truncates.

        >>> Tensor([1.5, -2.5]).cast("int32").tolist()
        [1, -2]
        """
        return self._cast(as_dtype(dtype))

    def bitcast(self, dtype: DType | str) -> Self:
        """The same bits read as dtype, of the same width: a view, changes in place are seen in both."""
        wanted = as_dtype(dtype)
        if wanted is self.dtype:
            return self
        return self._view(graph.bitcast(self._node, wanted), ("bits", (wanted, self.dtype)))

    def float(self) -> Self:
        """The values as float32."""
        return self._cast(dtypes.float32)

    def half(self) -> Self:
        """The values as float16."""
        return self._cast(dtypes.float16)

    def bfloat16(self) -> Self:
        """The values as bfloat16."""
        return self._cast(dtypes.bfloat16)

    def double(self) -> Self:
        """The values as float64."""
        return self._cast(dtypes.float64)

    def cfloat(self) -> Self:
        """The values as complex64."""
        return self._cast(dtypes.complex64)

    def cdouble(self) -> Self:
        """The values as complex128."""
        return self._cast(dtypes.complex128)

    def int(self) -> Self:
        """The values as int32, truncated."""
        return self._cast(dtypes.int32)

    def byte(self) -> Self:
        """The values as uint8, truncated."""
        return self._cast(dtypes.uint8)

    def char(self) -> Self:
        """The values as int8, truncated."""
        return self._cast(dtypes.int8)

    def type_as(self, other: Self) -> Self:
        """The values in the type of other."""
        return self.cast(other.dtype)

    def long(self) -> Self:
        """The values as int64, truncated."""
        return self._cast(dtypes.int64)

    def short(self) -> Self:
        """The values as int16, truncated."""
        return self._cast(dtypes.int16)

    def bool(self) -> Self:
        """True where the value is not zero."""
        return self._cast(dtypes.bool)

    def type(self, dtype: DType | str | None = None) -> Self | str:
        """The values in a type, or the name of this tensor's when None."""
        return self.dtype.name if dtype is None else self.cast(dtype)

    # Types that go together -------------------------------------------------------------------------------------

    @staticmethod
    def promote_types(type1: DType | str, type2: DType | str) -> DType:
        """The type operations on tensors of two types are computed in.

        >>> Tensor.promote_types("int64", "float16").name
        'float16'
        """
        return promote(as_dtype(type1), as_dtype(type2))

    @staticmethod
    def result_type(tensor1: Core | complex, tensor2: Core | complex) -> DType:
        """The type of an operation on two tensors, or a tensor and a number, which asks for no more than its kind.

        >>> Tensor.result_type(Tensor([1], dtype="uint8"), 1.0).name
        'float32'
        """
        operands = sorted((tensor1, tensor2), key=lambda x: isinstance(x, Core), reverse=True)
        kinds = [x.dtype if isinstance(x, Core) else literal_dtype(x, dtypes.bool) for x in operands]
        if isinstance(operands[1], Core) or not isinstance(operands[0], Core):
            return promote(*kinds)
        return literal_dtype(operands[1], kinds[0])

    @staticmethod
    def can_cast(from_: DType | str, to: DType | str) -> _Truth:
        """Whether an operation's result of one type may be stored as another: as one of no simpler kind.

        >>> Tensor.can_cast("float64", "float32"), Tensor.can_cast("float32", "int64")
        (True, False)
        """
        simple, wide = (_RANKS[as_dtype(kind).kind] for kind in (from_, to))
        return simple <= wide

    def _floating(self) -> Self:
        """The tensor itself when it holds floats, else its values as the default float type."""
        return self if self.dtype.is_inexact else self.cast(dtypes.default_float)

    def _wide(self) -> Self:
        """The tensor in a type wide enough to add up many values: float32 for 16-bit floats, floats otherwise."""
        return self._floating().cast(self._floating().dtype.arithmetic)
