"""Freed device memory, kept for reuse: fresh pages cost more than the arithmetic done on them.

Comes in: blocks given back by `Memory` handles.  Goes out: blocks of the same size class.  Sizes are rounded up to one of
eight steps per power of two, so at most an eighth is wasted.  It knows no driver: a runtime gives it functions.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import Any

from numpy.typing import NDArray

from kernelforge.kernels.runtime import Memory
from kernelforge.settings import POOL

Block = tuple[Any, "NDArray | None"]
SMALLEST = 256
DEFAULT_LIMIT = 6 << 30


def size_class(nbytes: int) -> int:
    """The number of bytes taken for a request: the next of eight steps per power of two.

    >>> size_class(1), size_class(4096), size_class(5000)
    (256, 4096, 5120)
    """
    if nbytes <= SMALLEST:
        return SMALLEST
    step = 1 << max(0, (nbytes - 1).bit_length() - 4)
    return -(-nbytes // step) * step


class Pool:
    """Blocks of one device.

    make  makes a block of so many bytes: (handle, host array or None); raises MemoryError
    """

    def __init__(self, make: Callable[[int], Block]) -> None:
        self._make = make
        self._free: dict[int, deque[tuple[Any, NDArray | None, int]]] = {}
        self._lock = threading.Lock()
        self.bytes_free = 0
        self.bytes_used = 0

    def take(self, nbytes: int) -> Memory:
        """Memory of at least nbytes: the block freed longest ago, or a new one.

        raises MemoryError with the sizes when the device has no more, even after the free blocks were released
        """
        capacity = size_class(nbytes)
        with self._lock:
            free = self._free.get(capacity)
            found = free.popleft() if free else None
            if found is not None:
                self.bytes_free -= capacity
            self.bytes_used += capacity
        if found is None:
            try:
                found = (*self._fresh(capacity), 0)
            except BaseException:
                self.bytes_used -= capacity
                raise
        handle, host, last_use = found
        memory = Memory(nbytes, capacity, handle, host, self)
        memory.last_use = last_use
        return memory

    def _fresh(self, capacity: int) -> Block:
        try:
            return self._make(capacity)
        except MemoryError:
            self.clear()
        try:
            return self._make(capacity)
        except MemoryError as error:
            raise MemoryError(
                f"the device has no {capacity:,} bytes left; {self.bytes_used - capacity:,} bytes are in use: "
                f"free tensors or work in smaller batches ({error})"
            ) from None

    def _limit(self) -> int:
        return int(POOL.value) << 20 if POOL.value >= 0 else DEFAULT_LIMIT

    def give_back(self, capacity: int, handle: Any, host: NDArray | None, last_use: int) -> None:
        """Keep a block for reuse, or let it go when enough are kept."""
        with self._lock:
            self.bytes_used -= capacity
            if self.bytes_free + capacity <= self._limit():
                self.bytes_free += capacity
                self._free.setdefault(capacity, deque()).append((handle, host, last_use))

    def clear(self) -> None:
        """Release every free block."""
        with self._lock:
            self._free.clear()
            self.bytes_free = 0
