"""Parametrizations torch has: weight norm, spectral norm, orthogonal matrices.

Comes in: a module and the name of a parameter.  Goes out: the module with that parameter computed.
"""

from __future__ import annotations

from kernelforge.nn.functional import normalize
from kernelforge.nn.module import Module
from kernelforge.nn.parameter import Buffer
from kernelforge.nn.utils.parametrize import register_parametrization
from kernelforge.tensor import Tensor, no_grad


def norm_except(weight: Tensor, dim: int | None) -> Tensor:
    """The 2-norm over all dimensions but one, or over all."""
    axes = tuple(i for i in range(weight.ndim) if dim is None or i != dim % weight.ndim)
    return weight.square().sum(axes, keepdim=dim is not None).sqrt()


class _WeightNorm(Module):
    """g * v / |v|."""

    def __init__(self, dim: int | None) -> None:
        self.dim = None if dim == -1 else dim

    def forward(self, weight_g: Tensor, weight_v: Tensor) -> Tensor:
        """The weight."""
        return weight_v * (weight_g / norm_except(weight_v, self.dim))

    def right_inverse(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        """g and v of a weight."""
        return norm_except(weight, self.dim), weight


def weight_norm(module: Module, name: str = "weight", dim: int | None = 0) -> Module:
    """The module with a parameter split into its norms, original0, and its directions, original1.

    source  Salimans and Kingma, "Weight Normalization", 2016
    """
    return register_parametrization(module, name, _WeightNorm(dim))


def as_matrix(weight: Tensor, dim: int) -> Tensor:
    """A weight with one dimension first and all others as one."""
    return (weight if dim == 0 else weight.movedim(dim, 0)).flatten(1)


@no_grad()
def power_step(matrix: Tensor, u: Tensor, v: Tensor, times: int, eps: float) -> None:
    """Bring u and v nearer to the singular vectors of the largest singular value."""
    matrix = matrix.detach()
    left, right = u.detach(), v.detach()
    for _ in range(times):
        left = normalize(matrix @ right, dim=0, eps=eps)
        right = normalize(matrix.T @ left, dim=0, eps=eps)
    u.assign(left.contiguous())
    v.assign(right.contiguous())


class _SpectralNorm(Module):
    """A weight divided by its largest singular value, as a matrix."""

    def __init__(self, weight: Tensor, n_power_iterations: int, dim: int, eps: float) -> None:
        if n_power_iterations <= 0:
            raise ValueError(f"n_power_iterations={n_power_iterations} must be positive")
        self.dim, self.eps, self.n_power_iterations = dim % max(1, weight.ndim), eps, n_power_iterations
        self.one = weight.ndim < 2
        if not self.one:
            matrix = as_matrix(weight.detach(), self.dim)
            self._u, self._v = (Buffer(normalize(Tensor.randn(n), dim=0, eps=eps).realize()) for n in matrix.shape)
            power_step(matrix, self._u, self._v, 15, eps)

    def forward(self, weight: Tensor) -> Tensor:
        """The weight."""
        if self.one:
            return normalize(weight, dim=0, eps=self.eps)
        matrix = as_matrix(weight, self.dim)
        if self.training:
            power_step(matrix, self._u, self._v, self.n_power_iterations, self.eps)
        return weight / (self._u.detach() * (matrix @ self._v.detach())).sum()

    def right_inverse(self, value: Tensor) -> Tensor:
        """The weight itself."""
        return value


def spectral_norm(
    module: Module,
    name: str = "weight",
    n_power_iterations: int = 1,
    eps: float = 1e-12,
    dim: int | None = None,
) -> Module:
    """The module with a parameter divided by its largest singular value.

    source  Miyato et al., "Spectral Normalization for Generative Adversarial Networks", 2018
    """
    if dim is None:
        dim = 1 if "ConvTranspose" in type(module).__name__ else 0
    return register_parametrization(
        module, name, _SpectralNorm(vars(module)[name], n_power_iterations, dim, eps)
    )


class _Orthogonal(Module):
    """An orthogonal matrix: base @ exp(A), A being the antisymmetric part of a lower triangle."""

    def __init__(self, weight: Tensor, kind: str) -> None:
        self.kind, (rows, columns) = kind, weight.shape[-2:]
        self.flips = rows < columns
        q, r = (weight.mT if self.flips else weight).detach().qr("complete")
        count = min(rows, columns)
        signs = r.diagonal(0, -2, -1).sign()
        fixed = q[..., :count] * signs.unsqueeze(-2)
        self.base = Buffer((fixed.cat(q[..., count:], dim=-1)).realize())
        self.count = count

    def forward(self, weight: Tensor) -> Tensor:
        """The orthogonal matrix."""
        x = weight.mT if self.flips else weight
        n, k = x.shape[-2:]
        square = x.tril(-1).pad([(0, 0)] * (x.ndim - 1) + [(0, n - k)])
        skew = square - square.mT
        if self.kind == "cayley":
            one = Tensor.eye(n)
            turned = (one + skew * -0.5).solve(one + skew * 0.5)
        else:
            turned = skew.matrix_exp()
        found = (self.base @ turned)[..., : self.count]
        return found.mT if self.flips else found

    def right_inverse(self, value: Tensor) -> Tensor:
        """Zeros, which stand for the base."""
        return value.zeros_like()


def orthogonal(
    module: Module, name: str = "weight", orthogonal_map: str | None = None, *, use_trivialization: bool = True
) -> Module:
    """The module with a matrix that stays orthogonal, beginning at the one nearest to it by QR.

    orthogonal_map   "matrix_exp" or "cayley"; "householder" is taken as the first

    raises ValueError
    """
    weight = vars(module)[name]
    if weight.ndim < 2:
        raise ValueError(f"Expected a matrix or batch of matrices. Got a tensor of {weight.ndim} dimensions.")
    if orthogonal_map not in (None, "matrix_exp", "cayley", "householder"):
        raise ValueError(f"orthogonal_map is matrix_exp, cayley or householder, got {orthogonal_map}")
    return register_parametrization(module, name, _Orthogonal(weight, orthogonal_map or "matrix_exp"))
