"""Datasets and collate functions the loader's tests send to worker processes, so they stand at the top of a module."""

import os
import random
import signal
import sys
import time
from collections import namedtuple
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from kernelforge.data import Dataset, IterableDataset, get_worker_info
from kernelforge.tensor import Tensor

Pair = namedtuple("Pair", "image label")


class Squares(Dataset[Pair]):
    """Sample i is (an array full of i, i * i)."""

    def __init__(self, size: int, width: int = 3) -> None:
        self.size, self.width = size, width

    def __getitem__(self, index: int) -> Pair:
        if not 0 <= index < self.size:
            raise IndexError(index)
        return Pair(np.full(self.width, index, np.float32), index * index)

    def __len__(self) -> int:
        return self.size


class Counting(IterableDataset[int]):
    """0 ... size - 1; a worker yields every num_workers-th."""

    def __init__(self, size: int) -> None:
        self.size = size

    def __iter__(self) -> Iterator[int]:
        info = get_worker_info()
        return iter(range(self.size) if info is None else range(info.id, self.size, info.num_workers))


def drivers() -> list[str]:
    """The OpenCL and CUDA drivers this process has loaded; that happens when a device is first asked for."""
    maps = Path("/proc/self/maps").read_text()
    return [name for name in ("libintelocl", "libpocl", "libcuda.so", "libnvidia-opencl") if name in maps]


class Drivers(Dataset[int]):
    """Sample i is the number of drivers loaded in the process that makes it."""

    def __getitem__(self, index: int) -> int:
        return len(drivers())

    def __len__(self) -> int:
        return 4


class RandomNumbers(Dataset[tuple]):
    """Sample i is (worker's number, its seed, a number of `random`, a number of `numpy.random`)."""

    def __getitem__(self, index: int) -> tuple[int, int, float, float]:
        info = get_worker_info()
        assert info is not None
        return info.id, info.seed, np.float64(random.random()), np.random.random()

    def __len__(self) -> int:
        return 6


class Unpicklable(Exception):
    """An exception whose arguments cannot rebuild it."""

    def __init__(self, first: str, second: str) -> None:
        super().__init__(f"{first} and {second}")


class Fails(Dataset[int]):
    """Sample 3 does what `how` says; the others are their index."""

    def __init__(self, how: str) -> None:
        self.how = how

    def __getitem__(self, index: int) -> Any:
        if index == 3:
            return getattr(self, self.how)()
        return index

    def __len__(self) -> int:
        return 8

    def key(self) -> None:
        raise KeyError("no such sample")

    def stop(self) -> None:
        raise StopIteration

    def unpicklable(self) -> None:
        raise Unpicklable("this", "that")

    def killed(self) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def ended(self) -> None:
        sys.exit(3)

    def slow(self) -> int:
        time.sleep(3600)
        return 3

    def tensor(self) -> Tensor:
        return Tensor([1.0, 2.0])

    def file(self) -> Any:
        return np.array([open(os.devnull)], object)


class Augmented(Dataset[tuple]):
    """Sample i is (i, a number of `random`, a number of `numpy.random`)."""

    def __getitem__(self, index: int) -> tuple[int, float, float]:
        return index, np.float64(random.random()), np.random.random()

    def __len__(self) -> int:
        return 9


def stop_itself(worker: int) -> None:
    """A worker_init_fn that has worker 1 stopped by a signal."""
    if worker == 1:
        os.kill(os.getpid(), signal.SIGSTOP)


def double(samples: list[Pair]) -> dict[str, Any]:
    """A collate function of the user's."""
    return {"twice": 2 * np.stack([sample.image for sample in samples]), "count": len(samples)}


def to_tensor(samples: list[Pair]) -> Tensor:
    """A collate function that only fits num_workers=0."""
    return Tensor(np.stack([sample.image for sample in samples]))


def fail_to_start(worker: int) -> None:
    """A worker_init_fn that raises."""
    raise LookupError(f"no licence for worker {worker}")


class Marker:
    """A worker_init_fn that leaves a file per call."""

    def __init__(self, folder: str) -> None:
        self.folder = folder

    def __call__(self, worker: int) -> None:
        with open(os.path.join(self.folder, f"{worker}-{os.getpid()}"), "x"):
            pass
