"""Sorting, largest elements and resizing against NumPy and torch."""

import numpy as np
import pytest

from kernelforge.errors import ShapeError
from kernelforge.tensor import Tensor
from tests.tensor.checks import assert_all_same, assert_gradient, assert_same, values


def test_sort(device):
    x = values(3, 7, 4)
    ties = values(40, low=0, high=5, dtype=np.int32)
    t, s = Tensor(x), Tensor(ties)
    found = [t.sort()[0], *t.sort(1), t.sort(0, descending=True)[0], s.argsort(), s.argsort(descending=True)]
    expected = [
        np.sort(x),
        np.sort(x, 1),
        x.argsort(1),
        -np.sort(-x, 0),
        ties.argsort(kind="stable"),
        (-ties).argsort(kind="stable"),
    ]
    assert_all_same(found, expected, 0, 0)


def test_sort_of_few_and_odd(numpy_device):
    x = np.array([np.nan, 1, np.inf, -np.inf, np.nan, 0], np.float32)
    assert_same(Tensor(x).sort()[0], np.sort(x))
    assert_same(Tensor(x).sort(descending=True)[0], np.sort(x)[::-1])
    assert Tensor(3.0).sort()[0].item() == 3
    assert Tensor(np.zeros((0, 2), np.float32)).sort(0)[0].shape == (0, 2)


def test_topk(device):
    x = values(4, 9)
    largest, places = Tensor(x).topk(3)
    smallest, _ = Tensor(x).topk(2, dim=0, largest=False)
    expected = (-x).argsort(1)[:, :3]
    best = np.take_along_axis(x, expected, 1)
    assert_all_same([largest, places, smallest], [best, expected, np.sort(x, 0)[:2]], 0, 0)


def test_gradients(numpy_device):
    x = values(3, 5)
    assert_gradient(lambda t: t.sort()[0], x)
    assert_gradient(lambda t: t.topk(2, dim=0)[0], x)
    assert_gradient(lambda t: t.interpolate((4, 7)), x)


def test_interpolate_against_torch(numpy_device):
    torch = pytest.importorskip("torch")
    x = values(2, 3, 5, 4)
    function = torch.nn.functional.interpolate
    found, expected = [], []
    for size in ((10, 7), (3, 2), (5, 4), (1, 9)):
        for corners in (False, True):
            found.append(Tensor(x).interpolate(size, align_corners=corners))
            expected.append(function(torch.tensor(x), size, mode="bilinear", align_corners=corners).numpy())
        found.append(Tensor(x).interpolate(size, mode="nearest"))
        expected.append(function(torch.tensor(x), size, mode="nearest").numpy())
    assert_all_same(found, expected, rtol=1e-4, atol=1e-5)


def test_errors():
    with pytest.raises(ShapeError, match="there are 3 elements"):
        Tensor([1, 2, 3]).topk(4)
    with pytest.raises(ShapeError, match="interpolate"):
        Tensor([1.0, 2.0]).interpolate((2, 2))
    with pytest.raises(ValueError, match="modes"):
        Tensor([1.0]).interpolate((2,), mode="cubic")
