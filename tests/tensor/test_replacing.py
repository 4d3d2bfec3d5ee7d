"""Assignments to parts as operations: values, gradients, and what is refused."""

import numpy as np
import pytest

from kernelforge import DTypeError, ShapeError, Tensor
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


WAYS = {
    "[0]": lambda x, value: x.__setitem__(0, value),
    "[...]": lambda x, value: x.__setitem__(..., value),
    "[1:]": lambda x, value: x.__setitem__(slice(1, None), value),
    "[places]": lambda x, value: x.__setitem__(Tensor([0, 2]), value),
    "[list]": lambda x, value: x.__setitem__([0, 2], value),
    "[mask]": lambda x, value: x.__setitem__(Tensor([True, False, True]), value),
    "fill_": lambda x, value: x.fill_(value),
    "masked_fill_": lambda x, value: x.masked_fill_(Tensor([True, False, True]), value),
    "index_fill_": lambda x, value: x.index_fill_(0, Tensor([0]), value),
    "scatter_": lambda x, value: x.scatter_(0, Tensor([0]), value),
    "index_put_": lambda x, value: x.index_put_((Tensor([0]),), value),
    "full_like": lambda x, value: x.assign(x.full_like(value)),
    "new_full": lambda x, value: x.assign(x.new_full((3,), value)),
    "pad": lambda x, value: x.assign(x[:2].pad((0, 1), value=value)),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", ["float32", "float16", "int64", "uint8"])
def test_complex_numbers_are_not_put_among_real_ones(way, kind, numpy_device):
    """Unless their imaginary part is 0; bool takes any, and tells whether it is zero."""
    x = Tensor([4, 5, 6]).cast(kind)
    for value in (1j, np.complex64(2 + 1j), complex(1, float("nan"))):
        with pytest.raises(DTypeError, match=rf"cannot be put (into a tensor|among elements) of {kind}"):
            WAYS[way](x, value)
    assert x.tolist() == [4, 5, 6]
    WAYS[way](x, 7 + 0j)
    assert 7 in x.tolist()
    flags = Tensor([False] * 3)
    WAYS[way](flags, 1j)
    assert True in flags.tolist()


def test_complex_arrays_are_not_put_among_real_ones(numpy_device):
    """Those of tensors are, in what copies: of these the real parts count, as in torch."""
    x, found = Tensor.zeros(3), Tensor([1 + 2j, 3j, 4])
    for refused in (
        lambda: x.__setitem__(slice(2), [1j, 2]),
        lambda: x.__setitem__(slice(2), np.array([1j, 2])),
        lambda: x.index_put_((Tensor([0, 1, 2]),), found),
        lambda: x.masked_scatter_(Tensor([True, True, False]), found),
        lambda: Tensor([1j, 2], dtype="float32"),
        lambda: Tensor(np.complex64(1 + 2j), dtype="int32"),
        lambda: Tensor.full((2,), found[0], dtype="float32"),
    ):
        with pytest.raises(DTypeError, match="cannot be"):
            refused()
    assert x.tolist() == [0, 0, 0]
    x[...] = found
    assert x.tolist() == [1, 0, 4]
    assert x.copy_(found * 2).tolist() == [2, 0, 8]


@pytest.mark.parametrize("kind", [float, np.float64, np.float32, np.float16])
@pytest.mark.parametrize("value", ["inf", "nan"])
def test_integers_take_no_infinity(value, kind, numpy_device):
    x = Tensor([1, 2, 3])
    with pytest.raises(DTypeError, match="cannot be put into a tensor of int32"):
        x[0] = kind(value)
    with pytest.raises(DTypeError, match="cannot be put into a tensor of int32"):
        x.index_fill(0, Tensor([1]), kind(value))
    assert x.tolist() == [1, 2, 3]
