"""Threads that compute what others are computing, from values they share."""

from __future__ import annotations

import _weakrefset
import os
import signal
import sys
import warnings
import weakref
from collections.abc import Callable
from random import Random
from threading import Barrier, Event, Thread
from types import FrameType
from typing import Any
from weakref import WeakSet, WeakValueDictionary

import numpy as np
import pytest
from numpy.typing import NDArray

from kernelforge import Context, Tensor, exclusive, jit
from kernelforge.execution import saved
from kernelforge.members import entries, members
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


class Kept:
    """Something that weak references can be made to."""


def test_members_of_weak_collections_as_another_thread_adds_some() -> None:
    some, table, kept = WeakSet[Kept](), WeakValueDictionary[int, Kept](), list[Kept]()

    def add() -> None:
        kept.append(Kept())
        some.add(kept[-1])
        table[len(kept)] = kept[-1]

    for _ in range(1000):
        add()
    before, over = sys.getswitchinterval(), Event()

    def others() -> None:
        while not over.is_set() and len(kept) < 20_000:
            add()

    sys.setswitchinterval(1e-6)
    thread = Thread(target=others)
    thread.start()
    try:
        for _ in range(50):
            assert len(members(some)) >= 1000
            assert len(entries(table)) >= 1000
    finally:
        over.set()
        thread.join()
        sys.setswitchinterval(before)
    assert dict(entries(table)) == dict(enumerate(kept, 1))
    assert set(members(some)) == set(kept)


def test_gradients_as_other_threads_make_leaves() -> None:
    values, kept = np.linspace(1, 2, 5, dtype=np.float32), list[Tensor]()

    def trace(frame: FrameType, event: str, given: Any) -> Any:
        """Another thread may run wherever Python goes through what is held weakly: it makes a leaf there."""
        if frame.f_code.co_filename not in (weakref.__file__, _weakrefset.__file__):
            return None
        if event == "line":
            kept.append(Tensor(values, requires_grad=True, device="NUMPY"))
        return trace

    x = Tensor(values, requires_grad=True, device="NUMPY")
    (x * x).sum().backward()
    before = sys.gettrace()
    sys.settrace(trace)
    try:
        for _ in range(3):
            (x * x).sum().backward()
    finally:
        sys.settrace(before)
    assert kept
    assert x.grad is not None
    assert np.allclose(x.grad.numpy(), 4 * 2 * values, rtol=1e-4)


@pytest.mark.parametrize("line", [1, 2, 3])
def test_what_interrupts_a_plan_leaves_others_to_plan(line: int) -> None:
    left = [line]

    def trace(frame: FrameType, event: str, given: Any) -> Any:
        if frame.f_code is not exclusive.Planning.__enter__.__code__:
            return None if event == "call" else trace
        if event == "line":
            left[0] -= 1
            if not left[0]:
                raise KeyboardInterrupt
        return trace

    x = Tensor(np.linspace(0, 1, 3 + line, dtype=np.float32)) * 7 + line
    before = sys.gettrace()
    sys.settrace(trace)
    try:
        with Context(OPEN=0), pytest.raises(KeyboardInterrupt):
            x.realize()
    finally:
        sys.settrace(before)
    free = list[bool]()

    def take() -> None:
        free.append(exclusive.lock.acquire(timeout=600))
        if free[0]:
            exclusive.lock.release()

    thread = Thread(target=take)
    thread.start()
    thread.join()
    assert free == [True]
    assert np.allclose(x.numpy(), np.linspace(0, 1, 3 + line) * 7 + line, atol=1e-5)


def test_children_of_a_process_capture_whatever_was_captured_as_it_was_forked() -> None:
    begun, over = Event(), Event()

    @jit
    def slowly(x: Tensor) -> Tensor:
        begun.set()
        over.wait(1)
        return x + 1

    @jit
    def step(x: Tensor) -> Tensor:
        return x * 2

    x = Tensor(np.ones(3, dtype=np.float32), device="NUMPY")
    thread = Thread(target=lambda: slowly(x))
    thread.start()
    begun.wait()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if not child:
        signal.alarm(30)
        try:
            os._exit(0 if step(x).tolist() == [2.0, 2.0, 2.0] else 1)
        finally:
            os._exit(2)
    over.set()
    thread.join()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
