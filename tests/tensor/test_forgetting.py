"""What a loop carries on forgets how it was computed, but where a gradient is going to go through it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from kernelforge import Context, Tensor, growth, no_grad
from kernelforge.func import grad, jvp, vjp
from kernelforge.tensor import unread

ROUNDS = 12
ROWS = np.random.default_rng(0).normal(size=(ROUNDS, 50))

Loop = Callable[[Tensor], Tensor]


def asked(p: Tensor) -> Tensor:
    """Each round computes something of what is carried on."""
    h = p * 1
    for row in ROWS:
        h = (p * h + Tensor(row)).tanh()
        (h * 2).sum().item()
    return h.sum()


def never_asked(p: Tensor) -> Tensor:
    """Nothing is computed but what memory asks for."""
    h = p * 1
    for row in ROWS:
        h = (p * h).sin() + 0.5 * Tensor(row)
    return h.sum()


def by_backward(loop: Loop, p: Tensor) -> Tensor:
    p.requires_grad_()
    loop(p).backward()
    assert p.grad is not None
    return p.grad


def after_an_update(loop: Loop, p: Tensor) -> Tensor:
    """The leaf is another one when the gradient is computed."""
    before = p.detach()
    p.requires_grad_()
    loop(p).backward()
    assert p.grad is not None
    with no_grad():
        p -= p.grad
    return before - p.detach()


def of_a_gradient(loop: Loop, p: Tensor) -> Tensor:
    p.requires_grad_()
    (first,) = loop(p).gradient(p)
    (second,) = first.square().sum().gradient(p)
    return second


def by_vjp(loop: Loop, p: Tensor) -> Tensor:
    _, pull = vjp(loop, p)
    return pull(Tensor(1.0, dtype="float64"))[0]


def by_jvp(loop: Loop, p: Tensor) -> Tensor:
    return jvp(loop, (p,), (Tensor(ROWS[0]),))[1]


WAYS = {
    "backward": by_backward,
    "update": after_an_update,
    "second": of_a_gradient,
    "grad": lambda loop, p: grad(loop)(p),
    "vjp": by_vjp,
    "jvp": by_jvp,
}


@pytest.fixture
def little_room(monkeypatch: pytest.MonkeyPatch) -> None:
    """A look at what waits at each byte more."""
    monkeypatch.setattr(growth, "ROOM", 1)
    monkeypatch.setattr(unread, "WORTHWHILE", 1)


@pytest.mark.usefixtures("numpy_device", "little_room")
@pytest.mark.parametrize("loop", [asked, never_asked], ids=["asked", "never asked"])
@pytest.mark.parametrize("way", WAYS)
def test_gradients_are_those_of_each_operation_at_once(way: str, loop: Loop) -> None:
    def found() -> np.ndarray:
        result = WAYS[way](loop, Tensor(np.full(50, 0.5)))  # the leaf is gone by now
        loop(Tensor(ROWS[1])).item()  # others are computed before it
        return result.numpy()

    lazily = [found() for _ in range(3)]  # the first tell of loops
    with Context(EAGER=1):
        eagerly = found()
        with Context(PENDING=0):
            wanted = found()
    for values in (*lazily, eagerly):
        np.testing.assert_allclose(values, wanted, rtol=1e-9)
