"""Values and slopes at zeros, infinities, NaN, ends and numbers whose squares or exponentials overflow are torch's."""

import math

import numpy as np
import pytest

from kernelforge import Tensor, special
from kernelforge.nn import functional

torch = pytest.importorskip("torch")

POINTS = np.array([0.0, -0.0, 1, -1, math.inf, -math.inf, math.nan, 0.5, -0.5, 2, -2, 3, 6, -20, 100, -100, 709, 1e30])
METHODS = ["acosh", "cosh", "erfinv", "sinc"]
SPECIAL = ["entr", "erfcx", "erfinv", "ndtri"]
ACTIVATIONS = ["hardshrink", "hardtanh", "relu6"]
FUNCTIONS = {
    **{name: (getattr(torch.Tensor, name), getattr(Tensor, name)) for name in METHODS},
    **{f"special.{name}": (getattr(torch.special, name), getattr(special, name)) for name in SPECIAL},
    **{name: (getattr(torch.nn.functional, name), getattr(functional, name)) for name in ACTIVATIONS},
    "polygamma": (lambda x: x[:3].polygamma(2), lambda x: x[:3].polygamma(2)),
    "lgamma": (lambda x: x[[6, 7, 11, 12, 14, 16, 17]].lgamma(), lambda x: x[[6, 7, 11, 12, 14, 16, 17]].lgamma()),
    "log_ndtr": (lambda x: torch.special.log_ndtr(x[13:17]), lambda x: special.log_ndtr(x[13:17])),
    "frexp": (lambda x: x.frexp()[0], lambda x: x.frexp()[0]),
}
PAIRS = {
    "xlogy": (torch.xlogy, Tensor.xlogy), "xlog1py": (torch.special.xlog1py, special.xlog1py),
    "remainder": (torch.remainder, Tensor.mod), "nextafter": (torch.nextafter, Tensor.nextafter),
}  # fmt: skip


def slopes(function, arrays, ours):
    """A function's values, and its slopes by each array."""
    inputs = [Tensor(x, requires_grad=True) if ours else torch.tensor(x, requires_grad=True) for x in arrays]
    y = function(*inputs)
    if ours:
        return [y.numpy(), *[dx.numpy() for dx in y.gradient(*inputs, gradient=y.ones_like())]]
    found = torch.autograd.grad(y, inputs, torch.ones_like(y))
    return [y.detach().numpy(), *[dx.numpy() for dx in found]]


def compared(theirs, ours, arrays):
    expected = slopes(theirs, arrays, False)
    found = slopes(ours, arrays, True)
    for x, y in zip(found, expected):
        np.testing.assert_allclose(x, y, rtol=1e-7, atol=1e-30)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_of_one_value(name, device):
    compared(*FUNCTIONS[name], [POINTS])


@pytest.mark.parametrize("name", PAIRS)
def test_of_two_values(name, device):
    points = POINTS[:13]
    x, y = (part.ravel().copy() for part in np.meshgrid(points, points))
    if name in ("xlogy", "xlog1py"):  # slopes of x log(y) at x = 0 and y <= 0 stay finite
        inside = (x != 0) | (y > (0 if name == "xlogy" else -1))
        x, y = x[inside].copy(), y[inside].copy()
    compared(*PAIRS[name], [x, y])


def test_losses_of_certain_answers_keep_their_digits(device):
    """log(1 + exp(-20)) is no difference of numbers near 20."""
    x = np.array([20.0, -20.0, 30.0], np.float32)
    y = np.array([1.0, 0.0, 1.0], np.float32)
    found = functional.binary_cross_entropy_with_logits(Tensor(x), Tensor(y), reduction="none")
    np.testing.assert_allclose(found.numpy(), np.log1p(np.exp(-np.abs(x.astype(np.float64)))), rtol=1e-6)


@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
@pytest.mark.parametrize("size", [(8, 8), (24, 11)])
def test_bytes_are_resized_in_whole_numbers(mode, size, device):
    x = np.random.default_rng(0).integers(0, 256, (1, 2, 16, 16)).astype(np.uint8)
    found = functional.interpolate(Tensor(x), size=size, mode=mode)
    expected = torch.nn.functional.interpolate(torch.tensor(x), size=size, mode=mode)
    assert np.array_equal(found.numpy(), expected.numpy())


def test_ends_of_spaced_numbers_are_exact(device):
    for start, stop, steps in ((0, 1, 7), (-3, 7.1, 1001), (0.1, 0.7, 10)):
        found, expected = Tensor.linspace(start, stop, steps).numpy(), torch.linspace(start, stop, steps).numpy()
        np.testing.assert_allclose(found, expected, rtol=1e-6, atol=6e-7)
        assert np.array_equal(found, np.linspace(start, stop, steps).astype(np.float32))
    exact = (np.arange(1000) * 0.1).astype(np.float32)
    assert np.array_equal(Tensor.arange(0, 100, 0.1).numpy(), exact)
