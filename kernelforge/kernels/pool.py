"""Freed device memory, kept for reuse: fresh pages cost more than the arithmetic done on them.

Comes in: blocks given back by `Memory` handles.  Goes out: blocks of the same size class.  Sizes are rounded up to one
of eight steps per power of two, large ones to one of 128, and large blocks serve somewhat smaller requests as
well; so less than an eighth is wasted.  A piece of a block in use may be lent: it serves requests like any other until
the rest is given back, and they are one block again.  It knows no driver: a runtime gives it functions.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from functools import lru_cache, partial
from sys import getrefcount
from typing import Final
from weakref import ref

from kernelforge.counters import GlobalCounters
from kernelforge.growth import grew
from kernelforge.kernels.runtime import Block, Memory, Parts
from kernelforge.settings import POOL, remembered

SMALLEST: Final = 256
LARGE: Final = 1 << 20  # bytes beyond which classes lie closer
NEAR: Final = 1 / 8  # of the bytes, by which a free block may be larger that is used where the right class has none
COUNTED: Final = 1 << 14  # bytes of a block from which it counts for how much memory has grown, and makes way
MOST_SPARED: Final = 1 << 19  # bytes of memory that a taker has in reserve, twice; beyond, little is gained
ALL_SPARED: Final = 16 << 20  # bytes in the reserves of all takers
_UNHELD: Final = 2  # references to what only a variable and the call that counts them hold
_new: Final = object.__new__


@lru_cache(maxsize=4096)
def size_class(nbytes: int) -> int:
    """The number of bytes taken for a request: the next of eight steps per power of two, beyond a MiB of 128.

    >>> size_class(0), size_class(4096), size_class(5000), size_class((1 << 20) + 1) - (1 << 20)
    (256, 4096, 5120, 8192)
    """
    if nbytes <= SMALLEST:
        return SMALLEST
    step = _step(nbytes, (nbytes - 1).bit_length())
    return -(-nbytes // step) * step


def class_within(nbytes: int) -> int:
    """The most bytes that are a class and no more than given; 0 where there is none.

    >>> class_within(5000), class_within(200)
    (4608, 0)
    """
    step = _step(nbytes, nbytes.bit_length())
    return nbytes // step * step if nbytes >= SMALLEST else 0


def _step(nbytes: int, bits: int) -> int:
    return 1 << max(0, bits - (8 if nbytes > LARGE else 4))


@remembered
def _kept_bytes() -> int:
    """The bytes to keep, as the switch says; less than 0 where it leaves that to the pool."""
    return POOL.value << 20


class Reserve(list["Memory | None"]):
    """Room for two memories of one size that whoever has it may use again."""

    __slots__ = ("__weakref__",)


class Pool:
    """Blocks of one device.

    make     makes a block of so many bytes; raises MemoryError
    wait     returns when the launch of that number is done, so that its memory may go
    limit    bytes kept for reuse unless KF_POOL says otherwise
    release  frees a block that is not kept, where that takes a call of the driver.  A block must not make it when it
             dies: in a cycle of garbage Python says so to it even if its handle gives it back

    `give_back` runs whenever Python collects a handle, also in the middle of the methods here, so it never waits for
    the lock.  Blocks come and go by single operations on lists, which need none; what they come to is summed up when
    somebody asks.
    """

    def __init__(
        self,
        make: Callable[[int], Block],
        wait: Callable[[int], None],
        limit: int,
        release: Callable[[Block], None] = lambda block: None,
    ) -> None:
        self._make, self._wait, self._release, self._default_limit = make, wait, release, limit
        self._free: dict[int, list[Block]] = {}  # by capacity, the one freed last at the end
        self._lock = threading.Lock()
        self._bytes = 0  # of all blocks there are
        self._spared: dict[int, ref[Reserve]] = {}  # the reserves that somebody has
        self._spared_bytes = 0
        self._unspared: deque[int] = deque()  # bytes of those that nobody has any more, still to be subtracted
        self._lent: dict[Block, Block] = {}  # pieces, and what they are pieces of
        self._lending: dict[Block, Block] = {}  # the other way round
        self._broken: set[Block] = set()  # blocks given back whose pieces are in use
        self._made_way: dict[int, bool] = {}  # classes of blocks that made way for others; if they were asked for since
        GlobalCounters.pools.add(self)

    @property
    def bytes_free(self) -> int:
        """Bytes of the blocks kept for reuse."""
        kept = sum(capacity * len(blocks) for capacity, blocks in list(self._free.items()))
        for memories in self._reserves():
            kept += sum(x.block.capacity for x in memories if x is not None and getrefcount(x) == _UNHELD + 1)
        return kept

    def _reserves(self) -> list[Reserve]:
        return [spared for known in list(self._spared.values()) if (spared := known()) is not None]

    @property
    def bytes_used(self) -> int:
        """Bytes of the blocks in use."""
        return self._bytes - self.bytes_free

    def take(self, nbytes: int) -> Memory:
        """Memory of nbytes: the block of its class that was freed last, or a new one.

        raises MemoryError with the sizes when the device has no more, even after the free blocks were released
        """
        capacity = size_class(nbytes)
        try:
            block = self._free[capacity].pop()
        except LookupError:
            with self._lock:
                block = self._fresh(capacity)
        memory = _new(Memory)  # without a call of __init__
        memory.nbytes, memory.block, memory.owner = nbytes, block, self
        if capacity >= COUNTED:
            grew(block.capacity)
        return memory

    def taker(self, nbytes: int) -> Callable[[], Memory]:
        """A function that does `take` for one size.

        It has what it gave in the last two calls in reserve, and gives it again where nobody else holds it any more:
        to make a handle and to give it back takes several times as long.
        """
        take, spared = self.take, self.reserve(nbytes)
        if spared is None:
            return lambda: take(nbytes)
        pop, append = spared.pop, spared.append  # which hold it

        def taken() -> Memory:
            try:
                memory = pop()
                if memory is None or getrefcount(memory) != _UNHELD:
                    last, memory = memory, pop()
                    append(last)
            except IndexError:  # other threads were faster
                return take(nbytes)
            if memory is None or getrefcount(memory) != _UNHELD:
                memory = take(nbytes)
            append(memory)
            return memory

        return taken

    def reserve(self, nbytes: int) -> Reserve | None:
        """A new reserve, for as long as somebody has it; None where there is no room left for one."""
        while self._unspared:
            self._spared_bytes -= self._unspared.popleft()
        if nbytes > MOST_SPARED or self._spared_bytes + 2 * nbytes > ALL_SPARED:
            return None
        spared = Reserve((None, None))
        number = id(spared)
        self._spared[number] = ref(spared, partial(self._given_up, number, 2 * nbytes))
        self._spared_bytes += 2 * nbytes
        return spared

    def _given_up(self, number: int, nbytes: int, _: object) -> None:
        """Notes that nobody has a reserve any more; like `give_back` it runs in the middle of anything."""
        del self._spared[number]
        self._unspared.append(nbytes)

    def give_back(self, block: Block) -> None:
        """Keeps a block for reuse; releases those unused for longest when too many are kept."""
        capacity = block.capacity
        if self._lending:
            capacity = self._joined(block)
        else:
            self._free[capacity].append(block)
        if capacity >= COUNTED:
            grew(-capacity)
        if self._bytes <= self._default_limit and not POOL.touched:
            return
        limit = _kept_bytes()
        if limit < 0:
            limit = self._default_limit
        if self._bytes > limit and self._lock.acquire(blocking=False):
            try:
                self._trim(limit)
            finally:
                self._lock.release()

    def lend(self, parts: Parts, start: int, nbytes: int) -> None:
        """Lets others use so many bytes of a block in use, until the rest is given back; not of one that is lent."""
        whole, nbytes = parts.whole.block, class_within(nbytes)
        if nbytes < COUNTED or whole in self._lending or whole in self._lent:
            return
        piece = parts.part(start, nbytes).block
        piece.last_use = max(piece.last_use, whole.last_use)  # of what lay there and is given back by now
        self._lent[piece], self._lending[whole] = whole, piece
        self._free.setdefault(nbytes, []).append(piece)
        grew(-nbytes)

    def _joined(self, block: Block) -> int:
        """Keeps a block for reuse with the piece of it that was lent, or as a piece of a block that waits for it; the
        bytes that are in use no more."""
        freed, piece = block.capacity, self._lending.get(block)
        if piece is not None:
            freed -= piece.capacity
            self._broken.add(block)  # at first, since another thread may give the piece back meanwhile
            try:
                self._free[piece.capacity].remove(piece)
            except ValueError:
                return freed
        else:
            piece = block
        whole = self._lent.get(piece)
        if whole is None or whole not in self._broken:
            self._free[block.capacity].append(block)
            return freed
        self._broken.discard(whole)
        del self._lent[piece], self._lending[whole]
        whole.last_use = max(whole.last_use, piece.last_use)
        self._free[whole.capacity].append(whole)
        return freed

    def clear(self) -> None:
        """Releases every free block."""
        self._drop_spared()
        with self._lock:
            self._trim(0)

    def _drop_spared(self) -> None:
        """Lets go of what takers have in reserve."""
        for memories in self._reserves():
            memories[:] = [None] * len(memories)

    def _trim(self, limit: int) -> None:
        """Releases blocks until at most `limit` free bytes are left: of the largest class, the one freed first."""
        for capacity in sorted(self._free, reverse=True):
            for block in [x for x in self._free[capacity] if x not in self._lent]:
                if self.bytes_free <= limit:
                    return
                self._drop(block)

    def _fresh(self, capacity: int) -> Block:
        self._free.setdefault(capacity, [])
        near = self._near(capacity) if capacity >= LARGE else None
        if near is not None:
            return near
        if capacity >= LARGE:
            self._outgrow(capacity)
            self._make_way(capacity)
        try:
            block = self._make(capacity)
        except MemoryError:
            self._drop_spared()
            self._trim(0)
            block = self._made_now(capacity)
        self._bytes += capacity
        return block

    def _near(self, capacity: int) -> Block | None:
        """A free block that is a little larger."""
        most = int(capacity * (1 + NEAR))
        while (capacity := size_class(capacity + 1)) <= most:
            try:
                return self._free[capacity].pop()
            except LookupError:
                continue
        return None

    def _outgrow(self, capacity: int) -> None:
        """Releases a free block that is a little too small for a request: of sizes that grow none comes again."""
        least, smaller = int(capacity * (1 - NEAR)), class_within(capacity - 1)
        while smaller > least:
            for block in tuple(self._free.get(smaller, ())):
                if block not in self._lent:
                    self._drop(block)
                    return
            smaller = class_within(smaller - 1)

    def _make_way(self, capacity: int) -> None:
        """Releases free blocks of as many bytes as a request that none of them serves: another plan runs from now on.

        Where plans take turns, each class makes way once: one that is asked for again is kept from then on.
        """
        if capacity in self._made_way:
            self._made_way[capacity] = True
        for other in sorted(self._free, reverse=True):
            if other < COUNTED or self._made_way.get(other):
                continue
            for block in tuple(self._free[other]):
                if capacity <= 0:
                    return
                if block not in self._lent:
                    self._made_way[other] = False
                    self._drop(block)
                    capacity -= other

    def _drop(self, block: Block) -> None:
        """Releases a free block, if it still is free."""
        try:
            self._free[block.capacity].remove(block)
        except ValueError:  # another thread was faster
            return
        self._bytes -= block.capacity
        self._wait(block.last_use)
        self._release(block)

    def _made_now(self, capacity: int) -> Block:
        try:
            return self._make(capacity)
        except MemoryError as error:
            raise MemoryError(
                f"cannot allocate {capacity:,} bytes: {error}; {self.bytes_used:,} bytes are in use by live tensors. "
                "Free tensors, or work in smaller batches"
            ) from None
