"""Gradients that are read one after the other are computed together; a step takes them as they are."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from kernelforge import GlobalCounters, Tensor, nn
from kernelforge.nn.utils import clip_grad_norm_
from kernelforge.optim import SGD, Adam, Optimizer
from kernelforge.tensor.registry import pending

DEPTH = 6
Network = tuple[nn.Module, Tensor]


@pytest.fixture
def network() -> Network:
    layers = [layer for _ in range(DEPTH) for layer in (nn.Linear(8, 8), nn.Tanh())]
    module = nn.Sequential(*layers)
    Tensor.realize(*module.parameters())
    return module, Tensor(np.random.default_rng(0).standard_normal((32, 8)).astype(np.float32)).realize()


def products_of(run: Callable[[], object]) -> int:
    """Floating-point operations, in those of one product of a layer."""
    before = GlobalCounters.global_ops
    run()
    return int((GlobalCounters.global_ops - before) // (2 * 32 * 8 * 8))


def differentiated(network: Network) -> Tensor:
    module, x = network
    for p in module.parameters():
        p.grad = None
    return module(x).square().mean().backward()


def norms(network: Network) -> list[float]:
    return [p.grad.norm().item() for p in network[0].parameters() if p.grad is not None]


@pytest.mark.parametrize("times", [1, 6])
def test_all_are_computed_once(network: Network, times: int) -> None:
    expected = []
    for p in network[0].parameters():
        differentiated(network)
        assert p.grad is not None
        expected.append(float(np.linalg.norm(p.grad.numpy())))
    for _ in range(times):
        differentiated(network)
        assert products_of(lambda: np.testing.assert_allclose(norms(network), expected, rtol=1e-5)) < 5 * DEPTH


@pytest.mark.parametrize("times", [1, 6])
def test_all_are_computed_once_where_the_loss_was_read_before(network: Network, times: int) -> None:
    module, x = network
    for _ in range(times):
        for p in module.parameters():
            p.grad = None
        loss = module(x).square().mean()
        loss.item()
        loss.backward()
        assert products_of(lambda: norms(network)) < 5 * DEPTH


@pytest.mark.parametrize("times", [1, 6])
@pytest.mark.parametrize("make", [SGD, Adam])
def test_what_was_read_before_a_step_is_not_computed_again(network: Network, make: type[Optimizer], times: int) -> None:
    step = make(network[0].parameters(), lr=1e-3)
    for _ in range(times):
        loss = differentiated(network)
        assert products_of(lambda: (loss.item(), step.step())) < 5 * DEPTH  # noqa: B023


@pytest.mark.parametrize("times", [1, 6])
def test_nor_is_the_norm_of_those_that_are_clipped(network: Network, times: int) -> None:
    step = SGD(network[0].parameters(), lr=1e-3)
    for _ in range(times):
        differentiated(network)
        assert products_of(lambda: (clip_grad_norm_(network[0].parameters(), 0.1).item(), step.step())) < 5 * DEPTH


def test_a_step_stores_no_gradient_that_nobody_read(network: Network) -> None:
    first, second = network[0][0], network[0][2]
    assert isinstance(first, nn.Linear) and isinstance(second, nn.Linear)
    differentiated(network)
    SGD(second.parameters(), lr=1e-3).step()
    assert first.weight.grad is not None and first.weight.grad._stored is None
    assert not any(p.grad is not None and id(p.grad) in pending for p in network[0].parameters())


def test_gradients_that_are_gone_wait_no_more(network: Network) -> None:
    differentiated(network)
    waiting = len(pending)
    for p in network[0].parameters():
        p.grad = None
    assert len(pending) == waiting - 2 * DEPTH


def test_what_comes_to_lie_where_they_were_waits_for_the_step_nevertheless(network: Network) -> None:
    p = Tensor([1.0], requires_grad=True)
    step, others = SGD([p], lr=0.1), []
    differentiated(network)
    for each in network[0].parameters():
        each.grad = None
        others.append(Tensor([1.0, float(len(others))]).realize())
    for x in others:
        x.assign(x + 1)
    p.grad = Tensor([1.0])
    step.step()
    assert all(x._stored is not None for x in others)
