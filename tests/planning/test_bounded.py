"""Kernels that plans hold are few, whatever a process meets, and those in use stay."""

from dataclasses import dataclass
from threading import Thread
from weakref import ref

import numpy as np
import pytest

from kernelforge import Context, Tensor, jit, met
from kernelforge.counters import GlobalCounters
from kernelforge.kernels import Device
from kernelforge.kernels.opencl import OpenCLRuntime
from kernelforge.met import MOST_PLANS
from kernelforge.planning import open_plans
from kernelforge.planning.bounded import MOST_GONE, Bound
from tests.forgotten import forget_plans

MOST = 16


@dataclass
class Holder:
    """So many kernels, used so often."""

    kernels: int
    seen: int = 1
    uses: int = 1


def add(bound: Bound, held: dict[int, Holder], key: int, kernels: int = 1) -> list[Holder]:
    """What is let go of for kernels that are added under a key, where there may be some."""
    held.setdefault(key, Holder(0)).kernels += kernels
    return bound.added(held, key, kernels)


def test_ever_new_kernels_are_no_more_than_are_allowed() -> None:
    bound, held = Bound(MOST), dict[int, Holder]()
    for key in range(100 * MOST):
        add(bound, held, key)
        assert sum(holder.kernels for holder in held.values()) <= MOST
    assert max(held) == 100 * MOST - 1 and bound.most == MOST
    assert len(bound._gone) <= MOST_GONE


def test_what_is_used_stays() -> None:
    bound, held = Bound(MOST), dict[int, Holder]()
    for key in range(10 * MOST):
        add(bound, held, key)
        held[0].uses += 1
    assert 0 in held


def test_what_was_just_added_stays_however_much_it_is() -> None:
    bound, held = Bound(MOST), dict[int, Holder]()
    add(bound, held, 0)
    assert [holder.kernels for holder in add(bound, held, 1, 3 * MOST)] == [1] and [*held] == [1]
    assert not add(bound, held, 1, 1) and held[1].kernels == 3 * MOST + 1


def test_what_holds_nothing_stays() -> None:
    bound, held = Bound(MOST), dict[int, Holder]()
    add(bound, held, -1, 0)
    for key in range(3 * MOST):
        add(bound, held, key)
    assert -1 in held


@pytest.mark.parametrize("size", [1, 5])
def test_kernels_that_come_back_get_room(size: int) -> None:
    """A process that goes round and round in more graphs than were allowed plans all of them a few times, then none."""
    bound, held = Bound(MOST), dict[int, Holder]()
    for _ in range(10):
        missing = 0
        for key in range(3 * MOST):
            if key in held:
                held[key].uses += 1
            else:
                add(bound, held, key, size)
                missing += 1
    assert not missing and bound.most <= 4 * MOST * size


def test_a_round_of_many_times_the_kernels_allowed_at_first_gets_room() -> None:
    bound, held, missing = Bound(), dict[int, Holder](), set[int]()
    for _ in range(12):
        missing = {key for key in range(MOST_PLANS) if key not in held}
        for key in range(MOST_PLANS):
            if key in held:
                held[key].uses += 1
            else:
                add(bound, held, key)
    assert not missing


# ------------------------------------------------------------------------------------------- of the library


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """No plans from before, and few kernels allowed."""
    forget_plans(monkeypatch)
    monkeypatch.setattr(met, "_bound", Bound(MOST))
    monkeypatch.setattr(open_plans, "_bound", Bound(MOST))


def chain(x: Tensor, number: int) -> Tensor:
    """A graph of its own for each number."""
    for digit in f"{number:06b}":
        x = x.sin() if digit == "1" else x.tanh() + 0.5
    return x


def expected(array: np.ndarray, number: int) -> np.ndarray:
    """The same in NumPy."""
    for digit in f"{number:06b}":
        array = np.sin(array) if digit == "1" else np.tanh(array) + np.float32(0.5)
    return array


def held_kernels() -> int:
    return sum(plans.kernels for plans in met.plans_of.values())


@pytest.mark.lazy_only
def test_ever_new_graphs_hold_few_kernels(few: None, device: str) -> None:
    array = np.linspace(-1, 1, 40, dtype=np.float32)
    x = Tensor(array, device=device).realize()
    for number in range(3 * MOST):
        for _ in range(6 if number % 8 == 0 else 1):  # some as functions, and found by their nodes
            np.testing.assert_allclose(chain(x, number).numpy(), expected(array, number), rtol=1e-4, atol=1e-6)
        assert held_kernels() <= MOST
        assert {id(plan) for plan, _ in met.single.values()} <= {
            id(plan) for plans in met.plans_of.values() for plan in plans.made.values()
        }


@pytest.mark.lazy_only
def test_programs_go_with_their_plans_and_not_before(few: None) -> None:
    """Those of captured functions stay: nothing of them is planned or compiled again."""
    runtime = Device["CPU"]
    if not isinstance(runtime, OpenCLRuntime):
        pytest.skip("no driver is here")
    x = Tensor(np.linspace(-1, 1, 41, dtype=np.float32)).realize()
    captured = jit(lambda x: chain(x, 5 << 6).realize())
    kept = [captured(x).numpy() for _ in range(6)][-1]
    made = []
    for number in range(5 * MOST):
        chain(x, number).realize()
        plans = [plan for plans in met.plans_of.values() for plan in plans.made.values()]
        made.append(ref(plans[-1].launches[0].executable))
        del plans
    alive = sum(program() is not None for program in made)
    assert alive <= MOST < len(made)
    compiled, planned = GlobalCounters.compiled, GlobalCounters.plans
    np.testing.assert_array_equal(captured(x).numpy(), kept)
    assert (GlobalCounters.compiled, GlobalCounters.plans) == (compiled, planned)


@pytest.mark.lazy_only
def test_a_graph_that_runs_now_and_then_keeps_its_plan(few: None) -> None:
    x = Tensor(np.linspace(-1, 1, 42, dtype=np.float32)).realize()
    often = 7 << 6
    for _ in range(6):
        chain(x, often).realize()
    for number in range(4 * MOST):
        chain(x, number).realize()
        before = GlobalCounters.plans
        chain(x, often).realize()
        assert GlobalCounters.plans == before


@pytest.mark.lazy_only
def test_kernels_for_open_sizes_are_few(few: None) -> None:
    for number in range(MOST + 2):
        for size in (30, 41, 53):
            array = np.linspace(-1, 1, size, dtype=np.float32)
            y = chain(Tensor(array).realize(), number).sum()
            np.testing.assert_allclose(y.numpy(), expected(array, number).sum(), rtol=1e-3, atol=1e-4)
        assert sum(family.kernels for family in open_plans._families.values()) <= MOST


def test_threads_may_let_go_of_each_others_plans(few: None) -> None:
    array = np.linspace(-1, 1, 43, dtype=np.float32)
    x, wrong = Tensor(array).realize(), []

    def work(first: int) -> None:
        for number in (*range(first, 3 * MOST, 4), *range(first, 3 * MOST, 4)):
            found = chain(x, number).numpy()
            if not np.allclose(found, expected(array, number), rtol=1e-4, atol=1e-6):
                wrong.append(number)

    with Context(OPEN=0):
        threads = [Thread(target=work, args=(first,)) for first in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert not wrong
