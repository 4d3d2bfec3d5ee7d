"""Runtimes to test: every device present, with a hand-made program that needs no generator; and GPUs that are not."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from codegen.dtypes import dtypes
from codegen.index import Axis
from codegen.ir import Kernel, Param, Store, apply, const, load
from codegen.program import Program
from kernelforge.kernels import Device, cuda_build
from kernelforge.kernels.runtime import Runtime
from kernelforge.kernels.triton_compile import Binary
from tests.fake_cuda import FakeDriver, installed

Change = Callable[..., None]
SOURCES = {
    "opencl": """__attribute__((reqd_work_group_size(1, 1, 1)))
__kernel void NAME(__global float *restrict out, __global const float *restrict x) {
  int i = get_group_id(0);
  out[i] = x[i] + 1.0f;
}
""",
    "triton": """import triton
import triton.language as tl


@triton.jit
def NAME(out, x):  # of SIZE elements
    i = tl.program_id(0)
    tl.store(out + i, tl.load(x + i) + 1.0)
""",
}
BROKEN = {
    "opencl": "__kernel void NAME(__global float *out, __global const float *x) { out[0] = y; }",
    "triton": SOURCES["triton"].replace("tl.load(", "tl.loaded("),
}


def increment(size: int, name: str = "increment", source: str = "", language: str = "opencl") -> Program:
    """out = x + 1, as text and as a kernel for the interpreter."""
    i, out, x = Axis("i", size), Param("out", dtypes.float32, size), Param("x", dtypes.float32, size)
    value = apply("add", load(x, i.index), const(1, dtypes.float32))
    kernel = Kernel(name, (out, x), (Store(out, i.index, value, order=(i,)),))
    text = (source or SOURCES[language]).replace("NAME", name).replace("SIZE", str(size))
    return Program(language, text, name, (size,), kernel.params, kernel.written, kernel)


@pytest.fixture(params=Device.available())
def runtime(request: pytest.FixtureRequest) -> Runtime:
    return Device[request.param]


@pytest.fixture
def cuda(tmp_path: Path) -> Iterator[FakeDriver]:
    """A driver with two GPUs of 1 GiB and 1 MiB, in host memory."""
    with installed(FakeDriver((1 << 30, 1 << 20)), str(tmp_path)) as fake:
        yield fake


@pytest.fixture
def binaries(cuda: FakeDriver, monkeypatch: pytest.MonkeyPatch) -> Change:
    """Changes what Triton says of the kernel `increment`."""

    def change(**facts: object) -> None:
        def compiled(program: Program, capability: int) -> Binary:
            binary = cuda.compile(program, capability)
            return replace(binary, **facts) if program.entry == "increment" else binary

        monkeypatch.setattr(cuda_build, "compile_program", compiled)

    return change
