"""Functions of two values at signed zeros, infinities and ends of the range, and their gradients."""

import numpy as np
import pytest

from kernelforge.tensor import Tensor
from tests.tensor.checks import assert_gradient, assert_same, values

EDGES = np.array([0.0, -0.0, 1.0, -1.0, 3e-38, 3e38, -3e38, np.inf, -np.inf, np.nan], np.float32)


@pytest.mark.parametrize("name, reference", [("atan2", np.arctan2), ("hypot", np.hypot), ("copysign", np.copysign)])
def test_of_every_pair_of_edges(name, reference, device):
    y, x = (grid.ravel() for grid in np.meshgrid(EDGES, EDGES))
    with np.errstate(over="ignore"):
        expected = reference(y, x)
    found = getattr(Tensor(y), name)(Tensor(x))
    assert_same(found, expected, rtol=1e-6, atol=0)
    zero = expected == 0
    np.testing.assert_array_equal(np.signbit(found.numpy()[zero]), np.signbit(expected[zero]))


@pytest.mark.parametrize("name", ["atan2", "hypot", "fmax", "fmin", "logaddexp", "logaddexp2"])
def test_gradients(name, numpy_device):
    x, y = values(7, seed=1), values(7, seed=2)
    assert_gradient(lambda x, y: getattr(x, name)(y), x, y)


@pytest.mark.parametrize("y, x", [(0.0, 2.0), (2.0, 0.0), (-0.0, 1.5), (-2.0, -0.0)])
def test_slope_of_atan2_on_the_axes(y, x, numpy_device):
    inputs = Tensor([y], dtype="float64"), Tensor([x], dtype="float64")
    found = [g.item() for g in inputs[0].atan2(inputs[1]).sum().gradient(*inputs)]
    np.testing.assert_allclose(found, [x / (x * x + y * y), -y / (x * x + y * y)], atol=1e-12)


def test_slopes_stay_finite_at_zero(numpy_device):
    zero = Tensor([0.0], requires_grad=True)
    other = Tensor([0.0], requires_grad=True)
    for found in (*zero.hypot(other).sum().gradient(zero, other), *zero.xlogy(other).sum().gradient(zero, other)):
        assert np.isfinite(found.numpy()).all()


def test_logarithms_of_sums_of_exponentials_of_complex_numbers(numpy_device):
    rng = np.random.default_rng(0)
    x, y = (rng.normal(size=(5, 7)) * 3 + 1j * rng.normal(size=(5, 7)) for _ in range(2))
    assert np.allclose(np.exp(Tensor(x).logaddexp(Tensor(y)).numpy()), np.exp(x) + np.exp(y))
    assert np.allclose(np.exp(Tensor(x).logcumsumexp(1).numpy()), np.exp(x).cumsum(1))
    assert np.allclose(Tensor(x + 800).logcumsumexp(0).numpy()[0], x[0] + 800)


@pytest.mark.parametrize("kind", ["int32", "uint8", "bool", "float16", "float32"])
@pytest.mark.parametrize("of_exponents", ["int32", "float16", "float32", "float64", "complex64"])
def test_ldexp_has_the_type_of_both_where_exponents_have_fractions(kind, of_exponents, numpy_device):
    torch = pytest.importorskip("torch")
    x = np.array([1, 0, 1])
    y = np.array([2, 1, -1]) + (1j if of_exponents == "complex64" else 0)
    found = Tensor(x).cast(kind).ldexp(Tensor(y).cast(of_exponents))
    expected = torch.ldexp(torch.tensor(x).to(getattr(torch, kind)), torch.tensor(y).to(getattr(torch, of_exponents)))
    assert str(found.dtype) == str(expected.dtype).removeprefix("torch.")
    assert_same(found, expected.numpy(), 1e-3, 1e-3)
