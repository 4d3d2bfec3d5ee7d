"""What a runtime is: a few methods, the facts of its machine, and the handles it gives out.

Comes in: programs and arrays.  Goes out: `Memory` and `Executable` handles that only the runtime that made them looks
into.  A runtime knows no graph and no tensor.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, Any, Final, Protocol

from numpy.typing import NDArray

from codegen.program import Program
from codegen.target import Target
from kernelforge.native import NO_MORE, record

if TYPE_CHECKING:
    _BlockFields = object
    _MemoryFields = object
else:
    _BlockFields = record("Block", "address", "capacity", "handle", "host", "last_use", "parts", "serial")
    _MemoryFields = record("Memory", "block", "nbytes", "owner")

_serials: Final = count(1)


class Block(_BlockFields):
    """A piece of device memory, whoever uses it at the moment.

    capacity  bytes
    handle    what the driver calls it; None where the host array is all there is
    host      the same bytes as a NumPy array, where the device works on the host's memory; else None
    address   of those; 0 for None
    serial    a number no other block of this process ever has
    last_use  the number of the last launch that used it, 0 for none
    parts     pieces of it that were asked for, by where they begin and how long they are
    """

    capacity: int
    handle: Any
    host: NDArray | None
    address: int
    serial: int
    last_use: int
    parts: dict[tuple[int, int], Block]

    __slots__ = NO_MORE

    def __init__(self, capacity: int, handle: Any, host: NDArray | None) -> None:
        self.capacity, self.handle, self.host = capacity, handle, host
        self.address = 0 if host is None else host.ctypes.data
        self.serial = next(_serials)
        self.last_use = 0
        self.parts = {}


class Owner(Protocol):
    """Whoever takes a block back."""

    def give_back(self, block: Block) -> None: ...


class Lender:
    """The owner of blocks whose memory is another library's.

    wait  returns when the launch of that number is done
    """

    def __init__(self, wait: Callable[[int], None] = lambda launch: None) -> None:
        self._wait = wait

    def give_back(self, block: Block) -> None:
        self._wait(block.last_use)


class Memory(_MemoryFields):
    """Device memory of nbytes bytes; its block goes back to its pool when the last reference is gone.

    A view of `host` does not keep the block from being used again: hold the Memory as long as the view.
    """

    nbytes: int
    block: Block
    owner: Owner

    __slots__ = NO_MORE

    def __init__(self, nbytes: int, block: Block, owner: Owner) -> None:
        self.nbytes, self.block, self.owner = nbytes, block, owner

    @property
    def host(self) -> NDArray | None:
        """Its bytes in place, valid after `synchronize`; None on devices with memory of their own."""
        host = self.block.host
        return None if host is None else host[: self.nbytes]

    def __del__(self, _ending: Callable[[], bool] = sys.is_finalizing) -> None:
        if not _ending():  # when Python ends, the modules a pool needs may be gone already
            try:
                owner, block = self.owner, self.block
            except AttributeError:  # an interrupt came while it was made
                return
            owner.give_back(block)

    def __repr__(self) -> str:
        return f"Memory({self.nbytes} bytes)"


MOST_PARTS: Final = 1024  # of a block, that are remembered


class Parts:
    """Pieces of one memory, each a memory of its own that launches may use; the whole lives as long as any of them.

    cut(handle, start, nbytes)   what the driver calls a piece
    """

    __slots__ = ("__weakref__", "_cut", "_whole")

    def __init__(self, whole: Memory, cut: Callable[[Any, int, int], Any]) -> None:
        self._whole, self._cut = whole, cut

    def part(self, start: int, nbytes: int) -> Memory:
        """The piece of so many bytes that begins at `start`."""
        whole = self._whole.block
        block = whole.parts.get((start, nbytes))
        if block is None:
            if len(whole.parts) >= MOST_PARTS:
                whole.parts.clear()
            host = None if whole.host is None else whole.host[start : start + nbytes]
            block = whole.parts[start, nbytes] = Block(nbytes, self._cut(whole.handle, start, nbytes), host)
        return Memory(nbytes, block, self)

    @property
    def whole(self) -> Memory:
        """What they are pieces of."""
        return self._whole

    def give_back(self, block: Block) -> None:
        """Notes that the whole was used when its part was."""
        self._whole.block.last_use = max(self._whole.block.last_use, block.last_use)


@dataclass(frozen=True)
class Facts:
    """What a device is and can do, as found by asking it and by running a small kernel on it.

    device, platform, vendor, driver  names and versions as the driver gives them
    kind              "cpu" | "gpu" | "other" | "interpreter"
    compute_units     processors that run work-groups at a time
    memory            bytes in all; max_allocation: of one block; local_memory: shared by a work-group
    work_group        most work-items in a group
    float64, float16  arithmetic in these types; float16 can always be stored
    vector_bytes      width of the vector registers; l1, l2: bytes of the nearest caches
    """

    device: str
    platform: str = ""
    vendor: str = ""
    driver: str = ""
    kind: str = "interpreter"
    compute_units: int = 1
    memory: int = 0
    max_allocation: int = 0
    local_memory: int = 0
    work_group: int = 1
    float64: bool = True
    float16: bool = True
    vector_bytes: int = 64
    l1: int = 32 << 10
    l2: int = 1 << 20


class Executable(Protocol):
    """A compiled program, to be launched by the runtime that made it."""

    program: Program


class Runtime(Protocol):
    """A device.

    name    as users write it
    target  what code generation should know of it
    facts   what the probe found
    opens   True where its executables are `sized`: kernels may take sizes as arguments
    """

    name: str
    target: Target
    facts: Facts
    opens: bool

    def allocate(self, nbytes: int) -> Memory:
        """Memory with undefined content; raises MemoryError when there is none."""
        ...

    def parts(self, memory: Memory) -> Parts:
        """The same memory, to be used in pieces."""
        ...

    def adopt(self, array: NDArray) -> Memory | None:
        """A contiguous array's own memory, for as long as the handle lives; None where the device cannot work in it."""
        ...

    def copy_in(self, memory: Memory, array: NDArray) -> None:
        """Fill the beginning of memory with a contiguous array's bytes, after everything launched that uses it."""
        ...

    def copy_out(self, memory: Memory, array: NDArray) -> None:
        """Fill a contiguous array from the beginning of memory, after everything launched that uses it."""
        ...

    def compile(self, programs: Sequence[Program]) -> list[Any]:
        """One executable per program, from this process, the disk or the driver's compiler; equal programs share one.

        raises CompileError when the compiler refuses a program
        """
        ...

    def another(self, executable: Any) -> Any:
        """An executable of the same program that keeps its arguments apart, where that makes launches cheaper."""
        ...

    def launch(self, executable: Any, memories: Sequence[Memory], timed: bool = False) -> float | None:
        """Start a program on its arguments; does not wait unless timed, then the seconds it took on the device."""
        ...

    def launch_all(self, launches: Iterable[tuple[Any, Sequence[int]]], memories: Sequence[Any]) -> object:
        """Start programs in order, each on the memories at its places; what it returns is of no account."""
        ...

    def wait(self) -> None:
        """Wait for everything launched so far."""
        ...

    def synchronize(self) -> None:
        """Wait for everything launched so far, then let `reports` speak."""
        ...


reports: Final[list[Callable[[], None]]] = []
"""What to call when a user waits for a device: each may raise an error that a kernel found."""


def report() -> None:
    """Call every function in `reports`."""
    for call in reports:
        call()
