"""What the host pays for a launch, an allocation and a small copy; the work itself is next to nothing.

    pytest bench/bench_launch.py
"""

import numpy as np
import pytest

from codegen.dtypes import dtypes
from codegen.ir import Param
from codegen.program import Program
from kernelforge.kernels import Device, Runtime
from kernelforge.kernels.opencl_devices import candidates

SIZE = 16
SOURCE = """__attribute__((reqd_work_group_size(1, 1, 1)))
__kernel void add(__global const float *restrict x, __global const float *restrict y, __global float *restrict out) {
  vstore16(vload16(0, x) + vload16(0, y), 0, out);
}
"""
PARAMS = tuple(Param(name, dtypes.float32, SIZE) for name in ("x", "y", "out"))
PROGRAM = Program("opencl", SOURCE, "add", (1,), PARAMS, frozenset(("out",)))
ROUND = 1000


@pytest.fixture(params=[f"CL:{number}" for number in range(len(candidates()))])
def runtime(request: pytest.FixtureRequest) -> Runtime:
    return Device[request.param]


def memories(runtime: Runtime) -> list:
    return [runtime.allocate(4 * SIZE) for _ in PARAMS]


def bench_launch_same_arguments(benchmark, runtime):
    (executable,), arguments = runtime.compile([PROGRAM]), memories(runtime)
    benchmark.pedantic(
        lambda: [runtime.launch(executable, arguments) for _ in range(ROUND)],
        teardown=runtime.synchronize,
        rounds=20,
    )
    benchmark.extra_info["per call, us"] = benchmark.stats.stats.min / ROUND * 1e6


def bench_launch_other_arguments(benchmark, runtime):
    (executable,), first, second = runtime.compile([PROGRAM]), memories(runtime), memories(runtime)

    def work() -> None:
        for _ in range(ROUND // 2):
            runtime.launch(executable, first)
            runtime.launch(executable, second)

    benchmark.pedantic(work, teardown=runtime.synchronize, rounds=20)
    benchmark.extra_info["per call, us"] = benchmark.stats.stats.min / ROUND * 1e6


def bench_launch_and_wait(benchmark, runtime):
    (executable,), arguments = runtime.compile([PROGRAM]), memories(runtime)

    def work() -> None:
        runtime.launch(executable, arguments)
        runtime.synchronize()

    benchmark(work)


def bench_allocation_from_the_pool(benchmark, runtime):
    benchmark(runtime.allocate, 4096)


def bench_copy_out(benchmark, runtime):
    memory, array = runtime.allocate(4 * SIZE), np.empty(SIZE, np.float32)
    runtime.copy_in(memory, array)
    benchmark(runtime.copy_out, memory, array)
