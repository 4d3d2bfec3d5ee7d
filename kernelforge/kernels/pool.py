"""Freed device memory, kept for reuse: fresh pages cost more than the arithmetic done on them.

Comes in: blocks given back by `Memory` handles.  Goes out: blocks of the same size class.  Sizes are rounded up to one
of eight steps per power of two, so less than an eighth is wasted.  It knows no driver: a runtime gives it functions.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from functools import lru_cache
from typing import Final

from kernelforge.counters import GlobalCounters
from kernelforge.kernels.runtime import Block, Memory
from kernelforge.settings import POOL

SMALLEST: Final = 256


@lru_cache(maxsize=4096)
def size_class(nbytes: int) -> int:
    """The number of bytes taken for a request: the next of eight steps per power of two.

    >>> size_class(0), size_class(4096), size_class(5000)
    (256, 4096, 5120)
    """
    if nbytes <= SMALLEST:
        return SMALLEST
    step = 1 << ((nbytes - 1).bit_length() - 4)
    return -(-nbytes // step) * step


class Pool:
    """Blocks of one device.

    make     makes a block of so many bytes; raises MemoryError
    wait     returns when the launch of that number is done, so that its memory may go
    limit    bytes kept for reuse unless KF_POOL says otherwise
    release  frees a block that is not kept, where that takes a call of the driver.  A block must not make it when it
             dies: in a cycle of garbage Python says so to it even if its handle gives it back

    `give_back` runs whenever Python collects a handle, also in the middle of the methods here, so it never waits for
    the lock: it leaves the block where the next holder of the lock finds it.
    """

    def __init__(
        self,
        make: Callable[[int], Block],
        wait: Callable[[int], None],
        limit: int,
        release: Callable[[Block], None] = lambda block: None,
    ) -> None:
        self._make, self._wait, self._release, self._default_limit = make, wait, release, limit
        self._returned: deque[Block] = deque()
        self._free: dict[int, list[Block]] = {}  # by capacity, the one freed last at the end
        self._lock = threading.Lock()
        self.bytes_free = 0
        self.bytes_used = 0

    def take(self, nbytes: int) -> Memory:
        """Memory of nbytes: the block of its class that was freed last, or a new one.

        raises MemoryError with the sizes when the device has no more, even after the free blocks were released
        """
        capacity = size_class(nbytes)
        with self._lock:
            if self._returned:
                self._collect()
            free = self._free.get(capacity)
            if free:
                self.bytes_free -= capacity
                block = free.pop()
            else:
                block = self._fresh(capacity)
            self.bytes_used += capacity
            GlobalCounters.mem_used += capacity
        return Memory(nbytes, block, self)

    def give_back(self, block: Block) -> None:
        """Keeps a block for reuse; releases those unused for longest when too many are kept."""
        self._returned.append(block)
        if self._lock.acquire(blocking=False):
            try:
                self._collect()
                limit = self._default_limit if POOL.value < 0 else POOL.value << 20
                if self.bytes_free > limit:
                    self._trim(limit)
            finally:
                self._lock.release()

    def clear(self) -> None:
        """Releases every free block."""
        with self._lock:
            self._collect()
            self._trim(0)

    def _collect(self) -> None:
        while self._returned:
            block = self._returned.popleft()
            capacity = block.capacity
            self.bytes_used -= capacity
            GlobalCounters.mem_used -= capacity
            self._free.setdefault(capacity, []).append(block)
            self.bytes_free += capacity

    def _trim(self, limit: int) -> None:
        """Releases blocks until at most `limit` free bytes are left: of the largest class, the one freed first."""
        while self.bytes_free > limit:
            capacity = max(size for size, blocks in self._free.items() if blocks)
            self.bytes_free -= capacity  # before the block goes: Ctrl-C here must never leave fewer blocks than counted
            block = self._free[capacity].pop(0)
            self._wait(block.last_use)
            self._release(block)

    def _fresh(self, capacity: int) -> Block:
        try:
            return self._make(capacity)
        except MemoryError:
            self._trim(0)
        try:
            return self._make(capacity)
        except MemoryError as error:
            raise MemoryError(
                f"cannot allocate {capacity:,} bytes: {error}; {self.bytes_used:,} bytes are in use by live tensors. "
                "Free tensors, or work in smaller batches"
            ) from None
