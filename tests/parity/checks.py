"""Comparisons of tensors of both libraries, values and gradients."""

import numpy as np
import pytest

from kernelforge import Tensor

torch = pytest.importorskip("torch")


def assert_equal(ours, theirs, rtol=1e-5, atol=1e-6):
    assert ours.shape == tuple(theirs.shape)
    np.testing.assert_allclose(ours.numpy(), theirs.detach().numpy(), rtol=rtol, atol=atol, equal_nan=True)


def assert_gradients_equal(function, *arrays):
    """function, which works on tensors of both libraries, has one value and one gradient in both."""
    ours = [Tensor(x, requires_grad=True) for x in arrays]
    theirs = [torch.tensor(x, requires_grad=True) for x in arrays]
    found, expected = function(*ours), function(*theirs)
    assert_equal(found, expected)
    (found * found).sum().backward()
    (expected * expected).sum().backward()
    for x, y in zip(ours, theirs):
        assert_equal(x.grad, y.grad)
