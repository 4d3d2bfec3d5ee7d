"""Scans, loops and choices in one another: what Python's own loops give, also differentiated and in batches."""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from kernelforge import Tensor, func, jit, nn
from kernelforge.counters import GlobalCounters
from kernelforge.func import cond, grad, jvp, scan, vmap, while_loop

pytestmark = pytest.mark.usefixtures("numpy_device")
SIZE = 3
Step = Callable[["Way", Tensor, Tensor], Tensor]


class Way(NamedTuple):
    """What repeats and chooses: functions of the library, or loops of Python."""

    scan: Callable[..., Any]
    while_loop: Callable[..., Any]
    cond: Callable[..., Any]


def python_scan(function: Any, init: Any, xs: Tensor, reverse: bool = False) -> Any:
    return func.loops._unrolled(function, init, xs, 0, range(len(xs)), reverse)


def python_while(condition: Any, body: Any, operands: Any, maximum_trips: int | None = None) -> Any:
    while condition(*operands).item():
        operands = body(*operands)
    return operands


GRAPH = Way(scan, while_loop, cond)
PYTHON = Way(python_scan, python_while, lambda p, yes, no, *given: yes(*given) if p.item() else no(*given))


def nested(rng: random.Random, depth: int, bounded: bool = False) -> Step:
    """A random function of a state and of something that stays, with loops in loops.

    bounded   loops end after a number of rounds that is known, so that gradients flow
    """
    kinds = ["scan", "scan", "while", "cond", "both"] if depth else ["plain"]
    kind, length, reverse = rng.choice(kinds), rng.randint(1, 6), rng.random() < 0.5
    inner, other = (nested(rng, depth - 1, bounded) for _ in range(2)) if depth else (plain, plain)

    def scanned(way: Way, x: Tensor, y: Tensor) -> Tensor:
        def step(state: Tensor, element: Tensor) -> tuple[Tensor, Tensor]:
            after = inner(way, state + element, y)
            return after, after.sum() + element[0]

        elements = (Tensor.arange(length * SIZE).reshape(length, SIZE) * 0.1 - y).sin()
        last, sums = way.scan(step, x, elements, reverse=reverse)
        result: Tensor = last + sums.mean()
        return result

    def repeated(way: Way, x: Tensor, y: Tensor) -> Tensor:
        found: Tensor = way.while_loop(
            lambda state, n: n < length, lambda state, n: (inner(way, state, y), n + 1), (x, Tensor(0)),
            maximum_trips=6 if bounded else None,
        )[0]  # fmt: skip
        return found

    def chosen(way: Way, x: Tensor, y: Tensor) -> Tensor:
        found: Tensor = way.cond(x.sum() > 0.3, lambda x: inner(way, x, y), lambda x: other(way, x, y), x)
        return found

    def both(way: Way, x: Tensor, y: Tensor) -> Tensor:
        return inner(way, x, y) * 0.5 + other(way, x, y * 0.5)

    found = {"scan": scanned, "while": repeated, "cond": chosen, "both": both, "plain": plain}
    return found[kind]


def plain(way: Way, x: Tensor, y: Tensor) -> Tensor:
    return (x * y + x.flip(0) * 0.25 + 0.1).tanh()


def values(seed: int, *shape: int) -> Tensor:
    return Tensor(np.random.default_rng(seed).normal(size=shape).astype(np.float32))


def close(found: Tensor, wanted: Tensor) -> None:
    np.testing.assert_allclose(found.numpy(), wanted.numpy(), rtol=2e-4, atol=2e-5)


@given(st.integers(0, 10**6))
@settings(max_examples=12, deadline=None)
def test_as_python_does(seed: int) -> None:
    step = nested(random.Random(seed), 2 + seed % 2)
    x, y = values(seed, SIZE), values(seed + 1, SIZE)
    wanted = step(PYTHON, x, y)
    close(step(GRAPH, x, y), wanted)
    captured = jit(lambda x, y: step(GRAPH, x, y))
    for _ in range(2):
        close(captured(x, y), wanted)


@given(st.integers(0, 10**6))
@example(142)  # a state that its own derivative is computed from, and nothing costly
@settings(max_examples=8, deadline=None)
def test_gradients_and_tangents(seed: int) -> None:
    step = nested(random.Random(seed), 2, bounded=True)
    x, y = values(seed, SIZE), values(seed + 1, SIZE)
    graph, python = partial(step, GRAPH), partial(step, PYTHON)
    for place in range(2):
        found, wanted = (grad(lambda x, y, f: (f(x, y) ** 2).sum(), place)(x, y, f) for f in (graph, python))
        close(found, wanted)
    moves = (values(seed + 2, SIZE), values(seed + 3, SIZE))
    for found, wanted in zip(jvp(graph, (x, y), moves), jvp(python, (x, y), moves)):
        close(found, wanted)


@given(st.integers(0, 10**6))
@settings(max_examples=8, deadline=None)
def test_batches(seed: int) -> None:
    step = nested(random.Random(seed), 2)
    x, y = values(seed, 4, SIZE), values(seed + 1, SIZE)
    found = vmap(lambda x, y: step(GRAPH, x, y), in_dims=(0, None))(x, y)
    close(found, Tensor.stack(*[step(PYTHON, x[i], y) for i in range(4)]))


def test_gradients_of_gradients_through_loops_in_loops() -> None:
    def loss(way: Way, x: Tensor) -> Tensor:
        def outer(state: Tensor, row: Tensor) -> Any:
            last, _ = way.scan(lambda s, v: ((s * x + v).sin(), s), state, row)
            return last * 0.5, last

        last, given = way.scan(outer, x * 0.1, rows)
        total: Tensor = (last * given.sum(0)).sum()
        return total

    rows, x = values(0, 5, 6, SIZE), values(1, SIZE)
    def second(way: Way) -> Tensor:
        found: Tensor = grad(lambda x: grad(partial(loss, way))(x).sum())(x)
        return found

    close(second(GRAPH), second(PYTHON))


def test_a_recurrent_layer_in_a_scan() -> None:
    Tensor.manual_seed(0)
    layer, rows = nn.GRU(SIZE, 4), values(0, 5, 7, SIZE)

    def step(state: Tensor, row: Tensor) -> Any:
        given, last = layer(row.unsqueeze(1), state.reshape(1, 1, 4))
        return last.reshape(4), given.sum()

    for found, wanted in zip(*(way.scan(step, Tensor.zeros(4), rows) for way in (GRAPH, PYTHON))):
        close(found, wanted)


def test_functions_are_called_and_compiled_once() -> None:
    calls = []

    def compiled(outer: int, inner: int) -> int:
        def step(state: Tensor, row: Tensor) -> Any:
            calls.append(outer)
            return scan(lambda s, v: ((s * 0.75 + v).cumsum(0).tanh(), s), state, row)[0], row.sum()

        before = GlobalCounters.compiled
        scan(step, Tensor.zeros(127), Tensor.ones(outer, inner, 127))[0].realize()
        return GlobalCounters.compiled - before

    first = compiled(5, 6)
    assert compiled(9, 8) <= first + 1  # the sums of rows are none of the loop's
    assert calls == [5, 9]
