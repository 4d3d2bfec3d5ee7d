"""The loader beside torch's: batches a second of the same datasets, and what workers are worth where samples take time.

    python -m bench.bench_loader [--seconds 4]

Rates are the best of interleaved passes in one process. Small samples show what the loader itself costs, large ones
what moving batches between processes does, and samples that sleep how well workers overlap.
"""

import argparse
import time
from collections.abc import Callable, Iterable

import numpy as np

from kernelforge.data import DataLoader, Dataset, TensorDataset


class Arrays(Dataset):
    """Samples of a size and a label, made one by one."""

    def __init__(self, count: int, width: int) -> None:
        self.rows = np.random.default_rng(0).random((count, width), np.float32)

    def __getitem__(self, index: int) -> tuple[np.ndarray, int]:
        return self.rows[index], index

    def __len__(self) -> int:
        return len(self.rows)


class Sleepy(Dataset):
    """Samples that take five milliseconds each."""

    def __getitem__(self, index: int) -> int:
        time.sleep(0.005)
        return index

    def __len__(self) -> int:
        return 96


def rate(loader: Iterable) -> float:
    """Batches a second of one pass."""
    start, count = time.perf_counter(), 0
    for _ in loader:
        count += 1
    return count / (time.perf_counter() - start)


def compared(ours: Iterable, theirs: Iterable, seconds: float) -> tuple[float, float]:
    """The best rates of interleaved passes."""
    best = [rate(ours), rate(theirs)]
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        best = [max(best[0], rate(ours)), max(best[1], rate(theirs))]
    return best[0], best[1]


def main() -> None:
    import torch.utils.data as peer
    from torch import from_numpy

    parser = argparse.ArgumentParser(description="The loader beside torch's.")
    parser.add_argument("--seconds", type=float, default=4.0, help="for each row (default 4)")
    options = parser.parse_args()
    rows = np.random.default_rng(0).random((20000, 64), np.float32)
    small, large = Arrays(6400, 16), Arrays(512, 1 << 15)
    tables = TensorDataset(rows, np.arange(20000)), peer.TensorDataset(from_numpy(rows), from_numpy(np.arange(20000)))
    cases: list[tuple[str, Callable[[], Iterable], Callable[[], Iterable]]] = [
        (
            "rows of a table, batches of 64",
            lambda: DataLoader(tables[0], 64, True),
            lambda: peer.DataLoader(tables[1], 64, True),
        ),
        *[
            (
                f"{name}, {workers} workers",
                lambda dataset=dataset, size=size, workers=workers: DataLoader(
                    dataset, size, num_workers=workers, persistent_workers=workers > 0
                ),
                lambda dataset=dataset, size=size, workers=workers: peer.DataLoader(
                    dataset, size, num_workers=workers, persistent_workers=workers > 0
                ),
            )
            for name, dataset, size in (
                ("samples of 64 bytes, batches of 64", small, 64),
                ("samples of 128 KB, batches of 32", large, 32),
                ("samples that take 5 ms, batches of 4", Sleepy(), 4),
            )
            for workers in (0, 2, 4)
        ],
    ]
    print(f"{'batches a second':50}{'kernelforge':>12}{'torch':>12}{'times':>8}")
    for name, ours, theirs in cases:
        mine, other = compared(ours(), theirs(), options.seconds)
        print(f"{name:50}{mine:12.1f}{other:12.1f}{mine / other:8.2f}")


if __name__ == "__main__":
    main()
