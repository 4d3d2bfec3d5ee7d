"""Values added up at places that come from data, against torch."""

import numpy as np
import pytest

from kernelforge.realize import synchronize
from kernelforge.tensor import Tensor

torch = pytest.importorskip("torch")
RNG = np.random.default_rng(0)


def both(values):
    """The same array in both libraries."""
    return Tensor(values).realize(), torch.from_numpy(values)


def computed(tensor):
    """Compute a tensor and wait."""
    tensor.realize()
    synchronize()


@pytest.mark.parametrize(("rows", "width"), [(32_000, 256), (32_000, 64), (1000, 256), (100_000, 8)], ids=str)
def bench_embedding_gradient(compare, rows, width):
    count = 8192
    index, i = both(RNG.integers(0, rows, count))
    dy, g = both(RNG.standard_normal((count, width), dtype=np.float32))
    places = index.reshape(-1, 1).expand(count, width)

    def ours():
        computed(Tensor.zeros(rows, width).scatter_add(0, places, dy))

    nbytes = 4 * (rows + count) * width
    compare(ours, lambda: torch.ops.aten.embedding_dense_backward(g, i, rows, -1, False), nbytes=nbytes)


@pytest.mark.parametrize("places", [10, 1000, 1 << 20])
def bench_scatter_add(compare, places):
    count = 1 << 22
    index, i = both(RNG.integers(0, places, count))
    x, t = both(RNG.standard_normal(count, dtype=np.float32))
    compare(
        lambda: computed(Tensor.zeros(places).scatter_add(0, index, x)),
        lambda: torch.zeros(places).scatter_add_(0, i, t),
        nbytes=12 * count,
    )


def bench_scatter_add_rows(compare):
    index, i = both(RNG.integers(0, 1000, (1000, 1000)))
    x, t = both(RNG.standard_normal((1000, 1000), dtype=np.float32))
    compare(
        lambda: computed(Tensor.zeros(1000, 1000).scatter_add(1, index, x)),
        lambda: torch.zeros(1000, 1000).scatter_add_(1, i, t),
        nbytes=16 * t.numel(),
    )


def bench_permutation(compare):
    index, i = both(RNG.permutation(1 << 20))
    x, t = both(RNG.standard_normal(1 << 20, dtype=np.float32))
    compare(
        lambda: computed(Tensor.zeros(1 << 20).scatter(0, index, x)),
        lambda: torch.zeros(1 << 20).scatter_(0, i, t),
        nbytes=16 << 20,
    )
