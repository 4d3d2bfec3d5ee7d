"""8-bit floats: every byte's value, rounding, and operations in float32, held against torch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from codegen.dtypes import FLOAT8, DType, from_storage, round_to_float8
from kernelforge import Tensor
from kernelforge.io.safetensors import safe_load, safe_save

TYPES = [(dtype, getattr(torch, dtype.name)) for dtype in FLOAT8]


def hard_values() -> np.ndarray:
    """Float32 values of all sizes, ties and the edges of both types."""
    generator = np.random.default_rng(0)
    some = generator.normal(size=4000) * np.exp2(generator.integers(-20, 18, 4000))
    edges = [0.0, -0.0, 448, 463, 464, 480, 57344, 61439, 61440, np.inf, -np.inf, np.nan, 2**-9, 2**-10, 2**-16, 2**-17]
    halves = [(1 + k / 16) * 2.0**e for k in range(16) for e in range(-18, 16)]
    return np.concatenate([some, edges, halves, -np.array(halves)]).astype(np.float32)


@pytest.mark.parametrize(("dtype", "theirs"), TYPES, ids=str)
def test_every_byte_and_hard_values(dtype: DType, theirs: torch.dtype) -> None:
    values = torch.arange(256, dtype=torch.uint8).view(theirs).float().numpy()
    assert np.array_equal(from_storage(np.arange(256, dtype=np.uint8), dtype), values, equal_nan=True)
    x = hard_values()
    expected = torch.from_numpy(x).to(theirs)
    assert np.array_equal(round_to_float8(x, dtype), expected.view(torch.uint8).numpy())
    found = Tensor(x).cast(dtype)
    assert np.array_equal(found.cast("float32").numpy(), expected.float().numpy(), equal_nan=True)
    assert np.array_equal(found.realize().numpy(), expected.float().numpy(), equal_nan=True)
    kept = ~np.isnan(x)
    assert np.array_equal(found.bitcast("uint8").numpy()[kept], expected.view(torch.uint8).numpy()[kept])
    assert np.array_equal(Tensor(np.arange(256, dtype=np.uint8)).bitcast(dtype).numpy(), values, equal_nan=True)


@pytest.mark.parametrize(("dtype", "theirs"), TYPES, ids=str)
def test_operations_round_once(dtype: DType, theirs: torch.dtype) -> None:
    x, y = np.random.default_rng(1).normal(size=(2, 5, 7)).astype(np.float32)
    a, b = Tensor(x, dtype=dtype), Tensor(y, dtype=dtype)
    c, d = torch.from_numpy(x).to(theirs).float(), torch.from_numpy(y).to(theirs).float()
    pairs = ((a + b, c + d), (a * b, c * d), (a.exp(), c.exp()), (a.sum(1), c.sum(1)), (a @ b.T, c @ d.T))
    for found, expected in pairs:
        assert found.dtype is dtype
        assert np.array_equal(found.numpy(), expected.to(theirs).float().numpy())
    assert np.array_equal((a < b).numpy(), (c < d).numpy()) and np.array_equal(a[::2, 1].numpy(), c[::2, 1].numpy())
    assert (a + Tensor(y)).dtype.name == "float32"


def test_gradients_pass_and_are_rounded() -> None:
    x = Tensor([0.3, -1.7, 5.0], requires_grad=True)
    (x.cast("float8_e4m3fn").float() * Tensor([1.1, 2.0, 3.0])).sum().backward()
    t = torch.tensor([0.3, -1.7, 5.0], requires_grad=True)
    (t.to(torch.float8_e4m3fn).float() * torch.tensor([1.1, 2.0, 3.0])).sum().backward()
    assert x.grad is not None and t.grad is not None
    np.testing.assert_allclose(x.grad.numpy(), t.grad.numpy(), rtol=0.07)


def test_files_and_memory(tmp_path: Path) -> None:
    for dtype in FLOAT8:
        x = Tensor(hard_values(), dtype=dtype)
        assert x.nbytes() == x.numel()
        safe_save({"x": x, "z": Tensor([1 + 2j])}, tmp_path / "file")
        found = safe_load(tmp_path / "file")
        assert found["x"].dtype is dtype and found["z"].tolist() == [1 + 2j]
        assert np.array_equal(found["x"].numpy(), x.numpy(), equal_nan=True)
