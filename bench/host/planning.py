"""What a large program costs that was never met before: to plan it, in seconds, and whether that grows with its size.

Comes in: nothing.  Goes out: rows.  Nothing is compiled or run: what is measured is the way from a graph to a plan.
"""

from collections.abc import Iterator
from time import perf_counter

import numpy as np

from bench.host.row import Row
from kernelforge import Context, Tensor, realize

NODES = 100_000


def rows() -> Iterator[Row]:
    """Planning all of it, and how many times longer than a tenth of it that takes."""
    tenth, whole = seconds(NODES // 10), seconds(NODES)
    yield Row(f"planning a graph of {NODES} nodes, s", whole, 10)
    yield Row("how many times longer than a tenth of it", whole / tenth, 12)


def seconds(nodes: int) -> float:
    """Seconds to plan a graph of about so many nodes: layers of a few operations, each a kernel or two."""
    with Context(PENDING=0, CACHE_PLANS=0):
        x = Tensor(np.ones((8, 8), np.float32)).realize()
        y = x
        for _ in range(nodes // 5):
            y = ((y * 0.5 + x).relu().sum(1, keepdim=True) + x).contiguous()
        start = perf_counter()
        realize.planned([y._node])
        return perf_counter() - start
