"""Special functions, as `torch.special` has them: the tensor's methods, as functions.

Comes in: tensors.  Goes out: tensors of the same shape, broadcast where there are two.
"""

from __future__ import annotations

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

airy_ai, bessel_j0, bessel_j1, bessel_y0, bessel_y1 = (
    Tensor.airy_ai, Tensor.bessel_j0, Tensor.bessel_j1, Tensor.bessel_y0, Tensor.bessel_y1,
)  # fmt: skip
modified_bessel_i0, modified_bessel_i1 = Tensor.modified_bessel_i0, Tensor.modified_bessel_i1
modified_bessel_k0, modified_bessel_k1 = Tensor.modified_bessel_k0, Tensor.modified_bessel_k1
scaled_modified_bessel_k0 = Tensor.scaled_modified_bessel_k0
scaled_modified_bessel_k1 = Tensor.scaled_modified_bessel_k1
spherical_bessel_j0, i0, i0e, i1, i1e = Tensor.spherical_bessel_j0, Tensor.i0, Tensor.i0e, Tensor.i1, Tensor.i1e
chebyshev_polynomial_t, chebyshev_polynomial_u = Tensor.chebyshev_polynomial_t, Tensor.chebyshev_polynomial_u
chebyshev_polynomial_v, chebyshev_polynomial_w = Tensor.chebyshev_polynomial_v, Tensor.chebyshev_polynomial_w
shifted_chebyshev_polynomial_t = Tensor.shifted_chebyshev_polynomial_t
shifted_chebyshev_polynomial_u = Tensor.shifted_chebyshev_polynomial_u
shifted_chebyshev_polynomial_v = Tensor.shifted_chebyshev_polynomial_v
shifted_chebyshev_polynomial_w = Tensor.shifted_chebyshev_polynomial_w
hermite_polynomial_h, hermite_polynomial_he = Tensor.hermite_polynomial_h, Tensor.hermite_polynomial_he
laguerre_polynomial_l, legendre_polynomial_p = Tensor.laguerre_polynomial_l, Tensor.legendre_polynomial_p
gammaln, digamma, psi, multigammaln = Tensor.lgamma, Tensor.digamma, Tensor.digamma, Tensor.mvlgamma
gammainc, gammaincc, zeta = Tensor.gammainc, Tensor.gammaincc, Tensor.zeta
erf, erfc, erfcx, erfinv = Tensor.erf, Tensor.erfc, Tensor.erfcx, Tensor.erfinv
ndtr, ndtri, log_ndtr, entr = Tensor.ndtr, Tensor.ndtri, Tensor.log_ndtr, Tensor.entr
exp2, expm1, log1p, logit, expit, sinc = (
    Tensor.exp2, Tensor.expm1, Tensor.log1p, Tensor.logit, Tensor.sigmoid, Tensor.sinc,
)  # fmt: skip
softmax, log_softmax, logsumexp, round = Tensor.softmax, Tensor.log_softmax, Tensor.logsumexp, Tensor.round


def polygamma(n: int, input: Tensor) -> Tensor:
    """The n-th derivative of digamma()."""
    return input.polygamma(n)


def xlogy(input: Tensor | float, other: Tensor | float) -> Tensor:
    """input * log(other), 0 where input is 0 unless other is NaN."""
    return (input if isinstance(input, Tensor) else Tensor(input)).xlogy(other)


def xlog1py(input: Tensor | float, other: Tensor | float) -> Tensor:
    """input * log(1 + other), 0 where input is 0 unless other is NaN."""
    return (input if isinstance(input, Tensor) else Tensor(input)).xlog1py(other)
