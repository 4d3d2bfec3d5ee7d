"""Device memory in the order of a stream, and copies between it and NumPy arrays by way of pinned memory.

Comes in: sizes, arrays.  Goes out: `Block`s of device memory.  Allocation and release take their turn on the stream
like launches, so nothing waits for either: a block may be given back while a kernel still uses it.
"""

from __future__ import annotations

import ctypes
import threading
from contextlib import suppress
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from kernelforge.errors import DeviceError
from kernelforge.kernels.cuda_driver import Stream
from kernelforge.kernels.runtime import Block

EVERYTHING: Final = (1 << 64) - 1  # bytes the driver keeps instead of giving them back to the system
CHUNK: Final = 4 << 20  # bytes of one piece of pinned memory
CHUNKS: Final = 8  # of them: copies under way at a time


class Allocator:
    """Memory of one device.

    pools  True where the device has pools ordered by streams; without, allocation and release wait for the device
    """

    def __init__(self, stream: Stream, pools: bool) -> None:
        self._stream, self._cuda = stream, stream.cuda
        self._pool: Any = None
        if pools:
            cuda = self._cuda
            self._pool = stream.done(cuda.cuDeviceGetDefaultMemPool(stream.device), "find its memory pool")
            threshold = cuda.CUmemPool_attribute.CU_MEMPOOL_ATTR_RELEASE_THRESHOLD
            stream.done(
                cuda.cuMemPoolSetAttribute(self._pool, threshold, cuda.cuuint64_t(EVERYTHING)), "set up its memory pool"
            )

    def make(self, nbytes: int) -> Block:
        """A new block, whose handle is its address.

        raises MemoryError with the sizes when the device has no more, even after the pool's free memory was released
        """
        self._stream.enter()
        address = self._allocated(nbytes)
        if address is None:
            self.trim()
            address = self._allocated(nbytes)
        if address is None:
            free, total = self._stream.done(self._cuda.cuMemGetInfo(), "tell its free memory")
            raise MemoryError(f"{self._stream.name} has {free:,} of its {total:,} bytes free")
        return Block(nbytes, address, None)

    def release(self, block: Block) -> None:
        """Gives a block back to the driver.

        Also called by the garbage collector, which may run between two calls of the driver that are for another device:
        the context of the thread is the same afterwards.
        """
        stream, cuda = self._stream, self._cuda
        if not stream.works:  # the memory went with the context
            return
        with suppress(DeviceError), stream.visited():  # of a lost context the stream tells at the next call
            if self._pool is not None:
                result = cuda.cuMemFreeAsync(block.handle, stream.handle)
            else:
                result = cuda.cuMemFree(block.handle)
            stream.done(result, "release memory")

    def trim(self) -> None:
        """Gives the memory that the driver keeps for us back to it, after everything that uses it."""
        self._stream.wait()
        if self._pool is not None:
            self._stream.done(self._cuda.cuMemPoolTrimTo(self._pool, 0), "release free memory")

    def _allocated(self, nbytes: int) -> int | None:
        """The address of new memory; None when there is none."""
        cuda, handle = self._cuda, self._stream.handle
        if self._pool is not None:
            result = cuda.cuMemAllocFromPoolAsync(nbytes, self._pool, handle)
        else:
            result = cuda.cuMemAlloc(nbytes)
        if result[0] == cuda.CUresult.CUDA_ERROR_OUT_OF_MEMORY:
            return None
        return int(self._stream.done(result, f"allocate {nbytes:,} bytes"))


class Staging:
    """Pinned memory in pieces, used in turn: the device copies one while the host fills or reads another."""

    def __init__(self, stream: Stream) -> None:
        self._stream, self._cuda = stream, stream.cuda
        self._pieces: list[_Piece] = []
        self._next = 0
        self._lock = threading.Lock()

    def copy_in(self, address: int, source: NDArray) -> None:
        """Copies bytes to the device; returns when they are read, which is before they arrive."""
        with self._lock:
            self._stream.enter()
            for start in range(0, source.size, CHUNK):
                part = source[start : start + CHUNK]
                piece = self._piece()
                np.copyto(piece.host[: part.size], part)
                self._done(
                    self._cuda.cuMemcpyHtoDAsync(address + start, piece.address, part.size, self._stream.handle)
                )
                self._record(piece)

    def copy_out(self, target: NDArray, address: int) -> None:
        """Copies bytes from the device; returns when they have arrived."""
        with self._lock:
            self._stream.enter()
            under_way: list[tuple[_Piece, NDArray]] = []
            for start in range(0, target.size, CHUNK):
                if len(under_way) == CHUNKS:
                    self._arrived(*under_way.pop(0))
                part = target[start : start + CHUNK]
                piece = self._piece()
                self._done(
                    self._cuda.cuMemcpyDtoHAsync(piece.address, address + start, part.size, self._stream.handle)
                )
                self._record(piece)
                under_way.append((piece, part))
            for piece, part in under_way:
                self._arrived(piece, part)

    def _piece(self) -> _Piece:
        """The piece used longest ago, when it is free."""
        if len(self._pieces) < CHUNKS:
            self._pieces.append(self._make())
            return self._pieces[-1]
        piece = self._pieces[self._next]
        self._next = (self._next + 1) % CHUNKS
        self._done(self._cuda.cuEventSynchronize(piece.event))
        return piece

    def _make(self) -> _Piece:
        address = int(self._done(self._cuda.cuMemHostAlloc(CHUNK, 0)))
        event = self._done(self._cuda.cuEventCreate(self._cuda.CUevent_flags.CU_EVENT_DISABLE_TIMING))
        return _Piece(address, event)

    def _record(self, piece: _Piece) -> None:
        self._done(self._cuda.cuEventRecord(piece.event, self._stream.handle))

    def _arrived(self, piece: _Piece, part: NDArray) -> None:
        self._done(self._cuda.cuEventSynchronize(piece.event))
        np.copyto(part, piece.host[: part.size])

    def _done(self, result: tuple[Any, ...]) -> Any:
        return self._stream.done(result, "copy")


class _Piece:
    """CHUNK bytes of pinned memory; event: the last copy that used them."""

    __slots__ = ("address", "event", "host")

    def __init__(self, address: int, event: Any) -> None:
        self.address, self.event = address, event
        self.host: NDArray = np.ctypeslib.as_array((ctypes.c_uint8 * CHUNK).from_address(address))
