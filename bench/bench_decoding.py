"""Decoding with a cache that grows by one each time: as it is and under jit, the first sequence and those after it.

    pytest bench/bench_decoding.py -s
"""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median
from typing import Any, NamedTuple

import numpy as np

from kernelforge import GlobalCounters, Tensor, jit, no_grad
from kernelforge.realize import synchronize

WIDTH, HEADS, LAYERS, POSITIONS = 64, 4, 2, 200
Caches = list[tuple[Tensor, Tensor]]


def model() -> Callable[[Tensor, Caches], tuple[Tensor, Caches]]:
    """One position of a small transformer."""
    rng = np.random.default_rng(0)
    shapes = (WIDTH, 3 * WIDTH), (WIDTH, WIDTH), (WIDTH, 4 * WIDTH), (4 * WIDTH, WIDTH)
    layers = [[Tensor((rng.standard_normal(s) * 0.1).astype(np.float32)).realize() for s in shapes]
              for _ in range(LAYERS)]  # fmt: skip

    def step(x: Tensor, caches: Caches) -> tuple[Tensor, Caches]:
        longer = []
        for (inward, outward, wide, back), (keys, values) in zip(layers, caches):
            parts = (x.layernorm() @ inward).reshape(1, 1, 3, HEADS, WIDTH // HEADS).permute(2, 0, 3, 1, 4)
            q, k, v = parts.unbind(0)
            longer.append((keys.cat(k, dim=2), values.cat(v, dim=2)))
            x = x + q.scaled_dot_product_attention(*longer[-1]).transpose(1, 2).reshape(1, 1, WIDTH) @ outward
            x = x + (x.layernorm() @ wide).gelu() @ back
        return x, longer

    return step


class Sequence(NamedTuple):
    """Of a sequence: milliseconds a position takes in the median, and the positions plans and kernels were made at."""

    milliseconds: float
    planned: dict[int, int]
    compiled: dict[int, int]


def decoded(step: Callable[[Tensor, Any], Any]) -> Sequence:
    """A sequence, from a cache of one position."""
    begin = Tensor(np.ones((1, HEADS, 1, WIDTH // HEADS), np.float32)).realize()
    x, caches = Tensor(np.ones((1, 1, WIDTH), np.float32)).realize(), [(begin, begin)] * LAYERS
    seconds, planned, compiled = [], dict[int, int](), dict[int, int]()
    with no_grad():
        for position in range(POSITIONS):
            plans, kernels, start = GlobalCounters.plans, GlobalCounters.compiled, time.perf_counter()
            y, caches = step(x, caches)
            y.realize(*(part for pair in caches for part in pair))
            synchronize()
            seconds.append(time.perf_counter() - start)
            made = (planned, GlobalCounters.plans - plans), (compiled, GlobalCounters.compiled - kernels)
            for counts, count in made:
                if count:
                    counts[position] = count
    return Sequence(median(seconds) * 1e3, planned, compiled)


def bench_decoding() -> None:
    print()
    step = model()
    captured = jit(step)
    for name, function in (("as it is", step), ("captured", captured)):
        for which in ("first", "second", "third"):
            found = decoded(function)
            print(f"{name}, {which} sequence: {found.milliseconds:7.3f} ms a position; plans made at "
                  f"{len(found.planned)} positions, kernels compiled at {found.compiled or 'none'}")
    print("\n".join(line for line in captured.explain().splitlines() if "calls" in line or "of at most" in line))
