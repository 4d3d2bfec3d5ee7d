"""A CUDA driver of host memory: the calls of `cuda.bindings.driver` that the runtime makes, as strict as the real ones.

Work is queued and done as late as allowed, so that whoever forgets to wait reads what was there before.  Kernels are
interpreted; what they read and write is found through the addresses in the launch's argument block.  A thread must have
the right context current, memory that was released is poisoned, and after an illegal access every call fails.
"""

from __future__ import annotations

import ctypes
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from enum import IntEnum
from hashlib import sha256
from math import prod
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codegen.interpret import interpret
from codegen.program import Program
from kernelforge.execution import faults
from kernelforge.kernels import cuda_build, cuda_devices, cuda_driver, device
from kernelforge.kernels.triton_compile import Binary
from kernelforge.kernels.workers import Crew
from kernelforge.met import plans_of
from kernelforge.planning import templates
from kernelforge.settings import Context
from tests.codegen import triton_harness

POISON = 0xCD


class Code(IntEnum):
    """The results of calls, by the names and numbers of the real ones."""

    CUDA_SUCCESS = 0
    CUDA_ERROR_INVALID_VALUE = 1
    CUDA_ERROR_OUT_OF_MEMORY = 2
    CUDA_ERROR_NO_DEVICE = 100
    CUDA_ERROR_INVALID_DEVICE = 101
    CUDA_ERROR_INVALID_IMAGE = 200
    CUDA_ERROR_INVALID_CONTEXT = 201
    CUDA_ERROR_INVALID_HANDLE = 400
    CUDA_ERROR_NOT_FOUND = 500
    CUDA_ERROR_NOT_READY = 600
    CUDA_ERROR_ILLEGAL_ADDRESS = 700
    CUDA_ERROR_INVALID_CLUSTER_SIZE = 912


Result = tuple[Any, ...]
Memory = dict[int, NDArray]


def names(prefix: str, *members: str) -> Any:
    """An enumeration of the driver, whose members are only passed back."""
    return SimpleNamespace(**{f"{prefix}{member}": f"{prefix}{member}" for member in members})


class Function:
    """A kernel in a context; settings: the attributes it was given."""

    def __init__(self, program: Program, context: Device) -> None:
        self.program, self.context = program, context
        self.settings: dict[str, int] = {}


class Device:
    """A GPU: its memory, and its context that every stream belongs to."""

    def __init__(self, number: int, total: int) -> None:
        self.number, self.total = number, total
        self.memory: Memory = {}
        self.streams: list[Stream] = []
        self.used = 0
        self.error = Code.CUDA_SUCCESS
        self.threshold = 0


class Stream:
    """Work that was asked for and not done yet."""

    def __init__(self, device: Device) -> None:
        self.device = device
        self.work: deque[Callable[[], None]] = deque()
        device.streams.append(self)

    def advance(self, done: Callable[[], bool] = lambda: False) -> None:
        """Does the work until `done`, or all of it."""
        while self.work and not done():
            task = self.work.popleft()
            if not self.device.error:
                task()


class Event:
    """A mark in a stream of its device; passed: how many of its records were reached; timed: it can tell the time."""

    def __init__(self, device: Device, timed: bool) -> None:
        self.device, self.timed = device, timed
        self.recorded = self.passed = 0
        self.stream: Stream | None = None


class Call:
    """A launch: the kernel, and the values its argument block held when it was made; what it says beyond sizes."""

    def __init__(self, function: Function, shape: tuple[int, ...], shared: int, arguments: int) -> None:
        count = len(function.program.params) + len(function.program.numbers) + 2
        row = (ctypes.c_void_p * count).from_address(arguments)
        self.values = [ctypes.c_uint64.from_address(address).value for address in row if address is not None]
        self.function, self.shape, self.shared = function, shape, shared
        self.attributes: dict[str, Any] = {}

    def run(self, device: Device, culprit: str) -> None:
        """Interprets the kernel on the memory its arguments point to."""
        program = self.function.program
        *given, scratch, profile = self.values
        pointers, numbers = given[: len(program.params)], given[len(program.params) :]
        if program.entry == culprit or any(pointer not in device.memory for pointer in pointers):
            device.error = Code.CUDA_ERROR_ILLEGAL_ADDRESS
            return
        assert all(pointer == 0 or pointer in device.memory for pointer in (scratch, profile))
        assert all(pointer % 16 == 0 for pointer in (*pointers, scratch, profile)), "kernels rely on it"
        if numbers:
            open_sizes(replace(program, grid=self.shape[:1]), [device.memory[pointer] for pointer in pointers], numbers)
            return
        arrays = {
            param.name: device.memory[pointer][: param.nbytes].view(param.dtype.numpy)
            for param, pointer in zip(program.params, pointers)
        }
        with np.errstate(all="ignore"):
            if program.kernel is not None:
                interpret(program.kernel, arrays)
            else:
                probe(arrays)


def open_sizes(program: Program, memories: Sequence[NDArray], numbers: Sequence[int]) -> None:
    """A kernel whose sizes are arguments, by Triton's interpreter."""
    kinds = [param.dtype.numpy for param in program.params]
    views = [memory[: memory.size // kind.itemsize * kind.itemsize].view(kind) for memory, kind in zip(memories, kinds)]
    found = triton_harness.run(program, {p.name: view for p, view in zip(program.params, views)}, numbers)
    for param, view in zip(program.params, views):
        if param.name in program.written:
            view[:] = found[param.name]


def probe(arrays: dict[str, NDArray]) -> None:
    """What the kernel does that a runtime tries when it is opened."""
    arrays["y"][:] = arrays["x"] ** 2 + np.float32(0.5)
    arrays["h"][:] = arrays["x"].astype(np.float16)


class KernelNode:
    """A launch in a graph, after others."""

    def __init__(self, call: Call, before: list[KernelNode]) -> None:
        self.call, self.before = call, before
        self.attributes: dict[str, Any] = {}


class Structure(SimpleNamespace):
    """A structure of the driver: fields that are set one by one."""


class Value(Structure):
    """The value of an attribute of a launch."""

    def __init__(self) -> None:
        self.clusterDim = Structure()


class NodeValue(Value):
    """The same in a graph, which is another type."""


class Attribute(Structure):
    """An attribute of a launch."""

    def __init__(self) -> None:
        self.value = Value()


class FakeDriver:
    """The module.

    devices   their memory in bytes; capability: of all of them
    binaries  cubins this driver can load, and the programs they came from
    culprit   the name of a kernel that touches memory it must not
    calls     the names of all calls made; launched, functions, graphs: what came of some of them
    """

    CUresult = Code
    CUstream_flags = names("CU_STREAM_", "NON_BLOCKING")
    CUevent_flags = names("CU_EVENT_", "DEFAULT", "DISABLE_TIMING")
    CUmemPool_attribute = names("CU_MEMPOOL_ATTR_", "RELEASE_THRESHOLD")
    CUfunction_attribute = names(
        "CU_FUNC_ATTRIBUTE_",
        "MAX_THREADS_PER_BLOCK", "MAX_DYNAMIC_SHARED_SIZE_BYTES", "NON_PORTABLE_CLUSTER_SIZE_ALLOWED",
    )  # fmt: skip
    CUdevice_attribute = names(
        "CU_DEVICE_ATTRIBUTE_",
        "MULTIPROCESSOR_COUNT", "COMPUTE_CAPABILITY_MAJOR", "COMPUTE_CAPABILITY_MINOR", "L2_CACHE_SIZE",
        "MAX_SHARED_MEMORY_PER_BLOCK_OPTIN", "MAX_THREADS_PER_BLOCK", "MEMORY_POOLS_SUPPORTED",
    )  # fmt: skip
    CUlaunchAttributeID = names(
        "CU_LAUNCH_ATTRIBUTE_",
        "PROGRAMMATIC_STREAM_SERIALIZATION", "COOPERATIVE", "CLUSTER_DIMENSION", "CLUSTER_SCHEDULING_POLICY_PREFERENCE",
    )  # fmt: skip
    CUfunc_cache = names("CU_FUNC_CACHE_", "PREFER_SHARED")
    CUclusterSchedulingPolicy = names("CU_CLUSTER_SCHEDULING_POLICY_", "SPREAD")
    CUlaunchConfig = CUDA_KERNEL_NODE_PARAMS = Structure
    CUlaunchAttribute, CUkernelNodeAttrValue = Attribute, NodeValue
    cuuint64_t = int

    def __init__(self, devices: tuple[int, ...] = (1 << 30,), capability: int = 90, pools: bool = True) -> None:
        self.devices = [Device(number, total) for number, total in enumerate(devices)]
        self.attributes = {
            "MULTIPROCESSOR_COUNT": 132,
            "COMPUTE_CAPABILITY_MAJOR": capability // 10,
            "COMPUTE_CAPABILITY_MINOR": capability % 10,
            "MAX_SHARED_MEMORY_PER_BLOCK_OPTIN": 232_448,
            "MAX_THREADS_PER_BLOCK": 1024,
            "L2_CACHE_SIZE": 60 << 20,
            "MEMORY_POOLS_SUPPORTED": int(pools),
        }
        self.binaries: dict[bytes, Program] = {}
        self.culprit = ""
        self.calls: list[str] = []
        self.launched: list[Call] = []
        self.functions: list[Function] = []
        self.graphs: list[list[KernelNode]] = []
        self.host: Memory = {}
        self._current = threading.local()
        self._lock = threading.RLock()

    def compile(self, program: Program, capability: int) -> Binary:
        """In the place of Triton: a cubin that this driver runs."""
        code = b"\x7fELF" + sha256(f"{capability} {program.source}".encode()).digest()
        self.binaries[code] = program
        return Binary(code, "", program.entry, warps=dict(program.options).get("num_warps", 4), shared=0)

    def __getattribute__(self, name: str) -> Any:
        if name.startswith("cu") and name != "cuuint64_t":
            object.__getattribute__(self, "calls").append(name)
        return object.__getattribute__(self, name)

    # ------------------------------------------------------------------------------------------------- contexts

    def cuInit(self, Flags: int) -> Result:
        return (Code.CUDA_SUCCESS if self.devices else Code.CUDA_ERROR_NO_DEVICE,)

    def cuDriverGetVersion(self) -> Result:
        return Code.CUDA_SUCCESS, 13000

    def cuDeviceGetCount(self) -> Result:
        return Code.CUDA_SUCCESS, len(self.devices)

    def cuDeviceGet(self, ordinal: int) -> Result:
        if not 0 <= ordinal < len(self.devices):
            return Code.CUDA_ERROR_INVALID_DEVICE, None
        return Code.CUDA_SUCCESS, self.devices[ordinal]

    def cuDeviceGetName(self, length: int, dev: Device) -> Result:
        return Code.CUDA_SUCCESS, b"Fake GPU".ljust(length, b"\0")

    def cuDeviceTotalMem(self, dev: Device) -> Result:
        return Code.CUDA_SUCCESS, dev.total

    def cuDeviceGetAttribute(self, attrib: str, dev: Device) -> Result:
        return Code.CUDA_SUCCESS, self.attributes[attrib.removeprefix("CU_DEVICE_ATTRIBUTE_")]

    def cuDevicePrimaryCtxRetain(self, dev: Device) -> Result:
        return Code.CUDA_SUCCESS, dev

    def cuCtxSetCurrent(self, ctx: Device | None) -> Result:
        self._current.device = ctx
        return (Code.CUDA_SUCCESS,)

    def cuCtxGetCurrent(self) -> Result:
        return Code.CUDA_SUCCESS, getattr(self._current, "device", None)

    def cuGetErrorString(self, error: Code) -> Result:
        return Code.CUDA_SUCCESS, f"the text of {error.name}".encode()

    def _state(self, stream: Stream | None = None) -> Code:
        """Success, or why no call can be made from this thread, for work on a stream."""
        device = getattr(self._current, "device", None)
        if device is None:
            return Code.CUDA_ERROR_INVALID_CONTEXT
        if stream is not None and stream.device is not device:
            return Code.CUDA_ERROR_INVALID_HANDLE
        error: Code = device.error
        return error

    def _queue(self, stream: Stream, task: Callable[[], None]) -> Result:
        with self._lock:
            state = self._state(stream)
            if not state:
                stream.work.append(task)
        return (state,)

    # -------------------------------------------------------------------------------------------- streams, events

    def cuStreamCreate(self, Flags: Any) -> Result:
        return self._state(), Stream(self._current.device)

    def cuStreamSynchronize(self, hStream: Stream) -> Result:
        with self._lock:
            hStream.advance()
        return (self._state(hStream),)

    def cuEventCreate(self, Flags: Any) -> Result:
        return self._state(), Event(self._current.device, Flags in (0, self.CUevent_flags.CU_EVENT_DEFAULT))

    def cuEventRecord(self, hEvent: Event, hStream: Stream) -> Result:
        if hEvent.device is not hStream.device:
            return (Code.CUDA_ERROR_INVALID_HANDLE,)
        hEvent.recorded, hEvent.stream = hEvent.recorded + 1, hStream

        def reach() -> None:
            hEvent.passed += 1

        return self._queue(hStream, reach)

    def cuEventSynchronize(self, hEvent: Event) -> Result:
        with self._lock:
            if hEvent.stream is not None:
                hEvent.stream.advance(lambda: hEvent.passed == hEvent.recorded)
        return (self._state(),)

    def cuEventElapsedTime(self, hStart: Event, hEnd: Event) -> Result:
        if not all(event.timed and event.recorded for event in (hStart, hEnd)):
            return Code.CUDA_ERROR_INVALID_HANDLE, 0.0
        if not all(event.passed == event.recorded for event in (hStart, hEnd)):
            return Code.CUDA_ERROR_NOT_READY, 0.0
        return self._state(), 0.125

    # ------------------------------------------------------------------------------------------------- memory

    def cuDeviceGetDefaultMemPool(self, dev: Device) -> Result:
        return self._state(), dev

    def cuMemPoolSetAttribute(self, pool: Device, attr: str, value: int) -> Result:
        assert attr == "CU_MEMPOOL_ATTR_RELEASE_THRESHOLD"
        pool.threshold = value
        return (self._state(),)

    def cuMemPoolTrimTo(self, pool: Device, minBytesToKeep: int) -> Result:
        return (self._state(),)

    def cuMemGetInfo(self) -> Result:
        device = self._current.device
        return self._state(), device.total - device.used, device.total

    def cuMemAllocFromPoolAsync(self, bytesize: int, pool: Device, hStream: Stream) -> Result:
        assert self.attributes["MEMORY_POOLS_SUPPORTED"] and pool is hStream.device
        return self._allocate(bytesize, hStream.device)

    def cuMemAlloc(self, bytesize: int) -> Result:
        return self._allocate(bytesize, self._current.device)

    def _allocate(self, nbytes: int, device: Device) -> Result:
        with self._lock:
            state = self._state()
            if not state and not nbytes:
                state = Code.CUDA_ERROR_INVALID_VALUE
            if not state and device.used + nbytes > device.total:
                state = Code.CUDA_ERROR_OUT_OF_MEMORY
            if state:
                return state, 0
            array = np.full(nbytes, POISON, np.uint8)
            device.memory[array.ctypes.data] = array
            device.used += nbytes
            return state, array.ctypes.data

    def cuMemFreeAsync(self, dptr: int, hStream: Stream) -> Result:
        if dptr not in hStream.device.memory:
            return (Code.CUDA_ERROR_INVALID_VALUE,)
        return self._queue(hStream, lambda: self._release(dptr, hStream.device))

    def cuMemFree(self, dptr: int) -> Result:
        with self._lock:
            if dptr not in self._current.device.memory:
                return (Code.CUDA_ERROR_INVALID_VALUE,)
            for stream in self._current.device.streams:
                stream.advance()
            self._release(dptr, self._current.device)
        return (self._state(),)

    def _release(self, address: int, device: Device) -> None:
        array = device.memory.pop(address)
        array[:] = POISON
        device.used -= array.nbytes

    def cuMemHostAlloc(self, bytesize: int, Flags: int) -> Result:
        array = np.full(bytesize, POISON, np.uint8)
        self.host[array.ctypes.data] = array
        return self._state(), array.ctypes.data

    def cuMemcpyHtoDAsync(self, dstDevice: int, srcHost: int, ByteCount: int, hStream: Stream) -> Result:
        source = self.host[srcHost][:ByteCount]  # pinned memory alone
        return self._queue(hStream, lambda: np.copyto(_within(hStream.device.memory, dstDevice, ByteCount), source))

    def cuMemcpyDtoHAsync(self, dstHost: int, srcDevice: int, ByteCount: int, hStream: Stream) -> Result:
        target = self.host[dstHost][:ByteCount]
        return self._queue(hStream, lambda: np.copyto(target, _within(hStream.device.memory, srcDevice, ByteCount)))

    # ------------------------------------------------------------------------------------------------- kernels

    def cuModuleLoadData(self, image: bytes) -> Result:
        known = image in self.binaries
        return self._state() or (Code.CUDA_SUCCESS if known else Code.CUDA_ERROR_INVALID_IMAGE), image

    def cuModuleGetFunction(self, hmod: bytes, name: bytes) -> Result:
        program = self.binaries[hmod]
        if program.entry.encode() != name:
            return Code.CUDA_ERROR_NOT_FOUND, None
        self.functions.append(Function(program, self._current.device))
        return self._state(), self.functions[-1]

    def cuFuncGetAttribute(self, attrib: str, hfunc: Function) -> Result:
        assert attrib == "CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK"
        return self._state(), self.attributes["MAX_THREADS_PER_BLOCK"]

    def cuFuncSetAttribute(self, hfunc: Function, attrib: str, value: int) -> Result:
        if value > self.attributes["MAX_SHARED_MEMORY_PER_BLOCK_OPTIN"]:
            return (Code.CUDA_ERROR_INVALID_VALUE,)
        hfunc.settings[attrib] = value
        return (self._state(),)

    def cuFuncSetCacheConfig(self, hfunc: Function, config: str) -> Result:
        assert config == "CU_FUNC_CACHE_PREFER_SHARED"
        return (self._state(),)

    def cuLaunchKernel(
        self, f: Function, gridDimX: int, gridDimY: int, gridDimZ: int, blockDimX: int, blockDimY: int, blockDimZ: int,
        sharedMemBytes: int, hStream: Stream, kernelParams: int, extra: int,
    ) -> Result:  # fmt: skip
        shape = (gridDimX, gridDimY, gridDimZ, blockDimX, blockDimY, blockDimZ)
        return self._launch(f, shape, sharedMemBytes, hStream, kernelParams)

    def cuLaunchKernelEx(self, config: Any, f: Function, kernelParams: int, extra: int) -> Result:
        assert len(config.attrs) == config.numAttrs
        attributes = {attribute.id: attribute.value for attribute in config.attrs}
        return self._launch(f, _shape(config), config.sharedMemBytes, config.hStream, kernelParams, attributes)

    def _launch(
        self, f: Function, shape: tuple[int, ...], shared: int, stream: Stream, arguments: int,
        attributes: dict[str, Any] | None = None,
    ) -> Result:  # fmt: skip
        attributes = attributes or {}
        state = self._state(stream) or self._refused(f, shape, shared) or self._cluster(f, shape, attributes)
        if state:
            return (state,)
        call = Call(f, shape, shared, arguments)
        call.attributes = attributes
        self.launched.append(call)
        return self._queue(stream, lambda: call.run(stream.device, self.culprit))

    def _refused(self, f: Function, shape: tuple[int, ...], shared: int) -> Code:
        """What is wrong with a launch's sizes, or its function in the context of this thread."""
        if f.context is not self._current.device:
            return Code.CUDA_ERROR_INVALID_HANDLE
        most = f.settings.get("CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES", 48 << 10)
        large = shape[0] >= 1 << 31 or max(shape[1:3]) >= 1 << 16 or prod(shape[3:]) > 1024
        wrong = min(shape) < 1 or large or shared > most
        return Code.CUDA_ERROR_INVALID_VALUE if wrong else Code.CUDA_SUCCESS

    def _cluster(self, f: Function, shape: tuple[int, ...], attributes: dict[str, Any]) -> Code:
        """Whether the blocks of a launch make whole clusters of a size that the function may have."""
        if (value := attributes.get("CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION")) is None:
            return Code.CUDA_SUCCESS
        sizes = (value.clusterDim.x, value.clusterDim.y, value.clusterDim.z)
        most = 16 if f.settings.get("CU_FUNC_ATTRIBUTE_NON_PORTABLE_CLUSTER_SIZE_ALLOWED") else 8
        whole = all(blocks % size == 0 for blocks, size in zip(shape, sizes))
        return Code.CUDA_SUCCESS if whole and prod(sizes) <= most else Code.CUDA_ERROR_INVALID_CLUSTER_SIZE

    # -------------------------------------------------------------------------------------------------- graphs

    def cuGraphCreate(self, flags: int) -> Result:
        self.graphs.append([])
        return self._state(), self.graphs[-1]

    def cuGraphAddKernelNode(self, hGraph: list, dependencies: list, numDependencies: int, nodeParams: Any) -> Result:
        assert len(set(dependencies)) == numDependencies and all(node in hGraph for node in dependencies)
        state = self._state() or self._refused(nodeParams.func, _shape(nodeParams), nodeParams.sharedMemBytes)
        if state:
            return state, None
        hGraph.append(KernelNode(self._call(nodeParams), dependencies))
        return state, hGraph[-1]

    def _call(self, params: Any) -> Call:
        return Call(params.func, _shape(params), params.sharedMemBytes, params.kernelParams)

    def cuGraphKernelNodeSetAttribute(self, hNode: KernelNode, attr: str, value: Any) -> Result:
        assert isinstance(value, NodeValue)
        if attr == "CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION":  # of launches alone
            return (Code.CUDA_ERROR_INVALID_VALUE,)
        hNode.attributes[attr] = value
        return (self._state(),)

    def cuGraphInstantiate(self, hGraph: list, flags: int) -> Result:
        wrong = [self._cluster(node.call.function, node.call.shape, node.attributes) for node in hGraph]
        return self._state() or max(wrong, default=Code.CUDA_SUCCESS), {node: node.call for node in hGraph}

    def cuGraphExecKernelNodeSetParams(self, hGraphExec: dict, hNode: KernelNode, nodeParams: Any) -> Result:
        state = self._state() or self._refused(nodeParams.func, _shape(nodeParams), nodeParams.sharedMemBytes)
        if state:
            return (state,)
        if hNode not in hGraphExec:
            return (Code.CUDA_ERROR_INVALID_VALUE,)
        hGraphExec[hNode] = self._call(nodeParams)
        return (state,)

    def cuGraphLaunch(self, hGraphExec: dict, hStream: Stream) -> Result:
        calls, waiting, order = dict(hGraphExec), list(hGraphExec), []
        while waiting:  # whatever may be late is late
            node = next(node for node in reversed(waiting) if not any(before in waiting for before in node.before))
            waiting.remove(node)
            order.append(calls[node])

        def run() -> None:
            for call in order:
                if not hStream.device.error:
                    call.run(hStream.device, self.culprit)

        return self._queue(hStream, run)

    def cuGraphExecDestroy(self, hGraphExec: dict) -> Result:
        hGraphExec.clear()
        return (self._state(),)

    def cuGraphDestroy(self, hGraph: list) -> Result:
        hGraph.clear()
        return (self._state(),)


def _shape(params: Any) -> tuple[int, ...]:
    """Blocks and threads in three dimensions."""
    return tuple(getattr(params, f"{kind}Dim{axis}") for kind in ("grid", "block") for axis in "XYZ")


def _within(memory: Memory, address: int, nbytes: int) -> NDArray:
    """The bytes at an address, which need not be where an allocation begins."""
    for start, array in memory.items():
        if start <= address and address + nbytes <= start + array.nbytes:
            return array[address - start : address - start + nbytes]
    raise AssertionError(f"{nbytes} bytes at {address:#x} are not memory of the device")


def module_of(fake: FakeDriver) -> Any:
    """What `cuda.bindings.driver` is while a fake driver is installed."""
    return fake


@contextmanager
def installed(fake: FakeDriver, cache: str) -> Iterator[FakeDriver]:
    """Makes a fake driver the one of this process, without workers and with its binaries in the given folder."""
    replaced: list[tuple[Any, str, Any]] = [
        (cuda_driver, "_imported", lambda: module_of(fake)),
        (cuda_build, "compile_program", fake.compile),
        (cuda_build, "crew", lambda name, target: Crew(name, 0)),
    ]
    before = [getattr(module, name) for module, name, _ in replaced]
    _forget()
    for module, name, value in replaced:
        setattr(module, name, value)
    try:
        with Context(CACHE_DIR=cache, DUMP_LANGUAGE="triton"):  # programs must hold the kernels they were made from
            yield fake
    finally:
        for (module, name, _), value in zip(replaced, before):
            setattr(module, name, value)
        _forget()


def _forget() -> None:
    """No device of CUDA is open, and no plan knows one."""
    for function in (cuda_driver.driver, cuda_driver.absence, cuda_devices.devices):
        function.cache_clear()
    for name in [name for name in device._opened if name.startswith("CUDA")]:
        del device._opened[name]
    faults._pending.clear()
    plans_of.clear()
    templates._templates.clear()
