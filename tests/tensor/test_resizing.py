"""Resizing against torch."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernelforge.errors import ShapeError
from kernelforge.tensor import Tensor
from tests.tensor.checks import assert_all_same, assert_gradient, assert_same, values


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


@pytest.mark.parametrize("mode", ["bilinear", "nearest", "nearest-exact"])
@pytest.mark.parametrize("factor", [2, 0.5, 1.5, (0.4, 3)])
def test_interpolate_by_factors(mode, factor, numpy_device):
    torch = pytest.importorskip("torch")
    x = values(2, 3, 5, 4)
    expected = torch.nn.functional.interpolate(torch.tensor(x), scale_factor=factor, mode=mode)
    assert_same(Tensor(x).interpolate(scale_factor=factor, mode=mode), expected.numpy(), rtol=1e-4, atol=1e-5)


@given(st.tuples(st.integers(1, 9), st.integers(1, 6)), st.tuples(st.integers(1, 4), st.integers(1, 9)), st.booleans())
@settings(deadline=None, max_examples=40)
def test_nearest_lines_of_multiples_and_parts(sizes, others, exact) -> None:
    """Lengths that are multiples of each other give views, others look lines up."""
    for n, wanted in ((sizes[0] * others[0], sizes[0]), (sizes[0], sizes[0] * others[0]), (sizes[1], others[1])):
        x = values(2, n, 3)
        places = (np.arange(wanted) + 0.5 * exact) * n // wanted
        found = Tensor(x).transpose(1, 2).interpolate(wanted, mode="nearest-exact" if exact else "nearest")
        np.testing.assert_array_equal(found.numpy(), x.transpose(0, 2, 1)[:, :, places.astype(np.int64)])


def test_one_size_for_all_spatial_dimensions(numpy_device):
    assert Tensor.ones(2, 3, 4, 5).interpolate(6, mode="nearest").shape == (2, 3, 6, 6)
    assert Tensor.ones(2, 3, 4).interpolate(6).shape == (2, 3, 6)


def test_pixels_and_channels(numpy_device):
    x = values(2, 8, 3, 5)
    assert_same(Tensor(x).pixel_shuffle(2).pixel_unshuffle(2), x)
    for name, shape in (("pixel_shuffle", (6, 2, 2)), ("pixel_unshuffle", (1, 2, 3))):
        with pytest.raises(ShapeError, match=name):
            getattr(Tensor.ones(*shape), name)(2)


def test_gradient(numpy_device):
    assert_gradient(lambda t: t.interpolate((4, 7)), values(3, 5))


def test_errors():
    with pytest.raises(ShapeError, match="interpolate"):
        Tensor([1.0, 2.0]).interpolate((2, 2))
    with pytest.raises(ValueError, match="modes"):
        Tensor([1.0]).interpolate((2,), mode="quadratic")
    with pytest.raises(ValueError, match="one of both"):
        Tensor([1.0]).interpolate((2,), scale_factor=2.0)
