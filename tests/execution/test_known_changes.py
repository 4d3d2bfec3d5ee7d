"""Gradients, and what changed in place, are found in one call, and are what the interpreter of NumPy gives."""

from __future__ import annotations

import gc
import random
from collections.abc import Callable

import numpy as np
import pytest

from kernelforge import Context, Tensor
from kernelforge.native import compiled
from kernelforge.tensor.pressure import LONG
from tests.forgotten import forget_plans

ROUNDS = 8  # of which the last are those of C
SHAPE = (3, 5)

pytestmark = pytest.mark.skipif(compiled is None, reason="needs the C module")


@pytest.fixture(autouse=True)
def new_plans(monkeypatch: pytest.MonkeyPatch) -> None:
    forget_plans(monkeypatch)


def ones(length: int) -> Tensor:
    return Tensor(np.ones(length, np.float32)).realize()


def loss_of(weight: Tensor, x: Tensor) -> Tensor:
    weight.grad = None
    loss = (weight * x).exp().sum()
    loss.backward()
    return loss


@pytest.mark.usefixtures("native_calls")
def test_gradients_are_found_in_one_call() -> None:
    weight, x = ones(37).requires_grad_(), ones(37)
    for _ in range(ROUNDS):
        loss = loss_of(weight, x)
        loss.realize(weight.grad)
    loss = loss_of(weight, x)
    assert weight.grad is not None
    assert compiled.computed_together((loss, weight.grad))
    np.testing.assert_allclose(weight.grad.numpy(), np.full(37, np.e), rtol=1e-6)


def test_gradients_of_computed_values_are_found_by_how_these_were_computed() -> None:
    """The same graph from what is computed on, and another history: not the same gradient."""
    weight, x = ones(29).requires_grad_(), ones(29)
    for factor in (1, 2):
        for _ in range(ROUNDS):
            weight.grad = None
            inner = ((weight * factor) * x).realize()
            (inner * inner).sum().backward()
            assert weight.grad is not None
            np.testing.assert_array_equal(weight.grad.numpy(), np.full(29, 2 * factor**2))


@pytest.mark.usefixtures("native_calls")
def test_what_changed_and_shares_work_is_computed_in_the_same_call() -> None:
    x, state, apart = ones(41), ones(41), ones(41)
    for i in range(ROUNDS + 1):
        shared = x * 3
        state *= 0.5
        state += shared
        apart += 1
        y = shared + 1
        assert compiled.computed_again(y) or i < ROUNDS
        y.realize()
        assert state._stored is not None and apart._stored is None
        assert y.tolist() == [4] * 41
    np.testing.assert_allclose(state.numpy(), np.full(41, 6 - 5 / 2 ** (ROUNDS + 1)), rtol=1e-6)
    assert apart.tolist() == [ROUNDS + 2] * 41


@pytest.mark.usefixtures("native_calls")
def test_what_changed_and_shares_work_by_way_of_others_is_computed_in_the_same_call() -> None:
    x, first, second = ones(43), ones(43), ones(43)
    for i in range(ROUNDS + 1):
        a, b = x * 3, x + 7
        second.copy_(b)
        first.copy_(a * b)
        y = a + 1
        assert compiled.computed_again(y) or i < ROUNDS
        y.realize()
        assert first._stored is not None and second._stored is not None
    assert first.tolist() == [24] * 43 and second.tolist() == [8] * 43


@pytest.mark.usefixtures("native_calls")
def test_tensors_that_changed_and_are_gone_are_of_no_account() -> None:
    x = ones(47)
    for i in range(ROUNDS + 1):
        shared, gone = x * 3, ones(47)
        gone += shared
        del gone
        gc.collect()
        y = shared + 1
        assert compiled.computed_again(y) or i < ROUNDS
        assert y.tolist() == [4] * 47


def test_a_count_that_nobody_reads_does_not_wait_for_ever() -> None:
    x, count = ones(31), ones(31)
    for _ in range(4 * LONG):
        count += 1
        assert (x + 1).realize()._stored is not None and count._node.depth <= LONG
    assert count.tolist() == [4 * LONG + 1] * 31


# ------------------------------------------------------------------------------------------------ random programs

Change = Callable[[Tensor, Tensor, int], object]
CHANGES: tuple[Change, ...] = (
    lambda w, x, n: w.add_(x),
    lambda w, x, n: w.mul_(0.5),
    lambda w, x, n: w.clamp_(-2, 2),
    lambda w, x, n: w.copy_(x),
    lambda w, x, n: w.__setitem__(n % SHAPE[0], x[0]),
    lambda w, x, n: w.__setitem__((slice(None), n % SHAPE[1]), 1.5),
    lambda w, x, n: w.__setitem__((slice(None, None, -2), slice(1, None, 2)), x[::2, 1::2]),
    lambda w, x, n: w.__setitem__(x > 0, 0.25),
    lambda w, x, n: w.__setitem__(Tensor([n % SHAPE[0]]), x[:1]),
    lambda w, x, n: w[n % SHAPE[0]].add_(1),
    lambda w, x, n: w.T.mul_(0.75),
    lambda w, x, n: w.zero_(),
)
VALUES: tuple[Callable[[Tensor, Tensor], Tensor], ...] = (
    lambda x, y: x + y, lambda x, y: x * y, lambda x, y: x - y * 0.5, lambda x, y: x.maximum(y),
    lambda x, y: x.sum(0) + y, lambda x, y: (x @ y.T) @ y * 0.1, lambda x, y: x.flip(0), lambda x, y: x.where(x > y, y),
)  # fmt: skip


def rounds(seed: int) -> list[list[np.ndarray]]:
    """What a random program reads in each of its rounds."""
    given, found = np.random.default_rng(seed), []
    states = [Tensor(given.standard_normal(SHAPE).astype(np.float32)) for _ in range(3)]
    weight = Tensor(given.standard_normal(SHAPE).astype(np.float32), requires_grad=True)
    for number in range(ROUNDS):
        choice = random.Random(seed)
        live, weight.grad = [*states, weight], None
        for _ in range(choice.randint(2, 6)):
            x, y = choice.choice(live), choice.choice(live)
            if choice.random() < 0.5:
                choice.choice(CHANGES)(choice.choice(states), x.detach(), number % 2)
            else:
                live.append(choice.choice(VALUES)(x, y).clamp(-3, 3))
        loss = sum((x * weight).sum() for x in live[-2:])
        loss.backward()
        assert weight.grad is not None
        read = [loss, weight.grad, *choice.sample([*live[4:], *states], choice.randint(0, 3))]
        choice.shuffle(read)
        read[0].realize(*read[1 : choice.randint(1, len(read))])
        found.append([x.detach().numpy() for x in (*read, *(states if number % 3 == 2 else ()))])
    return found


@pytest.mark.parametrize("seed", range(8))
def test_random_programs_of_changes_and_gradients(seed: int) -> None:
    found = rounds(seed)
    with Context(DEVICE="NUMPY"):
        wanted = rounds(seed)
    for a, b in zip(found, wanted):
        for x, y in zip(a, b):
            np.testing.assert_allclose(x, y, rtol=2e-5, atol=1e-5)
