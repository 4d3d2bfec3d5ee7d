"""A device that runs every kernel as Triton in Triton's interpreter, and checks it against the interpreter of kernels.

    pytest -p tests.triton_device tests/tensor       run any tests with this device in the CPU's place

A launch of more than MOST_PROGRAMS programs would take too long; its kernel is interpreted, no more.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from codegen.interpret import interpret
from codegen.target import SM90
from kernelforge.kernels import device
from kernelforge.kernels.interpreted import Interpreted, InterpretedRuntime
from kernelforge.kernels.runtime import Memory
from tests.codegen.triton_harness import close, run

MOST_PROGRAMS = 100
SCALE = 0.1  # gradients are sums that cancel


class TritonDevice(InterpretedRuntime):
    """Host memory and interpreted Triton sources; `launched` counts those that ran as Triton."""

    def __init__(self, name: str = "TRITON") -> None:
        super().__init__(name)
        self.target = SM90
        self.launched = 0

    def launch(self, executable: Interpreted, memories: Sequence[Memory], timed: bool = False) -> float | None:
        program = executable.program
        assert program.kernel is not None
        arrays = {}
        for param, memory in zip(program.params, memories, strict=True):
            assert memory.host is not None
            arrays[param.name] = memory.host[: param.size * param.dtype.itemsize].view(param.dtype.numpy)
        before = {name: array.copy() for name, array in arrays.items()}
        with np.errstate(all="ignore"):
            interpret(program.kernel, arrays)
        if program.grid[0] <= MOST_PROGRAMS:
            self.launched += 1
            made = run(program, before)
            for param in program.params:
                if param.name in program.written:
                    close(made[param.name], arrays[param.name], param.dtype, program.source, SCALE)
        return 1e-6 if timed else None


def pytest_configure() -> None:
    """Loaded as a plugin: the CPU is this device."""
    device._OPENERS["CPU"] = TritonDevice
