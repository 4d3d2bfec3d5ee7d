"""NVIDIA GPUs as a runtime: Triton's cubins, launched through the driver without any other library.

Comes in: programs in Triton.  Goes out: launches on one stream in the device's primary context, which torch, JAX or
CuPy in the same process share.  Whether the device computes right is tried with a small kernel when it is opened.
"""

from __future__ import annotations

import atexit
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from codegen.program import Program
from kernelforge.errors import DeviceError
from kernelforge.kernels.cuda_build import Builder
from kernelforge.kernels.cuda_devices import OLDEST, CudaDevice
from kernelforge.kernels.cuda_driver import Stream
from kernelforge.kernels.cuda_graph import Graph
from kernelforge.kernels.cuda_launch import Compiled
from kernelforge.kernels.cuda_memory import Allocator, Staging
from kernelforge.kernels.cuda_probe import copies_tiles, try_out
from kernelforge.kernels.pool import Pool
from kernelforge.kernels.runtime import Memory, Parts, report

_WRONG_CONTEXT: Final = ("CUDA_ERROR_INVALID_CONTEXT", "CUDA_ERROR_INVALID_HANDLE")


class CudaRuntime:
    """One GPU with its stream, its memory and its kernels.

    raises DeviceError when the device cannot be opened or computes wrong results
    """

    opens = True

    def __init__(self, name: str, device: CudaDevice) -> None:
        self.name, self.facts, self.target = name, device.facts, device.target
        if device.capability < OLDEST:
            raise DeviceError(
                f"device {name} ({self.facts.device}) has compute capability {device.capability / 10}; kernels need "
                f"at least {OLDEST / 10}: use the device GPU through NVIDIA's OpenCL, or the CPU"
            )
        self.stream = Stream(name, device.number)
        self._cuda = self.stream.cuda
        allocator = Allocator(self.stream, device.pools)
        self.pool = Pool(allocator.make, lambda launch: None, self.facts.memory // 4, allocator.release)
        self._staging = Staging(self.stream)
        self._builder = Builder(self.stream, device, self.allocate)
        self._launching, self._compiling = threading.RLock(), threading.RLock()
        flags = self._cuda.CUevent_flags.CU_EVENT_DEFAULT
        self._begin, self._end = (self.stream.done(self._cuda.cuEventCreate(flags), "make an event") for _ in range(2))
        try_out(self)
        if self.target.copies and not copies_tiles(self):
            self.target = replace(self.target, copies=False)
        atexit.register(self.wait)

    # ------------------------------------------------------------------------------------------------- memory

    def allocate(self, nbytes: int) -> Memory:
        return self.pool.take(nbytes)

    def parts(self, memory: Memory) -> Parts:
        return Parts(memory, lambda address, start, nbytes: address + start)

    def adopt(self, array: NDArray) -> Memory | None:
        return None

    def copy_in(self, memory: Memory, array: NDArray) -> None:
        if array.nbytes:
            self._staging.copy_in(memory.block.handle, array.reshape(-1).view(np.uint8))

    def copy_out(self, memory: Memory, array: NDArray) -> None:
        if array.nbytes:
            self._staging.copy_out(array.reshape(-1).view(np.uint8), memory.block.handle)

    # ----------------------------------------------------------------------------------------------- programs

    def compile(self, programs: Sequence[Program]) -> list[Compiled]:
        with self._compiling:
            return self._builder.compile(programs)

    def another(self, executable: Compiled) -> Compiled:
        return executable

    def launch(self, executable: Compiled, memories: Sequence[Memory], timed: bool = False) -> float | None:
        with self._launching:
            executable.arguments.bind(memories)
            if timed:
                return self.elapsed(lambda: self._start(executable))
            self._start(executable)
        return None

    def launch_all(self, launches: Iterable[tuple[Compiled, Sequence[int]]], memories: Sequence[Memory]) -> None:
        for executable, places in launches:
            self.launch(executable, [memories[place] for place in places])

    def _start(self, executable: Compiled) -> None:
        """Launches with the arguments bound last."""
        code = executable.start(*executable.call)[0]
        self.stream.recent.append(executable.entry)
        if code:
            self._start_again(executable, code)

    def _start_again(self, executable: Compiled, code: Any) -> None:
        """After a launch that failed: the context current in this thread may be none, or another library's."""
        if code.name in _WRONG_CONTEXT:
            self.stream.enter()
            code = executable.start(*executable.call)[0]
        if code:
            raise self.stream.failure(code, f"launch the kernel {executable.entry}")

    def elapsed(self, work: Callable[[], None]) -> float:
        """Seconds that what `work` launches takes on the device, by its own clock; waits for it."""
        stream, cuda = self.stream, self._cuda
        with self._launching:
            stream.wait()
            stream.done(cuda.cuEventRecord(self._begin, stream.handle), "record an event")
            work()
            stream.done(cuda.cuEventRecord(self._end, stream.handle), "record an event")
            stream.wait()
            milliseconds = stream.done(cuda.cuEventElapsedTime(self._begin, self._end), "tell the time")
        return max(float(milliseconds), 1e-6) * 1e-3

    def graph(self, launches: Sequence[tuple[Compiled, Sequence[int]]], memories: Sequence[Memory | None]) -> Graph:
        """Launches as one: see `Graph`."""
        with self._launching:
            return Graph(self.stream, launches, memories)

    def synchronize(self) -> None:
        self.wait()
        report()

    def wait(self) -> None:
        self.stream.wait()
