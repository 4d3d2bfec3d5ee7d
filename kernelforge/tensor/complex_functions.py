"""Functions of complex numbers, made of functions of their parts, on the branches torch and NumPy take.

Comes in: complex tensors.  Goes out: tensors.  `FORMULAS` has them by the names of the methods they stand in for; at
infinities, NaN and zeros with a sign they are what appendix G of the C standard says.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final

from kernelforge.tensor.composite import composite

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
def round(z: Any, decimals: int = 0) -> Any:
    return _joined(*[part.round(decimals) for part in _parts(z)])


# ----------------------------------------------------------------------------------------------- exponentials


def _along(size: Any, wave: Any, a: Any) -> Any:
    """size * wave, where the wave of an endless angle is NaN: 0 and infinity stay, if a is endless, or 0 itself."""
    return (wave.isnan() & _exact(size, a)).where(size, size * wave)


def _exact(size: Any, a: Any) -> Any:
    """Where a function of a is 0 or infinite because a is, not because there are no numbers as small or as large."""
    return (a.isinf() | a.eq(0)) & (size.eq(0) | size.isinf())


def _across(size: Any, wave: Any, a: Any) -> Any:
    """size * wave: 0 stays whatever the angle, and where the wave is 0 an endless size makes it nothing else."""
    found = (wave.isnan() & size.eq(0) & _exact(size, a)).where(size, size * wave)
    return (wave.eq(0) & ~size.isfinite()).where((size < 0).where(-wave, wave), found)


@formula
def exp(z: Any) -> Any:
    a, b = _parts(z)
    size = a.exp()
    return _joined(_along(size, b.cos(), a), _across(size, b.sin(), a))


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
    a, b = _parts(z.log())
    return _joined(a * (1 / math.log(2)), b * (1 / math.log(2)))


@formula
def log10(z: Any) -> Any:
    a, b = _parts(z.log())
    return _joined(a * (1 / math.log(10)), b * (1 / math.log(10)))


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
    return _joined(_along(a.sinh(), b.cos(), a), _across(a.cosh(), b.sin(), a))


@formula
def cosh(z: Any) -> Any:
    a, b = _parts(z)
    return _joined(_along(a.cosh(), b.cos(), a), _across(a.sinh(), b.sin(), a))


@formula
def tanh(z: Any) -> Any:
    a, b = _parts(z)
    far = a.abs() > 20
    near = far.where(0, a)
    tangent, sine = b.tan(), near.sinh()
    slope = 1 + tangent * tangent
    below = 1 + slope * sine * sine
    limit = (a.isinf() | b.isfinite()).where(a.sign(), math.nan)
    real = far.where(limit, slope * (1 + sine * sine).sqrt() * sine / below)
    tail = _across((-2 * a.abs()).exp(), 4 * b.sin() * b.cos(), a)
    return _joined(a.eq(0).where(a, real), b.eq(0).where(b, far.where(tail, tangent / below)))


@formula
def sin(z: Any) -> Any:
    a, b = _parts(z)
    return _joined(_across(b.cosh(), a.sin(), b), _along(b.sinh(), a.cos(), b))


@formula
def cos(z: Any) -> Any:
    a, b = _parts(z)
    return _joined(_along(b.cosh(), a.cos(), b), -_across(b.sinh(), a.sin(), b))


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
    a, b = _parts(z)
    endless = a.isinf() | b.isinf()
    real = endless.where(a.atan2(b.abs()), a.atan2(straight))
    imag = endless.where(z.real._constant(math.inf).copysign(b), _crossed(below, above).asinh())
    return _joined(a.eq(0).where(a, real), imag)


@formula
def acos(z: Any) -> Any:
    below, above = _one_plus(z, -1).sqrt(), _one_plus(z).sqrt()
    a, b = _parts(z)
    endless = a.isinf() | b.isinf()
    real = endless.where(b.abs().atan2(a), 2 * below.real.atan2(above.real))
    imag = endless.where(a._constant(math.inf).copysign(-b), _crossed(above, below).asinh())
    return _joined((a.eq(0) & b.isnan()).where(math.pi / 2, real), imag)


@formula
def asinh(z: Any) -> Any:
    return _times_i(_times_i(z).asin(), -1)


@formula
def acosh(z: Any) -> Any:
    a, b = _parts(z)
    low, high = _joined(a - 1, b).sqrt(), _joined(a + 1, b).sqrt()
    endless = a.isinf() | b.isinf()
    real = endless.where(math.inf, (low.real * high.real + low.imag * high.imag).asinh())
    imag = endless.where(b.atan2(a), 2 * low.imag.atan2(high.real))
    return _joined(real, (a.eq(0) & b.isnan()).where(math.pi / 2, imag))


@formula
def atanh(z: Any) -> Any:
    a, b = _parts(z)
    left = a.signbit().where(-a, a)  # 1 + 4 a / .. is inaccurate where it is near 0
    size = (4 * left / ((1 - left).square() + b.square())).log1p() * 0.25
    size = a.signbit().where(-size, size)
    endless = a.isinf() | b.isinf()
    flat = a.eq(0) | endless
    real = flat.where(a._constant(0).copysign(a), size)
    right = b.isnan().where(b, a._constant(math.pi / 2).copysign(b))
    return _joined(real, endless.where(right, (2 * b).atan2((1 - a) * (1 + a) - b.square()) * 0.5))


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
