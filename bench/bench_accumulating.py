"""A loss added up for 100,000 steps and read once: time per step and memory, by tenths of the loop.

    pytest bench/bench_accumulating.py -s
"""

from __future__ import annotations

import gc
import resource
import time

import numpy as np

from kernelforge import Tensor, jit
from kernelforge.graph import alive

STEPS = 100_000


def tenths(captured: bool) -> list[tuple[float, int, int]]:
    """For each tenth of the loop: microseconds per step, nodes that are alive, MiB the process has taken at most."""
    rng = np.random.default_rng(0)
    x, y = (Tensor(rng.standard_normal((64, 8)).astype(np.float32)).realize() for _ in range(2))

    def add(total: Tensor, x: Tensor, y: Tensor) -> Tensor:
        return total + (x - y).square().mean()

    step = jit(add) if captured else add
    total, found = Tensor(0.0), []
    for _ in range(10):
        start = time.perf_counter()
        for _ in range(STEPS // 10):
            total = step(total, x, y)
        seconds = time.perf_counter() - start
        gc.collect()
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        found.append((seconds / STEPS * 1e7, len(list(alive())), most))
    expected = STEPS * float((x - y).square().mean().item())
    assert abs(total.item() - expected) < 1e-2 * expected
    return found


def bench_accumulating() -> None:
    for captured in (False, True):
        print("\ncaptured" if captured else "\nlazy")
        for microseconds, nodes, most in tenths(captured):
            print(f"{microseconds:8.1f} us per step  {nodes:6} nodes  {most:5} MiB at most")
