"""Loops over sequences of any length and for batches of any size have kernels for open sizes, compiled once."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from kernelforge import Tensor, nn, realize
from kernelforge.counters import GlobalCounters
from kernelforge.func import scan
from kernelforge.interning import alive
from kernelforge.planning import open_plans
from kernelforge.settings import Context

SIZES = [(5, 9), (3, 17), (8, 30), (32, 5), (2, 41)]
WIDTH = 6
WEIGHT = np.random.default_rng(3).standard_normal((WIDTH, WIDTH)).astype(np.float32) / 3
Made = Callable[[Tensor], Sequence[Tensor]]


@pytest.fixture(autouse=True)
def new_families() -> None:
    """Nothing is known of any graph, and no constant is in memory."""
    for node in alive():
        if node.device is None:
            node.realized = None
    open_plans.forget()
    realize._plans.clear()
    realize._single.clear()


def recurrent(layer: type[nn.Module], hidden: int, **options: object) -> nn.Module:
    made = layer(WIDTH, hidden, batch_first=True, **options)
    rng = np.random.default_rng(hidden)
    for p in made.parameters():
        p.assign(Tensor((rng.standard_normal(p.shape) * 0.3).astype(np.float32))).realize()
    return made


def weight() -> Tensor:
    return Tensor(WEIGHT).realize()


def states(layer: nn.Module) -> Made:
    return lambda x: [layer(x)[0]]


def gradients(layer: nn.Module) -> Made:
    def made(x: Tensor) -> list[Tensor]:
        loss = layer(x)[0].square().mean()
        return [loss, *loss.gradient(*layer.parameters())]

    return made


def scanned(w: Tensor, reverse: bool = False) -> Made:
    def made(x: Tensor) -> list[Tensor]:
        begin = Tensor.zeros(x.shape[0], WIDTH)
        last, rows = scan(lambda s, r: ((s @ w + r).tanh(), s * 2), begin, x, dim=1, reverse=reverse)
        return [last, rows]

    return made


def nested(w: Tensor) -> Made:
    """In each round a loop over four more."""

    def made(x: Tensor) -> list[Tensor]:
        def inner(s: Tensor, k: Tensor) -> tuple[Tensor, Tensor]:
            return (s @ w).sin() + k, s

        def outer(s: Tensor, r: Tensor) -> tuple[Tensor, Tensor]:
            return scan(inner, s + r, Tensor([0.1, 0.2, 0.3, 0.4]))[0], s

        return [scan(outer, Tensor.zeros(x.shape[0], WIDTH), x, dim=1)[0]]

    return made


def two_states(x: Tensor) -> list[Tensor]:
    begin = Tensor.zeros(x.shape[0], WIDTH), Tensor.ones(x.shape[0], WIDTH)
    (a, b), rows = scan(lambda s, r: ((s[0] + r, s[1] * s[0].cos()), s[1]), begin, x, dim=1)
    return [a, b, rows]


FUNCTIONS: dict[str, Callable[[], Made]] = {
    "LSTM": lambda: states(recurrent(nn.LSTM, 10)),
    "LSTM of whole lines": lambda: states(recurrent(nn.LSTM, 64)),
    "LSTM of two layers both ways": lambda: states(recurrent(nn.LSTM, 6, num_layers=2, bidirectional=True)),
    "GRU": lambda: states(recurrent(nn.GRU, 5)),
    "RNN": lambda: states(recurrent(nn.RNN, 8)),
    "LSTM, gradient": lambda: gradients(recurrent(nn.LSTM, 10)),
    "GRU, gradient": lambda: gradients(recurrent(nn.GRU, 8)),
    "scan": lambda: scanned(weight()),
    "scan backwards": lambda: scanned(weight(), True),
    "loop in a loop": lambda: nested(weight()),
    "two states": lambda: two_states,
}


def results(made: Made, open_sizes: int, sizes: Sequence[tuple[int, int]] = SIZES) -> tuple[list[list[NDArray]], int]:
    """What a function gives for arrays of several sizes, and the kernels compiled from the third on."""
    found, late = [], 0
    with Context(OPEN=open_sizes):
        for number, size in enumerate(sizes):
            x = Tensor(np.random.default_rng(number).standard_normal((*size, WIDTH)).astype(np.float32)).realize()
            before, outputs = GlobalCounters.compiled, made(x)
            Tensor.realize(*outputs)
            found.append([y.numpy() for y in outputs])
            late += (GlobalCounters.compiled - before) * (number >= 2)
    return found, late


@pytest.mark.parametrize("name", FUNCTIONS)
def test_all_sizes_give_the_same(name: str) -> None:
    found, late = results(FUNCTIONS[name](), 1)
    expected, _ = results(FUNCTIONS[name](), 0)
    for size, xs, ys in zip(SIZES, found, expected):
        for x, y in zip(xs, ys):
            np.testing.assert_allclose(x, y, rtol=2e-4, atol=2e-5, err_msg=str(size))
    assert late == 0
