"""Sorting, searching and counting, against torch."""

import numpy as np
import pytest

from kernelforge.realize import synchronize
from kernelforge.tensor import Tensor

torch = pytest.importorskip("torch")
RNG = np.random.default_rng(0)


def both(values):
    """The same array in both libraries."""
    return Tensor(values).realize(), torch.from_numpy(values)


def computed(*tensors):
    """Compute tensors and wait."""
    tensors[0].realize(*tensors[1:])
    synchronize()


def normal(*shape):
    return RNG.standard_normal(shape, dtype=np.float32)


@pytest.mark.parametrize("shape", [(1000, 1000), (1 << 20,), (64, 100), (20_000, 32)], ids=str)
def bench_sort(compare, shape):
    x, t = both(normal(*shape))
    compare(lambda: computed(*x.sort()), lambda: torch.sort(t, stable=True), nbytes=16 * t.numel())


def bench_sort_int64(compare):
    x, t = both(RNG.integers(-(1 << 40), 1 << 40, 1 << 20))
    compare(lambda: computed(*x.sort()), lambda: torch.sort(t, stable=True), nbytes=32 * t.numel())


@pytest.mark.parametrize("k", [1, 50, 1000])
def bench_topk(compare, k):
    x, t = both(normal(64, 32_000))
    compare(lambda: computed(*x.topk(k)), lambda: torch.topk(t, k), nbytes=4 * t.numel())


def bench_median(compare):
    x, t = both(normal(1 << 20))
    compare(lambda: computed(x.median()), lambda: torch.median(t), nbytes=4 * t.numel())


@pytest.mark.parametrize("more", [False, True], ids=["values", "all"])
def bench_unique(compare, more):
    x, t = both(RNG.integers(0, 100_000, 1 << 20))
    options = {"return_inverse": more, "return_counts": more}
    compare(lambda: x.unique(**options), lambda: torch.unique(t, **options), nbytes=8 * t.numel())


def bench_searchsorted(compare):
    line, sorted_ = both(np.sort(normal(1 << 16)))
    x, t = both(normal(1 << 20))
    compare(lambda: computed(line.searchsorted(x)), lambda: torch.searchsorted(sorted_, t), nbytes=8 * t.numel())


@pytest.mark.parametrize("bins", [16, 1000, 100_000])
def bench_bincount(compare, bins):
    x, t = both(RNG.integers(0, bins, 1 << 24, dtype=np.int32))
    compare(lambda: computed(x.bincount()), lambda: torch.bincount(t), nbytes=4 * t.numel())


def bench_histc(compare):
    x, t = both(normal(1 << 24))
    compare(lambda: computed(x.histc(100, -3, 3)), lambda: torch.histc(t, 100, -3, 3), nbytes=4 * t.numel())
