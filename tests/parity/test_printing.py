"""Tensors are written as torch writes them, whatever their types, sizes, values and the options of printing."""

import numpy as np
import pytest

import kernelforge
from kernelforge import Tensor

torch = pytest.importorskip("torch")

INF, NAN = float("inf"), float("nan")
RNG = np.random.default_rng(0)
ARRAYS = [
    *[np.float32(x) for x in (1.5, 0, -0.0, 1e10, NAN, INF, 123456789.0, 1e-4, 12345.678)],
    *[np.float32(x) for x in ([1, 2, 3], [1.5, 2.25], [1e-8, 1], [1e8, 1], [123456.789, 0.001], [NAN, 1],
                              [INF, -INF, NAN], [INF, 1.5], [0, 0], [1e6, 2], [99999.5, 1.25], [1e-5], [-1, 1],
                              [3e38], [1e4, 1.5])],
    np.zeros(0, np.float32), np.zeros((2, 0), np.float32), np.zeros((0, 3), np.int32), np.float64([1e-5, 1e5]),
    np.arange(5, dtype=np.int32), np.arange(2000, dtype=np.int32), np.arange(1001.0), np.array([True, False]),
    RNG.normal(size=(100, 100)).astype(np.float32), RNG.normal(size=(2, 2, 2, 2)), np.int8([1, -100]), np.uint8([200]),
    np.float16([65504, 1e-7]), np.complex64([1 + 2j, -1.5 - 0.25j]), np.complex64([complex(NAN, 1), complex(0, INF)]),
    np.complex128([[1e-10 + 1j]]), np.arange(1200, dtype=np.int16).reshape(30, 40), np.float32([[1.0] * 30] * 2),
    RNG.normal(size=(7, 60)).astype(np.float32), RNG.normal(size=(5, 1)) * 1000, np.zeros((2, 3, 0, 4), np.float32),
]  # fmt: skip
OPTIONS = [
    {}, {"precision": 2}, {"edgeitems": 1, "threshold": 5}, {"linewidth": 40}, {"sci_mode": True}, {"sci_mode": False},
    {"profile": "short"}, {"profile": "full"},
]  # fmt: skip


@pytest.fixture
def options(request):
    for library in (torch, kernelforge):
        library.set_printoptions(**request.param)
    yield
    for library in (torch, kernelforge):
        library.set_printoptions(profile="default")


@pytest.mark.parametrize("options", OPTIONS, ids=str, indirect=True)
def test_as_torch_writes_them(options, numpy_device):
    torch.set_default_dtype(torch.float32)
    for x in ARRAYS:
        if x.dtype == np.int32:  # the default integer here, as int64 is there
            expected = str(torch.tensor(x.astype(np.int64))) if x.size else str(torch.tensor(x))
        else:
            expected = str(torch.tensor(x))
        found = str(Tensor(x).realize())
        assert found.replace("Tensor(", "tensor(").replace("dtypes.", "torch.") == expected


def test_gradients_and_bfloat16(numpy_device):
    ours = Tensor(np.arange(1001.0), requires_grad=True).realize(), Tensor([1.5, 2], dtype="bfloat16").realize()
    theirs = torch.tensor(np.arange(1001.0), requires_grad=True), torch.tensor([1.5, 2], dtype=torch.bfloat16)
    for x, y in zip(ours, theirs):
        assert str(x).replace("Tensor(", "tensor(").replace("dtypes.", "torch.") == str(y)


def test_an_unknown_profile(numpy_device):
    with pytest.raises(ValueError, match="default, short, full"):
        kernelforge.set_printoptions(profile="long")
