"""Special functions: derivatives of every order against known ones, poles and far ends."""

import math

import numpy as np
import pytest

from kernelforge.tensor import Tensor
from tests.tensor.checks import assert_gradient, assert_same, values

X = np.concatenate([values(20, low=-4.9, high=9, dtype=np.float64), [0.5, 1, 2, 10, 40]])


def derivative(x: Tensor, order: int, name: str, *arguments: int) -> Tensor:
    """The derivative of a function of the given order at each element."""
    y = getattr(x, name)(*arguments)
    for _ in range(order):
        (y,) = y.sum().gradient(x)
    return y


@pytest.mark.parametrize("order", [1, 2, 3])
def test_derivatives_of_lgamma_are_polygammas(order, numpy_device):
    x = Tensor(X, requires_grad=True)
    assert_same(derivative(x, order, "lgamma"), Tensor(X).polygamma(order - 1).numpy(), 1e-8, 1e-8)


def test_derivatives_of_polygamma(numpy_device):
    x = Tensor(X, requires_grad=True)
    assert_same(derivative(x, 1, "polygamma", 2), Tensor(X).polygamma(3).numpy(), 1e-7, 1e-7)
    with pytest.raises(ValueError, match="order n >= 0"):
        x.polygamma(-1)


def test_derivatives_of_bessel_functions(numpy_device):
    x = Tensor(X, requires_grad=True)
    assert_same(derivative(x, 1, "i0"), Tensor(X).i1().numpy(), 1e-9)
    assert_same(derivative(x, 2, "i0"), (Tensor(X).i0() - Tensor(X).i1() / X).numpy(), 1e-8)


@pytest.mark.parametrize("name", ["erfinv", "ndtri", "erfcx", "log_ndtr", "entr"])
def test_gradients(name, numpy_device):
    low = -0.99 if name in ("erfinv", "log_ndtr", "erfcx") else 0.01
    assert_gradient(lambda x: getattr(x, name)(), values(12, low=low, high=0.99), rtol=1e-4)


def test_inverses(device):
    u = np.linspace(-0.999, 0.999, 41, dtype=np.float32)
    assert_same(Tensor(u).erfinv().erf(), u)
    assert_same(Tensor((1 + u) / 2).ndtri().ndtr(), (1 + u) / 2)


def test_poles_and_far_ends(device):
    assert_same(Tensor([0.0, -1.0, -7.0, math.inf, -math.inf]).lgamma(), [math.inf] * 5)
    assert_same(Tensor([0.0, -0.0, -3.0, -math.inf]).digamma(), [-math.inf, math.inf, math.nan, math.nan])
    assert_same(Tensor([-1.0, 1.0, 2.0]).erfinv(), [-math.inf, math.inf, math.nan])
    assert_same(Tensor([30.0, 9.0]).log_ndtr() * 1e18, [0, -1.1285884 * 1e-1], 1e-4)
    assert_same(Tensor([-40.0]).log_ndtr(), [-804.6084420137538])
    assert_same(Tensor([5.0, math.inf]).erfc(), [1.5374597944280347e-12, 0], 1e-5, 0)
    assert_same(Tensor([math.inf, 700.0]).i0e(), [0, 0.015081303])
