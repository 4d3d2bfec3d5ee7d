"""Loops over sequences of any length and for batches of any size have kernels for open sizes, compiled once."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from kernelforge import Tensor, nn
from kernelforge.counters import GlobalCounters
from kernelforge.func import scan
from kernelforge.settings import Context
from tests.forgotten import forget

SIZES = [(5, 9), (3, 17), (8, 30), (32, 5), (2, 41)]
WIDTH = 6
WEIGHT = np.random.default_rng(3).standard_normal((WIDTH, WIDTH)).astype(np.float32) / 3
Made = Callable[[Tensor], Sequence[Tensor]]


@pytest.fixture(autouse=True)
def new_families() -> None:
    """Nothing is known of any graph: one that an earlier test met would be no first one here."""
    forget()


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


@pytest.mark.parametrize("name", ["LSTM", "LSTM, gradient", "scan backwards", "two states"])
@pytest.mark.parametrize("alike", [0, 1])
def test_two_sizes_alike_in_one_dimension_suggest_that_it_changes_too(name: str, alike: int) -> None:
    sizes = [(4, 16), (4, 23) if alike else (9, 16), (13, 13), (3, 31)]
    found, late = results(FUNCTIONS[name](), 1, sizes)
    with Context(DEVICE="NUMPY"):
        expected, _ = results(FUNCTIONS[name](), 0, sizes)
    for size, xs, ys in zip(sizes, found, expected):
        for x, y in zip(xs, ys):
            np.testing.assert_allclose(x, y, rtol=2e-4, atol=2e-5, err_msg=str(size))
    assert late == 0


@pytest.mark.parametrize("name", ["LSTM", "GRU, gradient", "scan", "loop in a loop", "two states"])
@pytest.mark.parametrize("first", [(3, 31), (1, 31)])
def test_a_batch_of_one_takes_the_kernels_of_others(name: str, first: tuple[int, int]) -> None:
    sizes = [first, (13, 16), (1, 13), (4, 9), (1, 40)]
    found, late = results(FUNCTIONS[name](), 1, sizes)
    with Context(DEVICE="NUMPY"):
        expected, _ = results(FUNCTIONS[name](), 0, sizes)
    for size, xs, ys in zip(sizes, found, expected):
        for x, y in zip(xs, ys):
            np.testing.assert_allclose(x, y, rtol=2e-4, atol=2e-5, err_msg=str(size))
    assert late == 0


def drawn(seed: int) -> Made:
    """A scan of a step that is put together at random, and something done with what it gives."""
    rng, w = np.random.default_rng(seed), weight()
    ways: list[Callable[[Tensor, Tensor], Tensor]] = [
        lambda s, r: (s @ w + r).tanh(),
        lambda s, r: s * 0.5 + r.sin(),
        lambda s, r: (s - s.mean(-1, keepdim=True)) * 0.7 + r,
        lambda s, r: (s + r).softmax(-1) + s * 0.1,
        lambda s, r: (s > r).where(s * 0.9, r),
        lambda s, r: s.flip(1).maximum(r * 0.3),
        lambda s, r: (s + r).sigmoid().cumsum(1) * 0.2,
    ]
    chosen, ending, reverse = rng.choice(len(ways), 2), rng.integers(4), bool(rng.integers(2))

    def made(x: Tensor) -> list[Tensor]:
        def step(s: Tensor, r: Tensor) -> tuple[Tensor, Tensor]:
            for way in chosen:
                s = ways[way](s, r)
            return s, s * 2 - r

        last, rows = scan(step, Tensor.zeros(x.shape[0], WIDTH), x, dim=1, reverse=reverse)
        return [last, (rows, rows.sum(1), rows[:, 1:] - rows[:, :-1], rows @ w)[ending]]

    return made


@pytest.mark.parametrize("seed", range(6))
def test_random_steps_over_random_sizes_give_what_numpy_does(seed: int) -> None:
    rng = np.random.default_rng(seed)
    sizes = [(int(rng.integers(2, 20)), int(rng.integers(4, 40))) for _ in range(3)] + [(1, 6), (3, 2), (40, 7)]
    found, _ = results(drawn(seed), 1, sizes)
    with Context(DEVICE="NUMPY"):
        expected, _ = results(drawn(seed), 0, sizes)
    for size, xs, ys in zip(sizes, found, expected):
        for x, y in zip(xs, ys):
            np.testing.assert_allclose(x, y, rtol=2e-4, atol=2e-5, err_msg=str(size))


def test_an_index_out_of_range_in_a_round_is_found_at_any_size() -> None:
    table = Tensor(np.arange(30, dtype=np.float32).reshape(10, 3)).realize()

    def looked_up(index: NDArray) -> NDArray:
        rows = Tensor(index)
        last, _ = scan(lambda s, i: (s * 0.5 + table[i], i), Tensor.zeros(index.shape[0], 3), rows, dim=1)
        return last.numpy()

    for batch, steps in [(3, 5), (4, 9), (2, 17)]:
        looked_up(np.full((batch, steps), 9, np.int32))
    wrong = np.zeros((6, 12), np.int32)
    wrong[4, 7] = 10
    with pytest.raises(IndexError):
        looked_up(wrong)
    state = np.zeros(3, np.float32)
    for _ in range(8):
        state = state * 0.5 + np.arange(27, 30, dtype=np.float32)
    np.testing.assert_allclose(looked_up(np.full((5, 8), 9, np.int32))[2], state, rtol=1e-6)


def test_nothing_at_all_between_sizes_that_are_open() -> None:
    layer = recurrent(nn.LSTM, 6)
    for batch, steps in [(3, 5), (4, 9), (0, 7), (2, 17)]:
        assert layer(Tensor.ones(batch, steps, WIDTH))[0].numpy().shape == (batch, steps, 6)
