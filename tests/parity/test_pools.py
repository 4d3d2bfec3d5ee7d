"""Pooling in random configurations, padding, partial windows and empty ones among them, is torch's."""

import numpy as np
import pytest

from kernelforge import Tensor
from kernelforge.nn import functional
from tests.parity.checks import torch

COUNT = 60


def drawn(rng, rank):
    """An array and what all pools take: windows, strides and padding of at most half a window."""
    sizes = rng.integers(1, 8, rank)
    window = rng.integers(1, 5, rank)
    options = {
        "kernel_size": window.tolist(),
        "stride": rng.integers(1, 5, rank).tolist(),
        "padding": [int(rng.integers(0, n // 2 + 1)) for n in window],
        "ceil_mode": bool(rng.integers(2)),
    }
    batch = [(), (2,)][rng.integers(2)]
    return np.round(rng.normal(size=(*batch, 3, *sizes)) * 2).astype(np.float32), options


def results(library, functions, name, x, options, slopes):
    """What a pool gives, and the gradient if there are slopes; the error where it refuses."""
    tensor = library.tensor(x) if library is torch else library(x)
    tensor.requires_grad_()
    try:
        found = getattr(functions, name)(tensor, **options)
    except (RuntimeError, ValueError) as error:
        return error
    parts = list(found) if isinstance(found, tuple) else [found]
    if not slopes:
        return [part.detach().numpy() for part in parts]
    weights = 1 + np.arange(parts[0].numel(), dtype=np.float32).reshape(tuple(parts[0].shape)) % 5
    parts[0].backward(library.tensor(weights) if library is torch else library(weights))
    return [part.detach().numpy() for part in (*parts, tensor.grad)]


def compared(name, x, options, slopes=True):
    """Holds a pool against torch's."""
    found = results(Tensor, functional, name, x, options, slopes)
    expected = results(torch, torch.nn.functional, name, x, options, slopes)
    if isinstance(expected, Exception):
        assert isinstance(found, Exception) or "smaller than kernel" in str(expected), (options, expected)
        return
    assert not isinstance(found, Exception), (options, found)
    for a, b in zip(found, expected):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5, err_msg=f"{x.shape} {options}")


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("places", [False, True])
def test_maxima(rank, places, numpy_device):
    rng = np.random.default_rng(rank)
    for _ in range(COUNT):
        x, options = drawn(rng, rank)
        options["dilation"] = rng.integers(1, 4, rank).tolist()
        options["return_indices"] = places
        full = all(d <= n for n, d in zip(x.shape[-rank:], options["dilation"]))
        compared(f"max_pool{rank}d", x, options, slopes=full)  # else torch writes where nothing is


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_means(rank, numpy_device):
    rng = np.random.default_rng(rank)
    for _ in range(COUNT):
        x, options = drawn(rng, rank)
        options["count_include_pad"] = bool(rng.integers(2))
        if rank > 1:
            options["divisor_override"] = [None, 1, 3, -2, 0][rng.integers(5)]
        compared(f"avg_pool{rank}d", x, options)


@pytest.mark.parametrize("name, options", [
    ("max_pool2d", {"kernel_size": 3, "stride": 2, "padding": 1}),
    ("adaptive_max_pool2d", {"output_size": (3, 4)}),
    ("adaptive_max_pool2d", {"output_size": (2, 5)}),
])  # fmt: skip
def test_of_several_nan_the_last_is_the_largest(name, options, numpy_device):
    rng = np.random.default_rng(0)
    x = rng.choice([np.nan, np.inf, -np.inf, 0.0, 1.0, 2.0], (2, 3, 6, 10)).astype(np.float32)
    options = {**options, "return_indices": True}
    ours, theirs = Tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
    found = getattr(functional, name)(ours, **options)
    expected = getattr(torch.nn.functional, name)(theirs, **options)
    found[0].backward(Tensor(np.arange(found[0].numel(), dtype=np.float32).reshape(found[0].shape)))
    expected[0].backward(torch.arange(expected[0].numel(), dtype=torch.float32).reshape(expected[0].shape))
    for mine, other in zip((*found, ours.grad), (*expected, theirs.grad)):
        np.testing.assert_array_equal(mine.numpy(), other.detach().numpy())
