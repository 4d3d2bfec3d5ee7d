"""Order: sorting rows and one long vector, the largest few, places in a sorted vector, counts."""

import numpy as np

from bench.suite.workload import Random, Workload, floats

BINS = 1000


def numbers(random: Random) -> list[np.ndarray]:
    """16 Mi integers below BINS."""
    return [random.integers(0, BINS, 1 << 24).astype(np.int32)]


def line_and_values(random: Random) -> list[np.ndarray]:
    """64 Ki sorted numbers, and a million others."""
    line, values = floats((1 << 16,), (1 << 20,))(random)
    return [np.sort(line), values]


WORKLOADS = [
    Workload("sort rows 1024x1024", "order", floats((1024, 1024)), lambda f, x: f.sort(x)),
    Workload("sort 1048576", "order", floats((1 << 20,)), lambda f, x: f.sort(x)),
    Workload("topk 8 of rows 1024x4096", "order", floats((1024, 4096)), lambda f, x: f.topk(x, 8)),
    Workload("topk 50 of 1x50000", "order", floats((1, 50_000)), lambda f, x: f.topk(x, 50)),
    Workload("searchsorted 1048576 in 65536", "order", line_and_values, lambda f, a, x: f.searchsorted(a, x)),
    Workload(f"bincount of 16777216 below {BINS}", "order", numbers, lambda f, x: f.bincount(x, BINS), read=4 << 24),
]
