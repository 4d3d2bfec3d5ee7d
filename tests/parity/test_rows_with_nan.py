"""Reductions of rows that hold NaN and infinities have torch's values and gradients."""

import math

import numpy as np
import pytest

import kernelforge
from kernelforge import Tensor
from kernelforge.nn import functional

torch = pytest.importorskip("torch")

ELEMENTS = [math.nan, math.inf, -math.inf, 0.0, 1.0, -2.0, 3.5, 88.0, -103.0]
METHODS = {
    name: (lambda x, name=name: getattr(x, name)(-1))
    for name in ("softmax", "log_softmax", "logsumexp", "amax", "amin", "sum", "mean", "prod", "cumsum", "logcumsumexp",
                 "nansum")
}  # fmt: skip
BOTH = {
    **METHODS,
    "amax of all": lambda x: x.amax(),
    "amin of several": lambda x: x.reshape(*x.shape[:-1], -1, 1).amin((-2, -1)),
    "aminmax": lambda x: x.aminmax(dim=-1)[1] if isinstance(x, torch.Tensor) else x.aminmax(axis=-1)[1],
    "median": lambda x: x.median(-1)[0],
    "cummax": lambda x: x.cummax(-1)[0],
    "cummin": lambda x: x.cummin(-1)[0],
    "sort": lambda x: x.sort(-1)[0],
    "quantile": lambda x: x.quantile(0.4, -1) * x.isinf().logical_not().all(-1),  # of equal infinities ours is one
}
VALUES = {  # and those of which gradients go elsewhere: to another of equal elements, or to all where one is NaN
    **BOTH,
    "cumprod": lambda x: x.cumprod(-1),
    "nanmean": lambda x: x.nanmean(-1),
    "nanmedian": lambda x: x.nanmedian(-1)[0],
    "topk": lambda x: x.topk(2, -1)[0],
    "max of all": lambda x: x.max(),
    "min of all": lambda x: x.min(),
    "median of all": lambda x: x.median(),
    "argmax": lambda x: x.argmax(-1),
    "argmin": lambda x: x.argmin(-1),
    "norm": lambda x: x.norm(dim=-1),
    "norm of the largest": lambda x: x.norm(math.inf, dim=-1),
    "var": lambda x: x.var(-1),
}
LOSSES = {
    "cross_entropy": {},
    "smoothed": {"label_smoothing": 0.25},
    "ignored": {"ignore_index": 1},
}
WIDTHS = [2, 3, 6]


def rows(width, count=40):
    """Rows of numbers of which many are special; some rows hold nothing else."""
    rng = np.random.default_rng(width)
    found = rng.choice(ELEMENTS, (count, width)).astype(np.float32)
    return np.concatenate([found, np.full((3, width), [[math.nan], [math.inf], [-math.inf]], np.float32)])


def compared(theirs, ours, data, gradients=True):
    """Holds values and gradients against torch's."""
    x, expected_x = Tensor(data, requires_grad=True), torch.tensor(data, requires_grad=True)
    found, expected = ours(x), theirs(expected_x)
    np.testing.assert_allclose(found.numpy(), expected.detach().numpy(), rtol=1e-5, atol=1e-6)
    if gradients:
        weights = 1 + np.arange(expected.numel(), dtype=np.float32).reshape(tuple(expected.shape)) % 3
        found.backward(Tensor(weights))
        expected.backward(torch.tensor(weights))
        np.testing.assert_allclose(x.grad.numpy(), expected_x.grad.numpy(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", VALUES)
@pytest.mark.parametrize("width", WIDTHS)
def test_reductions(name, width, numpy_device):
    function, data = VALUES[name], rows(width)
    for x in [row[None] for row in data[-12:]] if " all" in name else [data]:
        compared(function, function, x, name in BOTH)


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("width", WIDTHS)
def test_losses_of_classes(name, width, numpy_device):
    data, options = rows(width), {"reduction": "none", **LOSSES[name]}
    classes = np.random.default_rng(0).integers(0, width, len(data))
    compared(
        lambda x: torch.nn.functional.cross_entropy(x, torch.tensor(classes), **options),
        lambda x: functional.cross_entropy(x, Tensor(classes), **options),
        data,
    )


@pytest.mark.parametrize("name", ["max", "min", "cummax", "cummin"])
def test_functions_that_give_places(name, numpy_device):
    data = rows(5)
    found, expected = getattr(kernelforge, name)(Tensor(data), 1), getattr(torch, name)(torch.tensor(data), 1)
    np.testing.assert_array_equal(found[0].numpy(), expected[0].numpy())
    np.testing.assert_array_equal(found[1].numpy(), expected[1].numpy())


@pytest.mark.parametrize("name", ["huber_loss", "smooth_l1_loss", "l1_loss"])
def test_losses_of_infinite_and_unknown_gaps_have_gradients(name, numpy_device):
    values = np.array([math.inf, -math.inf, 0.25, -1.0, 3.0, math.nan], np.float32)
    ours, theirs = Tensor(values, requires_grad=True), torch.tensor(values, requires_grad=True)
    getattr(functional, name)(ours, Tensor([0.0] * 6), reduction="sum").backward()
    getattr(torch.nn.functional, name)(theirs, torch.zeros(6), reduction="sum").backward()
    np.testing.assert_allclose(ours.grad.numpy(), theirs.grad.numpy())
