"""Row and column kernels: softmax, norms, cross-entropy, sums; all in one kernel, one or two passes over memory."""

import numpy as np
import pytest
import torch

from kernelforge import Device, Tensor

FUNCTIONS = torch.nn.functional
SHAPES = [(4096, 1024), (1000, 1000), (128, 32000)]


def values(*shape: int) -> tuple[Tensor, torch.Tensor]:
    array = np.random.default_rng(0).standard_normal(shape, np.float32)
    return Tensor(array).realize(), torch.from_numpy(array)


def finished(result: Tensor) -> None:
    result.realize()
    Device[Device.DEFAULT].synchronize()


@pytest.mark.parametrize("shape", SHAPES, ids=lambda s: f"{s[0]}x{s[1]}")
def bench_softmax(compare, shape):
    x, t = values(*shape)
    compare(lambda: finished(x.softmax()), lambda: t.softmax(1), nbytes=8 * t.numel())


@pytest.mark.parametrize("shape", SHAPES, ids=lambda s: f"{s[0]}x{s[1]}")
def bench_layer_norm(compare, shape):
    (x, t), (w, tw), (b, tb) = values(*shape), values(shape[1]), values(shape[1])
    compare(
        lambda: finished(x.layernorm() * w + b),
        lambda: FUNCTIONS.layer_norm(t, (shape[1],), tw, tb),
        nbytes=8 * t.numel(),
    )


@pytest.mark.parametrize("shape", SHAPES, ids=lambda s: f"{s[0]}x{s[1]}")
def bench_cross_entropy(compare, shape):
    x, t = values(*shape)
    labels = np.random.default_rng(1).integers(0, shape[1], shape[0])
    y, ty = Tensor(labels.astype(np.int32)).realize(), torch.from_numpy(labels)
    compare(
        lambda: finished(x.sparse_categorical_crossentropy(y)),
        lambda: FUNCTIONS.cross_entropy(t, ty),
        nbytes=4 * t.numel(),
    )


@pytest.mark.parametrize("dim", [0, 1])
@pytest.mark.parametrize("shape", SHAPES, ids=lambda s: f"{s[0]}x{s[1]}")
def bench_sum(compare, shape, dim):
    x, t = values(*shape)
    compare(lambda: finished(x.sum(dim)), lambda: t.sum(dim), nbytes=4 * t.numel())


def bench_full_sum(compare):
    x, t = values(4096, 4096)
    compare(lambda: finished(x.sum()), t.sum, nbytes=4 * t.numel())
