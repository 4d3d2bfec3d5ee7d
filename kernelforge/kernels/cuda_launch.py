"""A kernel ready to be launched: its arguments in a block of host memory that is built once.

Comes in: a loaded function, what Triton says of it, and a program's grid.  Goes out: `Compiled`, whose launch rewrites
the addresses that changed and makes one call of the driver.
"""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from codegen.program import Program
from kernelforge.kernels.runtime import Memory
from kernelforge.kernels.triton_compile import Binary

WARP: Final = 32  # threads
NON_PORTABLE: Final = 8  # blocks of a cluster beyond which not every device of a generation can run it


@dataclass(frozen=True)
class Loaded:
    """A function on a device, and the binary it came from."""

    function: Any
    binary: Binary


class Arguments:
    """The arguments of one kernel as the driver wants them: addresses of values, in a row.

    The values are device addresses, then the ints of kernels for open sizes.  The driver reads them during the call, so
    the next call may have others.

    scratch  memory the kernel wants besides its arguments; whoever launches side by side needs some of its own
    address  of the row of addresses
    """

    __slots__ = ("_bound", "_pack", "_row", "_scratch", "_values", "address")

    def __init__(self, count: int, numbers: Sequence[int], scratch: Sequence[Memory | None]) -> None:
        self._scratch = scratch  # kept as long as the block
        rest = [*numbers, *(0 if memory is None else memory.block.handle for memory in scratch)]
        length = count + len(rest)
        self._values = (ctypes.c_uint64 * length)(*[0] * count, *rest)  # an int is its lower half
        start, size = ctypes.addressof(self._values), ctypes.sizeof(ctypes.c_uint64)
        self._row = (ctypes.c_void_p * length)(*(start + size * position for position in range(length)))
        self._pack = struct.Struct(f"{count}Q").pack_into
        self._bound: list[int] = []
        self.address = ctypes.addressof(self._row)

    def bind(self, memories: Sequence[Memory]) -> bool:
        """Sets the values to the addresses of memories; True when any was another before."""
        addresses: list[int] = [memory.block.handle for memory in memories]
        if addresses == self._bound:
            return False
        self._pack(self._values, 0, *addresses)
        self._bound = addresses
        return True


class Compiled:
    """A program on a device.

    loaded     its function
    grid       blocks in three dimensions
    threads    of each block
    numbers    the ints after its arrays: sizes
    scratch    bytes of device memory that the kernel wants besides its arguments, in order: its own, a profiler's
    arguments  of the next launch, which is start(*call)
    """

    __slots__ = (
        "_allocate", "_place", "arguments", "call", "entry", "grid", "loaded", "numbers", "program", "scratch", "start",
        "threads",
    )  # fmt: skip

    def __init__(
        self,
        cuda: Any,
        stream: Any,
        program: Program,
        loaded: Loaded,
        allocate: Callable[[int], Memory],
        numbers: tuple[int, ...] = (),
    ) -> None:
        binary, self._place, self.numbers = loaded.binary, (cuda, stream), numbers
        self.program, self.entry, self.loaded = program, program.entry, loaded
        x, y, z = (*program.grid, 1, 1)[:3]
        self.grid = (x * binary.blocks, y, z)
        self.threads = WARP * binary.warps
        is_started = bool(numbers) or not program.numbers  # else only what `sized` makes of it is
        blocks = x * y * z * binary.blocks * is_started
        self.scratch, self._allocate = (blocks * binary.scratch, blocks * binary.profile), allocate
        self.arguments = self.new_arguments()
        attributes = launch_attributes(cuda, binary)
        self.start, self.call = cuda.cuLaunchKernel, self._plain(stream, self.arguments.address)
        if attributes:
            config = self._config(cuda, stream, attributes)
            self.start, self.call = cuda.cuLaunchKernelEx, (config, loaded.function, self.arguments.address, 0)

    def sized(self, program: Program, numbers: tuple[int, ...]) -> Compiled:
        """The same function with a grid and int arguments for some sizes."""
        return Compiled(*self._place, program, self.loaded, self._allocate, numbers)

    def new_arguments(self) -> Arguments:
        """A block for the arguments of this kernel."""
        scratch = [self._allocate(size) if size else None for size in self.scratch]
        return Arguments(len(self.program.params), self.numbers or [0] * len(self.program.numbers), scratch)

    def _plain(self, stream: Any, arguments: int) -> tuple[Any, ...]:
        shared = self.loaded.binary.shared
        return (self.loaded.function, *self.grid, self.threads, 1, 1, shared, stream, arguments, 0)

    def _config(self, cuda: Any, stream: Any, attributes: list[Any]) -> Any:
        config = cuda.CUlaunchConfig()
        config.gridDimX, config.gridDimY, config.gridDimZ = self.grid
        config.blockDimX, config.blockDimY, config.blockDimZ = self.threads, 1, 1
        config.sharedMemBytes = self.loaded.binary.shared
        config.hStream = stream
        config.attrs, config.numAttrs = attributes, len(attributes)
        return config

    def node(self, cuda: Any, arguments: Arguments) -> Any:
        """The launch as a graph wants it."""
        params = cuda.CUDA_KERNEL_NODE_PARAMS()
        params.func = self.loaded.function
        params.gridDimX, params.gridDimY, params.gridDimZ = self.grid
        params.blockDimX, params.blockDimY, params.blockDimZ = self.threads, 1, 1
        params.sharedMemBytes = self.loaded.binary.shared
        params.kernelParams = arguments.address
        return params


def special(cuda: Any, binary: Binary) -> list[tuple[Any, str, Any]]:
    """What a launch must say beyond sizes, as (attribute, field of its value, content); nothing for most kernels."""
    ids = cuda.CUlaunchAttributeID
    found: list[tuple[Any, str, Any]] = []
    if binary.overlaps:
        serial = ids.CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION
        found.append((serial, "programmaticStreamSerializationAllowed", 1))
    if binary.cooperative:
        found.append((ids.CU_LAUNCH_ATTRIBUTE_COOPERATIVE, "cooperative", 1))
    if binary.blocks > 1:
        found.append((ids.CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION, "clusterDim", (binary.blocks, 1, 1)))
        spread = cuda.CUclusterSchedulingPolicy.CU_CLUSTER_SCHEDULING_POLICY_SPREAD
        policy = ids.CU_LAUNCH_ATTRIBUTE_CLUSTER_SCHEDULING_POLICY_PREFERENCE
        found.append((policy, "clusterSchedulingPolicyPreference", spread))
    return found


def launch_attributes(cuda: Any, binary: Binary) -> list[Any]:
    """The same as the driver wants it with a launch."""
    attributes = []
    for name, field, content in special(cuda, binary):
        attribute = cuda.CUlaunchAttribute()
        attribute.id = name
        fill(attribute.value, field, content)
        attributes.append(attribute)
    return attributes


def fill(value: Any, field: str, content: Any) -> None:
    """Sets a field of an attribute's value; three numbers are sizes in x, y and z."""
    if isinstance(content, tuple):
        sizes = getattr(value, field)
        sizes.x, sizes.y, sizes.z = content
    else:
        setattr(value, field, content)
