"""Incomplete gamma functions, zeta and Bessel functions of the second kind are torch's, and NaN where torch's are."""

from itertools import product

import numpy as np
import pytest

from kernelforge.tensor import Tensor

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.usefixtures("numpy_device")
RNG = np.random.default_rng(0)
ORDERS = np.exp(RNG.uniform(-5, 8, 400))
ENDS = ORDERS * np.exp(RNG.normal(size=400) * np.where(RNG.random(400) < 0.5, 1, 1 / np.sqrt(1 + ORDERS)))
ODD = np.array(list(product([-2.5, -2.0, -1.0, 0.0, 0.5, 1.0, 2.0, 3.0, np.inf], repeat=2)))
OF_SECOND_KIND = [
    "bessel_y0", "bessel_y1", "modified_bessel_k0", "modified_bessel_k1", "scaled_modified_bessel_k0",
    "scaled_modified_bessel_k1",
]  # fmt: skip


@pytest.mark.parametrize("name", ["igamma", "igammac"])
def test_incomplete_gamma(name: str) -> None:
    expected = getattr(torch, name)(torch.tensor(ORDERS), torch.tensor(ENDS)).numpy()
    found = getattr(Tensor(ORDERS), name)(Tensor(ENDS)).numpy()
    np.testing.assert_allclose(found, expected, 1e-8, 1e-13)  # torch is off by 2e-9
    a, x = ODD.T
    expected = getattr(torch, name)(torch.tensor(a), torch.tensor(x)).numpy()
    np.testing.assert_allclose(getattr(Tensor(a), name)(Tensor(x)).numpy(), expected, 1e-12)


def test_derivatives_of_incomplete_gamma() -> None:
    x, t = Tensor(ENDS[:40], requires_grad=True), torch.tensor(ENDS[:40], requires_grad=True)
    a = Tensor(ORDERS[:40], requires_grad=True)
    a.igamma(x).sum().backward()
    torch.igamma(torch.tensor(ORDERS[:40]), t).sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), t.grad.numpy(), 1e-8, 1e-12)
    step = 1e-6 * ORDERS[:40]
    ends = torch.tensor(ENDS[:40])
    low, high = (torch.igamma(torch.tensor(ORDERS[:40] + way * step), ends).numpy() for way in (-1, 1))
    np.testing.assert_allclose(a.grad.numpy(), (high - low) / (2 * step), 1e-5, 1e-8)


def test_zeta() -> None:
    s, q = RNG.uniform(1.01, 30, 200), np.exp(RNG.uniform(-4, 5, 200))
    np.testing.assert_allclose(Tensor(s).zeta(Tensor(q)).numpy(), torch.special.zeta(*map(torch.tensor, (s, q))), 1e-12)
    s, q = RNG.integers(2, 9, 200).astype(float), RNG.uniform(-12, 0, 200)
    np.testing.assert_allclose(Tensor(s).zeta(Tensor(q)).numpy(), torch.special.zeta(*map(torch.tensor, (s, q))), 1e-10)
    s, q = ODD[np.isfinite(ODD).all(1)].T
    np.testing.assert_allclose(Tensor(s).zeta(Tensor(q)).numpy(), torch.special.zeta(*map(torch.tensor, (s, q))), 1e-12)
    assert Tensor([2.0]).zeta(np.inf).item() == 0


@pytest.mark.parametrize("name", [*OF_SECOND_KIND, "airy_ai"])
def test_second_kind(name: str) -> None:
    x = np.concatenate([np.exp(RNG.uniform(-8, 5, 200)), np.linspace(-10, 10, 41), [2.0, 2.2, 5.0, -np.inf, np.nan]])
    expected = getattr(torch.special, name)(torch.tensor(x)).numpy()
    np.testing.assert_allclose(getattr(Tensor(x), name)().numpy(), expected, 2e-6, 2e-6)  # torch is off by that
    assert str(getattr(Tensor([1, 2]), name)().dtype) == "float32"


@pytest.mark.parametrize("name", OF_SECOND_KIND[:4])
def test_derivatives(name: str) -> None:
    x = Tensor(np.array([0.3, 1.9, 2.1, 4.9, 5.1, 30.0]), requires_grad=True)
    getattr(x, name)().sum().backward()
    y = x.detach()
    own, other = (getattr(y, name[:-1] + order)() for order in "01")
    if name.endswith("0"):
        expected = -other
    else:
        expected = (own if name.startswith("bessel") else -own) - other / y
    np.testing.assert_allclose(x.grad.numpy(), expected.numpy(), 1e-10)
