"""Matrix products: every transposition, ragged and skinny sizes, with bias and activation fused."""

import numpy as np
import pytest
import torch

from kernelforge import Device, Tensor

SIZES = [(512, 512, 512), (1024, 1024, 1024), (2048, 2048, 2048), (1000, 999, 1001), (127, 129, 131), (32, 1024, 4096)]


def operands(m: int, n: int, k: int, form: str) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    a = random.standard_normal((k, m) if form[0] == "T" else (m, k), np.float32)
    b = random.standard_normal((n, k) if form[1] == "T" else (k, n), np.float32)
    return a, b


@pytest.mark.parametrize("form", ["NN", "TN", "NT"])
@pytest.mark.parametrize("size", SIZES, ids="x".join(["{0[0]}", "{0[1]}", "{0[2]}"]).format)
def bench_matmul(compare, size, form):
    m, n, k = size
    a, b = operands(m, n, k, form)
    x, y = Tensor(a).realize(), Tensor(b).realize()
    tx, ty = torch.from_numpy(a), torch.from_numpy(b)

    def ours():
        ((x.T if form[0] == "T" else x) @ (y.T if form[1] == "T" else y)).realize()
        Device[Device.DEFAULT].synchronize()

    def theirs():
        return (tx.T if form[0] == "T" else tx) @ (ty.T if form[1] == "T" else ty)

    compare(ours, theirs, flops=2 * m * n * k)


@pytest.mark.parametrize("size", [512, 1024, 2048])
def bench_linear_gelu(compare, size):
    random = np.random.default_rng(0)
    a, w = (random.standard_normal((size, size), np.float32) for _ in range(2))
    bias = random.standard_normal(size, np.float32)
    x, y, c = Tensor(a).realize(), Tensor(w).realize(), Tensor(bias).realize()
    tx, ty, tc = map(torch.from_numpy, (a, w, bias))

    def ours():
        (x @ y + c).gelu().realize()
        Device[Device.DEFAULT].synchronize()

    compare(ours, lambda: torch.nn.functional.gelu(torch.addmm(tc, tx, ty), approximate="tanh"), flops=2 * size**3)
