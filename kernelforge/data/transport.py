"""How a batch travels between processes: through a slot of shared memory, written once and read once.

Comes in: any picklable value. Goes out: an equal one in the other process. The arrays in it are neither pickled nor
sent through a pipe: protocol 5 hands their memory out, one system call writes it into the slot, one reads it into fresh
memory. A slot is a file without a name, so nothing is left behind however a process ends, and it keeps its pages, so
memory stays flat. It knows no batches and no loader.
"""

import os
import pickle
import tempfile
from collections.abc import Callable
from multiprocessing.reduction import DupFd
from typing import Any

import numpy as np


class Slot:
    """Shared memory for one value at a time. Pickling a slot to a new process gives that process the same memory."""

    def __init__(self, descriptor: int | None = None) -> None:
        self.descriptor = _anonymous_file() if descriptor is None else descriptor

    def __reduce__(self) -> tuple[Callable, tuple]:
        return _received, (DupFd(self.descriptor),)

    def write(self, value: Any) -> list[int]:
        """Store a value; returns what `read` needs to find it."""
        buffers: list[pickle.PickleBuffer] = []
        head = pickle.dumps(value, protocol=5, buffer_callback=buffers.append)
        parts = [memoryview(head), *(buffer.raw() for buffer in buffers)]
        offset = 0
        for part in parts:
            written = 0
            while written < len(part):
                written += os.pwrite(self.descriptor, part[written:], offset + written)
            offset += written
        return [len(part) for part in parts]

    def read(self, sizes: list[int]) -> Any:
        """The value stored, in memory of its own."""
        parts: list[Any] = []
        offset = 0
        for size in sizes:
            part: Any = np.empty(size, np.uint8)
            done = 0
            while done < size:
                done += os.preadv(self.descriptor, [part[done:]], offset + done)
            parts.append(part)
            offset += size
        return pickle.loads(parts[0], buffers=parts[1:])

    def close(self) -> None:
        """Give this process's hold on the memory back."""
        os.close(self.descriptor)


def _anonymous_file() -> int:
    """A descriptor of a file in memory where the system has them, else of an unnamed temporary file."""
    if hasattr(os, "memfd_create"):
        return os.memfd_create("kernelforge-batch")
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())


def _received(descriptor: Any) -> Slot:
    return Slot(descriptor.detach())
