"""NumPy's functions on tensors stay lazy, and tensors in words."""

import numpy as np
import pytest

from kernelforge.tensor import Tensor

pytestmark = pytest.mark.usefixtures("numpy_device")
X = np.array([[1.0, 2.0], [3.0, 4.0]], np.float32)


@pytest.mark.parametrize(
    "function",
    [
        np.sin,
        np.negative,
        np.absolute,
        lambda x: np.add(x, 1),
        lambda x: np.add(X, x),
        lambda x: np.float32(2) * x,
        lambda x: X - x,
        lambda x: x - X,
        lambda x: np.power(x, 2),
        lambda x: np.matmul(x, x),
        np.sum,
        lambda x: np.sum(x, axis=0),
        lambda x: np.mean(x, axis=1, keepdims=True),
        np.max,
        np.add.reduce,
        lambda x: np.concatenate([x, x], axis=1),
        lambda x: np.stack([x, x], 1),
        lambda x: np.clip(x, 1.5, 3),
        lambda x: np.where(x > 2, x, 0),
        lambda x: np.einsum("ij,jk->ik", x, x),
        lambda x: np.expand_dims(x * 2, 0),
        lambda x: np.maximum.reduce(x, axis=1),
        lambda x: np.logical_and(x > 1, x < 4),
        np.isnan,
    ],
)
def test_numpy_stays_lazy(function) -> None:
    found = function(Tensor(X))
    assert isinstance(found, Tensor) and "lazy" in repr(found)
    np.testing.assert_allclose(found.numpy(), function(X), 1e-6)


@pytest.mark.parametrize(
    "function", [np.median, np.transpose, lambda x: np.argsort(x, axis=0), np.ravel, np.shape, np.ndim]
)
def test_numpy_gives_the_same(function) -> None:
    np.testing.assert_array_equal(np.asarray(function(Tensor(X))), function(X))


def test_results_in_a_tensor() -> None:
    x = Tensor(X).realize()
    assert np.add(x, 1, out=x) is x and x.tolist() == (X + 1).tolist()
    assert complex(Tensor(2.0)) == 2 and np.asarray(x).dtype == np.float32
    assert bytes(x.__buffer__(0)) == (X + 1).tobytes()


@pytest.mark.parametrize(
    ("data", "text"),
    [
        ([1.0, 2.5], "Tensor([1.0000, 2.5000])"),
        ([1e-6, 1.0], "Tensor([1.0000e-06, 1.0000e+00])"),
        ([True, False], "Tensor([ True, False])"),
        ([[1, 2], [3, 40]], "Tensor([[ 1,  2],\n        [ 3, 40]])"),
        (1.5, "Tensor(1.5000)"),
        ([float("inf"), 1.0], "Tensor([inf, 1.])"),
        ([], "Tensor([])"),
    ],
)
def test_values_in_words(data, text: str) -> None:
    assert repr(Tensor(data).realize()) == text


def test_many_values_are_cut_and_lazy_ones_not_computed() -> None:
    assert repr(Tensor.arange(3000).realize()) == "Tensor([   0,    1,    2,  ..., 2997, 2998, 2999])"
    x = Tensor(X, dtype="float16", requires_grad=True)
    assert repr(x).endswith("dtype=dtypes.float16, requires_grad=True)")
    assert repr(x + 1) == "<Tensor [2, 2] float16 on NUMPY, lazy, requires_grad>"
    assert "size=(0, 3)" in repr(Tensor.zeros(0, 3).realize())


def test_html() -> None:
    assert Tensor(X)._repr_html_().count("<td") == 4
    assert Tensor(np.zeros((100, 200)))._repr_html_().count("<td") == 7 * 7
    assert "<td style='text-align:right'>2.5000</td>" in Tensor(2.5)._repr_html_()
    assert "<table" not in Tensor(np.zeros((0, 3)))._repr_html_()
    cube = Tensor(np.arange(8.0).reshape(2, 2, 2), requires_grad=True)._repr_html_()
    assert "<tr><th>1, 0</th>" in cube and "requires_grad" in cube
    assert "<th>39, 39</th>" in Tensor(np.zeros((40, 40, 2)))._repr_html_()
    assert "lazy" in (Tensor(X) + 1)._repr_html_() and "<table" not in (Tensor(X) + 1)._repr_html_()


def test_the_graph_that_waits_is_a_picture() -> None:
    x = Tensor(X)
    told = (x.exp() + 1).sum(0)._repr_html_()
    assert told.count("<rect") == 5 and told.count("<path") == 4, "x, exp, 1, add and the sum"
    for text in ("sum", "float32 [2]", "exp", "test_protocols.py:", "in memory"):
        assert text in told
    for _ in range(100):
        x = x.sin()
    assert "61 more operations" in x._repr_html_() and x._repr_html_().count("<rect") == 40
