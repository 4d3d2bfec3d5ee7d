"""Resizing against torch."""

import pytest

from kernelforge.errors import ShapeError
from kernelforge.tensor import Tensor
from tests.tensor.checks import assert_all_same, assert_gradient, values


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


def test_gradient(numpy_device):
    assert_gradient(lambda t: t.interpolate((4, 7)), values(3, 5))


def test_errors():
    with pytest.raises(ShapeError, match="interpolate"):
        Tensor([1.0, 2.0]).interpolate((2, 2))
    with pytest.raises(ValueError, match="modes"):
        Tensor([1.0]).interpolate((2,), mode="cubic")
