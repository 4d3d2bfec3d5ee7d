"""Pooling against windows written out in NumPy and against torch, and gradients."""

import numpy as np
import pytest

from kernelforge.errors import ShapeError
from kernelforge.tensor import Tensor
from tests.tensor.checks import assert_all_same, assert_gradient, assert_same, values

CASES = [
    {},
    {"kernel_size": 3},
    {"kernel_size": (3, 2), "stride": 1},
    {"kernel_size": 3, "stride": 2, "padding": 1},
    {"kernel_size": 3, "stride": 2, "ceil_mode": True},
    {"kernel_size": 3, "stride": 3, "padding": 1, "ceil_mode": True},
]


def windows(x, kernel, stride):
    view = np.lib.stride_tricks.sliding_window_view(x, kernel, (-2, -1))
    return view[..., :: stride[0], :: stride[1], :, :]


def test_values(device):
    x = values(2, 3, 7, 8)
    t = Tensor(x)
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)), constant_values=-np.inf)
    zeros = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
    found = [
        t.max_pool2d(),
        t.max_pool2d(3, 2, padding=1),
        t.avg_pool2d((3, 2), 1),
        t.avg_pool2d(3, 2, padding=1),
        t.max_pool1d(2),
        t.avg_pool1d(4),
        t.adaptive_avg_pool2d((1, 4)),
        t.adaptive_avg_pool2d(1),
    ]
    expected = [
        windows(x, (2, 2), (2, 2)).max((-2, -1)),
        windows(padded, (3, 3), (2, 2)).max((-2, -1)),
        windows(x, (3, 2), (1, 1)).mean((-2, -1)),
        windows(zeros, (3, 3), (2, 2)).mean((-2, -1)),
        x.reshape(2, 3, 7, 4, 2).max(-1),
        x.reshape(2, 3, 7, 2, 4).mean(-1),
        x.reshape(2, 3, 1, 7, 4, 2).mean((3, 5)),
        x.mean((2, 3), keepdims=True),
    ]
    assert_all_same(found, expected)


def test_against_torch(device):
    torch = pytest.importorskip("torch")
    x = values(2, 3, 7, 8)
    source, functional = torch.tensor(x), torch.nn.functional
    found, expected = [], []
    for case in CASES:
        options = {"kernel_size": 2} | case
        found += [Tensor(x).max_pool2d(**case), Tensor(x).avg_pool2d(**case)]
        expected += [functional.max_pool2d(source, **options), functional.avg_pool2d(source, **options)]
        found.append(Tensor(x).avg_pool2d(**case, count_include_pad=False))
        expected.append(functional.avg_pool2d(source, **options, count_include_pad=False))
    found.append(Tensor(x).max_pool2d(2, dilation=2))
    expected.append(functional.max_pool2d(source, 2, dilation=2))
    assert_all_same(found, [y.numpy() for y in expected])


def test_indices(device):
    torch = pytest.importorskip("torch")
    x = values(2, 7, 8)
    largest, places = Tensor(x).max_pool2d(3, 2, padding=1, return_indices=True)
    expected = torch.nn.functional.max_pool2d(torch.tensor(x), 3, 2, padding=1, return_indices=True)
    assert_all_same([largest, places], [y.numpy() for y in expected])


@pytest.mark.parametrize("case", CASES, ids=str)
def test_gradient(case, numpy_device):
    x = values(1, 2, 5, 6)
    assert_gradient(lambda t: t.max_pool2d(**case), x)
    assert_gradient(lambda t: t.avg_pool2d(**case), x)
    assert_gradient(lambda t: t.avg_pool2d(**case, count_include_pad=False), x)


def test_padding_never_wins(numpy_device):
    x = -np.ones((1, 3, 3), np.float32)
    assert_same(Tensor(x).max_pool2d(3, 1, padding=1), x)
    assert_same(Tensor(x.astype(np.int32)).max_pool2d(3, 1, padding=1), x)


def test_errors():
    with pytest.raises(ShapeError, match="window of 5"):
        Tensor.zeros(1, 4, 4).max_pool2d(5)
    with pytest.raises(ShapeError, match="at least 1"):
        Tensor.zeros(1, 5, 4).adaptive_avg_pool2d((-1, 2))
    with pytest.raises(ShapeError, match="last dimensions"):
        Tensor.zeros(4).adaptive_max_pool2d(2)
    with pytest.raises(ShapeError, match="fewer"):
        Tensor.zeros(4).avg_pool2d()
