"""Convolutions against sums written out in NumPy and against torch, and their gradients."""

import numpy as np
import pytest

from kernelforge.errors import ShapeError
from kernelforge.tensor import Tensor
from tests.tensor.checks import assert_gradient, assert_same, values

CASES = [  # input, weight, options
    ((2, 3, 8), (4, 3, 3), {}),
    ((2, 4, 9), (6, 2, 3), {"groups": 2, "stride": 2, "padding": 1}),
    ((1, 2, 7, 8), (3, 2, 3, 3), {"padding": 1}),
    ((1, 2, 6, 8), (3, 2, 3, 3), {"stride": 2, "padding": 1}),
    ((2, 3, 16, 9), (4, 3, 3, 2), {"stride": (4, 3), "padding": (1, 2), "dilation": (6, 3)}),
    ((2, 3, 9, 8), (4, 3, 3, 2), {"stride": (2, 3), "padding": (1, 2), "dilation": (2, 1)}),
    ((2, 4, 6, 6), (4, 1, 3, 3), {"groups": 4, "padding": 1}),
    ((2, 3, 5, 5), (4, 3, 1, 1), {}),
    ((1, 1, 3, 3), (1, 1, 3, 3), {"padding": 2, "dilation": 1}),
    ((1, 2, 4, 5, 4), (2, 2, 2, 3, 2), {"padding": 1}),
]


def convolved(x, w, stride=1, padding=0, dilation=1, groups=1):
    """The definition: one multiplication and addition at a time, over windows."""
    rank = x.ndim - 2
    stride, padding, dilation = (np.broadcast_to(v, rank) for v in (stride, padding, dilation))
    x = np.pad(x.astype(np.float64), [(0, 0), (0, 0), *((p, p) for p in padding)])
    counts = [(n - d * (k - 1) - 1) // s + 1 for n, k, s, d in zip(x.shape[2:], w.shape[2:], stride, dilation)]
    result = np.zeros((x.shape[0], w.shape[0], *counts))
    inputs, outputs = x.shape[1] // groups, w.shape[0] // groups
    for o in range(w.shape[0]):
        group = x[:, o // outputs * inputs : (o // outputs + 1) * inputs]
        for place in np.ndindex(*w.shape[2:]):
            window = tuple(
                slice(p * d, p * d + (n - 1) * s + 1, s) for p, d, n, s in zip(place, dilation, counts, stride)
            )
            result[:, o] += np.einsum(
                "nc...,c->n...", group[(slice(None), slice(None), *window)], w[(o, slice(None), *place)]
            )
    return result


@pytest.mark.parametrize("case", CASES, ids=str)
def test_values(case, device):
    shape, weight, options = case
    x, w, b = values(*shape), values(*weight, seed=1), values(weight[0], seed=2)
    found = Tensor(x).conv2d(Tensor(w), Tensor(b), **options)
    assert_same(found, convolved(x, w, **options) + b.reshape(-1, *(1,) * (x.ndim - 2)), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("case", CASES[:7], ids=str)
def test_gradient(case, numpy_device):
    shape, weight, options = case
    arrays = values(*shape), values(*weight, seed=1), values(weight[0], seed=2)
    assert_gradient(lambda x, w, b: x.conv2d(w, b, **options), *arrays)


TRANSPOSED = [
    ((2, 3, 5), (3, 4, 3), {}),
    ((2, 4, 5), (4, 3, 3), {"groups": 2, "stride": 2, "padding": 1, "output_padding": 1}),
    ((1, 2, 4, 3), (2, 3, 3, 2), {"stride": (2, 3), "padding": (1, 0), "dilation": (1, 2), "output_padding": (1, 2)}),
    ((1, 2, 4, 3), (2, 3, 3, 2), {"stride": (4, 3), "padding": (1, 0), "dilation": (6, 3), "output_padding": (3, 2)}),
    ((2, 2, 3, 3), (2, 2, 2, 2), {"stride": 2}),
    ((1, 2, 4, 3), (2, 3, 4, 3), {"stride": 2, "padding": 1, "output_padding": (0, 1)}),
]


@pytest.mark.parametrize("case", TRANSPOSED, ids=str)
def test_transposed_is_the_gradient_of_a_convolution(case, device):
    shape, weight, options = case
    x, w = Tensor(values(*shape)), Tensor(values(*weight, seed=1))
    found = x.conv_transpose2d(w, **options)
    forward = {name: value for name, value in options.items() if name != "output_padding"}
    place = Tensor(np.zeros(found.shape, np.float32))
    assert_same(found, place.conv2d(w, **forward).gradient(place, gradient=x)[0].numpy(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("case", TRANSPOSED, ids=str)
def test_gradient_of_transposed(case, numpy_device):
    shape, weight, options = case
    arrays = values(*shape), values(*weight, seed=1), values(weight[1] * options.get("groups", 1), seed=2)
    assert_gradient(lambda x, w, b: x.conv_transpose2d(w, b, **options), *arrays)


def test_against_torch(device):
    torch = pytest.importorskip("torch")
    for shape, weight, options in CASES[:7]:
        x, w = values(*shape), values(*weight, seed=1)
        function = torch.nn.functional.conv1d if len(shape) == 3 else torch.nn.functional.conv2d
        expected = function(torch.tensor(x), torch.tensor(w), **options)
        assert_same(Tensor(x).conv2d(Tensor(w), **options), expected.numpy(), rtol=1e-4, atol=1e-4)
    for shape, weight, options in TRANSPOSED:
        x, w = values(*shape), values(*weight, seed=1)
        rank = "1d" if len(shape) == 3 else "2d"
        function = getattr(torch.nn.functional, f"conv_transpose{rank}")
        expected = function(torch.tensor(x), torch.tensor(w), **options)
        assert_same(Tensor(x).conv_transpose2d(Tensor(w), **options), expected.numpy(), rtol=1e-4, atol=1e-4)


def test_three_spatial_dimensions(device):
    torch = pytest.importorskip("torch")
    x, w = values(2, 2, 3, 4, 5), values(3, 2, 2, 3, 2, seed=1)
    expected = torch.nn.functional.conv3d(torch.tensor(x), torch.tensor(w), stride=(1, 2, 1), padding=1)
    assert_same(Tensor(x).conv3d(Tensor(w), stride=(1, 2, 1), padding=1), expected.numpy(), rtol=1e-4, atol=1e-4)
    w = values(2, 3, 2, 3, 2, seed=1)
    expected = torch.nn.functional.conv_transpose3d(torch.tensor(x), torch.tensor(w), stride=(1, 2, 1))
    assert_same(Tensor(x).conv_transpose3d(Tensor(w), stride=(1, 2, 1)), expected.numpy(), rtol=1e-4, atol=1e-4)


def test_paddings(numpy_device):
    x, w = values(1, 1, 5, 6), values(1, 1, 3, 2, seed=1)
    t, f = Tensor(x), Tensor(w)
    assert_same(t.conv2d(f, padding="valid"), convolved(x, w), rtol=1e-4)
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (0, 1)))
    assert_same(t.conv2d(f, padding="same"), convolved(padded, w), rtol=1e-4, atol=1e-5)
    assert_same(t.conv2d(f, padding=(0, 1, 1, 1)), convolved(padded, w), rtol=1e-4, atol=1e-5)


def test_narrow_floats(device):
    x, w = values(1, 8, 6, dtype=np.float16), values(4, 8, 3, seed=1, dtype=np.float16)
    found = Tensor(x).conv1d(Tensor(w))
    assert str(found.dtype) == "float16"
    assert_same(found, convolved(x, w), rtol=1e-2, atol=1e-2)


@pytest.mark.parametrize(
    ("shape", "weight", "options", "message"),
    [
        ((1, 3, 8, 8), (4, 2, 3, 3), {}, "2 input channels, the input has 3"),
        ((1, 3, 8), (4, 3, 3, 3), {}, "same number of dimensions"),
        ((1, 4, 8), (3, 2, 3), {"groups": 2}, "groups must divide"),
        ((1, 1, 2), (1, 1, 3), {}, "window of 3"),
        ((1, 1, 8), (1, 1, 3), {"stride": 0}, "at least 1"),
        ((1, 1, 8), (1, 1, 3), {"stride": (1, 2)}, "stride"),
    ],
)
def test_errors(shape, weight, options, message):
    with pytest.raises(ShapeError, match=message):
        Tensor.zeros(*shape).conv2d(Tensor.zeros(*weight), **options)


def test_errors_of_transposed():
    with pytest.raises(ShapeError, match="input channels"):
        Tensor.zeros(1, 3, 4).conv_transpose1d(Tensor.zeros(2, 3, 3))
    with pytest.raises(ShapeError, match="output_padding"):
        Tensor.zeros(1, 3, 4).conv_transpose1d(Tensor.zeros(3, 3, 3), output_padding=1)
    with pytest.raises(ValueError, match="'same'"):
        Tensor.zeros(1, 3, 4).conv1d(Tensor.zeros(3, 3, 3), padding="full")
