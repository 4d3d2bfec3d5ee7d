"""What every runtime must do, on every device of this machine."""

import gc

import numpy as np
import pytest

from kernelforge.errors import CompileError, DeviceError
from kernelforge.kernels import Device
from kernelforge.kernels.opencl import OpenCLRuntime
from tests.kernels.conftest import increment


def filled(runtime, values):
    memory = runtime.allocate(values.nbytes)
    runtime.copy_in(memory, values)
    return memory


def contents(runtime, memory, like):
    found = np.empty_like(like)
    runtime.copy_out(memory, found)
    return found


@pytest.mark.parametrize("dtype", ["uint8", "float16", "int64", "float64"])
@pytest.mark.parametrize("size", [1, 3, 64, 1001])
def test_memory_keeps_bytes(runtime, size, dtype):
    values = np.arange(size).astype(dtype)
    assert np.array_equal(contents(runtime, filled(runtime, values), values), values)


def test_launches_follow_each_other(runtime):
    values = np.arange(100, dtype=np.float32)
    (program,) = runtime.compile([increment(100)])
    x, y = filled(runtime, values), runtime.allocate(values.nbytes)
    for _ in range(5):
        runtime.launch(program, [y, x])
        runtime.launch(program, [x, y])
    runtime.synchronize()
    assert np.array_equal(contents(runtime, x, values), values + 10)


def test_a_copy_in_waits_for_launches_that_read(runtime):
    values = np.zeros(4096, np.float32)
    (program,) = runtime.compile([increment(4096)])
    x, y = filled(runtime, values), runtime.allocate(values.nbytes)
    runtime.launch(program, [y, x])
    runtime.copy_in(x, values + 7)
    assert np.array_equal(contents(runtime, y, values), values + 1)


def test_several_programs_of_one_name(runtime):
    other = increment(8, source=increment(8).source.replace("1.0f", "1.0f"))
    first, second = runtime.compile([increment(8), increment(16)])
    assert first.program.grid == (8,) and second.program.grid == (16,)
    again, same = runtime.compile([other, increment(16)])
    assert again.program == first.program and same.program == second.program


def test_memory_is_reused(runtime):
    del (first := [runtime.allocate(1 << 16)])[0]
    gc.collect()
    free = runtime.pool.bytes_free
    block = runtime.allocate(1 << 16)
    assert runtime.pool.bytes_free == free - block.block.capacity


def test_memory_runs_out_with_sizes(runtime):
    runtime.pool.clear()
    with pytest.raises(MemoryError, match="bytes"):
        runtime.allocate(1 << 50)
    assert np.array_equal(contents(runtime, filled(runtime, np.ones(3)), np.ones(3)), np.ones(3))


def test_bad_source_names_kernel_and_file_and_leaves_the_process_usable(runtime):
    if not isinstance(runtime, OpenCLRuntime):
        pytest.skip("compiles nothing")
    bad = increment(4, "broken", "__kernel void NAME(__global float *out, __global const float *x) { out[0] = y; }")
    with pytest.raises(CompileError, match="broken") as caught:
        runtime.compile([increment(4, "fine"), bad])
    assert caught.value.path is not None and "out[0] = y" in open(caught.value.path).read()
    (program,) = runtime.compile([increment(4, "fine")])
    x, y = filled(runtime, np.zeros(4, np.float32)), runtime.allocate(16)
    runtime.launch(program, [y, x])
    assert contents(runtime, y, np.zeros(4, np.float32)).tolist() == [1, 1, 1, 1]


def test_unknown_devices_are_named():
    with pytest.raises(DeviceError, match="NUMPY"):
        Device["TPU"]
    with pytest.raises(DeviceError, match="CL:99"):
        Device["CL:99"]


def test_names_have_one_spelling():
    assert Device.canonicalize("cpu:0") == "CPU" and Device.canonicalize("cl") == "CL:0"
    assert Device.canonicalize(None) == Device.DEFAULT
