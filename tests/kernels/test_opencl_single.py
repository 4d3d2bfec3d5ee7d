"""A kernel called by a function of its own computes what it does when it is launched, and is launched where it must."""

import numpy as np
import pytest
from numpy.typing import NDArray

from codegen.dtypes import dtypes
from kernelforge import Context, Tensor, met, native
from kernelforge.buffer import Buffer
from kernelforge.counters import GlobalCounters
from kernelforge.execution import plan_function
from kernelforge.kernels import Device, Memory, opencl_queues
from kernelforge.kernels.opencl import OpenCLRuntime
from kernelforge.kernels.opencl_build import Compiled
from kernelforge.kernels.opencl_devices import candidates
from kernelforge.kernels.opencl_single import Called, single
from kernelforge.kernels.runtime import Runtime
from tests.kernels.test_opencl_direct import RUNTIMES, numbered

pytestmark = pytest.mark.skipif(not RUNTIMES, reason="no driver here tells where kernels are")


@pytest.fixture(params=[False, True], ids=["python", "native"])
def runtime(request: pytest.FixtureRequest) -> OpenCLRuntime:
    """A device whose kernels are called by Python, or by the C module."""
    if not request.param:
        return RUNTIMES[0]
    if native.native() is None:
        pytest.skip("the C module is not built")
    candidate = next(c for c in candidates() if c.facts == RUNTIMES[0].facts)
    return OpenCLRuntime("CPU", candidate)


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Kernels stay short however busy the machine is."""
    monkeypatch.setattr(opencl_queues, "HAND_OVER", np.inf)


def made(runtime: OpenCLRuntime, grid: tuple[int, ...] = (4,)) -> tuple[OpenCLRuntime, Called, Buffer, NDArray]:
    """A function that calls a kernel, what it reads, and what it has to write."""
    (executable,) = runtime.compile([numbered(grid)])
    x = np.random.default_rng(1).random(grid[0], np.float32)
    buffer = Buffer(len(x), dtypes.float32, "CPU", None, runtime.allocate(x.nbytes))
    runtime.copy_in(buffer.memory, x)
    called = alone(runtime, executable, x.nbytes)
    return runtime, called, buffer, x + np.arange(len(x), dtype=np.float32) / 3


def alone(runtime: OpenCLRuntime, executable: Compiled, nbytes: int) -> Called:
    """A kernel that reads one buffer, as a function."""
    called = single(runtime.pool, runtime._queues, [(executable, [(1, 0), (0, 0)])], [nbytes], 1, 1)
    assert called is not None
    return called


def values(runtime: Runtime, memory: Memory | None, size: int) -> NDArray:
    assert memory is not None
    found = np.empty(size, np.float32)
    runtime.copy_out(memory, found)
    return found


@pytest.mark.parametrize("groups", [1, 2, 4])
def test_each_call_gives_new_memory(runtime: OpenCLRuntime, groups: int) -> None:
    runtime, called, x, expected = made(runtime, (groups,))
    first, second = called([x]), called([x])
    assert first is not None and second is not None and first.block is not second.block
    for memory in (first, second):
        np.testing.assert_allclose(values(runtime, memory, groups), expected, rtol=1e-6)


def test_what_is_still_on_the_host_is_left_to_a_launch_or_copied(runtime: OpenCLRuntime) -> None:
    """The function of Python leaves it, that of the C module copies it."""
    _, called, x, expected = made(runtime)
    x.host, x.memory = expected - np.arange(4, dtype=np.float32) / 3, None
    found = called([x])
    if runtime is RUNTIMES[0]:
        assert found is None and x.memory is None
    else:
        np.testing.assert_allclose(values(runtime, found, 4), expected, rtol=1e-6)


def test_while_a_launch_runs_it_is_left_to_a_launch(runtime: OpenCLRuntime) -> None:
    runtime, called, x, expected = made(runtime)
    runtime._queues.launched += 1
    assert called([x]) is None
    runtime._queues.finished = runtime._queues.launched
    np.testing.assert_allclose(values(runtime, called([x]), 4), expected, rtol=1e-6)


def test_a_kernel_that_turned_out_to_be_long_is_left_to_a_launch() -> None:
    runtime, _, x, _ = made(RUNTIMES[0])
    (executable,) = runtime.compile([numbered((4,))])
    direct, called = executable.direct, alone(runtime, executable, 16)
    executable.direct = None
    assert called([x]) is None
    assert single(runtime.pool, runtime._queues, [(executable, [(1, 0), (0, 0)])], [16], 1, 1) is None
    executable.direct = direct


def test_a_plan_of_very_many_operands_of_which_few_are_read(runtime: OpenCLRuntime) -> None:
    (executable,) = runtime.compile([numbered((4,))])
    x = Buffer(4, dtypes.float32, "CPU", None, runtime.allocate(16))
    runtime.copy_in(x.memory, np.arange(4, dtype=np.float32))
    called = single(runtime.pool, runtime._queues, [(executable, [(300, 0), (0, 0)])], [16], 300, 1)
    np.testing.assert_allclose(values(runtime, called([x] * 300), 4), np.arange(4) * 4 / 3, rtol=1e-6)


def test_several_kernels_by_way_of_parts_of_memory(runtime: OpenCLRuntime) -> None:
    (executable,) = runtime.compile([numbered((4,))])
    x = np.arange(4, dtype=np.float32)
    buffer = Buffer(4, dtypes.float32, "CPU", None, runtime.allocate(16))
    runtime.copy_in(buffer.memory, x)
    launches = [(executable, [(3, 64), (0, 0)]), (executable, [(1, 0), (3, 64)]), (executable, [(2, 0), (1, 0)])]
    called = single(runtime.pool, runtime._queues, launches, [16, 16, 128], 1, 2)
    for _ in range(3):
        twice, thrice = called([buffer])
        np.testing.assert_allclose(values(runtime, twice, 4), x + np.arange(4) * 2 / 3, rtol=1e-6)
        np.testing.assert_allclose(values(runtime, thrice, 4), x + np.arange(4), rtol=1e-6)


def test_a_plan_of_several_short_kernels_is_called(monkeypatch: pytest.MonkeyPatch) -> None:
    if not isinstance(Device["CPU"], OpenCLRuntime) or not Device["CPU"]._builder.entrances.trusted:
        pytest.skip("kernels are not called here")
    monkeypatch.setattr(met, "plans_of", {})
    rng = np.random.default_rng(3)
    weights = [Tensor(rng.random((8, 8), np.float32), device="CPU").realize() for _ in range(3)]
    for _ in range(2 * plan_function.TRIED):
        values = rng.random((4, 8), np.float32)
        x, y = Tensor(values, device="CPU").realize(), values
        before = GlobalCounters.kernel_count
        for w in weights:
            x, y = (x @ w).relu(), np.maximum(y @ w.numpy(), 0)
        first = x.sum(0)
        first.realize(x)
        launched = GlobalCounters.kernel_count - before
        np.testing.assert_allclose(x.numpy(), y, rtol=1e-4)
        np.testing.assert_allclose(first.numpy(), y.sum(0), rtol=1e-4)
    plans = [plans.usual for plans in met.plans_of.values() if plans.usual is not None]
    assert any(plan.single is not None and plan.kernels == launched > 1 for plan in plans)


def test_a_plan_of_arrays_just_come_from_the_host_is_called(monkeypatch: pytest.MonkeyPatch) -> None:
    if not isinstance(Device["CPU"], OpenCLRuntime) or not Device["CPU"]._builder.entrances.trusted:
        pytest.skip("kernels are not called here")
    monkeypatch.setattr(met, "plans_of", {})
    rng = np.random.default_rng(3)
    w = Tensor(rng.random((8, 8), np.float32), device="CPU").realize()

    def step() -> None:
        values = rng.random((4, 8), np.float32)
        found = ((Tensor(values, device="CPU") @ w).relu() @ w).numpy()
        np.testing.assert_allclose(found, np.maximum(values @ w.numpy(), 0) @ w.numpy(), rtol=1e-4)

    def launch_all(*given: object) -> None:
        raise AssertionError("the kernels were launched one by one")

    for _ in range(2 * plan_function.TRIED):
        step()
    monkeypatch.setattr(OpenCLRuntime, "launch_all", launch_all)
    step()


def test_operations_done_often_are_called(monkeypatch: pytest.MonkeyPatch) -> None:
    if not isinstance(Device["CPU"], OpenCLRuntime) or not Device["CPU"]._builder.entrances.trusted:
        pytest.skip("kernels are not called here")
    monkeypatch.setattr(met, "plans_of", {})
    monkeypatch.setattr(met, "single", {})
    x = np.random.default_rng(2).random((37, 5), np.float32)
    a, b = Tensor(x, device="CPU").realize(), Tensor(x[::-1].copy(), device="CPU").realize()
    with Context(NAN=0):
        for _ in range(2 * plan_function.TRIED):
            difference, doubled = (a * 3 - b).realize(), (b + b).realize()
            np.testing.assert_allclose(difference.numpy(), x * 3 - x[::-1], rtol=1e-5, atol=1e-6)
            np.testing.assert_array_equal(doubled.numpy(), x[::-1] * 2)
        plans = [plans.usual for plans in met.plans_of.values() if plans.usual is not None]
        assert any(plan.single is not None for plan in plans)
