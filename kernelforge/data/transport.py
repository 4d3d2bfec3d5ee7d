"""How batches and datasets travel between processes: through memory both can see, not through a pipe.

Comes in: any picklable value. Goes out: an equal one in the other process. Protocol 5 hands the memory of a value's
arrays out of its pickle. A batch's arrays are written into a slot by one system call and read from it by another; a
dataset's are mapped, so that all workers share one copy. The memory is a file without a name: nothing is left behind
however a process ends. It knows no batches and no loader.
"""

import mmap
import os
import pickle
import tempfile
from collections.abc import Callable
from io import BytesIO
from itertools import accumulate
from multiprocessing.reduction import DupFd, ForkingPickler
from typing import Any

import numpy as np

ALIGNMENT = 64  # bytes: where arrays in mapped memory may start


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
            self.write_at(offset, part)
            offset += len(part)
        return [len(part) for part in parts]

    def write_at(self, offset: int, part: memoryview) -> None:
        """Store bytes."""
        while part:
            written = os.pwrite(self.descriptor, part, offset)
            part, offset = part[written:], offset + written

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


class Shared:
    """A value to hand to new processes: pickled to them, it arrives as itself, with one copy of its arrays for all.

    A process that writes to the arrays gets pages of its own.
    """

    def __init__(self, value: Any) -> None:
        self.value = value
        self.slot = Slot()
        self.sizes: list[int] | None = None

    def __reduce__(self) -> tuple[Callable, tuple]:
        # The pickle is made anew for each process, as handles in it are; the arrays' memory is stored the first time.
        buffers: list[pickle.PickleBuffer] = []
        head = BytesIO()
        ForkingPickler(head, 5, True, buffers.append).dump(self.value)
        if self.sizes is None:
            self.sizes = self._store([buffer.raw() for buffer in buffers])
        return _mapped, (head.getvalue(), self.slot, self.sizes)

    def _store(self, parts: list[memoryview]) -> list[int]:
        sizes = [len(part) for part in parts]
        starts, end = _starts(sizes)
        os.ftruncate(self.slot.descriptor, end)
        for start, part in zip(starts, parts):
            self.slot.write_at(start, part)
        return sizes

    def close(self) -> None:
        """Give this process's hold on the arrays' second copy back."""
        self.slot.close()


def _starts(sizes: list[int]) -> tuple[list[int], int]:
    """Where parts of the given sizes lie in mapped memory, and its whole size, which is never 0."""
    *starts, end = accumulate((-(-size // ALIGNMENT) * ALIGNMENT for size in sizes), initial=0)
    return starts, max(end, ALIGNMENT)


def _mapped(head: bytes, slot: Slot, sizes: list[int]) -> Any:
    starts, end = _starts(sizes)
    memory = memoryview(mmap.mmap(slot.descriptor, end, mmap.MAP_PRIVATE))
    slot.close()
    return pickle.loads(head, buffers=[memory[start : start + size] for start, size in zip(starts, sizes)])


def _received(descriptor: Any) -> Slot:
    return Slot(descriptor.detach())


def _anonymous_file() -> int:
    """A descriptor of a file in memory where the system has them, else of an unnamed temporary file."""
    if hasattr(os, "memfd_create"):
        return os.memfd_create("kernelforge-batch")
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())
