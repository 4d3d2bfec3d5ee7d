"""What ran before runs again the short way: right values on other buffers, in every mode, with launches set apart."""

from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from codegen.dtypes import dtypes
from kernelforge import Tensor, met
from kernelforge.buffer import Buffer
from kernelforge.counters import GlobalCounters
from kernelforge.execution import running
from kernelforge.kernels.device import runtime_of
from kernelforge.planning import memory
from kernelforge.settings import Context
from tests.forgotten import forget_plans


def drawn(seed: int, shape: tuple[int, ...] = (3, 5)) -> tuple[Tensor, np.ndarray]:
    values = np.random.default_rng(seed).standard_normal(shape).astype(np.float32)
    return Tensor(values).realize(), values


OPERATIONS = {
    "sum": lambda x, y: x + y,
    "itself": lambda x, y: x * x,
    "constant": lambda x, y: x * 3,
    "difference": lambda x, y: y - x,
    "row": lambda x, y: x.sum(-1),
    "chain": lambda x, y: (x * y + x).exp(),
    "broadcast": lambda x, y: x + y.sum(0),
    "softmax": lambda x, y: x.softmax(-1) if isinstance(x, Tensor) else np.exp(x) / np.exp(x).sum(-1, keepdims=True),
}


def applied(name: str, x, y):
    if name == "chain" and isinstance(x, np.ndarray):
        return np.exp(x * y + x)
    return OPERATIONS[name](x, y)


def test_other_threads_see_memory_once_the_elements_are_there(monkeypatch: pytest.MonkeyPatch) -> None:
    values, copy_in = np.arange(40, dtype=np.float32), runtime_of("CPU").copy_in
    buffer, seen = Buffer.from_numpy(values, dtypes.float32, "CPU"), []

    def interrupted(target: Any, array: np.ndarray) -> None:
        seen.append(buffer.memory)
        if len(seen) == 1:  # what another thread does meanwhile
            seen.append(running.resident(buffer))
        copy_in(target, array)

    monkeypatch.setattr(runtime_of("CPU"), "copy_in", interrupted)
    found = running.resident(buffer)
    assert seen == [None, None, found]  # nobody goes on with memory that is let go of
    np.testing.assert_array_equal(running.contents(buffer), values)


@pytest.mark.parametrize("seed", range(4))
def test_results_that_lie_side_by_side_in_one_block_are_right(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "LARGE", 1)
    monkeypatch.setattr(memory, "SAVED", -(1 << 30))
    met, allocated = [], running.allocated
    monkeypatch.setattr(running, "allocated", lambda blocks, *given: [met.extend(blocks), allocated(blocks, *given)][1])
    random = np.random.default_rng(seed)
    sizes = [int(n) for n in random.integers(2, 60, 9)]
    weights = [random.standard_normal(shape).astype(np.float32) / 8 for shape in pairwise(sizes)]
    given = [Tensor(weight).realize() for weight in weights]
    a = random.standard_normal((40, sizes[0])).astype(np.float32)
    expected, kept = a, []
    x, others = Tensor(a).realize(), []
    for weight, w in zip(weights, given):
        expected, x = np.tanh(expected @ weight), (x @ w).contiguous().tanh()
        kept, others = [*kept, expected.sum(0)], [*others, x.contiguous().sum(0)]
    for _ in range(3):
        again = [other + 0 for other in others]
        with Context(CACHE_PLANS=0):
            again[0].realize(*again[1:])
        for value, result in zip(kept, again):
            assert np.allclose(result.numpy(), value, atol=1e-4)
    assert any(block.within >= 0 for block in met)


@pytest.mark.parametrize("name", OPERATIONS)
def test_an_operation_on_other_buffers_is_right_and_plans_nothing(name: str) -> None:
    for seed in range(4):
        (x, a), (y, b) = drawn(seed), drawn(seed + 10)
        plans, kernels = GlobalCounters.plans, GlobalCounters.kernel_count
        z = applied(name, x, y).realize()
        assert seed == 0 or GlobalCounters.plans == plans
        assert GlobalCounters.kernel_count == kernels + 1
        np.testing.assert_allclose(z.numpy(), applied(name, a, b), rtol=2e-5, atol=1e-5)
        np.testing.assert_array_equal(x.numpy(), a)


def test_which_operands_are_the_same_is_not_forgotten() -> None:
    (x, a), (y, b) = drawn(0), drawn(1)
    for left, right, expected in ((x, y, a - b), (x, x, a - a), (y, x, b - a), (y, y, b - b), (x, y, a - b)):
        np.testing.assert_allclose((left - right).realize().numpy(), expected)


def test_a_step_met_before_is_timed_where_that_is_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    x, a = drawn(2)
    for _ in range(2):
        (x + 1).realize()
    with Context(DEBUG=2):
        z = (x + 1).realize()
        shown = capsys.readouterr().err
    assert "add" in shown
    np.testing.assert_array_equal(z.numpy(), a + 1)


def test_a_tracked_tensor_keeps_its_history() -> None:
    x, a = drawn(3)
    for _ in range(3):
        w = Tensor(a, requires_grad=True)
        y = (w * x).realize()
        y.sum().backward()
        assert w.grad is not None
        np.testing.assert_allclose(w.grad.numpy(), a)


def test_a_result_is_not_written_where_another_tensor_looks() -> None:
    for _ in range(3):
        x, a = drawn(4)
        y = x.exp().realize()
        z = y.exp().realize()
        del x
        np.testing.assert_allclose(y.numpy(), np.exp(a), rtol=1e-5)
        np.testing.assert_allclose(z.numpy(), np.exp(np.exp(a)), rtol=1e-5)


@pytest.mark.parametrize("called", [False, True])
def test_launches_of_one_program_get_executables_of_their_own(called: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """But for those that are called as functions, whose arguments are set each time."""
    forget_plans(monkeypatch)
    size = 16 if called else 17
    x, a = drawn(5, (size, size))
    scaled = a / 16
    builder = getattr(runtime_of(x.device), "_builder", None)
    entrances = getattr(builder, "entrances", SimpleNamespace(trusted=False, native=None))
    monkeypatch.setattr(entrances, "trusted", called)
    if not called:
        monkeypatch.setattr(entrances, "native", None)

    def layers(w: Tensor) -> Tensor:
        y = x
        for _ in range(3 + running.AT_ONCE):
            y = y @ w
        return y.realize()

    expected = a.copy()
    for _ in range(3 + running.AT_ONCE):
        expected = expected @ scaled
    for _ in range(5):
        y = layers(Tensor(scaled).realize())
        np.testing.assert_allclose(y.numpy(), expected, rtol=1e-3, atol=1e-6)
    usual = [plans.usual for plans in met.plans_of.values() if plans.usual is not None]
    plan = next(plan for plan in usual if len(plan.batch) == 3 + running.AT_ONCE)
    if plan.place == "CPU" and plan.batch[0][0].program.language == "opencl":
        together = all((executable.direct or executable.native) is not None for executable, _ in plan.batch)
        assert len({id(executable) for executable, _ in plan.batch}) == (1 if together else len(plan.batch))
    assert not plan.shared
