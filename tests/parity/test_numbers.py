"""Numbers of Python beside tensors of 16-bit floats are rounded where torch rounds them."""

import numpy as np
import pytest

from kernelforge import Tensor

torch = pytest.importorskip("torch")


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_numbers_beside_narrow_floats(dtype, device):
    """torch multiplies and divides by all digits of a number, and adds and compares what the type has of it."""
    x = np.random.default_rng(0).normal(size=1000).astype(np.float32)
    ours, theirs = Tensor(x).cast(dtype).realize(), torch.tensor(x).to(getattr(torch, dtype))
    for function in (
        lambda x: x * 0.1, lambda x: 0.1 * x, lambda x: x / 0.1, lambda x: x * 2049, lambda x: x + 0.1,
        lambda x: x - 0.1, lambda x: 0.1 - x, lambda x: x % 0.1, lambda x: x < 0.1, lambda x: x.deg2rad(),
    ):  # fmt: skip
        found, expected = function(ours).realize(), function(theirs)
        assert found.dtype.name == str(expected.dtype)[6:]
        assert np.array_equal(found.numpy().astype(np.float32), expected.float().numpy())
