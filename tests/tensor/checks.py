"""Comparisons the tensor tests share: values against NumPy, gradients against finite differences."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kernelforge.tensor import Tensor

STEP = 1e-6


def values(*shape: int, seed: int = 0, low: float = -2.0, high: float = 2.0, dtype: Any = np.float32) -> NDArray:
    """Reproducible numbers uniform in low .. high."""
    numbers = np.random.default_rng((seed, *shape)).uniform(low, high, shape)
    return numbers.astype(dtype) if np.issubdtype(dtype, np.floating) else np.floor(numbers).astype(dtype)


def assert_same(tensor: Tensor, expected: Any, rtol: float = 1e-5, atol: float = 1e-6) -> None:
    """The tensor has the expected shape and values, and says its own shape and dtype truthfully."""
    expected = np.asarray(expected)
    found = tensor.numpy()
    assert tensor.shape == found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol, atol, equal_nan=True)


def assert_all_same(tensors: Sequence[Tensor], expected: Sequence[Any], rtol: float = 1e-5, atol: float = 1e-6) -> None:
    """assert_same() of many tensors, computed in one go."""
    Tensor.realize(*tensors)
    for tensor, array in zip(tensors, expected, strict=True):
        assert_same(tensor, array, rtol, atol)


def assert_gradient(function: Callable[..., Tensor], *arrays: NDArray, rtol: float = 1e-6, atol: float = 1e-7) -> None:
    """The gradient of sum(function * cotangent) along a random direction is what finite differences in float64 give."""
    points = [np.asarray(array, np.float64) for array in arrays]
    rng = np.random.default_rng(7)
    directions = [rng.normal(size=point.shape) for point in points]
    inputs = [Tensor(point) for point in points]
    output = function(*inputs)
    cotangent = rng.normal(size=output.shape)
    gradients = output.gradient(*inputs, gradient=Tensor(cotangent), materialize_grads=True)
    assert all(g.shape == x.shape and g.dtype is x.dtype for g, x in zip(gradients, inputs))
    Tensor.realize(*gradients)
    found = sum((g.numpy() * d).sum() for g, d in zip(gradients, directions))
    after, before = (
        function(*[Tensor(point + sign * STEP * d) for point, d in zip(points, directions)]).numpy() for sign in (1, -1)
    )
    expected = ((after - before) * cotangent).sum() / (2 * STEP)
    np.testing.assert_allclose(found, expected, rtol=rtol, atol=atol)
