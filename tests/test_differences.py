"""Slopes of samples are torch's, with even and uneven distances, and so are their gradients."""

import numpy as np
import pytest

import kernelforge
from kernelforge import Tensor
from kernelforge.errors import AxisError, ShapeError

torch = pytest.importorskip("torch")
Y = np.random.default_rng(3).normal(size=(4, 5))
PLACES = (np.array([0.0, 1.0, 2.5, 3.0]), np.array([0.0, 0.5, 2.0, 3.0, 7.0]))


@pytest.mark.parametrize("edge_order", [1, 2])
@pytest.mark.parametrize(
    "kwargs", [{}, {"spacing": 0.5}, {"spacing": (2.0, 0.1)}, {"dim": -1}, {"dim": (1, 0)}], ids=str
)
def test_slopes(kwargs, edge_order, numpy_device):
    x, t = Tensor(Y, requires_grad=True), torch.tensor(Y, requires_grad=True)
    check(kernelforge.gradient(x, **kwargs, edge_order=edge_order), x,
          torch.gradient(t, **kwargs, edge_order=edge_order), t)  # fmt: skip


@pytest.mark.parametrize("edge_order", [1, 2])
def test_slopes_of_uneven_samples(edge_order, numpy_device):
    x, t = Tensor(Y, requires_grad=True), torch.tensor(Y, requires_grad=True)
    check(kernelforge.gradient(x, spacing=[Tensor(p) for p in PLACES], edge_order=edge_order), x,
          torch.gradient(t, spacing=[torch.tensor(p) for p in PLACES], edge_order=edge_order), t)  # fmt: skip


def check(found, x, expected, t):
    assert len(found) == len(expected)
    for mine, other in zip(found, expected):
        np.testing.assert_allclose(mine.numpy(), other.detach().numpy(), 1e-12, 1e-12)
    sum((slope**2).sum() for slope in found).backward()
    sum((slope**2).sum() for slope in expected).backward()
    np.testing.assert_allclose(x.grad.numpy(), t.grad.numpy(), 1e-12, 1e-12)


@pytest.mark.parametrize(
    "kwargs", [{"edge_order": 3}, {"spacing": (1.0, 1.0, 1.0)}, {"dim": 1, "edge_order": 2}], ids=str
)
def test_what_has_no_slopes(kwargs):
    with pytest.raises(ShapeError):
        kernelforge.gradient(Tensor.ones(3, 2), **kwargs)


@pytest.mark.parametrize("dim", [2, (0, 0)])
def test_dimensions_are_there_once(dim):
    with pytest.raises(AxisError):
        kernelforge.gradient(Tensor.ones(3, 3), dim=dim)
