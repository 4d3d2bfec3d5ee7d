"""Functions that drivers get wrong, inaccurate or slow, as the text of OpenCL helpers.

Comes in: a function's name, an element type and whether the helper takes scalars or vectors.  Goes out: its body, in
terms of the operand's type T and the signed integer type S of the same width.  Polynomials for float32 are weighted
minimax fits (least squares on Chebyshev nodes, reweighted) whose coefficients were rounded one by one, each before the
next was fitted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from codegen.dtypes import DType, dtypes


@dataclass(frozen=True)
class Circle:
    """What sine and cosine of one type need.

    sine, cosine  sin(r) = r + r s sine(s), cos(r) = 1 - s / 2 + s^2 cosine(s) for |r| up to pi / 4, s = r^2; the
                  constant term last
    half_pi       pi / 2 as a sum of numbers of the type
    far           up to here products with a quadrant's number are subtracted without loss
    sign_bit      the place of the sign
    """

    sine: tuple[float, ...]
    cosine: tuple[float, ...]
    half_pi: tuple[float, float, float]
    far: float
    sign_bit: int


_CIRCLES: Final[dict[DType, Circle]] = {
    dtypes.float32: Circle(
        (-0.00019506797, 0.008332102, -0.16666654),
        (2.4430881e-05, -0.0013887302, 0.041666646),
        (1.57079637, -4.37113883e-08, -1.71512489e-15),
        1e5,
        31,
    ),
    # source of the polynomials  FreeBSD's msun, k_sin.c and k_cos.c
    dtypes.float64: Circle(
        (
            1.58969099521155010221e-10, -2.50507602534068634195e-08, 2.75573137070700676789e-06,
            -1.98412698298579493134e-04, 8.33333333332248946124e-03, -1.66666666666666324348e-01,
        ),
        (
            -1.13596475577881948265e-11, 2.08757232129817482790e-09, -2.75573143513906633035e-07,
            2.48015872894767294178e-05, -1.38888888888741095749e-03, 4.16666666666666019037e-02,
        ),
        (1.5707963267948966, 6.123233995736766e-17, -1.4973849048591833e-33),
        1e9,
        63,
    ),
}  # fmt: skip

# erf(a) = a + a INNER(a^2) below _BEND, 1 - exp(-|a| - OUTER(|a|)) beyond.
_INNER: Final = (-0.00060082314, 0.0049969982, -0.026769552, 0.11281908, -0.37612504, 0.12837915)
_OUTER: Final = (
    -0.00019718535, 0.0030556335, -0.022277156, 0.10403745, 0.6370597, 0.12774959, 0.000177487,
)  # fmt: skip
_BEND: Final = 0.9


def _constant(value: float, suffix: str = "f") -> str:
    return f"(T)({value}{suffix})"


def _polynomial(coefficients: tuple[float, ...], x: str, suffix: str = "f") -> str:
    """Horner's scheme, from the highest power down."""
    text = _constant(coefficients[0], suffix)
    for c in coefficients[1:]:
        text = f"fma({text}, {x}, {_constant(c, suffix)})"
    return text


def _circular(name: str, circle: Circle, suffix: str) -> str:
    """Sine, or cosine as the sine a quarter turn on: the nearest multiple of pi / 2 is taken off, r + e is the rest.

    Angles so large that this loses digits are left to the driver's own function, that of doubles.
    """
    high, middle, low = (_constant(-part, suffix) for part in circle.half_pi)
    one, far = _constant(1.0, suffix), _constant(circle.far, suffix)
    turn, sign = ("", f" ^ (as_S(a) & ((S)(1) << {circle.sign_bit}))") if name == "sin" else (" + 1", "")
    return (
        f"const T x = fabs(a), n = rint(x * {_constant(0.6366197723675814, suffix)}); "
        f"const T h = fma(n, {high}, x), p = n * {middle}, r = h + p, s = r * r; "
        f"const T e = fma(n, {low}, fma(n, {middle}, -p) + ((h - r) + p)); "
        f"const T odd = r + fma(r * s, {_polynomial(circle.sine, 's', suffix)}, e); "
        f"const T g = s * {_constant(0.5, suffix)}, w = {one} - g; "
        f"const T even = w + ((({one} - w) - g) + fma(s * s, {_polynomial(circle.cosine, 's', suffix)}, -r * e)); "
        f"const S q = convert_S(n){turn}; "
        f"const T v = as_T(as_S(select(odd, even, (S)((q & 1) != 0))) ^ ((q & 2) << {circle.sign_bit - 1}){sign}); "
        f"if (ANY(x > {far})) return select(v, convert_T({name}(convert_D(a))), (S)(x > {far})); return v;"
    )


_ERF: Final = (
    f"const T x = fabs(a), s = a * a, y = min(x, {_constant(4.0)}); "
    f"const T inner = fma(a, {_polynomial(_INNER, 's')}, a); "
    f"const T outer = {_constant(1.0)} - exp(-y - {_polynomial(_OUTER, 'y')}); "
    f"return select(copysign(outer, a), inner, !(x >= {_constant(_BEND)}));"
)


def function_body(name: str, dtype: DType, width: int) -> str | None:
    """The body of the helper for a function of a float type; None for those the driver is trusted with."""
    if name == "erf" and dtype is dtypes.float32:
        return _ERF
    if name not in ("sin", "cos") or dtype not in _CIRCLES:
        return None
    body = _circular(name, _CIRCLES[dtype], "f" if dtype is dtypes.float32 else "")
    return body.replace("ANY(", "any(" if width > 1 else "(")
