"""A kernel that is called again and again, each time for a new result: as little beside the call as can be.

Comes in: a compiled kernel that can be called, and what its arguments are.  Goes out: a function from the memories it
reads to that which it has written, or to None where a launch has to do it: while another one is running, and once the
kernel has turned out to be long.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from threading import RLock
from time import perf_counter

from kernelforge.kernels import opencl_queues
from kernelforge.kernels.opencl_build import CHANCES, Compiled
from kernelforge.kernels.opencl_queues import Queues
from kernelforge.kernels.pool import Pool
from kernelforge.kernels.runtime import Memory

Single = Callable[[Sequence[Memory]], Memory | None]


def single(pool: Pool, queues: Queues, lock: RLock, executable: Compiled, places: Sequence[int], nbytes: int) -> Single:
    """A function that calls a kernel.

    places  for each parameter the place among the memories read; what is written, of nbytes, comes after them
    """
    direct = executable.direct
    if direct is None:
        return lambda memories: None
    call, at, values, (first, *more) = direct.call, direct.at, direct.values, direct.groups
    written = max(places)
    reads = tuple([(i, place) for i, place in enumerate(places) if place != written])
    writes = places.index(written)
    take = pool.take

    def called(memories: Sequence[Memory]) -> Memory | None:
        memory = take(nbytes)
        with lock:
            if queues.launched > queues.finished or executable.direct is None:
                return None
            for i, place in reads:
                values[i] = memories[place].block.address
            values[writes] = memory.block.address
            start = perf_counter()
            call(at, first, None)
            for group in more:
                call(at, group, None)
            seconds = perf_counter() - start
            queues.launched = queues.finished = queues.launched + 1
            if seconds >= opencl_queues.HAND_OVER or executable.chances < CHANCES:
                opencl_queues.judge(executable, seconds)
        return memory

    return called
