"""Captured functions met with ever new sizes: few captures, no failure, the results of the plain function."""

from collections.abc import Callable
from types import SimpleNamespace

import numpy as np
import pytest

from kernelforge import GlobalCounters, Tensor, Variable, jit, no_grad

pytestmark = pytest.mark.filterwarnings("ignore:.*runs uncaptured")
WIDTH = 8


def row(seed: int) -> Tensor:
    return Tensor(np.random.default_rng(seed).standard_normal((1, WIDTH)).astype(np.float32))


def attended(x: Tensor, cache: Tensor) -> tuple[Tensor, Tensor]:
    cache = cache.cat(x, dim=0)
    return (x @ cache.T).softmax(-1) @ cache, cache


def by_argument(wrap: Callable) -> list[list[float]]:
    """A cache that is passed in and comes back."""
    step, cache, found = wrap(attended), row(0), []
    for i in range(40):
        y, cache = step(row(i), cache)
        found += y.tolist()
    return found


def by_attribute(wrap: Callable) -> list[list[float]]:
    """A cache and a count the function finds in an object and replaces."""
    state = SimpleNamespace(cache=row(0), count=0)

    def step(x: Tensor) -> Tensor:
        y, state.cache = attended(x, state.cache)
        state.count += 1
        return y * state.count

    run, found = wrap(step), []
    for i in range(40):
        found += run(row(i)).tolist()
    assert state.count == 40 and state.cache.shape == (41, WIDTH)
    return found


def by_position(wrap: Callable) -> list[list[float]]:
    """A cache of one size that is filled up to a position."""
    store = Tensor.zeros(64, WIDTH).contiguous().realize()

    def step(x: Tensor, position: int) -> Tensor:
        store[position : position + 1] = x
        return (x @ store[: position + 1].T).softmax(-1) @ store[: position + 1]

    run, n = wrap(step), Variable("n", 0, 63)
    return [y for i in range(40) for y in run(row(i), n.bind(i) if i % 2 else i).tolist()]


@pytest.mark.parametrize("program", [by_argument, by_attribute, by_position])
def test_a_cache_that_grows(program: Callable) -> None:
    made = []

    def wrap(function: Callable) -> Callable:
        made.append(jit(function))
        return made[-1]

    with no_grad(), pytest.warns(RuntimeWarning, match="runs uncaptured: .* was .*, now it is ") as told:
        np.testing.assert_allclose(program(wrap), program(lambda f: f), rtol=1e-5, atol=1e-6)
    (captured,) = made
    assert len(captured._entries) <= 8
    assert "calls ran uncaptured" in captured.explain()
    assert len(told) == len({entry.family for entry in captured._entries})


def test_growing_twice_compiles_and_plans_nothing() -> None:
    step = jit(attended)

    def grown() -> None:
        cache = row(0)
        for i in range(40):
            _, cache = step(row(i), cache)

    with no_grad():
        grown()
        grown()
        before = GlobalCounters.compiled, GlobalCounters.plans
        grown()
        assert (GlobalCounters.compiled, GlobalCounters.plans) == before
    assert len(step._entries) <= 12


def test_sizes_that_return_are_captured() -> None:
    step = jit(lambda x: (x * 2).sum())
    for _ in range(4):
        for n in range(2, 10):
            assert step(Tensor.ones(n)).item() == 2 * n
    assert len(step._entries) == 8


def test_uncaptured_calls_leave_nothing_pending() -> None:
    state = SimpleNamespace(total=Tensor.zeros(1))

    @jit
    def add(x: Tensor) -> None:
        state.total = state.total.cat(x)

    for i in range(30):
        add(Tensor([float(i)]))
        assert state.total._stored is not None
    assert state.total.tolist() == [0.0, *map(float, range(30))]
