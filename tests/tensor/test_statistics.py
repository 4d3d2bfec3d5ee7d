"""Quantiles, the mode, covariances and integrals of samples, beside what the parity tests compare."""

import math

import numpy as np
import pytest

from kernelforge import DTypeError, ShapeError, Tensor
from tests.tensor.checks import assert_gradient, assert_same, values

X = values(4, 7)


def test_quantiles(device):
    x = np.where(X > 1.5, np.nan, X)
    for how in ("linear", "lower", "higher", "midpoint", "nearest"):
        found = Tensor(x).nanquantile(Tensor([0.0, 0.4, 1.0]), 1, True, interpolation=how)
        assert_same(found, np.nanquantile(x, [0.0, 0.4, 1.0], 1, keepdims=True, method=how))
    assert_same(Tensor(x).quantile(0.3), math.nan)
    assert_same(Tensor(X).quantile(0.3), np.quantile(X, 0.3))
    infinite = Tensor([-math.inf, 1.0, math.inf, math.inf])
    assert_same(infinite.quantile(Tensor([0.0, 1 / 3, 0.9])), [-math.inf, 1.0, math.inf])


def test_gradients(numpy_device):
    assert_gradient(lambda x: x.quantile(0.3, 1), X)
    assert_gradient(lambda x: x.nanmedian(0)[0], X)
    assert_gradient(lambda x: x.mode(0)[0], X)
    assert_gradient(lambda x: x.cov(), X)
    assert_gradient(lambda x: x.corrcoef(), X, rtol=1e-4)
    assert_gradient(lambda x: x.trapezoid(dim=0) * x.cumulative_trapezoid(dx=2).sum(), X)


def test_modes_are_last_occurrences(device):
    found, places = Tensor([[2, 1, 2, 1], [5, 5, 5, 0]]).mode(1)
    assert (found.tolist(), places.tolist()) == ([1, 5], [3, 2])


def test_correlations(device):
    assert_same(Tensor(X).corrcoef(), np.corrcoef(X))
    assert_same(Tensor(X).cov(correction=0), np.cov(X, ddof=0))


def test_refused(numpy_device):
    with pytest.raises(DTypeError, match=r"\.float\(\)"):
        Tensor([1, 2]).quantile(0.5)
    with pytest.raises(ValueError, match="0 to 1"):
        Tensor(X).quantile(1.5)
    with pytest.raises(ValueError, match="interpolation"):
        Tensor(X).quantile(0.5, interpolation="cubic")
    with pytest.raises(ShapeError, match="a weight for each observation"):
        Tensor(X).cov(fweights=Tensor([1, 2]))
    with pytest.raises(ShapeError, match="no elements"):
        Tensor.zeros(2, 0).mode()


def test_places_of_integers_go_down_as_well(numpy_device):
    x, y = np.array([9, 3, 5], np.uint8), np.array([1, 2, 3], np.uint8)
    assert_same(Tensor(y).trapezoid(Tensor(x)), np.trapezoid(y.astype(np.float32), x.astype(np.float32)))
