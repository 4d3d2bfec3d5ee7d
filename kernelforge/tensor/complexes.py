"""Complex numbers: their parts, and functions of them.

Comes in: tensors.  Goes out: tensors; functions of complex numbers are made of functions of their parts, on the
branches torch and NumPy take.  Sums, products, quotients and comparisons are operations of the graph.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import wraps
from typing import Any, Final, Self

import numpy as np

from kernelforge import graph
from kernelforge.errors import DTypeError, ShapeError
from kernelforge.tensor.bessels import Bessels
from kernelforge.tensor.aliases import numbers, parts
from kernelforge.tensor.composite import composite
from kernelforge.tensor.core import Operand

Formula = Callable[..., Any]
FORMULAS: Final[dict[str, Formula]] = {}  # functions of complex numbers, by the method of real ones


def formula(function: Formula) -> Formula:
    """Registers what a method of real numbers is for complex ones."""
    FORMULAS[function.__name__] = composite(function)
    return FORMULAS[function.__name__]


def _parts(z: Any) -> tuple[Any, Any]:
    return z.real, z.imag


def _joined(a: Any, b: Any) -> Any:
    return a._with_imaginary(b)


def _times_i(z: Any, sign: int = 1) -> Any:
    """z times i, or -i."""
    a, b = _parts(z)
    return _joined(-b, a) if sign > 0 else _joined(b, -a)


# --------------------------------------------------------------------------------------------- sizes and directions


@formula
def abs(z: Any) -> Any:
    a, b = _parts(z)
    return a.hypot(b)


@formula
def angle(z: Any) -> Any:
    a, b = _parts(z)
    return b.atan2(a)


@formula
def sign(z: Any) -> Any:
    """z / |z|, 0 at 0."""
    size = z.abs()
    zero = size.eq(0)
    return zero.where(0, z / zero.where(1, size))


@formula
def isfinite(z: Any) -> Any:
    a, b = _parts(z)
    return a.isfinite() & b.isfinite()


@formula
def isinf(z: Any) -> Any:
    a, b = _parts(z)
    return a.isinf() | b.isinf()


@formula
def isreal(z: Any) -> Any:
    return z.imag.eq(0)


@formula
def nan_to_num(z: Any, nan: float = 0.0, posinf: float | None = None, neginf: float | None = None) -> Any:
    return _joined(*[part.nan_to_num(nan, posinf, neginf) for part in _parts(z)])


@formula
def round(z: Any) -> Any:
    return _joined(*[part.round() for part in _parts(z)])


# ----------------------------------------------------------------------------------------------- exponentials


def _turned(size: Any, b: Any) -> Any:
    """size (cos b + i sin b); an infinite size at angle 0 has no imaginary part."""
    straight = size.isinf() & b.eq(0)
    return _joined(size * b.cos(), straight.where(b, size * b.sin()))


@formula
def exp(z: Any) -> Any:
    a, b = _parts(z)
    return _turned(a.exp(), b)


@formula
def exp2(z: Any) -> Any:
    return (z * math.log(2)).exp()


@formula
def expm1(z: Any) -> Any:
    a, b = _parts(z)
    half = (b * 0.5).sin()
    return _joined(a.expm1() * b.cos() - 2 * half * half, a.exp() * b.sin())


@formula
def log(z: Any) -> Any:
    a, b = _parts(z)
    return _joined(a.hypot(b).log(), b.atan2(a))


@formula
def log2(z: Any) -> Any:
    return z.log() * (1 / math.log(2))


@formula
def log10(z: Any) -> Any:
    return z.log() * (1 / math.log(10))


@formula
def log1p(z: Any) -> Any:
    a, b = _parts(z)
    near = a.abs().maximum(b.abs()) < 0.5
    small, low = near.where(a, 0), near.where(b, 0)
    size = near.where((small * (2 + small) + low * low).log1p() * 0.5, (1 + a).hypot(b).log())
    return _joined(size, b.atan2(1 + a))


@formula
def sigmoid(z: Any) -> Any:
    return 1 / (1 + (-z).exp())


@formula
def silu(z: Any) -> Any:
    return z * z.sigmoid()


# ------------------------------------------------------------------------------------------------------- powers


@formula
def sqrt(z: Any) -> Any:
    """The root whose real part is not negative."""
    a, b = _parts(z)
    size = a.hypot(b)
    zero = size.eq(0)
    left = a.signbit()
    more = zero.where(1, (left.where(-a, a) + size) * 0.5)
    larger = more.sqrt()
    smaller = left.where(-b, b) / (2 * larger)
    smaller = b.isinf().where(math.inf, smaller)
    other = left.where(smaller, larger), left.where(b.signbit().where(-larger, larger), smaller)
    endless = b.isinf()
    real = zero.where(0, endless.where(math.inf, left.where(smaller.abs(), other[0])))
    return _joined(real, zero.where(b, endless.where(b, other[1])))


@formula
def rsqrt(z: Any) -> Any:
    return 1 / z.sqrt()


def power(z: Any, w: Any) -> Any:
    """exp(w log z); 0 to a power with a positive real part is 0, to the power 0 it is 1."""
    zero = z.eq(0)
    usual = (w * zero.where(1, z).log()).exp()
    edge = w.real > 0
    at_zero = w.eq(0).where(1, edge.where(0, math.nan))
    return zero.where(at_zero.cast(usual.dtype), usual)


# ------------------------------------------------------------------------------------------------ trigonometry


@formula
def sinh(z: Any) -> Any:
    a, b = _parts(z)
    return _joined(a.sinh() * b.cos(), a.cosh() * b.sin())


@formula
def cosh(z: Any) -> Any:
    a, b = _parts(z)
    return _joined(a.cosh() * b.cos(), a.sinh() * b.sin())


@formula
def tanh(z: Any) -> Any:
    a, b = _parts(z)
    far = a.abs() > 20
    near = far.where(0, a)
    tangent, sine = b.tan(), near.sinh()
    slope = 1 + tangent * tangent
    below = 1 + slope * sine * sine
    real = far.where(a.sign(), slope * (1 + sine * sine).sqrt() * sine / below)
    tail = 4 * b.sin() * b.cos() * (-2 * a.abs()).exp()
    return _joined(real, far.where(tail, tangent / below))


@formula
def sin(z: Any) -> Any:
    a, b = _parts(z)
    return _joined(a.sin() * b.cosh(), a.cos() * b.sinh())


@formula
def cos(z: Any) -> Any:
    a, b = _parts(z)
    return _joined(a.cos() * b.cosh(), -(a.sin() * b.sinh()))


@formula
def tan(z: Any) -> Any:
    return _times_i(_times_i(z).tanh(), -1)


@formula
def sinc(z: Any) -> Any:
    zero = z.eq(0)
    turn = zero.where(1, z) * math.pi
    return zero.where(1, turn.sin() / turn)


# ------------------------------------------------------------------------------------------- inverse functions
# W. Kahan, "Branch cuts for complex elementary functions", 1987.


def _one_plus(z: Any, sign: int = 1) -> Any:
    """1 + z or 1 - z; the sign of an imaginary part 0, which tells the side of a cut, follows z."""
    a, b = _parts(z)
    return _joined(1 + a, b) if sign > 0 else _joined(1 - a, -b)


def _crossed(z: Any, w: Any) -> Any:
    """The imaginary part of conj(z) w."""
    return z.real * w.imag - z.imag * w.real


@formula
def asin(z: Any) -> Any:
    below, above = _one_plus(z, -1).sqrt(), _one_plus(z).sqrt()
    straight = below.real * above.real - below.imag * above.imag
    return _joined(z.real.atan2(straight), _crossed(below, above).asinh())


@formula
def acos(z: Any) -> Any:
    below, above = _one_plus(z, -1).sqrt(), _one_plus(z).sqrt()
    return _joined(2 * below.real.atan2(above.real), _crossed(above, below).asinh())


@formula
def asinh(z: Any) -> Any:
    return _times_i(_times_i(z).asin(), -1)


@formula
def acosh(z: Any) -> Any:
    a, b = _parts(z)
    low, high = _joined(a - 1, b).sqrt(), _joined(a + 1, b).sqrt()
    return _joined((low.real * high.real + low.imag * high.imag).asinh(), 2 * low.imag.atan2(high.real))


@formula
def atanh(z: Any) -> Any:
    a, b = _parts(z)
    right = a.signbit().where(-a, a)  # 1 + 4 a / .. is inaccurate where it is near 0
    size = (4 * right / ((1 - right).square() + b.square())).log1p() * 0.25
    size = a.signbit().where(-size, size)
    return _joined(size, (2 * b).atan2((1 - a) * (1 + a) - b.square()) * 0.5)


@formula
def atan(z: Any) -> Any:
    return _times_i(_times_i(z).atanh(), -1)


# ------------------------------------------------------------------------------------------------- statistics


@formula
def var(z: Any, axis: Any = None, keepdim: bool = False, correction: float = 1, unbiased: bool | None = None) -> Any:
    """The variance of the real parts and that of the imaginary parts, added up."""
    a, b = _parts(z)
    return a.var(axis, keepdim, correction, unbiased) + b.var(axis, keepdim, correction, unbiased)


@formula
def std(z: Any, axis: Any = None, keepdim: bool = False, correction: float = 1, unbiased: bool | None = None) -> Any:
    return z.var(axis, keepdim, correction, unbiased)._power_from_zero(0.5)


@formula
def var_mean(
    z: Any, axis: Any = None, keepdim: bool = False, correction: float = 1, unbiased: bool | None = None
) -> Any:
    """The variance, a real number, and the mean."""
    return z.var(axis, keepdim, correction, unbiased), z.mean(None if isinstance(axis, bool) else axis, keepdim)


@formula
def std_mean(
    z: Any, axis: Any = None, keepdim: bool = False, correction: float = 1, unbiased: bool | None = None
) -> Any:
    """The standard deviation, a real number, and the mean."""
    return z.std(axis, keepdim, correction, unbiased), z.mean(None if isinstance(axis, bool) else axis, keepdim)


@formula
def norm(z: Any, p: float | str = 2.0, axis: Any = None, keepdim: bool = False, dtype: Any = None) -> Any:
    return z.matrix_norm(p, axis or (-2, -1), keepdim) if p == "nuc" else z.abs().norm(p, axis, keepdim, dtype)


@formula
def logsumexp(z: Any, axis: Any = None, keepdim: bool = False) -> Any:
    a, _ = _parts(z)
    largest = a._reduce("max", axis, True, "logsumexp").detach()
    shift = largest.isfinite().where(largest, 0)
    found = (z - shift).exp().sum(axis, keepdim=True).log() + shift
    return found if keepdim else found.reshape(z.sum(axis).shape)


@formula
def vecdot(z: Any, other: Any, dim: int = -1) -> Any:
    product = z.conj() * other
    return product.sum(dim, dtype=product.dtype)


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

        raises ShapeError for more than two dimensions
        """
        if self.ndim > 2:
            raise ShapeError(f"H of a tensor of shape {self.shape}: it has more than two dimensions; use mH")
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
        """
        if real.dtype is not imag.dtype:
            raise DTypeError(f"complex() of {real.dtype} and {imag.dtype}: cast them to one type, float32 or float64")
        return real._with_imaginary(imag)

    @classmethod
    def polar(cls, abs: Self, angle: Self) -> Self:
        """The complex numbers of given sizes and angles in radians."""
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
