"""Tensors are written as torch writes them, whatever their types, sizes, values and the options of printing."""

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

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


FLOATS = ("float16", "bfloat16", "float32", "float64", "float8_e4m3fn", "float8_e5m2")
TYPES = ("bool", "uint8", "int8", "int16", "uint16", "uint32", "uint64", *FLOATS, "complex64", "complex128")
SHAPES = [(), (1,), (0,), (2, 0), (7,), (2, 3), (40,), (2, 2, 2), (1001,), (30, 40), (2, 3, 4, 5), (11, 11, 11)]


def some(rng, kind, size):
    """Numbers of one of many magnitudes, with some that are special."""
    if kind in "iub":
        most = 2 ** int(rng.integers(0, 62))
        return rng.integers(-most if kind == "i" else 0, most, size)
    scales = [0.0, 5.0, -5.0, 38.0, rng.integers(-12, 12, size).astype(float)]
    values = rng.normal(size=size) * 10.0 ** scales[rng.integers(0, len(scales))]
    values = np.round(values) if rng.random() < 0.3 else values
    for special in (NAN, INF, -INF, 0.0, -0.0):
        if size and rng.random() < 0.15:
            values[rng.integers(0, size, max(1, size // 5))] = special
    return values


@given(st.sampled_from(TYPES), st.sampled_from(SHAPES), st.integers(0, 2**32), st.fixed_dictionaries({}, optional={
    "precision": st.integers(0, 8), "threshold": st.integers(0, 50), "edgeitems": st.integers(1, 4),
    "linewidth": st.integers(20, 120), "sci_mode": st.booleans()}))  # fmt: skip
@settings(deadline=None, max_examples=200)
def test_any_tensor_is_written_as_torch_writes_it(name, shape, seed, chosen):
    """Save for where a line is broken before the type, whose name is a letter longer here."""
    rng, size = np.random.default_rng(seed), int(np.prod(shape))
    kind = "f" if name in FLOATS else name[0]
    values = some(rng, kind, size) + (1j * some(rng, kind, size) if kind == "c" else 0)
    theirs = torch.tensor(values.reshape(shape)).to(getattr(torch, name))
    wide = theirs.float() if name == "bfloat16" or "float8" in name else theirs
    for library in (torch, kernelforge):
        library.set_printoptions(profile="default")
        library.set_printoptions(**chosen)
    try:
        with kernelforge.Context(DEVICE="NUMPY"):
            found, expected = str(Tensor(wide.numpy()).cast(name).realize()), str(theirs)
    finally:
        for library in (torch, kernelforge):
            library.set_printoptions(profile="default")
    found = found.replace("Tensor(", "tensor(").replace("dtypes.", "torch.")
    assert re.sub(r",\s+dtype", ", dtype", found) == re.sub(r",\s+dtype", ", dtype", expected)


def test_gradients_and_bfloat16(numpy_device):
    ours = Tensor(np.arange(1001.0), requires_grad=True).realize(), Tensor([1.5, 2], dtype="bfloat16").realize()
    theirs = torch.tensor(np.arange(1001.0), requires_grad=True), torch.tensor([1.5, 2], dtype=torch.bfloat16)
    for x, y in zip(ours, theirs):
        assert str(x).replace("Tensor(", "tensor(").replace("dtypes.", "torch.") == str(y)


def test_an_unknown_profile(numpy_device):
    with pytest.raises(ValueError, match="default, short, full"):
        kernelforge.set_printoptions(profile="long")
