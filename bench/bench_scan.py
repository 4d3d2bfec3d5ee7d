"""Running sums and maxima along rows, columns and one long line; a scan reads and writes each element once."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from kernelforge import Device, Tensor


def values(*shape: int) -> tuple[Tensor, torch.Tensor]:
    array = np.random.default_rng(0).standard_normal(shape, np.float32)
    return Tensor(array).realize(), torch.from_numpy(array)


def finished(result: Tensor) -> None:
    result.realize()
    Device[Device.DEFAULT].synchronize()


CASES: list[tuple[tuple[int, ...], int]] = [((4096, 4096), 0), ((4096, 4096), 1), ((1 << 24,), 0), ((64, 100), 1)]
NAMES = ["columns of 4096x4096", "rows of 4096x4096", "16M in a line", "rows of 64x100"]
OPERATIONS: dict[str, Callable[[torch.Tensor, int], torch.Tensor]] = {
    "cumsum": torch.cumsum,
    "cummax": lambda t, dim: torch.cummax(t, dim)[0],
}


@pytest.mark.parametrize(("shape", "dim"), CASES, ids=NAMES)
@pytest.mark.parametrize("name", OPERATIONS)
def bench_scan(compare, name, shape, dim):
    x, t = values(*shape)
    compare(lambda: finished(getattr(x, name)(dim)), lambda: OPERATIONS[name](t, dim), nbytes=8 * t.numel())


def bench_scan_of_an_expression(compare):
    x, t = values(4096, 4096)
    compare(lambda: finished(x.exp().cumsum(1) * 2), lambda: t.exp().cumsum(1) * 2, nbytes=8 * t.numel())


@pytest.mark.parametrize("dim", [0, 1])
def bench_gradient(compare, dim):
    """The gradient of a running sum: a running sum from the other end."""
    x, t = values(4096, 1024)
    dy, tdy = values(4096, 1024)
    t.requires_grad_()
    x.requires_grad = True
    compare(
        lambda: finished(x.cumsum(dim).gradient(x, gradient=dy)[0]),
        lambda: torch.autograd.grad(t.cumsum(dim), t, tdy),
        nbytes=8 * t.numel(),
    )
