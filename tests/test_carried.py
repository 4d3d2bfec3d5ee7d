"""What a loop carries on without asking for it is computed once; what graphs share otherwise is not."""

from collections.abc import Callable, Iterator
from itertools import islice

import numpy as np
import pytest

from kernelforge import GlobalCounters, Tensor, met

ROUNDS = 12
AGAIN = 2  # graphs that may be new all the same, by what was forgotten first: without, each round has two


def meaned() -> Iterator[float]:
    """A mean that is another tensor each time; nobody asks for it, but for what is computed from it."""
    mean, wanted = Tensor(np.zeros(8, np.float32)), 0.0
    for i in range(2 * ROUNDS):
        mean = mean * 0.5 + Tensor(np.full(8, i, np.float32))
        wanted = wanted * 0.5 + i
        yield (mean * 2).sum().item() - 16 * wanted


def of_the_last_two() -> Iterator[float]:
    """A recurrence over two values."""
    a, b, wanted = Tensor(np.ones(8, np.float32)), Tensor(np.ones(8, np.float32)), (1.0, 1.0)
    for _ in range(2 * ROUNDS):
        a, b = b, (a * 0.25 + b * 0.5).sin()
        wanted = wanted[1], float(np.sin(wanted[0] * 0.25 + wanted[1] * 0.5))
        yield (b + 1).max().item() - wanted[1] - 1


def with_momentum() -> Iterator[float]:
    """Two weights and their momenta, made anew before the loss is read; momenta are read by weights alone."""
    weights, wanted = [Tensor(np.full(8, i, np.float32)) for i in (1, 2)], [np.full(8, i) for i in (1.0, 2.0)]
    momenta, speeds = [Tensor(np.zeros(8, np.float32)) for _ in weights], [0.0, 0.0]
    for _ in range(2 * ROUNDS):
        for weight in weights:
            weight.requires_grad = True
        loss = (weights[0] * weights[1]).square().sum()
        slopes = loss.gradient(*weights)
        momenta = [0.5 * momentum + slope for momentum, slope in zip(momenta, slopes)]
        weights = [(weight - 0.01 * momentum).detach() for weight, momentum in zip(weights, momenta)]
        found = loss.item() - np.square(wanted[0] * wanted[1]).sum()
        slopes_wanted = 2 * wanted[0] * wanted[1] ** 2, 2 * wanted[0] ** 2 * wanted[1]
        speeds = [0.5 * speed + slope for speed, slope in zip(speeds, slopes_wanted)]
        wanted = [weight - 0.01 * speed for weight, speed in zip(wanted, speeds)]
        yield found


@pytest.mark.parametrize("device", ["CPU"], indirect=True)
@pytest.mark.parametrize("program", [meaned, of_the_last_two, with_momentum])
def test_what_a_loop_carries_on_is_computed_once_it_was_carried_on_before(
    program: Callable[[], Iterator[float]], device: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(met, "plans_of", {})
    monkeypatch.setattr(met, "single", {})
    rounds = program()
    assert all(abs(off) < 1e-4 for off in islice(rounds, ROUNDS))
    before = GlobalCounters.plans
    assert all(abs(off) < 1e-4 for off in rounds)
    assert GlobalCounters.plans - before <= AGAIN


@pytest.mark.usefixtures("numpy_device")
def test_what_many_graphs_share_is_none_of_a_loop() -> None:
    packed = Tensor(np.arange(12, dtype=np.int8).reshape(4, 3))
    weight = packed.float() * 0.5
    for i in range(6):
        x = Tensor(np.full((2, 4), i, np.float32))
        np.testing.assert_allclose((x @ weight).numpy(), x.numpy() @ (np.arange(12).reshape(4, 3) * 0.5))
    assert weight._node.realized is None
