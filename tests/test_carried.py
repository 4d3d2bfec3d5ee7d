"""What a loop carries on without asking for it is computed once; what graphs share otherwise is not."""

from collections.abc import Callable, Iterator
from itertools import islice

import numpy as np
import pytest

from kernelforge import GlobalCounters, Tensor, carried, realize

ROUNDS = 12


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


@pytest.mark.parametrize("device", ["CPU"], indirect=True)
@pytest.mark.parametrize("program", [meaned, of_the_last_two])
def test_what_a_loop_carries_on_is_computed_once_it_was_carried_on_before(
    program: Callable[[], Iterator[float]], device: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(realize, "_plans", {})
    monkeypatch.setattr(realize, "_single", {})
    rounds = program()
    assert all(abs(off) < 1e-4 for off in islice(rounds, ROUNDS))
    before = GlobalCounters.compiled, GlobalCounters.plans
    assert all(abs(off) < 1e-4 for off in rounds)
    assert (GlobalCounters.compiled, GlobalCounters.plans) == before


@pytest.mark.usefixtures("numpy_device")
def test_what_many_graphs_share_is_none_of_a_loop() -> None:
    packed = Tensor(np.arange(12, dtype=np.int8).reshape(4, 3))
    weight = packed.float() * 0.5
    for i in range(6):
        x = Tensor(np.full((2, 4), i, np.float32))
        np.testing.assert_allclose((x @ weight).numpy(), x.numpy() @ (np.arange(12).reshape(4, 3) * 0.5))
    assert weight._node.realized is None and weight._node.depth < carried.CARRIED
