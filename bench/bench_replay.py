"""What a captured call costs beside its kernels: one of a single small kernel, and a step of a thousand.

`pytest bench/bench_replay.py -s` prints microseconds; with torch installed, torch.compile and its eager mode beside.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from kernelforge import Device, Tensor, jit
from kernelforge.kernels.opencl import OpenCLRuntime


def best(function: Callable[[], Any], times: int, repeats: int = 15) -> float:
    """The fewest seconds of a call, by the processor's clock of this process."""
    found = []
    for _ in range(repeats):
        start = time.process_time()
        for _ in range(times):
            function()
        found.append((time.process_time() - start) / times)
    return min(found)


def submission(captured: Any) -> float:
    """Seconds the runtime takes to be given the kernels of a captured function, and nothing else."""
    runtime = Device[Device.DEFAULT]
    if not isinstance(runtime, OpenCLRuntime):
        pytest.skip("the processor's OpenCL runtime is what this measures")
    (plan,) = captured._entries[0].capture.plans
    queues = runtime._queues

    def submit() -> None:
        for executable, _ in plan.batch:
            queues.launch(executable, False)

    return best(submit, max(1, 300 // len(plan.batch)))


def bench_one_kernel() -> None:
    def function(x: Tensor) -> Tensor:
        return x * 2 + 1

    x = Tensor(np.arange(64, dtype=np.float32)).realize()
    captured = jit(function)
    for _ in range(3):
        captured(x)
    total, given = best(lambda: captured(x), 300), submission(captured)
    plain = best(lambda: function(x).realize(), 300)
    report("x * 2 + 1 on 64 values", {"captured": total, "of it submission": given, "as it is": plain})
    torch = pytest.importorskip("torch")
    torch.set_num_threads(1)
    y = torch.arange(64, dtype=torch.float32)
    report("the same in torch", {"eager": best(lambda: y * 2 + 1, 300)})


def bench_a_thousand_kernels() -> None:
    def step(x: Tensor) -> Tensor:
        for _ in range(1000):
            x = (x + x.sum() * 1e-6).contiguous()
        return x

    x = Tensor(np.ones(64, np.float32)).realize()
    captured = jit(step)
    for _ in range(3):
        captured(x)
    kernels = captured._entries[0].capture.plans[0].kernels
    total, given = best(lambda: captured(x), 1, 10), submission(captured)
    report(f"a step of {kernels} kernels, for each", {"captured": total / kernels, "of it submission": given / kernels})


def report(what: str, seconds: dict[str, float]) -> None:
    values = ", ".join(f"{name} {value * 1e6:.2f} us" for name, value in seconds.items())
    print(f"\n{what}: {values}")
