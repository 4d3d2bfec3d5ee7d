"""Without the C module: kernels that are called compute what launched ones do; what cannot be called is launched."""

import os
import signal
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codegen.dtypes import dtypes
from codegen.ir import Param
from codegen.program import Program
from kernelforge import Context
from kernelforge.kernels import opencl_queues
from kernelforge.kernels.opencl import OpenCLRuntime
from kernelforge.kernels.opencl_build import CHANCES
from kernelforge.kernels.opencl_devices import candidates
from kernelforge.kernels.opencl_direct import MOST_GROUPS, Direct
from kernelforge.kernels.runtime import Memory

with Context(NATIVE=0):
    RUNTIMES = [
        runtime
        for candidate in candidates()
        if opencl_queues.EXTENSION in candidate.handle.extensions.split()
        if (runtime := OpenCLRuntime("CPU", candidate))._builder.entrances.trusted
    ]
pytestmark = pytest.mark.skipif(not RUNTIMES, reason="no driver here tells where kernels are")

SOURCE = """__attribute__((reqd_work_group_size(1, 1, 1)))
__kernel void number(__global float *restrict out, __global const float *restrict x) {
  const int group = ORDER;
  out[group] = x[group] + 1.0f / 3.0f * group;EXTRA
}
"""


def numbered(grid: tuple[int, ...], extra: str = "", local: tuple[int, ...] | None = None) -> Program:
    """out[g] = x[g] + g / 3 for each group."""
    counts = [*grid, 1, 1][:3]
    order = f"(int)(get_group_id(0) + {counts[0]} * (get_group_id(1) + {counts[1]} * get_group_id(2)))"
    size = int(np.prod(grid))
    params = (Param("out", dtypes.float32, size), Param("x", dtypes.float32, size))
    text = SOURCE.replace("ORDER", order).replace("EXTRA", extra)
    return Program("opencl", text, "number", grid, params, frozenset(("out",)), local=local)


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Kernels stay short however busy the machine is."""
    monkeypatch.setattr(opencl_queues, "HAND_OVER", np.inf)


def ran(runtime: OpenCLRuntime, program: Program, times: int = 1) -> tuple[np.ndarray, np.ndarray, bool]:
    """What a program makes of random numbers, the numbers, and whether it is called."""
    (executable,) = runtime.compile([program])
    executable.chances = CHANCES
    size = program.params[0].size
    x, out = np.random.default_rng(size).random(size, np.float32), np.empty(size, np.float32)
    memories = [runtime.allocate(4 * size) for _ in range(2)]
    runtime.copy_in(memories[1], x)
    for _ in range(times):
        runtime.launch(executable, memories)
    runtime.copy_out(memories[0], out)
    return out, x, executable.direct is not None


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(1, 5), min_size=1, max_size=3), st.integers(1, 3))
def test_small_grids_are_called_with_the_numbers_of_their_groups(grid: list[int], times: int) -> None:
    out, x, called = ran(RUNTIMES[0], numbered(tuple(grid)), times)
    assert called == (np.prod(grid) <= MOST_GROUPS)
    assert np.allclose(out, x + np.arange(len(x), dtype=np.float32) / 3, rtol=1e-6)


@pytest.mark.parametrize("extra", ["\n  out[group] += get_global_offset(0);", "\n  barrier(CLK_GLOBAL_MEM_FENCE);"])
def test_what_asks_for_more_than_its_group_is_launched(extra: str) -> None:
    out, x, called = ran(RUNTIMES[0], numbered((3,), extra))
    assert not called and np.allclose(out, x + np.arange(3) / 3)


def test_a_kernel_found_to_be_long_is_not_called_again(monkeypatch: pytest.MonkeyPatch) -> None:
    runtime, program = RUNTIMES[0], numbered((2,), "\n  // long")  # other tests have the same one without
    assert ran(runtime, program)[2]
    monkeypatch.setattr(opencl_queues, "HAND_OVER", 0.0)
    out, x, called = ran(runtime, program, times=CHANCES)
    assert not called and np.allclose(out, x + np.arange(2) / 3)


def test_executables_apart_have_arguments_of_their_own() -> None:
    runtime = RUNTIMES[0]
    (first,) = runtime.compile([numbered((4,))])
    second = runtime.another(first)
    x, outs = runtime.allocate(16), [runtime.allocate(16) for _ in range(2)]
    runtime.copy_in(x, np.ones(4, np.float32))
    for executable, out in zip((first, second), outs):
        runtime.launch(executable, [out, x])
    assert first.direct is not None and second.direct is not None
    assert first.direct.values[0] != second.direct.values[0]
    assert first.direct.values[1] == second.direct.values[1]


def test_a_kernel_is_not_called_when_what_it_waited_for_ends_while_its_arguments_are_set() -> None:
    runtime = RUNTIMES[0]
    executable, long = runtime.compile([numbered((4,), "\n  // called"), numbered((4,), "\n  // launched")])
    long.chances, long.direct = 0, None
    others, memories = ([runtime.allocate(16) for _ in range(2)] for _ in range(2))
    for memory in (*others, *memories):
        runtime.copy_in(memory, np.zeros(4, np.float32))

    class Collecting(list[Memory]):
        def __getitem__(self, place: Any) -> Any:
            runtime.wait()  # as garbage may do that is collected here
            return super().__getitem__(place)

    runtime.launch(executable, others)
    runtime.launch(long, others)
    runtime.launch(executable, Collecting(memories))
    out = np.empty(4, np.float32)
    runtime.copy_out(memories[0], out)
    assert executable.direct is not None and np.allclose(out, np.arange(4) / 3)


def crash(direct: Direct) -> bool:
    os.kill(os.getpid(), signal.SIGKILL)
    return True


@pytest.mark.parametrize("works", [crash, lambda direct: False, lambda direct: 1 // 0 == 0])
def test_a_driver_whose_kernels_cannot_be_called_launches_them(works: Callable[[Direct], bool]) -> None:
    with Context(CACHE=0, NATIVE=0):
        runtime = OpenCLRuntime("CPU", next(c for c in candidates() if c.facts == RUNTIMES[0].facts))
        (executable,) = runtime.compile([numbered((2, 2, 1))])
        runtime.try_calls(executable, works)
        assert not runtime._builder.entrances.trusted and not runtime.is_native
        out, x, called = ran(runtime, numbered((1, 3)))
    assert not called and np.allclose(out, x + np.arange(3) / 3)
