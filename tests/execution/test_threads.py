"""Threads that compute what others are computing, from values they share."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from threading import Barrier, Thread

import numpy as np
import pytest
from numpy.typing import NDArray

from kernelforge import Context, Tensor, jit
from kernelforge.execution import saved
from kernelforge.planning import plan as planner

THREADS = 4


def together(work: Callable[[int], object], count: int = THREADS) -> None:
    """Calls a function in several threads at once; raises what was raised first."""
    barrier, errors = Barrier(count), list[BaseException]()

    def run(number: int) -> None:
        barrier.wait()
        try:
            work(number)
        except BaseException as error:
            errors.append(error)

    threads = [Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for error in errors:
        raise error


@pytest.mark.parametrize("known", [False, True])
def test_what_is_being_planned_is_computed_by_another_thread(known: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    first = np.linspace(-1, 1, 37 + known, dtype=np.float32)
    for _ in range(6 if known else 0):  # then the other thread needs no plan, and soon no Python
        (Tensor(first).realize().sin() * 1.25).realize()
    x = Tensor(first).realize()
    shared = x.sin() * 1.25
    wanted = (shared * 3 + x).tanh()
    thread = Thread(target=shared.realize)
    groups = planner.groups

    def slowly(*given: object) -> object:
        if thread.ident is None:
            thread.start()
            thread.join(0.3)  # it is over by then, or waits for this one
        return groups(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(planner, "groups", slowly)
    monkeypatch.setattr(saved, "recall", lambda name: None)
    with Context(OPEN=0):
        found = wanted.numpy()
    thread.join()
    assert np.allclose(found, np.tanh(np.sin(first) * 1.25 * 3 + first), atol=1e-6)
    assert np.allclose(shared.numpy(), np.sin(first) * 1.25, atol=1e-6)


def grown(rng: Random, x: Tensor, values: NDArray, steps: int) -> list[tuple[Tensor, NDArray]]:
    """Tensors computed from each other, and what they should be."""
    made = [(x, values)]
    for _ in range(steps):
        (a, p), (b, q) = rng.choice(made[-3:]), rng.choice(made)
        kind = rng.randrange(4)
        made.append(
            (a + b * 0.5, p + q * 0.5) if kind == 0 else
            (a.sin(), np.sin(p)) if kind == 1 else
            (a * b, p * q) if kind == 2 else
            (a - a.mean(), p - p.mean())
        )  # fmt: skip
    return made[1:]


@pytest.mark.parametrize("seed", range(6))
def test_random_graphs_that_share_parts(seed: int) -> None:
    rng, values = Random(seed), np.random.default_rng(seed).random(11)
    device = rng.choice(("NUMPY", "CPU"))
    x = Tensor(values.astype(np.float32), device=device, requires_grad=seed % 2 == 0)
    made = grown(rng, x, values, 5)

    def work(number: int) -> None:
        own = Random(number)
        for tensor, expected in own.sample(made, len(made)):
            assert np.allclose(tensor.numpy(), expected, rtol=1e-3, atol=1e-4)
            assert np.allclose((tensor + number).numpy(), expected + number, rtol=1e-3, atol=1e-4)

    with Context(OPEN=0):
        together(work)


def test_changes_gradients_and_random_numbers() -> None:
    values = np.linspace(0.5, 1.5, 13, dtype=np.float32)
    x = Tensor(values)
    shared = (x * 2).exp()
    exact = np.exp(values * 2)

    def work(number: int) -> None:
        own = Tensor(values.copy())
        weight = Tensor(values.copy(), requires_grad=True)
        for step in range(3):
            own += shared
            own[number] = 7.0
            (weight * shared).sum().backward()
            drawn = Tensor.rand(50)
            assert bool(((drawn >= 0) & (drawn < 1)).all().item())
            assert len(np.unique(drawn.numpy())) > 40
            assert weight.grad is not None
            assert np.allclose(weight.grad.numpy(), exact * (step + 1), rtol=1e-4)
        expected = values + 3 * exact
        expected[number] = 7.0
        assert np.allclose(own.numpy(), expected, rtol=1e-4)

    with Context(OPEN=0):
        together(work)


def test_one_capture_serves_all_threads_that_call_a_function_for_the_first_time() -> None:
    @jit(captures=1)
    def step(x: Tensor, y: Tensor) -> Tensor:
        return (x * y + 1).tanh()

    values = np.linspace(-1, 1, 21, dtype=np.float32)

    def work(number: int) -> None:
        for round_ in range(5):
            other = values * (number + round_)
            assert np.allclose(step(Tensor(values), Tensor(other)).numpy(), np.tanh(values * other + 1), atol=1e-5)

    together(work)


def test_captures_of_several_kinds_in_several_threads() -> None:
    weight = Tensor(np.linspace(0, 1, 8, dtype=np.float32))

    @jit
    def step(x: Tensor, times: int, *, shift: float = 0.0) -> Tensor:
        return (x * weight * times + shift).sin()

    values = np.asarray(weight.numpy())

    def work(number: int) -> None:
        rng = Random(number)
        for _ in range(12):
            times, shift = rng.randrange(1, 4), rng.choice((0.0, 0.5))
            rows = np.full((rng.choice((2, 3)), 8), number, np.float32)
            found = step(Tensor(rows), times, shift=shift)
            assert np.allclose(found.numpy(), np.sin(rows * values * times + shift), atol=1e-5)

    together(work)
