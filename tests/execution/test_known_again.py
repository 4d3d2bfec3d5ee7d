"""Graphs that ran before are found in one call, whatever else a program holds and whichever switches it turned."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from kernelforge import Context, GlobalCounters, Tensor, fft, func, graph
from kernelforge.native import compiled
from kernelforge.optim import SGD
from tests.forgotten import forget_plans

pytestmark = pytest.mark.skipif(compiled is None, reason="needs the C module")


@pytest.fixture(autouse=True)
def new_plans(monkeypatch: pytest.MonkeyPatch) -> None:
    forget_plans(monkeypatch)


def ones(length: int) -> Tensor:
    return Tensor(np.ones(length, np.float32)).realize()


def learned(x: Tensor, y: Tensor) -> None:
    for _ in range(5):
        (x + y).realize()


@pytest.mark.usefixtures("native_calls")
def test_an_unread_parameter_is_nothing_to_others() -> None:
    unread = Tensor.randn(7, 11).requires_grad_()
    x, y = ones(61), ones(61)
    learned(x, y)
    z = x + y
    assert compiled.computed_again(z) and z.tolist() == [2] * 61
    assert unread._stored is None


def test_a_parameter_that_is_read_is_computed_first() -> None:
    x = ones(59)
    for _ in range(6):
        weight = Tensor.randn(59).requires_grad_()
        found = (x + weight).detach().numpy()
        np.testing.assert_array_equal(found, 1 + weight.detach().numpy())


@pytest.mark.usefixtures("native_calls")
def test_a_state_of_a_loop_that_is_unread_is_nothing_to_others() -> None:
    x, y = ones(53), ones(53)
    learned(x, y)
    rows = ones(53).reshape(1, 53)
    (_, _unread), _ = func.scan(lambda state, row: ((state[0] + row, state[1] * row), row), (x, y), rows)
    z = x + y
    assert compiled.computed_again(z) and z.tolist() == [2] * 53


def test_all_states_of_a_loop_are_computed_with_the_first() -> None:
    for _ in range(6):
        x, y = ones(47), ones(47)
        a, b = func.while_loop(lambda a, b: a.sum() < 1000, lambda a, b: (a + b, b + 1), (x, y))
        assert a.tolist() == [22] * 47 and b._stored is not None and b.tolist() == [7] * 47


@pytest.mark.usefixtures("native_calls")
def test_a_switch_turned_and_turned_back_leaves_graphs_known() -> None:
    x, y, other = ones(43), ones(43), ones(41)
    learned(x, y)
    with Context(WINOGRAD=1):
        learned(other, other)
    learned(other, other)
    learned(x, y)
    assert compiled.computed_again(x + y)


def test_steps_of_optimisers_are_known_beside_an_unread_parameter() -> None:
    unread = Tensor.randn(3, 5).requires_grad_()
    weight = ones(31).requires_grad_()
    optimiser = SGD([weight], lr=0.5)
    for _ in range(3):
        optimiser.zero_grad()
        (weight * 2).sum().backward()
        optimiser.step()
    np.testing.assert_array_equal(weight.detach().numpy(), np.full(31, -2, np.float32))
    assert unread._stored is None


def test_what_is_read_as_it_is_needs_no_kernel() -> None:
    x, w = Tensor([[3.0]]).realize(), ones(41)
    for _ in range(5):
        x.sum().realize()
        w.mul_(1.0).realize()
    before, sums = GlobalCounters.kernel_count, x.sum()
    assert compiled.computed_again(sums) and GlobalCounters.kernel_count == before
    w *= 1.0
    assert compiled.computed_again(w) and w.tolist() == [1] * 41
    sums += 1
    assert sums.item() == 4 and x.item() == 3


@pytest.mark.usefixtures("native_calls")
def test_some_results_may_be_what_is_read() -> None:
    x, y = ones(37), ones(37)
    for _ in range(6):
        same, more = x.reshape(37, 1) * 1.0, x + y
        same.realize(more)
        assert same.tolist() == [[1]] * 37 and more.tolist() == [2] * 37
    same, more = x.reshape(37, 1) * 1.0, x + y
    assert compiled.computed_together((same, more))
    assert same.tolist() == [[1]] * 37 and more.tolist() == [2] * 37


@pytest.mark.usefixtures("native_calls")
def test_positions_that_others_hold_are_counted_again() -> None:
    x, y = ones(43), ones(43)
    learned(x, y)
    held = graph.iota(43)  # as the recipe of a composite holds them
    for _ in range(4):
        assert Tensor.arange(43).realize().tolist() == list(range(43))
        assert held.realized is None
    for _ in range(8):
        Tensor.eye(43).realize()
    again = Tensor.eye(43)
    assert compiled.computed_again(again)
    np.testing.assert_array_equal(again.numpy(), np.eye(43, dtype=np.float32))


def test_positions_that_several_threads_count_at_once() -> None:
    x, y = ones(41), ones(41)
    learned(x, y)
    held = [graph.iota(n) for n in (37, 41)]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda i: Tensor.arange(37 + i % 2 * 4).realize().numpy(), range(200)))
    for i, values in enumerate(found):
        np.testing.assert_array_equal(values, np.arange(37 + i % 2 * 4))
    del held


@pytest.mark.usefixtures("native_calls")
@pytest.mark.parametrize("kept", [256, 0])
def test_small_tables_that_depend_on_nothing_belong_to_what_reads_them(kept: int) -> None:
    values = np.random.default_rng(0).standard_normal((3, 5, 44 + kept)).astype(np.float32)
    with Context(KEEP=kept):
        counts = []
        for given in (*values, *values):
            x = Tensor(given).realize()
            GlobalCounters.reset()
            found = fft.rfft(x)
            known = compiled.computed_again(found)
            np.testing.assert_allclose(found.numpy(), np.fft.rfft(given), 1e-4, 1e-4)
            counts.append((GlobalCounters.kernel_count, GlobalCounters.global_ops))
    assert known == bool(kept)
    assert (counts[-1] < counts[0]) == bool(kept) and counts[-1] == counts[-2]
