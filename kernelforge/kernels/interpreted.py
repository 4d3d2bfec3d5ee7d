"""The interpreter as a device: kernels run as NumPy, without any compiler; always there, exact and slow.

Comes in: programs with their kernels.  Goes out: their results in host memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codegen.interpret import interpret
from codegen.program import Program
from codegen.target import Target
from kernelforge.errors import InternalError
from kernelforge.kernels.pool import Pool
from kernelforge.kernels.runtime import Memory

TARGET = Target("interpreted", "numpy", cores=1)


@dataclass(frozen=True)
class Interpreted:
    """A program that needs no compiling."""

    program: Program


class InterpretedRuntime:
    """Host memory and the NumPy meaning of kernels."""

    def __init__(self, name: str = "NUMPY") -> None:
        self.name, self.target = name, TARGET
        self.facts: dict[str, Any] = {"device": "NumPy interpreter", "version": np.__version__}
        self._pool = Pool(lambda nbytes: (None, np.empty(nbytes, np.uint8)))

    def allocate(self, nbytes: int) -> Memory:
        return self._pool.take(nbytes)

    def copy_in(self, memory: Memory, array: NDArray) -> None:
        _bytes(memory)[: array.nbytes] = array.reshape(-1).view(np.uint8)

    def copy_out(self, memory: Memory, array: NDArray) -> None:
        array.reshape(-1).view(np.uint8)[:] = _bytes(memory)[: array.nbytes]

    def compile(self, programs: Sequence[Program]) -> list[Interpreted]:
        return [Interpreted(program) for program in programs]

    def launch(self, executable: Interpreted, memories: Sequence[Memory]) -> None:
        program = executable.program
        if program.kernel is None:
            raise InternalError(f"{program.entry} has no kernel to interpret")
        arrays = {
            param.name: _bytes(memory)[: param.size * param.dtype.itemsize].view(param.dtype.numpy)
            for param, memory in zip(program.params, memories, strict=True)
        }
        with np.errstate(all="ignore"):
            interpret(program.kernel, arrays)

    def synchronize(self) -> None:
        """Launches are done when they return."""


def _bytes(memory: Memory) -> NDArray:
    assert memory.host is not None
    return memory.host
