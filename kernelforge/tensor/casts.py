"""Changing the element type.

Comes in: tensors and types.  Goes out: tensors of the same shape.  The methods named after types stand in a file of
their own because `float`, `int` and `bool` mean them, not the types, in the class body below.
"""

from __future__ import annotations

from typing import Self

from codegen.dtypes import DType, dtypes
from kernelforge import graph
from kernelforge.kinds import as_dtype
from kernelforge.tensor.create import Create


class Casts(Create):
    """Conversions between element types."""

    __slots__ = ()

    def cast(self, dtype: DType | str | type) -> Self:
        """The values converted to dtype; float to integer truncates.

        >>> Tensor([1.5, -2.5]).cast("int32").tolist()
        [1, -2]
        """
        wanted = as_dtype(dtype)
        return self if wanted is self.dtype else self._derived(graph.cast(self._node, wanted))

    def bitcast(self, dtype: DType | str) -> Self:
        """The same bits read as dtype, of the same width."""
        wanted = as_dtype(dtype)
        return self if wanted is self.dtype else self._derived(graph.bitcast(self._node, wanted))

    def float(self) -> Self:
        """The values as float32."""
        return self.cast(dtypes.float32)

    def half(self) -> Self:
        """The values as float16."""
        return self.cast(dtypes.float16)

    def bfloat16(self) -> Self:
        """The values as bfloat16."""
        return self.cast(dtypes.bfloat16)

    def double(self) -> Self:
        """The values as float64."""
        return self.cast(dtypes.float64)

    def cfloat(self) -> Self:
        """The values as complex64."""
        return self.cast(dtypes.complex64)

    def cdouble(self) -> Self:
        """The values as complex128."""
        return self.cast(dtypes.complex128)

    def int(self) -> Self:
        """The values as int32, truncated."""
        return self.cast(dtypes.int32)

    def byte(self) -> Self:
        """The values as uint8, truncated."""
        return self.cast(dtypes.uint8)

    def char(self) -> Self:
        """The values as int8, truncated."""
        return self.cast(dtypes.int8)

    def type_as(self, other: Self) -> Self:
        """The values in the type of other."""
        return self.cast(other.dtype)

    def long(self) -> Self:
        """The values as int64, truncated."""
        return self.cast(dtypes.int64)

    def short(self) -> Self:
        """The values as int16, truncated."""
        return self.cast(dtypes.int16)

    def bool(self) -> Self:
        """True where the value is not zero."""
        return self.cast(dtypes.bool)

    def _floating(self) -> Self:
        """The tensor itself when it holds floats, else its values as the default float type."""
        return self if self.dtype.is_inexact else self.cast(dtypes.default_float)

    def _wide(self) -> Self:
        """The tensor in a type wide enough to add up many values: float32 for 16-bit floats, floats otherwise."""
        return self._floating().cast(self._floating().dtype.arithmetic)
