"""Assignments to parts as operations: values, gradients, and what is refused."""

import numpy as np
import pytest

from kernelforge import ShapeError, Tensor
from tests.tensor.checks import assert_gradient, assert_same, values

X = values(3, 4)


def test_index_put_adds_every_value(device):
    expected = X.copy()
    np.add.at(expected, ([0, 2, 0], [1, 1, 1]), 1.0)
    assert_same(Tensor(X).index_put((Tensor([0, 2, 0]), Tensor([1, 1, 1])), 1.0, accumulate=True), expected)
    x = Tensor(X)
    assert x.index_put_((None, Tensor([3])), Tensor([[7.0]])) is x
    expected = X.copy()
    expected[:, 3] = 7
    assert_same(x, expected)


def test_gradients(numpy_device):
    y = values(3, 4, seed=1)
    assert_gradient(lambda a, b: a.slice_scatter(b[:, :2], 1, 1, None, 2) * a, X, y)
    assert_gradient(lambda a, b: a.select_scatter(b[0], 0, -1) * a, X, y)
    assert_gradient(lambda a, b: a.diagonal_scatter(b[0, :3], 1) * a, X, y)
    assert_gradient(lambda a, b: a.index_put((Tensor([0, 0]),), b[:2], True) * a, X, y)
    assert_gradient(lambda a, b: a.put(Tensor([[3, 7]]), b[0, :2].reshape(1, 2)) * a, X, y)
    assert_gradient(lambda a: a.sum_to_size(3, 1), X)


def test_refused(numpy_device):
    x = Tensor(X)
    with pytest.raises(ShapeError, match=r"slice_scatter of \(3, 4\).*\(3, 3\), the part \(3, 2\)"):
        x.slice_scatter(Tensor.zeros(3, 3), 1, 0, 2)
    with pytest.raises(IndexError, match="out of bounds"):
        x.select_scatter(Tensor.zeros(4), 0, 3)
    with pytest.raises(ShapeError, match="the diagonal"):
        x.diagonal_scatter(Tensor.zeros(4))
    with pytest.raises(ValueError, match="index_add"):
        x.index_reduce(0, Tensor([0]), Tensor.zeros(1, 4), "sum")
    with pytest.raises(ShapeError, match="sum_to_size"):
        x.sum_to_size(2, 4)
    with pytest.raises(IndexError, match=r"(?s)out of range.*test_replacing.py:\d+"):
        x.put(Tensor([12]), Tensor([1.0])).numpy()


def test_fill_diagonal(device):
    expected = X.copy()
    np.fill_diagonal(expected, 5)
    assert_same(Tensor(X).fill_diagonal_(5), expected)
    assert Tensor.zeros(2, 2, 2).fill_diagonal(1).nonzero().tolist() == [[0, 0, 0], [1, 1, 1]]
    with pytest.raises(ShapeError, match="one size"):
        Tensor.zeros(2, 3, 2).fill_diagonal(1)


def test_sums_to_a_size_have_the_types_of_sums(numpy_device):
    x = Tensor(np.array([[1, 2], [3, 100]], np.int8))
    assert x.sum_to_size(1, 2).tolist() == [[4, 102]]
    assert x.sum_to_size(1, 2).dtype is x.sum(0).dtype
    assert x.sum_to_size(2, 2).dtype is x.dtype
    assert (x > 1).sum_to_size(2, 1).tolist() == [[1], [2]]
