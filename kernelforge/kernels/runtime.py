"""What a runtime is: five methods, the facts of its machine, and the handles it gives out.

Comes in: programs and arrays.  Goes out: `Memory` and `Executable` handles that only the runtime that made them looks
into.  A runtime knows no graph and no tensor.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from numpy.typing import NDArray

from codegen.program import Program
from codegen.target import Target


class Memory:
    """Device memory of at least nbytes; it goes back to its pool when the last reference is gone.

    handle   what the driver calls it
    host     the same bytes as a NumPy array, where the device shares the host's memory; else None
    last_use the number of the last launch that used it
    """

    __slots__ = ("__weakref__", "capacity", "handle", "host", "last_use", "nbytes", "pool")

    def __init__(self, nbytes: int, capacity: int, handle: Any, host: NDArray | None, pool: Any) -> None:
        self.nbytes, self.capacity, self.handle, self.host, self.pool = nbytes, capacity, handle, host, pool
        self.last_use = 0

    def __del__(self) -> None:
        pool = self.pool
        if pool is not None:
            pool.give_back(self.capacity, self.handle, self.host, self.last_use)


class Executable(Protocol):
    """A compiled program."""

    program: Program


class Runtime(Protocol):
    """A device.

    name    as users write it
    target  what code generation should know of it
    facts   what the probe found, for people: names, versions, sizes, abilities
    """

    name: str
    target: Target
    facts: dict[str, Any]

    def allocate(self, nbytes: int) -> Memory:
        """Memory with undefined content; raises MemoryError when there is none."""
        ...

    def copy_in(self, memory: Memory, array: NDArray) -> None:
        """Fill memory with a contiguous array's bytes, after everything launched so far."""
        ...

    def copy_out(self, memory: Memory, array: NDArray) -> None:
        """Fill a contiguous array with memory's bytes, after everything launched so far."""
        ...

    def compile(self, programs: Sequence[Program]) -> list[Any]:
        """The executables of programs, from memory, disk or the driver's compiler; raises CompileError."""
        ...

    def launch(self, executable: Any, memories: Sequence[Memory]) -> None:
        """Start a program on its arguments; does not wait."""
        ...

    def synchronize(self) -> None:
        """Wait for everything launched so far."""
        ...
