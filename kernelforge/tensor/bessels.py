"""Bessel functions of the second kind, modified ones that decay, and Airy's function.

Comes in: tensors of floats, integers or bool.  Goes out: float tensors, computed in float64 on the way.  Small
arguments have power series.  For others there are integrals over exp(-v^2) times something smooth, or along
t^(-1/6) exp(-t), which a sum over a few points gives to the last digits.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Final, Self

import numpy as np

from kernelforge.tensor.composite import composite
from kernelforge.tensor.drawing import Drawing

_EULER: Final = 0.57721566490153286061
_NEAR: Final = 2.0  # up to here the power series of the modified functions
_WAVES: Final = 5.0  # up to here those of the others
_TERMS: Final = 24
_STEP: Final = 0.32  # between the points of the integrals over exp(-v^2)
_POINTS: Final = 20
_AIRY_NEAR: Final = 2.2
_AIRY_TERMS: Final = 16
_AIRY_POINTS: Final = 24


def _series(order: int, sign: int) -> tuple[list[float], list[float]]:
    """The coefficients of a Bessel function's power series in (x/2)^2, and these times sums of 1/k, highest first."""
    plain, weighted = [], []
    for k in range(_TERMS):
        term = sign**k / (math.factorial(k) * math.factorial(k + order))
        harmonics = sum(1 / i for i in range(1, k + 1)) + sum(1 / i for i in range(1, k + order + 1))
        plain.append(term)
        weighted.append(term * (harmonics / 2 - _EULER))
    return plain[::-1], weighted[::-1]


def _weights() -> list[tuple[float, float]]:
    """v^2 and the weight of each point of the integral of exp(-v^2) over v > 0."""
    return [((k * _STEP) ** 2, (0.5 if k == 0 else 1) * _STEP * math.exp(-((k * _STEP) ** 2))) for k in range(_POINTS)]


@lru_cache(maxsize=1)
def _airy_rule() -> list[tuple[float, float]]:
    """Points t and weights for integrals over t^(-1/6) exp(-t): Gauss's for Laguerre polynomials."""
    n = np.arange(_AIRY_POINTS)
    beside = np.sqrt(n[1:] * (n[1:] - 1 / 6))
    points, vectors = np.linalg.eigh(np.diag(2 * n + 5 / 6) + np.diag(beside, 1) + np.diag(beside, -1))
    return [(float(t), float(w)) for t, w in zip(points, math.gamma(5 / 6) * vectors[0] ** 2)]


class Bessels(Drawing):
    """Bessel functions."""

    __slots__ = ()

    # Second kind ------------------------------------------------------------------------------------------------

    @composite
    def bessel_y0(self) -> Self:
        """The Bessel function of the second kind of order 0: -inf at 0, NaN below."""
        return self._bessel_y(0)

    @composite
    def bessel_y1(self) -> Self:
        """The Bessel function of the second kind of order 1: -inf at 0, NaN below."""
        return self._bessel_y(1)

    def _bessel_y(self, order: int) -> Self:
        x = self._floating()._precise()
        near = x <= _WAVES
        low, high = (near & (x > 0)).where(x, 1), near.where(_WAVES, x)
        half = low * 0.5
        plain, weighted = (half.square()._polynomial(part) for part in _series(order, -1))
        logarithm = half.log() * plain
        close = (logarithm - weighted) * half - 0.5 / half if order else logarithm - weighted
        close = close * (2 / math.pi)
        close = x.eq(0).where(-math.inf, (x < 0).where(math.nan, close))
        return near.where(close, high._wave(order)).cast(self._floating().dtype)

    def _wave(self, order: int) -> Self:
        """Y for x > 5: the imaginary part of Hankel's function, an integral of exp(-v^2) / sqrt(1 + i v^2 / (2 x))."""
        cosine, sine = self._constant(0), self._constant(0)
        for square, weight in _weights():
            w = square * 0.5 / self
            size = (1 + w.square()).sqrt()
            real = ((size + 1) * 0.5).sqrt() / size * weight
            imag = -w / (size * (2 * (size + 1)).sqrt()) * weight
            cosine = cosine + (real - 2 * w * imag if order else real)
            sine = sine + (imag + 2 * w * real if order else imag)
        angle = self - (2 * order + 1) * math.pi / 4
        wave = angle.sin() * cosine + angle.cos() * sine
        return self.isinf().where(math.nan, wave * (2 / math.pi) * (2 / self).sqrt())

    # Modified functions -----------------------------------------------------------------------------------------

    @composite
    def modified_bessel_k0(self) -> Self:
        """The modified Bessel function of the second kind of order 0: inf at 0, NaN below."""
        return self._bessel_k(0, False)

    @composite
    def modified_bessel_k1(self) -> Self:
        """The modified Bessel function of the second kind of order 1: inf at 0, NaN below."""
        return self._bessel_k(1, False)

    @composite
    def scaled_modified_bessel_k0(self) -> Self:
        """exp(x) modified_bessel_k0(x)."""
        return self._bessel_k(0, True)

    @composite
    def scaled_modified_bessel_k1(self) -> Self:
        """exp(x) modified_bessel_k1(x)."""
        return self._bessel_k(1, True)

    def _bessel_k(self, order: int, scaled: bool) -> Self:
        x = self._floating()._precise()
        near = x <= _NEAR
        low, high = (near & (x > 0)).where(x, 1), near.where(_NEAR, x)
        half = low * 0.5
        plain, weighted = (half.square()._polynomial(part) for part in _series(order, 1))
        logarithm = half.log() * plain
        close = (logarithm - weighted) * half + 0.5 / half if order else weighted - logarithm
        close = close * low.exp() if scaled else close
        close = x.eq(0).where(math.inf, (x < 0).where(math.nan, close))
        total = high._constant(0)
        for square, weight in _weights():
            term = weight * (1 + square * 0.5 / high).rsqrt()
            total = total + (term * (1 + square / high) if order else term)
        far = total * (2 / high).sqrt()
        far = far if scaled else far * (-high).exp()
        return near.where(close, far).cast(self._floating().dtype)

    # Airy -------------------------------------------------------------------------------------------------------

    @composite
    def airy_ai(self) -> Self:
        """Airy's function Ai, which solves y'' = x y and falls for large x."""
        x = self._floating()._precise()
        size = x.abs()
        near = size < _AIRY_NEAR
        far = near.where(_AIRY_NEAR, size.isinf().where(1.0, size))
        zeta = far * far.sqrt() * (2 / 3)
        scale = zeta ** (-1 / 6) / (math.sqrt(math.pi) * 48 ** (1 / 6) * math.gamma(5 / 6))
        decayed, cosine, sine = (x._constant(0) for _ in range(3))
        for t, weight in _airy_rule():
            ratio = t / zeta
            decayed = decayed + weight * (2 + ratio) ** (-1 / 6)
            root, angle = weight * (4 + ratio.square()) ** (-1 / 12), (ratio * 0.5).atan() * (1 / 6)
            cosine, sine = cosine + root * angle.cos(), sine + root * angle.sin()
        phase = zeta - math.pi / 4
        waves = 2 * (phase.cos() * cosine + phase.sin() * sine)
        outside = (x < 0).where(waves, decayed * (-zeta).exp()) * scale
        outside = x.isinf().where((x > 0).where(0.0, math.nan), outside)
        return near.where(near.where(x, 0)._airy_series(), outside).cast(self._floating().dtype)

    def _airy_series(self) -> Self:
        even, odd = [1.0], [1.0]
        for k in range(1, _AIRY_TERMS):
            even.append(even[-1] / ((3 * k - 1) * 3 * k))
            odd.append(odd[-1] / (3 * k * (3 * k + 1)))
        cube = self * self.square()
        at_zero = 3 ** (-2 / 3) / math.gamma(2 / 3)
        slope = 3 ** (-1 / 3) / math.gamma(1 / 3)
        return at_zero * cube._polynomial(even[::-1]) - slope * self * cube._polynomial(odd[::-1])
