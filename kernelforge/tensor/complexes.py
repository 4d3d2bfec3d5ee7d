"""Complex numbers: their parts, and numbers of parts.

Comes in: tensors.  Goes out: tensors.  Sums, products, quotients and comparisons are operations of the graph; functions
are in `complex_functions`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, Self

import numpy as np

from kernelforge import graph
from kernelforge.errors import DTypeError, KindError, ShapeError
from kernelforge.tensor.aliases import numbers, parts
from kernelforge.tensor.bessels import Bessels
from kernelforge.tensor.complex_functions import FORMULAS, Formula, power
from kernelforge.tensor.composite import composite
from kernelforge.tensor.core import Core, Operand


def over_complex(cls: type) -> type:
    """The class, with each method that has a formula for complex numbers taking these too."""
    for name, found in FORMULAS.items():
        setattr(cls, name, _either(getattr(cls, name), found))
    return cls


def _either(method: Callable[..., Any], found: Formula) -> Callable[..., Any]:
    @wraps(method)
    def called(self: Any, *args: Any, **kwargs: Any) -> Any:
        return (found if self._node.dtype.kind == "c" else method)(self, *args, **kwargs)

    return called


def _check_tensors(what: str, *parts: Any) -> None:
    """Raises KindError for parts that are no tensors."""
    for part in parts:
        if not isinstance(part, Core):
            raise KindError(f"{what}() takes two tensors, one of these is {type(part).__name__}")


@over_complex
class Complexes(Bessels):
    """The parts of complex numbers, and complex numbers of parts."""

    __slots__ = ()

    # Parts ------------------------------------------------------------------------------------------------------

    @property
    def real(self) -> Self:
        """The real parts, a view; the tensor itself when it is real."""
        return self._view(graph.part(self._node, "real"), ("part", "real")) if self.dtype.is_complex else self

    @property
    def imag(self) -> Self:
        """The imaginary parts, a view.

        raises DTypeError: a real tensor has none
        """
        if not self.dtype.is_complex:
            raise DTypeError(f"a tensor of {self.dtype} has no imaginary part; see is_complex()")
        return self._view(graph.part(self._node, "imag"), ("part", "imag"))

    def is_complex(self) -> bool:
        """True for complex types."""
        return self.dtype.is_complex

    def conj_physical(self) -> Self:
        """Another name of conj()."""
        return self.conj()

    def resolve_conj(self) -> Self:
        """The tensor itself: conj() leaves nothing for later."""
        return self

    def resolve_neg(self) -> Self:
        """The tensor itself: no negation is left for later."""
        return self

    def is_conj(self) -> bool:
        """False: conj() leaves nothing for later."""
        return False

    @property
    def H(self) -> Self:
        """A matrix transposed and conjugated.

        raises ShapeError for a vector and for more than two dimensions
        """
        if self.ndim not in (0, 2):
            raise ShapeError(f"H of a tensor of shape {self.shape}: it is defined for matrices; use mH")
        return self.T.conj()

    def adjoint(self) -> Self:
        """Matrices transposed and conjugated."""
        return self.mT.conj()

    # Complex numbers of parts -----------------------------------------------------------------------------------

    def _with_imaginary(self, imag: Self) -> Self:
        """The complex numbers with these real parts and given imaginary ones."""
        a, b, tracked = self._operands(imag, False)
        return self._wrap(graph.complex_of(a, b), tracked)

    @classmethod
    def complex(cls, real: Self, imag: Self) -> Self:
        """The complex numbers of two tensors of one float type, the real and the imaginary parts.

        >>> Tensor.complex(Tensor([1.0, 2.0]), Tensor([3.0, 4.0])).tolist()
        [(1+3j), (2+4j)]

        raises KindError, DTypeError
        """
        _check_tensors("complex", real, imag)
        if real.dtype is not imag.dtype:
            raise DTypeError(f"complex() of {real.dtype} and {imag.dtype}: cast them to one type, float32 or float64")
        return real._with_imaginary(imag)

    @classmethod
    def polar(cls, abs: Self, angle: Self) -> Self:
        """The complex numbers of given sizes and angles in radians."""
        _check_tensors("polar", abs, angle)
        return cls.complex(abs * angle.cos(), abs * angle.sin())

    def view_as_complex(self) -> Self:
        """The complex numbers whose parts lie side by side in the last dimension, which has size 2; a view.

        >>> x = Tensor([[1.0, 2.0]])
        >>> x.view_as_complex().imag.fill_(5.0).tolist(), x.tolist()
        ([5.0], [[1.0, 5.0]])

        raises ShapeError, DTypeError
        """
        if not self.ndim or self.shape[-1] != 2:
            raise ShapeError(f"view_as_complex() of {self.shape}: the last dimension holds the two parts")
        return self._view(numbers(self._node), ("numbers", None))

    def view_as_real(self) -> Self:
        """The real and imaginary parts side by side, in one more dimension at the end; a view.

        raises DTypeError
        """
        return self._view(parts(self._node), ("parts", None))

    # Arithmetic -------------------------------------------------------------------------------------------------

    def pow(self, exponent: Operand, reverse: bool = False) -> Self:
        """self to the power of exponent; integer tensors stay integers for exponents >= 0.

        Small whole exponents are multiplied out, so they are exact and their gradient has no logarithm.
        """
        if not self.dtype.is_complex and not _is_complex(exponent):
            return super().pow(exponent, reverse)
        if not reverse and isinstance(exponent, int | float) and float(exponent).is_integer():
            return super().pow(exponent)
        a, b, tracked = self._operands(exponent, reverse)
        return self._wrap(a, tracked)._power(self._wrap(b, tracked))

    @composite
    def _power(self, exponent: Self) -> Self:
        found: Self = power(self, exponent)
        return found

    def vdot(self, other: Self) -> Self:
        """The sum of the products of two vectors' elements, the first conjugated."""
        return super(Complexes, self.conj()).vdot(other)


def _is_complex(value: object) -> bool:
    if isinstance(value, Complexes):
        return value.dtype.is_complex
    return isinstance(value, complex | np.complexfloating)
