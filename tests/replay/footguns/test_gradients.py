"""Gradients inside of captured functions and through them, and training."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from kernelforge import JitError, Tensor, jit, nn, no_grad, optim
from tests.replay.footguns.twins import agrees, tensor

pytestmark = pytest.mark.usefixtures("numpy_device")


def test_gradients_inside() -> None:
    def make() -> Callable[..., Any]:
        def slope(x: Tensor, w: Tensor) -> Tensor:
            return (x * w * w).sum().gradient(w)[0]

        return slope

    w = tensor(2, 3).requires_grad_()
    agrees(make, [(tensor(i, 1), w) for i in range(3)], captures=1)


def test_gradients_through() -> None:
    weight = tensor(2, 3).requires_grad_()
    captured = jit(lambda x: (x * weight * weight).sum())
    for i in range(1, 4):
        x = tensor(i, 1).requires_grad_()
        (captured(x * 2) * 3).backward()
        assert x.grad is not None and weight.grad is not None
        assert x.grad.tolist() == [24, 54]
        assert weight.grad.tolist() == [i * 24, 36]
        weight.grad = None


def test_backward_of_a_history_from_outside_is_refused() -> None:
    w = tensor(1).requires_grad_()
    with pytest.raises(JitError, match="backward"):
        jit(lambda x: x.sum().backward())(w * 2)


def test_gradients_left_with_arguments() -> None:
    def make() -> Callable[..., Any]:
        return lambda x: (x * x).sum().backward() and None

    plain, captured = make(), jit(make())
    for function in (plain, captured):
        x = tensor(1, 2).requires_grad_()
        for times in range(1, 5):
            function(x)
            assert x.grad is not None and x.grad.tolist() == [2 * times, 4 * times]


def test_no_grad_is_a_mode() -> None:
    w = tensor(2).requires_grad_()
    captured = jit(lambda x: x * w)
    with no_grad():
        assert captured(tensor(1)).requires_grad is None
    assert captured(tensor(1)).requires_grad


def test_training() -> None:
    def run(captures: bool) -> tuple[list[float], list[float]]:
        Tensor.manual_seed(1)
        model = nn.Sequential(nn.Linear(3, 4), Tensor.relu, nn.Dropout(0.2), nn.Linear(4, 1))
        optimizer = optim.Adam(model.parameters(), lr=0.1)

        def step(x: Tensor, y: Tensor) -> Tensor:
            optimizer.zero_grad()
            loss = (model(x) - y).square().mean()
            loss.backward()
            optimizer.step()
            return loss

        function = jit(step) if captures else step
        rng, losses = np.random.default_rng(0), []
        with Tensor.train():
            for i in range(6):
                x, y = (Tensor(rng.normal(size=(5 - (i == 3), n)).astype(np.float32)) for n in (3, 1))
                losses.append(function(x, y).item())
                optimizer.lr = 0.1 / (i + 1)
        return losses, [x for tensor in model.state_dict().values() for x in tensor.flatten().tolist()]

    found, expected = run(True), run(False)
    np.testing.assert_allclose(found[0], expected[0], rtol=1e-5)
    np.testing.assert_allclose(found[1], expected[1], rtol=1e-4, atol=1e-6)
