"""What `memory_budget=` saves and costs: bytes a planned training step takes, its kernels and its time.

    pytest bench/bench_budget.py -s
"""

from __future__ import annotations

import time
import warnings
from statistics import median

import numpy as np

from kernelforge import Tensor, jit
from kernelforge.planning.layout import held
from kernelforge.realize import synchronize

DEPTH, WIDTH, ROWS, CALLS = 12, 64, 4096, 9


def step(x: Tensor, *weights: Tensor) -> list[Tensor]:
    """Gradients of a deep chain of layers, each of which needs what the one before has given."""
    for weight in weights:
        x = (x @ weight).tanh()
    return (x * x).mean().gradient(*weights)


def bench_budget() -> None:
    rng = np.random.default_rng(0)
    shapes = [(ROWS, WIDTH), *[(WIDTH, WIDTH)] * DEPTH]
    tensors = [Tensor((rng.standard_normal(shape) / 8).astype(np.float32)).realize() for shape in shapes]
    expected, most = None, 0
    print()
    for part in (None, 0.9, 0.75, 0.6, 0.5):
        budget = None if part is None else int(most * part)
        captured, seconds = jit(step, memory_budget=budget), []
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            found = [x.numpy() for x in captured(*tensors)]
        expected = expected or found
        assert all(np.array_equal(x, y) for x, y in zip(found, expected)), "the same bits"
        for _ in range(CALLS):
            start = time.perf_counter()
            captured(*tensors)[-1].realize()
            synchronize()
            seconds.append(time.perf_counter() - start)
        plans = captured._entries[0].capture.plans
        taken, kernels = max(map(held, plans)), sum(plan.kernels for plan in plans)
        most = most or taken
        asked = "no budget" if budget is None else f"budget {budget:,}"
        print(f"{asked:20}{taken:12,} bytes{kernels:5} kernels{median(seconds) * 1e3:9.2f} ms   "
              f"{'not met, and said so' if said else ''}")
