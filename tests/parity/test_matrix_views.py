"""Operations on tensors that are no plain arrays: views of every kind, none and one element, primes, many elements.

Values, gradients and second gradients are compared with torch's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from kernelforge import Tensor
from kernelforge.autograd import grad

torch = pytest.importorskip("torch")

SMOOTH: dict[str, Callable[[Any], Any]] = {
    "exp": lambda x: x.exp(), "sin": lambda x: x.sin(), "sigmoid": lambda x: x.sigmoid(), "square": lambda x: x * x,
    "cube": lambda x: x**3, "quotient": lambda x: x / (x * x + 1), "log": lambda x: (x * x + 1).log(),
    "sum": lambda x: (x * x).sum(), "mean": lambda x: (x * x).mean(-1), "softmax": lambda x: x.softmax(-1),
    "logsumexp": lambda x: x.logsumexp(-1), "var": lambda x: x.var(-1, correction=0),
    "norm": lambda x: (x * x + 1).norm(), "cumsum": lambda x: (x * x).cumsum(-1),
    "joined": lambda x: x.exp().flatten(),
    "moved": lambda x: (x * x).movedim(0, -1),
    "rolled": lambda x: x * x.roll(1, 0), "picked": lambda x: (x * x)[x.shape[0] // 2 :],
    "turned": lambda x: x * x.flip(0),
    "outer": lambda x: x.unsqueeze(-1) * x.unsqueeze(-2),
    "product": lambda x: x @ x.transpose(-1, -2),
}  # fmt: skip
OTHERS: dict[str, Callable[[Any], Any]] = {
    "prod": lambda x: (x + 2).prod(-1), "abs": lambda x: x.abs(), "relu": lambda x: x.relu(),
    "amax": lambda x: x.amax(-1), "sorted": lambda x: x.sort(-1)[0],
    "cummax": lambda x: x.cummax(0)[0], "median": lambda x: x.median(), "clamped": lambda x: x.clamp(-0.5, 0.5),
    "floor": lambda x: x.floor() + x, "lower": lambda x: x.tril(), "gated": lambda x: x * (x > 0),
    "masked": lambda x: x.masked_fill(x > 0, 3.0),
}  # fmt: skip
MATRICES_ONLY = {"product", "lower"}
VIEWS: dict[str, tuple[tuple[int, ...], Callable[[Any], Any], Callable[[Any], Any]]] = {
    "transposed": ((5, 3), lambda x: x.transpose(0, 1), lambda x: x.transpose(0, 1)),
    "permuted": ((2, 3, 5), lambda x: x.permute(2, 0, 1), lambda x: x.permute(2, 0, 1)),
    "expanded": ((1, 7), lambda x: x.expand(4, 7), lambda x: x.expand(4, 7)),
    "stepped": ((11, 5), lambda x: x[1::2, ::3], lambda x: x[1::2, ::3]),
    "turned": ((7, 3), lambda x: x[::-1, ::-2], lambda x: x.flip(0, 1)[:, ::2]),
    "windows": ((9,), lambda x: x.unfold(0, 4, 2), lambda x: x.unfold(0, 4, 2)),
    "diagonal": ((4, 5, 3), lambda x: x.diagonal(1), lambda x: x.diagonal(1)),
    "row of a part": ((3, 4, 5), lambda x: x[1, 1:], lambda x: x[1, 1:]),
    "primes": ((13, 17), lambda x: x, lambda x: x),
    "one element": ((1, 1), lambda x: x, lambda x: x),
}


def numbers(shape: tuple[int, ...]) -> np.ndarray:
    return np.asarray(np.random.default_rng(7).normal(size=shape))


def compared(name: str, function: Callable[[Any], Any], x: Any, mine: Any, t: Any, theirs: Any, twice: bool) -> None:
    """A function of a view of each library, its gradient, and the gradient of that."""
    y, z = function(mine), function(theirs)
    np.testing.assert_allclose(y.numpy(), z.detach().numpy(), 1e-9, 1e-9, err_msg=name)
    weights = np.cos(np.arange(z.numel())).reshape(z.shape)
    (dx,) = grad(y, [x], [Tensor(weights)], create_graph=True)
    (dt,) = torch.autograd.grad(z, t, torch.tensor(weights), create_graph=True)
    np.testing.assert_allclose(dx.numpy(), dt.detach().numpy(), 1e-8, 1e-9, err_msg=f"gradient of {name}")
    if twice:
        (ddx,) = grad((dx * dx).sum(), [x], materialize_grads=True)
        (ddt,) = torch.autograd.grad((dt * dt).sum(), t, materialize_grads=True)
        np.testing.assert_allclose(ddx.numpy(), ddt.numpy(), 1e-7, 1e-8, err_msg=f"second gradient of {name}")


@pytest.mark.parametrize("view", VIEWS)
def test_a_view_behaves_as_torchs(view: str, numpy_device: None) -> None:
    shape, ours, theirs = VIEWS[view]
    for name, function in {**SMOOTH, **OTHERS}.items():
        x = Tensor(numbers(shape), requires_grad=True)
        t = torch.tensor(numbers(shape), requires_grad=True)
        mine = ours(x)
        if name in MATRICES_ONLY and mine.ndim < 2:
            continue
        compared(name, function, x, mine, t, theirs(t), name in SMOOTH)


@pytest.mark.parametrize("shape", [(0,), (0, 3), (3, 0), (2, 0, 5)], ids=str)
def test_no_elements_behave_as_torchs(shape: tuple[int, ...], numpy_device: None) -> None:
    for name in SMOOTH.keys() - {"logsumexp", "rolled"} | {"abs", "relu", "clamped", "gated"}:
        function = {**SMOOTH, **OTHERS}[name]
        if name in MATRICES_ONLY and len(shape) < 2:
            continue
        x, t = Tensor(numbers(shape)), torch.tensor(numbers(shape))
        np.testing.assert_array_equal(function(x).numpy(), function(t).numpy(), err_msg=name)


@pytest.mark.parametrize("name", ["exp", "sum", "softmax", "cumsum", "var", "amax", "clamped", "turned"])
def test_many_elements_behave_as_torchs(name: str) -> None:
    function = {**SMOOTH, **OTHERS}[name]
    x = Tensor(numbers((1031, 257)), requires_grad=True)
    t = torch.tensor(numbers((1031, 257)), requires_grad=True)
    compared(name, function, x, x.transpose(0, 1), t, t.transpose(0, 1), False)
