"""Losses that are read before their gradients: nothing is computed twice but the first time, no result changes."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from typing import Any
from weakref import ref

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernelforge import GlobalCounters, Tensor, foreseen, func, met, nn, no_grad, optim
from kernelforge.graph import Node, toposort
from kernelforge.native import compiled

X = np.random.default_rng(1).standard_normal((24, 16)).astype(np.float32)


@pytest.fixture(autouse=True)
def nothing_learned() -> Iterator[None]:
    foreseen._places.clear()
    met.forget()
    if compiled is not None:
        compiled.forget_known()
    yield
    foreseen._places.clear()


def _network() -> nn.Sequential:
    found = nn.Sequential(nn.Linear(16, 32), nn.ReLU(), nn.Linear(32, 32), nn.Tanh(), nn.Linear(32, 8))
    for i, x in enumerate(found.parameters()):
        x.assign(Tensor(np.random.default_rng(i).standard_normal(x.shape).astype(np.float32) / 8))
    return found


def _early(loss: Tensor) -> list[Node]:
    """What is computed of a loss's past."""
    return [x for x in toposort([loss._node]) if x.realized is not None and x.op == "call" and x is not loss._node]


def _steps(read: Callable[[Tensor], Any], count: int = 9, zero_late: bool = False) -> tuple[list[int], list[Any]]:
    """The operations of each step of a training, and the weights in the end."""
    model, x, done = _network(), Tensor(X).realize(), []
    step = optim.SGD(model.parameters(), lr=0.1)
    for _ in range(count):
        before = GlobalCounters.global_ops
        if not zero_late:
            step.zero_grad()
        loss = (model(x) ** 2).mean()
        read(loss)
        if zero_late:
            step.zero_grad()
        loss.backward()
        step.step()
        done.append(GlobalCounters.global_ops - before)
    return done, [x.tolist() for x in model.parameters()]


@pytest.mark.parametrize("zero_late", [False, True])
def test_a_loss_that_is_read_is_computed_once(zero_late: bool) -> None:
    plain, weights = _steps(lambda loss: None)
    done, same = _steps(lambda loss: loss.item(), zero_late=zero_late)
    assert done[0] > 1.2 * plain[0] and all(x < 1.05 * plain[-1] for x in done[1:])
    for a, b in zip(weights, same):
        np.testing.assert_allclose(a, b, 1e-4, 1e-5)


def test_gradients_are_added_up_of_losses_that_were_read() -> None:
    counts, found = [], []
    for reads in (False, True):
        model, each = _network(), list[int]()
        step = optim.SGD(model.parameters(), lr=0.1)
        for _ in range(8):
            before = GlobalCounters.global_ops
            step.zero_grad()
            losses = []
            for part in range(4):
                losses.append((model(Tensor(X[part::4])) ** 2).mean())
                if reads:
                    losses[-1].item()
                losses[-1].backward()
                assert sum(len(_early(x)) for x in losses) <= 3
            step.step()
            each.append(GlobalCounters.global_ops - before)
        counts.append(each[-1])
        found.append([x.tolist() for x in model.parameters()])
    assert counts[1] < 1.1 * counts[0]
    for a, b in zip(*found):
        np.testing.assert_allclose(a, b, 1e-4, 1e-5)


@pytest.mark.parametrize("make", [nn.LSTM, nn.GRU])
def test_states_of_a_loop_are_computed_once(make: Any) -> None:
    counts, found = [], []
    for reads in (False, True):
        model = make(16, 8)
        for i, x in enumerate(model.parameters()):
            x.assign(Tensor(np.random.default_rng(i).standard_normal(x.shape).astype(np.float32) / 3))
        step = optim.SGD(model.parameters(), lr=0.1)
        for _ in range(8):
            before = GlobalCounters.kernel_count
            loss = model(Tensor(X.reshape(6, 4, 16)))[0].square().mean()
            if reads:
                loss.item()
            step.zero_grad()
            loss.backward()
            step.step()
            count = GlobalCounters.kernel_count - before
        counts.append(count)
        found.append([x.tolist() for x in model.parameters()])
    assert counts[1] <= counts[0] + 5
    for a, b in zip(*found):
        np.testing.assert_allclose(a, b, 1e-4, 1e-5)


def test_what_was_computed_early_goes_with_the_step() -> None:
    counts: list[tuple[int, int]] = []
    losses: list[Tensor] = []

    def read(loss: Tensor) -> None:
        alive = sum(len(_early(x)) for x in losses)
        loss.item()
        losses.append(loss)
        counts.append((alive, len(_early(loss))))

    _steps(read)
    assert counts == [(0, 0)] + [(0, 3)] * 8


def test_nothing_is_kept_where_no_gradient_follows() -> None:
    model, x = _network(), Tensor(X)
    for _ in range(9):
        loss = (model(x) ** 2).mean()
        assert loss.item() > 0 and not _early(loss)
        with no_grad():
            assert (model(x) ** 2).mean().item() > 0
    assert not foreseen._places


def test_a_loss_that_is_read_and_dropped_keeps_nothing() -> None:
    model = _network()
    step = optim.SGD(model.parameters(), lr=0.1)
    for i in range(9):
        loss = (model(Tensor(X).realize()) ** 2).mean()
        loss.item()
        if i % 3 == 0:
            loss.backward()
            step.step()
            step.zero_grad()
    memory = [ref(x.realized) for x in _early(loss)]
    assert len(memory) == 3
    del loss
    gc.collect()
    assert not any(x() for x in memory)


def test_a_size_that_is_new_is_alike() -> None:
    model = _network()
    for rows in (24, 24, 17, 5):
        loss = (model(Tensor(X[:rows])) ** 2).mean()
        loss.item()
        early = len(_early(loss))
        loss.backward()
        for each in model.parameters():
            each.grad.realize()
            each.grad = None
    assert early == 3


def test_scores_of_attention_are_computed_again() -> None:
    """They are far more than what they are computed from."""
    x = Tensor(np.random.default_rng(2).standard_normal((96, 8)).astype(np.float32))
    weight = Tensor(np.eye(8, dtype=np.float32) / 2, requires_grad=True)
    for _ in range(3):
        values = x @ weight
        loss = (((values @ values.T).softmax(-1) @ values) ** 2).mean()
        loss.item()
        shapes = [x.shape for x in toposort([loss._node]) if x.realized is not None and x.src and x is not loss._node]
        loss.backward()
        assert weight.grad is not None
        weight.grad.realize()
        weight.grad = None
    assert (96, 8) in shapes and (96, 96) not in shapes


def test_what_is_checkpointed_is_computed_again() -> None:
    model, x = _network(), Tensor(X)
    for _ in range(4):
        loss = (func.checkpoint(model, x) ** 2).mean()
        loss.item()
        assert not _early(loss)
        loss.backward()
        for each in model.parameters():
            each.grad = None


def test_several_losses_of_one_trunk() -> None:
    """Each read before any gradient, and the sum of two that were."""
    found = []
    for reads in (False, True):
        model, x = _network(), Tensor(X)
        for i in range(6):
            trunk = model(x)
            first, second = (trunk**2).mean(), trunk.softmax(-1).log().mean()
            if reads:
                first.item()
                second.realize()
            if i % 2:
                first.backward()
                second.backward()
            else:
                (first + second).backward()
            found.append([each.grad.tolist() for each in model.parameters()])
            for each in model.parameters():
                each.grad = None
    for a, b in zip(found[:6], found[6:]):
        for one, other in zip(a, b):
            np.testing.assert_allclose(one, other, 1e-4, 1e-5)


OPERATIONS: list[Callable[[Any, Any], Any]] = [
    lambda x, w: x @ w, lambda x, w: (x @ w).relu(), lambda x, w: x + (x @ w).tanh(), lambda x, w: x.softmax(-1),
    lambda x, w: x * x.mean(), lambda x, w: x.detach() @ w, lambda x, w: (x @ x.T) @ (x @ w), lambda x, w: x.flip(1),
    lambda x, w: x.T.contiguous() @ x * 0.1, lambda x, w: (w @ w.T @ x.T).T,
    lambda x, w: x.reshape(2, 3, 6).sum(1).repeat(3, 1), lambda x, w: x.where(x @ w > 0, 0.0),
]  # fmt: skip
PROGRAM = st.lists(st.tuples(st.integers(0, len(OPERATIONS) - 1), st.integers(0, 1)), min_size=1, max_size=7)


def _trained(program: Any, reads: Any, device: str) -> list[Any]:
    """The weights, gradients and losses of steps of a random program, with values read before the gradient."""
    generator = np.random.default_rng(3)
    arrays = [generator.standard_normal((6, 6)).astype(np.float32) / 3 for _ in range(3)]
    weights, x = [Tensor(a, device=device, requires_grad=True) for a in arrays[:2]], Tensor(arrays[2], device=device)
    step, found = optim.SGD(weights, lr=0.1), []
    for _ in range(4):
        values = [x]
        for which, weight in program:
            values.append(OPERATIONS[which](values[-1], weights[weight]))
        loss = (values[-1] ** 2).mean() + sum(((w**2).sum() for w in weights), Tensor(0.0, device=device))
        for which in reads:
            values[which % len(values)].numpy()
        if reads:
            loss.item()
        step.zero_grad()
        loss.backward()
        if len(reads) % 2:
            found.append([w.grad.tolist() for w in weights])
        step.step()
    return [[w.tolist() for w in weights], [w.grad.tolist() for w in weights], [loss.item()], *found]


@pytest.mark.parametrize("device", ["NUMPY", "CPU"])
@given(program=PROGRAM, reads=st.lists(st.integers(0, 7), max_size=4))
def test_random_programs(device: str, program: Any, reads: Any) -> None:
    plain, mixed = _trained(program, [], device), _trained(program, reads or [7], device)
    for a, b in zip(plain, mixed):
        for one, other in zip(a, b):
            np.testing.assert_allclose(one, other, 2e-3, 2e-4)
