"""What the host pays: for a launch, an allocation, a small copy, an operation, a small expression as users write it.

    pytest bench/bench_launch.py

The work itself is next to nothing.  Expressions are compared with torch's, each computed and waited for.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from codegen.dtypes import dtypes
from codegen.ir import Param
from codegen.program import Program
from kernelforge import Tensor
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


# Operations and expressions ---------------------------------------------------------------------------------------

SIDE = 64
OPERATIONS: dict[str, Callable[[Any, Any], Any]] = {
    "add": lambda x, y: x + y,
    "add a number": lambda x, y: x + 2.0,
    "exp": lambda x, y: x.exp(),
    "relu": lambda x, y: x.relu(),
    "sum": lambda x, y: x.sum(),
    "reshape": lambda x, y: x.reshape(-1),
    "matmul": lambda x, y: x @ y,
    "softmax": lambda x, y: x.softmax(-1),
}


def chained(x: Any, y: Any) -> Any:
    for _ in range(5):
        x = x * y + 1
    return x


EXPRESSIONS = OPERATIONS | {
    "x * 2 + 1": lambda x, y: x * 2 + 1,
    "ten operations": chained,
    "three layers": lambda x, y: (((x @ y).relu() @ y).relu() @ y).relu(),
}


def tensors() -> list[Tensor]:
    return [Tensor(np.full((SIDE, SIDE), 1 / SIDE, np.float32)).realize() for _ in range(2)]


@pytest.mark.parametrize("name", OPERATIONS)
def bench_operation(benchmark, name):
    """A node of the graph, made and freed."""
    x, y = tensors()
    benchmark(OPERATIONS[name], x, y)


@pytest.mark.parametrize("name", EXPRESSIONS)
def bench_expression(compare, name):
    torch = pytest.importorskip("torch")
    work, (x, y) = EXPRESSIONS[name], tensors()
    a, b = (torch.from_numpy(value.numpy()) for value in (x, y))

    def ours() -> None:
        work(x, y).realize()
        Device["CPU"].synchronize()

    with torch.inference_mode():
        compare(ours, lambda: work(a, b), nbytes=4 * SIDE**2)
