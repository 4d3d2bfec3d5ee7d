"""The interpreter as a device: kernels run as NumPy, without any compiler; always there, exact and slow.

Comes in: programs with their kernels.  Goes out: their results in host memory.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from codegen.interpret import interpret
from codegen.program import Program
from codegen.target import Target
from kernelforge.errors import InternalError
from kernelforge.kernels.pool import Pool
from kernelforge.kernels.runtime import Block, Facts, Lender, Memory, Parts, report

TARGET: Final = Target("interpreted", "numpy", cores=1)
KEPT: Final = 1 << 30


@dataclass(frozen=True)
class Interpreted:
    """A program that needs no compiling."""

    program: Program


class InterpretedRuntime:
    """Host memory and the NumPy meaning of kernels."""

    opens = False

    def __init__(self, name: str = "NUMPY") -> None:
        self.name, self.target = name, TARGET
        self.facts = Facts("NumPy interpreter", driver=np.__version__)
        self.pool = Pool(lambda n: Block(n, None, np.empty(n, np.uint8)), wait=lambda launch: None, limit=KEPT)

    def allocate(self, nbytes: int) -> Memory:
        return self.pool.take(nbytes)

    def parts(self, memory: Memory) -> Parts:
        return Parts(memory, lambda handle, start, nbytes: None)

    def adopt(self, array: NDArray) -> Memory | None:
        return Memory(array.nbytes, Block(array.nbytes, None, array.reshape(-1).view(np.uint8)), Lender())

    def copy_in(self, memory: Memory, array: NDArray) -> None:
        _bytes(memory)[: array.nbytes] = array.reshape(-1).view(np.uint8)

    def copy_out(self, memory: Memory, array: NDArray) -> None:
        array.reshape(-1).view(np.uint8)[:] = _bytes(memory)[: array.nbytes]

    def compile(self, programs: Sequence[Program]) -> list[Interpreted]:
        return [Interpreted(program) for program in programs]

    def another(self, executable: Interpreted) -> Interpreted:
        return executable

    def launch(self, executable: Interpreted, memories: Sequence[Memory], timed: bool = False) -> float | None:
        program = executable.program
        if program.kernel is None:
            raise InternalError(f"{program.entry} has no kernel to interpret")
        arrays = {
            param.name: _bytes(memory)[: param.size * param.dtype.itemsize].view(param.dtype.numpy)
            for param, memory in zip(program.params, memories, strict=True)
        }
        start = time.perf_counter()
        with np.errstate(all="ignore"):
            interpret(program.kernel, arrays)
        return time.perf_counter() - start if timed else None

    def launch_all(self, launches: Iterable[tuple[Interpreted, Sequence[int]]], memories: Sequence[Memory]) -> None:
        for executable, places in launches:
            self.launch(executable, [memories[place] for place in places])

    def wait(self) -> None:
        """Launches are done when they return."""

    def synchronize(self) -> None:
        report()


def _bytes(memory: Memory) -> NDArray:
    host = memory.host
    assert host is not None
    return host
