"""The first GPU in the CPU's place, for tests that know nothing of GPUs.

    pytest -p tests.cuda_device tests/tensor tests/codegen/triton/test_printer.py

Sources that tests would run in Triton's interpreter run on the GPU as well.  One process compiles with itself alone:
pytest-xdist starts enough of them.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from codegen.program import Program
from kernelforge.kernels import Device, cuda_build, cuda_devices, device
from kernelforge.kernels.cuda import CudaRuntime
from kernelforge.kernels.workers import Crew
from tests.codegen import triton_harness


def pytest_configure() -> None:
    """Loaded as a plugin."""
    cuda_build.crew = lambda name, target: Crew(name, 0)  # type: ignore[assignment]
    device._OPENERS["CPU"] = lambda: CudaRuntime("CPU", cuda_devices.devices()[0])
    triton_harness.run = run


def run(program: Program, arrays: Mapping[str, NDArray]) -> dict[str, NDArray]:
    """The arrays after a launch on the GPU."""
    runtime = Device["CPU"]
    (executable,) = runtime.compile([program])
    given = {param.name: np.ascontiguousarray(arrays[param.name]) for param in program.params}
    memories = [runtime.allocate(max(1, array.nbytes)) for array in given.values()]
    for memory, array in zip(memories, given.values()):
        runtime.copy_in(memory, array)
    runtime.launch(executable, memories)
    found = {name: np.empty_like(array) for name, array in given.items()}
    for memory, array in zip(memories, found.values()):
        runtime.copy_out(memory, array)
    return found
