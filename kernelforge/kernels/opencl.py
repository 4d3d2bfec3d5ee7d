"""Any OpenCL device as a runtime.

Comes in: OpenCL programs.  Goes out: launches on one in-order queue.  On a CPU every block of memory is host memory the
device works on in place, so copies are NumPy copies and reading needs no transfer.  What a device can do is tried out
once (`Facts`), not assumed from its name.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from codegen.program import Program
from codegen.target import Target
from kernelforge.errors import DeviceError
from kernelforge.kernels.icd import cl
from kernelforge.kernels.opencl_build import Builder, Compiled
from kernelforge.kernels.pool import Block, Pool
from kernelforge.kernels.runtime import Memory
from kernelforge.settings import OPENCL

ALIGNMENT: Final = 64
PREFERRED: Final = ("intel", "portable computing language")


@dataclass(frozen=True)
class DeviceInfo:
    """One OpenCL device of this machine."""

    platform: str
    name: str
    driver: str
    is_gpu: bool
    handle: Any

    @property
    def preference(self) -> int:
        """Lower is better: Intel's CPU runtime, then PoCL, then others."""
        platform = self.platform.lower()
        return next((i for i, name in enumerate(PREFERRED) if name in platform), len(PREFERRED))


@lru_cache(maxsize=1)
def _all_devices() -> tuple[DeviceInfo, ...]:
    if cl is None:
        return ()
    try:
        platforms = cl.get_platforms()
    except cl.Error:  # the loader found no driver
        return ()
    found = []
    for platform in platforms:
        try:
            handles = platform.get_devices()
        except cl.Error:  # a platform without devices
            continue
        for handle in handles:
            is_gpu = bool(handle.type & cl.device_type.GPU)
            found.append(DeviceInfo(platform.name, handle.name.strip(), handle.driver_version, is_gpu, handle))
    return tuple(sorted(found, key=lambda d: d.preference))


def devices() -> list[DeviceInfo]:
    """The OpenCL devices of this machine, those of the platform KF_OPENCL names, the preferred ones first."""
    wanted = OPENCL.value.lower()
    aliases = {"pocl": "portable computing language"}
    return [d for d in _all_devices() if aliases.get(wanted, wanted) in d.platform.lower()]


class OpenCLRuntime:
    """One OpenCL device with its context, queue and memory pool."""

    def __init__(self, name: str, info: DeviceInfo) -> None:
        self.name, self.info = name, info
        try:
            self._context = cl.Context([info.handle])
            self._queue = cl.CommandQueue(self._context)
        except cl.Error as error:
            raise DeviceError(f"device {name} ({info.name}, {info.platform}) cannot be opened: {error}") from error
        self._shares_memory = not info.is_gpu
        self._pool = Pool(self._make)
        self._builder = Builder(self._context, info.handle, info.platform, info.driver)
        self._lock = threading.RLock()
        self._launched = 0
        self._finished = 0
        self.facts = _facts(info)
        self.target = _target(info)

    # ---------------------------------------------------------------------------------------------- memory

    def _make(self, nbytes: int) -> Block:
        flags = cl.mem_flags
        try:
            if not self._shares_memory:
                return cl.Buffer(self._context, flags.READ_WRITE, nbytes), None
            host = _aligned(nbytes)
            return cl.Buffer(self._context, flags.READ_WRITE | flags.USE_HOST_PTR, hostbuf=host), host
        except cl.Error as error:
            raise MemoryError(str(error)) from error

    def allocate(self, nbytes: int) -> Memory:
        return self._pool.take(max(1, nbytes))

    def copy_in(self, memory: Memory, array: NDArray) -> None:
        if memory.host is None:
            cl.enqueue_copy(self._queue, memory.handle, array, is_blocking=True)
            return
        if memory.last_use > self._finished:
            self.synchronize()
        np.copyto(memory.host[: array.nbytes], array.reshape(-1).view(np.uint8))

    def copy_out(self, memory: Memory, array: NDArray) -> None:
        if memory.host is None:
            cl.enqueue_copy(self._queue, array, memory.handle, is_blocking=True)
            return
        if memory.last_use > self._finished:
            self.synchronize()
        np.copyto(array.reshape(-1).view(np.uint8), memory.host[: array.nbytes])

    # ---------------------------------------------------------------------------------------------- programs

    def compile(self, programs: Sequence[Program]) -> list[Compiled]:
        with self._lock:
            return self._builder.compile(programs)

    def launch(self, executable: Compiled, memories: Sequence[Memory]) -> None:
        with self._lock:
            self._launched = number = self._launched + 1
            kernel, last = executable.kernel, executable.arguments
            for i, memory in enumerate(memories):
                memory.last_use = number
                if last[i] is not memory.handle:
                    kernel.set_arg(i, memory.handle)
                    last[i] = memory.handle
            cl.enqueue_nd_range_kernel(self._queue, kernel, executable.global_size, executable.local_size)

    def synchronize(self) -> None:
        with self._lock:
            launched = self._launched
            self._queue.finish()
            self._finished = launched


def _aligned(nbytes: int) -> NDArray:
    """Host memory that begins at a multiple of the widest vector's size."""
    whole = np.empty(nbytes + ALIGNMENT, np.uint8)
    start = -whole.ctypes.data % ALIGNMENT
    return whole[start : start + nbytes]


def _facts(info: DeviceInfo) -> dict[str, Any]:
    """What the device says of itself, for people."""
    d = info.handle
    return {
        "platform": info.platform,
        "device": info.name,
        "driver": info.driver,
        "kind": "GPU" if info.is_gpu else "CPU",
        "compute units": d.max_compute_units,
        "memory": d.global_mem_size,
        "largest allocation": d.max_mem_alloc_size,
        "float64": bool(d.double_fp_config),
    }


def _target(info: DeviceInfo) -> Target:
    d = info.handle
    return Target(
        "opencl",
        "gpu" if info.is_gpu else "cpu",
        cores=max(1, d.max_compute_units),
        float64=bool(d.double_fp_config),
        fast_erf="intel" in info.platform.lower(),
    )
