"""Elementwise chains, in cache and out of it, and data movement."""

import numpy as np
import pytest
import torch

from kernelforge import Device, Tensor


def chain(x, y):
    """Ten operations."""
    for step in range(5):
        x = x * y + (0.5 + step)
    return x


@pytest.mark.parametrize("size", [1 << 14, 1_000_003, 1 << 24])
def bench_chain(compare, size):
    random = np.random.default_rng(0)
    a, b = (random.random(size, np.float32) for _ in range(2))
    x, y = Tensor(a).realize(), Tensor(b).realize()
    tx, ty = torch.from_numpy(a), torch.from_numpy(b)

    def ours():
        chain(x, y).realize()
        Device[Device.DEFAULT].synchronize()

    compare(ours, lambda: chain(tx, ty), nbytes=12 * size)


@pytest.mark.parametrize("name", ["exp", "log", "tanh", "sin", "sqrt", "erf", "sigmoid"])
def bench_function(compare, name):
    a = np.random.default_rng(0).random(1 << 20, np.float32) + 0.1
    x, t = Tensor(a).realize(), torch.from_numpy(a)

    def ours():
        getattr(x, name)().realize()
        Device[Device.DEFAULT].synchronize()

    compare(ours, getattr(t, name), nbytes=8 * a.size)


@pytest.mark.parametrize("shape", [(2048, 2048), (1000, 3001)], ids=lambda s: f"{s[0]}x{s[1]}")
def bench_transposed_copy(compare, shape):
    a = np.random.default_rng(0).random(shape, np.float32)
    x, t = Tensor(a).realize(), torch.from_numpy(a)

    def ours():
        x.T.contiguous().realize()
        Device[Device.DEFAULT].synchronize()

    compare(ours, t.T.contiguous, nbytes=8 * a.size)
