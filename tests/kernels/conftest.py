"""Runtimes to test: every device present, with a hand-made program that needs no generator."""

import pytest

from codegen.dtypes import dtypes
from codegen.index import Axis
from codegen.ir import Kernel, Param, Store, apply, const, load
from codegen.program import Program
from kernelforge.kernels import Device
from kernelforge.kernels.runtime import Runtime

SOURCE = """__attribute__((reqd_work_group_size(1, 1, 1)))
__kernel void NAME(__global float *restrict out, __global const float *restrict x) {
  int i = get_group_id(0);
  out[i] = x[i] + 1.0f;
}
"""


def increment(size: int, name: str = "increment", source: str = SOURCE) -> Program:
    """out = x + 1, as OpenCL text and as a kernel for the interpreter."""
    i, out, x = Axis("i", size), Param("out", dtypes.float32, size), Param("x", dtypes.float32, size)
    value = apply("add", load(x, i.index), const(1, dtypes.float32))
    kernel = Kernel(name, (out, x), (Store(out, i.index, value, order=(i,)),))
    text = source.replace("NAME", name)
    return Program("opencl", text, name, (size,), kernel.params, kernel.written, kernel)


@pytest.fixture(params=Device.available())
def runtime(request: pytest.FixtureRequest) -> Runtime:
    return Device[request.param]
