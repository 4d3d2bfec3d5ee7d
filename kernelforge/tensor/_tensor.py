"""The class users know: `Tensor`, assembled from one class for each subject.

Each subject's class builds on the one before; `__init__.py` lists them in order.
"""

from __future__ import annotations

from typing import Self

from kernelforge.tensor.autograd import Autograd
from kernelforge.tensor.core import Operand


class Tensor(Autograd):
    """A multi-dimensional array that is computed when its values are needed.

        Tensor(data, device=None, dtype=None, requires_grad=None)

    Operations return new tensors and compute nothing.  numpy(), item(), tolist() and realize() compute; what they need
    is joined into as few kernels as possible.  Operators in place and assignments to parts make the name stand for a
    new value: a tensor made from it before, a view too, keeps the old one.

    >>> x = Tensor([[1.0, 2.0], [3.0, 4.0]])
    >>> (x @ x).sum(axis=1).tolist()
    [17.0, 37.0]
    """

    __slots__ = ()

    def _in_place(self, result: Self) -> Self:
        """This tensor with the value of an operation's result, cast to its own dtype if that holds the kind."""
        if result.dtype is not self.dtype and "biuf".index(result.dtype.kind) <= "biuf".index(self.dtype.kind):
            result = result.cast(self.dtype)
        if result.shape != self.shape or result.dtype is not self.dtype:
            return self.assign(result)  # which says why not
        return self._become(result)

    def __iadd__(self, other: Operand) -> Self:
        return self._in_place(self + other)

    def __isub__(self, other: Operand) -> Self:
        return self._in_place(self - other)

    def __imul__(self, other: Operand) -> Self:
        return self._in_place(self * other)

    def __itruediv__(self, other: Operand) -> Self:
        return self._in_place(self / other)

    def __ifloordiv__(self, other: Operand) -> Self:
        return self._in_place(self // other)

    def __imod__(self, other: Operand) -> Self:
        return self._in_place(self % other)

    def __ipow__(self, other: Operand) -> Self:
        return self._in_place(self**other)

    def __imatmul__(self, other: Self) -> Self:
        return self._in_place(self @ other)

    def __iand__(self, other: Operand) -> Self:
        return self._in_place(self & other)

    def __ior__(self, other: Operand) -> Self:
        return self._in_place(self | other)

    def __ixor__(self, other: Operand) -> Self:
        return self._in_place(self ^ other)

    def __ilshift__(self, other: Operand) -> Self:
        return self._in_place(self << other)

    def __irshift__(self, other: Operand) -> Self:
        return self._in_place(self >> other)
