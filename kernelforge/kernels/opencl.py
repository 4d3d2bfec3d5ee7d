"""Any OpenCL device as a runtime.

Comes in: OpenCL programs.  Goes out: launches, in order.  On a CPU every block of memory is host memory
the device works on in place, so copies are NumPy copies and reading needs no transfer.  Whether the device computes
right is tried with a small kernel when it is opened, not assumed.
"""

from __future__ import annotations

import atexit
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from math import prod
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from codegen.dtypes import dtypes
from codegen.ir import Param
from codegen.program import Program
from kernelforge.errors import DeviceError, InternalError
from kernelforge.kernels.icd import compilers, opencl
from kernelforge.kernels.opencl_build import Builder, Compiled
from kernelforge.kernels.opencl_devices import Candidate
from kernelforge.kernels.opencl_direct import Direct
from kernelforge.kernels.opencl_native import Place
from kernelforge.kernels.opencl_queues import Queues
from kernelforge.kernels.opencl_single import Called, single
from kernelforge.kernels.pool import Pool
from kernelforge.kernels.runtime import Block, Lender, Memory, Parts, report
from kernelforge.later import later
from kernelforge.native import compiled

if TYPE_CHECKING:
    from kernelforge.kernels import workers
else:
    later(globals(), workers="kernelforge.kernels.workers")

ALIGNMENT: Final = 64
HELPED: Final = 4  # cores from which on other processes help to compile: with fewer, to start one costs what it saves


class OpenCLRuntime:
    """One OpenCL device with its context, queue and memory pool.

    raises DeviceError when the device cannot be opened or computes wrong results
    """

    opens = True

    def __init__(self, name: str, candidate: Candidate) -> None:
        self.name, self.facts, self.target = name, candidate.facts, candidate.target
        self._cl = cl = opencl()
        try:
            self._context = cl.Context([candidate.handle])
            self._queues = Queues(cl, self._context, candidate)
        except cl.Error as error:
            raise DeviceError(f"device {name} ({self.facts.device}) cannot be opened: {error}") from error
        self._shares_memory = candidate.shares_memory
        self.pool = Pool(self._make, self._wait, limit=self.facts.memory // 4)
        self._builder = Builder(
            cl,
            self._context,
            candidate.handle,
            name,
            candidate.identity,
            keeps=not candidate.is_pocl,
            helpers=(lambda: workers.crew(name, self.target)) if workers.hands(self.target) >= HELPED else None,
            libraries=compilers() if candidate.is_intel_cpu else (),
        )
        self._launching, self._compiling = threading.RLock(), threading.RLock()
        self._process = os.getpid()
        _try_out(self)
        atexit.register(self._wait, 1 << 63)  # memory that launches still use must not go before they are done

    # ------------------------------------------------------------------------------------------------- memory

    def _make(self, nbytes: int) -> Block:
        flags = self._cl.mem_flags
        if nbytes > self.facts.max_allocation:
            raise MemoryError(f"{self.name} gives at most {self.facts.max_allocation:,} bytes at a time")
        try:
            if not self._shares_memory:
                return Block(nbytes, self._cl.Buffer(self._context, flags.READ_WRITE, nbytes), None)
            host = _aligned(nbytes)
            handle = self._cl.Buffer(self._context, flags.READ_WRITE | flags.USE_HOST_PTR, hostbuf=host)
            return Block(nbytes, handle, host)
        except self._cl.Error as error:
            raise MemoryError(f"{self.name}: {error}") from error

    def _wait(self, launch: int) -> None:
        """Returns when a launch is done; at once in a forked process, where the driver's threads do not exist."""
        if launch > self._queues.finished and os.getpid() == self._process:
            self.wait()

    def allocate(self, nbytes: int) -> Memory:
        return self.pool.take(nbytes)

    def parts(self, memory: Memory) -> Parts:
        return Parts(memory, self._cut)

    def _cut(self, handle: Any, start: int, nbytes: int) -> Any:
        """A piece of a buffer, or of one that is itself a piece, as what is lent is: drivers divide none of these."""
        whole = handle.get_info(self._cl.mem_info.ASSOCIATED_MEMOBJECT)
        if whole is None:
            return handle.get_sub_region(start, nbytes)
        return whole.get_sub_region(handle.get_info(self._cl.mem_info.OFFSET) + start, nbytes)

    def adopt(self, array: NDArray) -> Memory | None:
        if not self._shares_memory or not array.nbytes or array.ctypes.data % ALIGNMENT:
            return None
        flags, host = self._cl.mem_flags, array.reshape(-1).view(np.uint8)
        handle = self._cl.Buffer(self._context, flags.READ_WRITE | flags.USE_HOST_PTR, hostbuf=host)
        return Memory(array.nbytes, Block(array.nbytes, handle, host), Lender(self._wait))

    def copy_in(self, memory: Memory, array: NDArray) -> None:
        if not array.nbytes:
            return
        block = memory.block
        if block.host is None:
            self._transfer(block.handle, array)
            return
        self._wait(block.last_use)
        _copy(block, array, True)

    def copy_out(self, memory: Memory, array: NDArray) -> None:
        if not array.nbytes:
            return
        block = memory.block
        if block.host is None:
            self._transfer(array, block.handle)
            return
        self._wait(block.last_use)
        if block.last_use:
            with self._launching:
                if block.last_use <= self._queues.finished:
                    block.last_use = 0  # so that who reads it next needs not ask
        _copy(block, array, False)

    def _transfer(self, target: Any, source: Any) -> None:
        try:
            self._cl.enqueue_copy(self._queues.main, target, source, is_blocking=True)
        except self._cl.Error as error:
            raise self._failure("copy", error) from error

    # ----------------------------------------------------------------------------------------------- programs

    def compile(self, programs: Sequence[Program]) -> list[Compiled]:
        with self._compiling:
            return self._builder.compile(programs)

    def another(self, executable: Compiled) -> Compiled:
        return self._builder.another(executable)

    def try_calls(self, executable: Compiled, works: Callable[[Direct], bool]) -> None:
        """Finds out by one kernel whether kernels can be called; works(function) says so of a function."""
        self._builder.try_calls(executable, works, self.facts.compute_units)

    def launch(self, executable: Compiled, memories: Sequence[Memory], timed: bool = False) -> float | None:
        return self.launch_all(((executable, range(len(memories))),), memories, timed)

    def launch_all(
        self, launches: Iterable[tuple[Compiled, Sequence[int]]], memories: Sequence[Memory], timed: bool = False
    ) -> float | None:
        """Starts programs in order; the seconds the last one took, if timed."""
        queues, seconds = self._queues, None
        with self._launching:
            try:
                for executable, places in launches:
                    native = executable.native
                    if native is not None:
                        start = perf_counter()
                        queues.finish()
                        native.run(*[memories[place].block.address for place in places])
                        seconds = perf_counter() - start
                        continue
                    direct = executable.direct
                    if queues.ready(executable) and direct is not None:
                        values = direct.values  # it will have run when this thread goes on
                        for i, place in enumerate(places):
                            values[i] = memories[place].block.address
                        seconds = queues.call(executable, direct)
                        continue
                    bound, number = executable.bound, queues.launched + 1
                    for i, place in enumerate(places):
                        block = memories[place].block
                        block.last_use = number
                        serial = block.serial
                        if bound[i] != serial:
                            if block.handle is None:
                                raise InternalError(f"{executable.program.entry} got memory of another device")
                            bound[i] = 0  # whatever interrupts the next line, the argument is set again
                            executable.kernel.set_arg(i, block.handle)
                            bound[i] = serial
                    if executable.numbers is not executable.held[0]:
                        executable.set_numbers()
                    seconds = queues.launch(executable, timed)
            except self._cl.Error as error:
                raise self._failure(f"launch {executable.program.entry}", error) from error
        return seconds if timed else None

    @property
    def is_native(self) -> bool:
        """Whether the C module calls kernels."""
        return self._builder.entrances.native is not None

    def single(
        self,
        launches: Sequence[tuple[Compiled, Sequence[Place]]],
        sizes: Sequence[int],
        leaves: int,
        results: int,
        fixed: Sequence[Memory],
        flagged: int,
        spares: bool = True,
    ) -> Called | None:
        """Kernels as a function from the buffers they read to the memory they have written; see `opencl_single`."""
        return single(self.pool, self._queues, launches, sizes, leaves, results, fixed, flagged, spares)

    @contextmanager
    def launching(self) -> Iterator[Callable[[Compiled, bool], float | None]]:
        """A context in which this thread alone launches, by the function it gives, kernels whose arguments are set."""
        with self._launching:
            try:
                yield self._queues.launch_preset
            except self._cl.Error as error:
                raise self._failure("launch kernels", error) from error

    @property
    def launched(self) -> int:
        """The number of the last launch."""
        return self._queues.launched

    def _failure(self, attempt: str, error: Any) -> Exception:
        if isinstance(error, self._cl.MemoryError):
            return MemoryError(f"{self.name} cannot {attempt}: {error}; {self.pool.bytes_used:,} bytes are in use")
        return DeviceError(f"{self.name} ({self.facts.device}) cannot {attempt}: {error}")

    def synchronize(self) -> None:
        if self._queues.launched > self._queues.finished:
            self.wait()
        report()

    def wait(self) -> None:
        self._queues.finish()


def _copy(block: Block, array: NDArray, inwards: bool) -> None:
    """Copies an array to the host memory of a block, or from there."""
    host, nbytes = block.host, array.nbytes
    assert host is not None and nbytes <= host.nbytes
    if compiled is not None and block.address and array.flags.c_contiguous:
        compiled.copied(block.address, array, inwards)
        return
    bytes_of = array.reshape(-1).view(np.uint8)
    np.copyto(*((host[:nbytes], bytes_of) if inwards else (bytes_of, host[:nbytes])))


def _aligned(nbytes: int) -> NDArray:
    """Host memory that begins at a multiple of the widest vector's size."""
    whole = np.empty(nbytes + ALIGNMENT, np.uint8)
    start = -whole.ctypes.data % ALIGNMENT
    return whole[start : start + nbytes]


# -------------------------------------------------------------------------------------------------------- the probe

_PROBE_LANES: Final = 16
_PROBE_GRID: Final = (2, 2, 2)
_PROBE_SOURCE: Final = """\
__attribute__((reqd_work_group_size(1, 1, 1)))
__kernel void kf_probe(__global const float *restrict x, __global float *restrict y, __global half *restrict h,
                       const int last, const int step) {
  const int group = get_group_id(0) + 2 * get_group_id(1) + 4 * get_group_id(2);
  float __attribute__((aligned(64))) kept[16];
  const float16 v = vload16(0, x + 16 * group + 1);
  vstore16(fma(v, v, (float16)(0.5f)), 0, kept);
  for (int i = 0; i < 16; i++) y[16 * group + i] = kept[last - step * i];
  vstore_half16_rte(v, 0, h + 16 * group);
}
"""


def _try_out(runtime: OpenCLRuntime) -> None:
    """Finds out whether kernels of the device can be called.

    raises DeviceError unless a small kernel builds and gives the right values on the device
    """
    size = _PROBE_LANES * prod(_PROBE_GRID)
    sizes = (("x", dtypes.float32, size + 1), ("y", dtypes.float32, size), ("h", dtypes.float16, size))
    params = tuple(Param(*parameter) for parameter in sizes)
    written, numbers = frozenset(("y", "h")), ("last", "step")
    program = Program("opencl", _PROBE_SOURCE, "kf_probe", _PROBE_GRID, params, written, numbers=numbers)
    x = np.arange(size + 1, dtype=np.float32) / 8
    y, h = np.zeros(size, np.float32), np.zeros(size, np.float16)
    arrays: tuple[NDArray, ...] = (x, y, h)
    memories = [runtime.allocate(array.nbytes) for array in arrays]
    expected = (x[1:] ** 2 + np.float32(0.5)).reshape(-1, _PROBE_LANES)[:, ::-1].reshape(-1)

    def is_right() -> bool:
        for memory, array in zip(memories[1:], arrays[1:]):
            runtime.copy_out(memory, array)
        return np.allclose(y, expected, rtol=1e-6) and np.array_equal(h, x[1:].astype(np.float16))

    def works(direct: Direct) -> bool:
        for i, memory in enumerate(memories):
            direct.values[i] = memory.block.address
        direct.values[-1] = (_PROBE_LANES - 1) | 1 << 32  # two ints side by side
        for memory in memories[1:]:
            runtime.copy_in(memory, np.zeros(memory.nbytes, np.uint8))
        for group in direct.groups:
            direct.call(direct.at, group, None)
        return is_right()

    for memory, array in zip(memories, arrays):
        runtime.copy_in(memory, array)
    executable = runtime.compile([program])[0].sized(program, (_PROBE_LANES - 1, 1))
    runtime.launch(executable, memories)
    if not is_right():
        raise DeviceError(f"device {runtime.name} ({runtime.facts.device}) computes wrong results: it is not used")
    if memories[0].host is not None:
        runtime.try_calls(executable, works)
