"""The same bits read as elements of another width.

Comes in: tensors whose last dimension is read as bytes.  Goes out: tensors with more or fewer elements along it.
"""

from __future__ import annotations

from typing import Any, Self

from codegen.dtypes import DType, dtypes
from kernelforge.errors import DTypeError, ShapeError
from kernelforge.kinds import as_dtype
from kernelforge.tensor.composite import composite
from kernelforge.tensor.joining import Joining

_WORDS = {8: dtypes.uint8, 16: dtypes.uint16, 32: dtypes.uint32, 64: dtypes.uint64}


class Widths(Joining):
    """Reinterpretation, whatever the widths."""

    __slots__ = ()

    def bitcast(self, dtype: DType | str) -> Self:
        """The same bits read as dtype, least significant first: the last dimension grows or shrinks with the width.

        Signalling NaN of 16 bits become quiet ones.  Of equal width it is a view: changes in place are seen in both.

        >>> Tensor([1.0, -2.0]).bitcast("uint32").tolist()
        [1065353216, 3221225472]
        >>> Tensor([258, -1], dtype="int16").bitcast("uint8").tolist()
        [2, 1, 255, 255]

        raises ShapeError where elements do not fill whole ones of dtype
        """
        wanted = as_dtype(dtype)
        if wanted.bits == self.dtype.bits and dtypes.bool not in (wanted, self.dtype):
            return super().bitcast(wanted)
        if wanted is dtypes.bool:
            if self.dtype.bits != 8:
                raise DTypeError(f"cannot bitcast {self.dtype} to bool: only bytes can be")
            return self.cast(dtypes.bool)
        if self.dtype is dtypes.bool:
            return self.cast(dtypes.uint8).bitcast(wanted)
        if not self.shape:
            raise ShapeError(f"cannot bitcast {self.dtype} without dimensions to {wanted} of another width; reshape(1)")
        return _narrowed(self, wanted) if wanted.bits < self.dtype.bits else _widened(self, wanted)

    def view(self, *shape: Any, size: Any = None, dtype: DType | str | None = None) -> Self:
        """Another name of reshape(), size being one of shape; of bitcast(), given a dtype."""
        if dtype is not None or size is not None:
            return self.view(size if dtype is None else dtype)
        if len(shape) == 1 and isinstance(shape[0], DType | str):
            return self.bitcast(shape[0])
        return self.reshape(*shape)


@composite
def _narrowed(x: Any, dtype: DType) -> Any:
    """Each element as several narrower ones."""
    word, count = x.bitcast(_WORDS[x.dtype.bits]), x.dtype.bits // dtype.bits
    parts = [(word >> (dtype.bits * i)).cast(_WORDS[dtype.bits]) for i in range(count)]
    return parts[0].stack(*parts[1:], dim=-1).reshape(*x.shape[:-1], x.shape[-1] * count).bitcast(dtype)


def _widened(x: Any, dtype: DType) -> Any:
    count = dtype.bits // x.dtype.bits
    if x.shape[-1] % count:
        raise ShapeError(
            f"cannot bitcast {x.dtype} of shape {x.shape} to {dtype}: its last dimension must be a multiple of {count}"
        )
    return _joined(x, dtype, count)


@composite
def _joined(x: Any, dtype: DType, count: int) -> Any:
    """Each few elements as one wider one."""
    parts = x.bitcast(_WORDS[x.dtype.bits]).reshape(*x.shape[:-1], x.shape[-1] // count, count)
    word = parts[..., 0].cast(_WORDS[dtype.bits])
    for i in range(1, count):
        word = word | (parts[..., i].cast(_WORDS[dtype.bits]) << (x.dtype.bits * i))
    return word.bitcast(dtype)
