"""Special functions, as `torch.special` has them: the tensor's methods, as functions.

Comes in: tensors.  Goes out: tensors of the same shape, broadcast where there are two.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from kernelforge.errors import KindError
from kernelforge.tensor import Tensor

__all__ = [
    "airy_ai", "bessel_j0", "bessel_j1", "bessel_y0", "bessel_y1", "chebyshev_polynomial_t", "chebyshev_polynomial_u",
    "chebyshev_polynomial_v", "chebyshev_polynomial_w", "digamma", "entr", "erf", "erfc", "erfcx", "erfinv", "exp2",
    "expit", "expm1", "gammainc", "gammaincc", "gammaln", "hermite_polynomial_h", "hermite_polynomial_he", "i0", "i0e",
    "i1", "i1e", "laguerre_polynomial_l", "legendre_polynomial_p", "log1p", "log_ndtr", "log_softmax", "logit",
    "logsumexp", "modified_bessel_i0", "modified_bessel_i1", "modified_bessel_k0", "modified_bessel_k1",
    "multigammaln", "ndtr", "ndtri", "polygamma", "psi", "round", "scaled_modified_bessel_k0",
    "scaled_modified_bessel_k1", "shifted_chebyshev_polynomial_t", "shifted_chebyshev_polynomial_u",
    "shifted_chebyshev_polynomial_v", "shifted_chebyshev_polynomial_w", "sinc", "softmax", "spherical_bessel_j0",
    "xlog1py", "xlogy", "zeta",
]  # fmt: skip


def _of_two(method: Callable[[Tensor, Any], Tensor]) -> Callable[[Tensor | float, Tensor | float], Tensor]:
    """A method as a function of two operands, of which either, but not both, may be a number."""

    @wraps(method)
    def called(input: Tensor | float, other: Tensor | float) -> Tensor:
        if isinstance(input, Tensor):
            return method(input, other)
        if not isinstance(other, Tensor):
            raise KindError(f"{method.__name__}() takes a Tensor, got two numbers; kernelforge.tensor(...) makes one")
        return method(other._as_tensor(input), other)

    return called


airy_ai, bessel_j0, bessel_j1, bessel_y0, bessel_y1 = (
    Tensor.airy_ai, Tensor.bessel_j0, Tensor.bessel_j1, Tensor.bessel_y0, Tensor.bessel_y1,
)  # fmt: skip
modified_bessel_i0, modified_bessel_i1 = Tensor.modified_bessel_i0, Tensor.modified_bessel_i1
modified_bessel_k0, modified_bessel_k1 = Tensor.modified_bessel_k0, Tensor.modified_bessel_k1
scaled_modified_bessel_k0 = Tensor.scaled_modified_bessel_k0
scaled_modified_bessel_k1 = Tensor.scaled_modified_bessel_k1
spherical_bessel_j0, i0, i0e, i1, i1e = Tensor.spherical_bessel_j0, Tensor.i0, Tensor.i0e, Tensor.i1, Tensor.i1e
chebyshev_polynomial_t = _of_two(Tensor.chebyshev_polynomial_t)
chebyshev_polynomial_u = _of_two(Tensor.chebyshev_polynomial_u)
chebyshev_polynomial_v = _of_two(Tensor.chebyshev_polynomial_v)
chebyshev_polynomial_w = _of_two(Tensor.chebyshev_polynomial_w)
shifted_chebyshev_polynomial_t = _of_two(Tensor.shifted_chebyshev_polynomial_t)
shifted_chebyshev_polynomial_u = _of_two(Tensor.shifted_chebyshev_polynomial_u)
shifted_chebyshev_polynomial_v = _of_two(Tensor.shifted_chebyshev_polynomial_v)
shifted_chebyshev_polynomial_w = _of_two(Tensor.shifted_chebyshev_polynomial_w)
hermite_polynomial_h = _of_two(Tensor.hermite_polynomial_h)
hermite_polynomial_he = _of_two(Tensor.hermite_polynomial_he)
laguerre_polynomial_l = _of_two(Tensor.laguerre_polynomial_l)
legendre_polynomial_p = _of_two(Tensor.legendre_polynomial_p)
gammaln, digamma, psi, multigammaln = Tensor.lgamma, Tensor.digamma, Tensor.digamma, Tensor.mvlgamma
gammainc, gammaincc, zeta = Tensor.gammainc, Tensor.gammaincc, _of_two(Tensor.zeta)
erf, erfc, erfcx, erfinv = Tensor.erf, Tensor.erfc, Tensor.erfcx, Tensor.erfinv
ndtr, ndtri, log_ndtr, entr = Tensor.ndtr, Tensor.ndtri, Tensor.log_ndtr, Tensor.entr
exp2, expm1, log1p, logit, expit, sinc = (
    Tensor.exp2, Tensor.expm1, Tensor.log1p, Tensor.logit, Tensor.sigmoid, Tensor.sinc,
)  # fmt: skip
softmax, log_softmax, logsumexp, round = Tensor.softmax, Tensor.log_softmax, Tensor.logsumexp, Tensor.round


def polygamma(n: int, input: Tensor) -> Tensor:
    """The n-th derivative of digamma()."""
    return input.polygamma(n)


xlogy = _of_two(Tensor.xlogy)
xlog1py = _of_two(Tensor.xlog1py)
