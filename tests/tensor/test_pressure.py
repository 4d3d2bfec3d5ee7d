"""Work put off for ever: bounded, with the same results."""

import gc
import weakref

import numpy as np
import pytest

from kernelforge import Context, GlobalCounters, Tensor, graph, jit
from kernelforge.func import vmap
from kernelforge.tensor.pressure import PATIENCE

pytestmark = pytest.mark.usefixtures("numpy_device")


def test_a_sum_over_a_long_loop() -> None:
    gc.collect()
    total, first, before = Tensor(0.0), None, len(graph.alive())
    most = 0
    with Context(PENDING=500):
        for i in range(1200):
            batch = Tensor(np.full(3, i % 7, np.float32))
            if first is None:
                first = weakref.ref(batch._node)
            total = total + (batch * 2).sum()
            if i % 100 == 0:
                most = max(most, len(graph.alive()) - before)
    gc.collect()
    assert first is not None and first() is None
    assert most < 6000
    assert total.item() == sum(i % 7 * 6 for i in range(1200))


def test_loops_alike_are_cut_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    def cuts() -> list[int]:
        x, found = Tensor([1.0, 2.0]), []
        for i in range(4 * PATIENCE):
            x = x * 0.5 + 1
            if x._node.op == "buffer":
                found.append(i)
        return found

    with Context(PENDING=100):
        assert cuts() == cuts() != []
    with Context(PENDING=0):
        assert cuts() == []


def test_gradients_through_what_was_computed() -> None:
    w = Tensor([0.5]).requires_grad_()
    x = Tensor([1.0])
    with Context(PENDING=50):
        for _ in range(2 * PATIENCE):
            x = x * w + 1
    x.backward(Tensor([1.0]))
    assert w.grad is not None
    np.testing.assert_allclose(w.grad.numpy(), [4.0], rtol=1e-4)  # of 1 / (1 - w)


def test_what_is_recorded_is_left_alone() -> None:
    def long(x: Tensor) -> Tensor:
        for _ in range(2 * PATIENCE):
            x = x * 0.5 + 1
        return x

    with Context(PENDING=50):
        captured = jit(long)
        assert [round(captured(Tensor([v])).item(), 3) for v in (1.0, 9.0)] == [2, 2]
        assert len(captured._entries[0].capture.plans) == 1
        assert vmap(long)(Tensor([1.0, 2.0])).numpy().round(3).tolist() == [2, 2]


def test_long_chains_of_few_operations_stay_lazy() -> None:
    x = Tensor([1.0])
    for _ in range(3 * PATIENCE):
        x = x + 1
    assert x._node.op != "buffer"
    assert x.item() == 3 * PATIENCE + 1


def test_a_captured_sum_over_a_long_loop() -> None:
    add = jit(lambda total, x: total + (x * 2).sum())
    total, x, alive = Tensor(0.0), Tensor([1.0, 2.0]), []
    for i in range(400):
        total = add(total, x)
        if i % 100 == 50:
            gc.collect()
            alive.append(len(graph.alive()))
    assert len(set(alive)) == 1 and len(add._entries) == 1
    assert total.item() == 400 * 6


def moved(x: Tensor, state: dict[str, Tensor]) -> Tensor:
    """A step in the manner of Adam, made of assignments; the value that was made smaller."""
    loss = (x - 1).square().sum()
    gradient = (x - 1) * 2
    state["count"].assign(state["count"] + 1)
    state["first"].assign(state["first"] * 0.5 + gradient)
    state["second"].assign(state["second"] * 0.5 + gradient.square())
    x.assign(x - state["first"] / (state["second"].sqrt() + state["count"]) * 0.1)
    return loss


def beginning() -> tuple[Tensor, dict[str, Tensor]]:
    state = {name: Tensor(np.zeros(size, np.float32)) for name, size in (("count", 1), ("first", 3), ("second", 3))}
    return Tensor(np.array([4.0, 2.0, -1.0], np.float32)), state


def test_all_that_changed_is_computed_with_what_it_shares_work_with() -> None:
    x, state = beginning()
    untouched = Tensor([1.0])
    untouched.assign(Tensor([2.0]) * 3)
    loss = moved(x, state)
    assert x._stored is None
    loss.item()
    assert all(tensor._node.op == "buffer" for tensor in (x, *state.values()))
    assert untouched._stored is None


@pytest.mark.parametrize("order", [1, -1])
def test_changes_that_share_work_with_one_another_are_computed_together(order: int) -> None:
    """Each of a row with the next one, in whichever order they were changed; one that shares nothing waits."""
    shared = [Tensor(np.full(2, i, np.float32)) * 2 for i in range(7)]
    changed = [Tensor(np.zeros(2, np.float32)) for _ in range(5)]
    for i in range(5)[::order]:
        changed[i] += shared[i] + shared[i + 1]
    apart = Tensor(np.zeros(2, np.float32))
    apart += shared[6]
    assert (shared[0] + 1).tolist() == [1, 1]
    assert all(x._stored is not None for x in changed) and apart._stored is None
    assert [x.tolist()[0] for x in (*changed, apart)] == [2, 6, 10, 14, 18, 12]


def test_what_a_recorded_function_has_left_is_not_computed() -> None:
    left, scale = [], (Tensor([3.0]) * 2 + 1).exp()

    def scaled(x: Tensor) -> Tensor:
        y = x * scale
        y[0] = 5
        left.append(y)
        return y + 1

    found = vmap(scaled)(Tensor([[1.0, 2.0], [3.0, 4.0]]))
    np.testing.assert_allclose(scale.numpy(), np.exp([7.0]), rtol=1e-6)
    np.testing.assert_allclose(found.numpy(), [[6, 1 + 2 * np.exp(7)], [6, 1 + 4 * np.exp(7)]], rtol=1e-6)
    assert len(left) == 1


def test_a_captured_loop_that_reads_values_goes_on_from_where_it_was() -> None:
    def walked(steps: int) -> list[float]:
        x, state = beginning()
        return [moved(x, state).item() for _ in range(steps)]

    kernels = []
    for steps in (4, 8, 16):
        captured = jit(walked)
        expected = walked(steps)
        before = GlobalCounters.plans
        assert captured(steps) == captured(steps) == expected
        assert GlobalCounters.plans - before <= 6, "the steps are alike"
        kernels.append(sum(plan.kernels for plan in captured._entries[0].capture.plans))
        assert captured._entries[0].replays == 1
    assert kernels[2] - kernels[1] == 2 * (kernels[1] - kernels[0])
