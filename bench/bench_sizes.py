"""Open sizes: kernels compiled over random sizes, what a new size costs, and the speed beside kernels for one size.

    pytest bench/bench_sizes.py -s
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

from kernelforge import Context, GlobalCounters, Tensor
from kernelforge.realize import synchronize

WIDTH, HEADS = 64, 4
Function = Callable[[Tensor], Tensor]


def functions() -> dict[str, Function]:
    """Functions of [batch, sequence, width]."""
    rng = np.random.default_rng(0)
    wide = Tensor(rng.standard_normal((WIDTH, 4 * WIDTH)).astype(np.float32)).realize()
    back = Tensor(rng.standard_normal((4 * WIDTH, WIDTH)).astype(np.float32)).realize()

    def attention(x: Tensor) -> Tensor:
        q = x.reshape(*x.shape[:2], HEADS, WIDTH // HEADS).transpose(1, 2)
        return q.scaled_dot_product_attention(q, q, is_causal=True)

    return {
        "elementwise": lambda x: (x * 2 + 1).tanh(),
        "rows": lambda x: x.softmax(-1),
        "feed forward": lambda x: (x @ wide).gelu() @ back,
        "attention": attention,
    }


def measure(function: Function, sizes: list[tuple[int, int]]) -> tuple[int, float, float]:
    """Kernels compiled over all sizes, milliseconds of the last new size, time beside kernels for that size alone."""
    rng, before, fresh = np.random.default_rng(1), GlobalCounters.compiled, 0.0
    for size in sizes:
        x = Tensor(rng.standard_normal((*size, WIDTH)).astype(np.float32)).realize()
        start = time.perf_counter()
        function(x).realize()
        synchronize()
        fresh = time.perf_counter() - start
    compiled = GlobalCounters.compiled - before
    best = {0: float("inf"), 1: float("inf")}
    for _ in range(30):
        for is_open in best:
            with Context(OPEN=is_open):
                start = time.perf_counter()
                function(x).realize()
                synchronize()
                best[is_open] = min(best[is_open], time.perf_counter() - start)
    return compiled, fresh * 1e3, best[1] / best[0]


def bench_sizes() -> None:
    print()
    rng = np.random.default_rng(2)
    sizes = [(int(rng.integers(2, 65)), int(rng.integers(2, 513))) for _ in range(20)]
    for name, function in functions().items():
        compiled, fresh, ratio = measure(function, sizes)
        print(f"{name:14} {len(sizes)} sizes: {compiled:2} kernels compiled, "
              f"a new size {fresh:6.2f} ms, {ratio:4.2f} of the time of its own kernels")  # fmt: skip

