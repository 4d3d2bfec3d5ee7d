"""Families of functions are torch's."""

import numpy as np
import pytest

from kernelforge.tensor import Tensor

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.usefixtures("numpy_device")
FAMILIES = [
    "chebyshev_polynomial_t", "chebyshev_polynomial_u", "chebyshev_polynomial_v", "chebyshev_polynomial_w",
    "shifted_chebyshev_polynomial_t", "shifted_chebyshev_polynomial_u", "shifted_chebyshev_polynomial_v",
    "shifted_chebyshev_polynomial_w", "hermite_polynomial_h", "hermite_polynomial_he", "laguerre_polynomial_l",
    "legendre_polynomial_p",
]  # fmt: skip
X = np.array([-0.9, -0.25, 0.0, 0.3, 0.75])


@pytest.mark.parametrize("name", FAMILIES)
def test_polynomials(name: str) -> None:
    for n in (-1, 0, 1, 2, 5):
        expected = getattr(torch.special, name)(torch.tensor(X), n).numpy()
        np.testing.assert_allclose(getattr(Tensor(X), name)(n).numpy(), expected, 1e-9, 1e-9)
    degrees = np.array([0, 1, 3, 4, 2])
    expected = getattr(torch.special, name)(torch.tensor(X), torch.tensor(degrees)).numpy()
    np.testing.assert_allclose(getattr(Tensor(X), name)(Tensor(degrees)).numpy(), expected, 1e-9, 1e-9)


@pytest.mark.parametrize("name", ["bessel_j0", "bessel_j1", "spherical_bessel_j0"])
def test_bessel_functions(name: str) -> None:
    x = np.concatenate([np.linspace(-60, 60, 241), [0.0, 1e-9, 24.999, 25.0, 500.0, np.inf, -np.inf, np.nan]])
    expected = getattr(torch.special, name)(torch.tensor(x)).numpy()
    np.testing.assert_allclose(getattr(Tensor(x), name)().numpy(), expected, 1e-6, 1e-6)  # torch is off by 2e-7 at 5.5
    assert str(getattr(Tensor([1, 2]), name)().dtype) == "float32"


def test_the_derivative_of_a_bessel_function() -> None:
    x = Tensor(np.array([0.5, 3.0, 30.0, -40.0]), requires_grad=True)
    x.bessel_j0().sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), -x.detach().bessel_j1().numpy(), 1e-9)


def test_tensors_as_maps() -> None:
    a = np.random.default_rng(0).normal(size=(4, 6, 8, 3))
    expected = torch.linalg.tensorinv(torch.tensor(a), ind=2).numpy()
    np.testing.assert_allclose(Tensor(a).tensorinv().numpy(), expected, 1e-6, 1e-8)
    a, b = np.random.default_rng(1).normal(size=(2, 3, 6)), np.random.default_rng(2).normal(size=(2, 3))
    expected = torch.linalg.tensorsolve(torch.tensor(a), torch.tensor(b)).numpy()
    np.testing.assert_allclose(Tensor(a).tensorsolve(Tensor(b)).numpy(), expected, 1e-6, 1e-8)
