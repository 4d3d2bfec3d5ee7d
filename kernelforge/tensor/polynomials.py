"""Orthogonal polynomials, and Bessel functions of the first kind.

Comes in: tensors of floats, integers or bool.  Goes out: float tensors.  Polynomials follow from the two before them.
Bessel functions are means over a circle for small arguments, which are exact to the last digits there, and asymptotic
series for large ones.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final, Self

from kernelforge.tensor.composite import composite
from kernelforge.tensor.floats import Floats

_FAR: Final = 25.0  # from here on the asymptotic series is used
_POINTS: Final = 64  # on the circle: the error is about J_64(25), 1e-19
_TERMS: Final = 20

Step = Callable[[Any, Any, Any, int], Any]  # x, the polynomial of degree k, the one before it, k -> that of k + 1


def _doubled(x: Any, this: Any, before: Any, k: int) -> Any:
    return 2 * x * this - before


def _asymptotic(order: int) -> tuple[list[float], list[float]]:
    """The coefficients of powers of 1/x^2 of the two series of a Bessel function, highest power first."""
    terms = [1.0]
    for k in range(1, _TERMS):
        terms.append(terms[-1] * (4 * order**2 - (2 * k - 1) ** 2) / (k * 8))
    signed = [term * (-1) ** (k // 2) for k, term in enumerate(terms)]
    return signed[0::2][::-1], signed[1::2][::-1]


class Polynomials(Floats):
    """Families of functions."""

    __slots__ = ()

    def _by_recurrence(self, n: int | Self, first: Self, step: Step) -> Self:
        """The polynomial of degree n, 0 for negative n; n may be a tensor, whose largest value is computed.

        first   the polynomial of degree 1
        """
        x = self._floating()
        before, this = x._constant(1), first
        if isinstance(n, int | float):
            n = int(n)
            for k in range(1, n):
                before, this = this, step(x, this, before, k)
            return x._constant(0) if n < 0 else before if n == 0 else this
        n = n.trunc()
        found = n.eq(0).where(before, n.eq(1).where(this, x._constant(0)))
        for k in range(1, int(n.max().item()) if n.numel() else 0):
            before, this = this, step(x, this, before, k)
            found = n.eq(k + 1).where(this, found)
        return found

    def chebyshev_polynomial_t(self, n: int | Self) -> Self:
        """Chebyshev's polynomials of the first kind, cos(n acos(x))."""
        return self._by_recurrence(n, self._floating(), _doubled)

    def chebyshev_polynomial_u(self, n: int | Self) -> Self:
        """Chebyshev's polynomials of the second kind."""
        return self._by_recurrence(n, 2 * self._floating(), _doubled)

    def chebyshev_polynomial_v(self, n: int | Self) -> Self:
        """Chebyshev's polynomials of the third kind."""
        return self._by_recurrence(n, 2 * self._floating() - 1, _doubled)

    def chebyshev_polynomial_w(self, n: int | Self) -> Self:
        """Chebyshev's polynomials of the fourth kind."""
        return self._by_recurrence(n, 2 * self._floating() + 1, _doubled)

    def shifted_chebyshev_polynomial_t(self, n: int | Self) -> Self:
        """chebyshev_polynomial_t() of 2 x - 1."""
        return (2 * self._floating() - 1).chebyshev_polynomial_t(n)

    def shifted_chebyshev_polynomial_u(self, n: int | Self) -> Self:
        """chebyshev_polynomial_u() of 2 x - 1."""
        return (2 * self._floating() - 1).chebyshev_polynomial_u(n)

    def shifted_chebyshev_polynomial_v(self, n: int | Self) -> Self:
        """chebyshev_polynomial_v() of 2 x - 1."""
        return (2 * self._floating() - 1).chebyshev_polynomial_v(n)

    def shifted_chebyshev_polynomial_w(self, n: int | Self) -> Self:
        """chebyshev_polynomial_w() of 2 x - 1."""
        return (2 * self._floating() - 1).chebyshev_polynomial_w(n)

    def hermite_polynomial_h(self, n: int | Self) -> Self:
        """Hermite's polynomials, as physicists have them."""
        return self._by_recurrence(n, 2 * self._floating(), lambda x, this, before, k: 2 * (x * this - k * before))

    def hermite_polynomial_he(self, n: int | Self) -> Self:
        """Hermite's polynomials, as statisticians have them."""
        return self._by_recurrence(n, self._floating(), lambda x, this, before, k: x * this - k * before)

    def laguerre_polynomial_l(self, n: int | Self) -> Self:
        """Laguerre's polynomials."""
        return self._by_recurrence(
            n, 1 - self._floating(), lambda x, this, before, k: ((2 * k + 1 - x) * this - k * before) / (k + 1)
        )

    def legendre_polynomial_p(self, n: int | Self) -> Self:
        """Legendre's polynomials."""
        return self._by_recurrence(
            n, self._floating(), lambda x, this, before, k: ((2 * k + 1) * x * this - k * before) / (k + 1)
        )

    # Bessel functions -------------------------------------------------------------------------------------------

    def spherical_bessel_j0(self) -> Self:
        """sin(x) / x, and 1 at 0."""
        x = self._floating()
        return x.isinf().where(0, (x / math.pi).sinc())

    def _on_circle(self, order: int) -> Self:
        """The mean of cos(x sin t), or of sin(x sin t) sin t, over a circle."""
        quarter = _POINTS // 4
        total = self._constant(0)
        for k in range(quarter + 1):
            height = math.sin(2 * math.pi * k / _POINTS)
            weight = (2 if k in (0, quarter) else 4) / _POINTS
            wave = (self * height).sin() * height if order else (self * height).cos()
            total = total + wave * weight
        return total

    def _bessel_j(self, order: int) -> Self:
        """The Bessel function of the first kind of order 0 or 1; NaN of infinities, as in torch."""
        x = self._floating()._precise()
        size = x.abs()
        near = size < _FAR
        close, distant = near.where(x, 0), near.where(_FAR, size)
        inverse = 1 / distant
        even, odd = (inverse.square()._polynomial(part) for part in _asymptotic(order))
        angle = distant - (2 * order + 1) * math.pi / 4
        wave = even * angle.cos() - inverse * odd * angle.sin()
        outside = wave * (2 / (math.pi * distant)).sqrt()
        outside = (x < 0).where(-outside, outside) if order else outside
        return near.where(close._on_circle(order), outside).cast(self._floating().dtype)

    @composite
    def bessel_j0(self) -> Self:
        """The Bessel function of the first kind of order 0."""
        return self._bessel_j(0)

    @composite
    def bessel_j1(self) -> Self:
        """The Bessel function of the first kind of order 1."""
        return self._bessel_j(1)

    # Inverses of tensors ----------------------------------------------------------------------------------------

    def tensorinv(self, ind: int = 2) -> Self:
        """The inverse of a tensor as a map from its last dimensions to its first `ind` ones.

        raises ShapeError
        """
        rows = math.prod(self.shape[:ind])
        return self.reshape(rows, -1).inv().reshape(self.shape[ind:] + self.shape[:ind])

    def tensorsolve(self, other: Self, dims: Any = None) -> Self:
        """The x whose product with this tensor over its last dimensions is other; dims are moved to the end before.

        raises ShapeError
        """
        a = self
        if dims is not None:
            moved = [dim % self.ndim for dim in dims]
            a = self.permute([dim for dim in range(self.ndim) if dim not in moved] + moved)
        count = other.numel()
        return a.reshape(count, -1).solve(other.reshape(count, 1)).reshape(a.shape[other.ndim :])
