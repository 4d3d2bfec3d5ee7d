"""What every runtime must do, on every device of this machine."""

import threading
import time
from pathlib import Path

import numpy as np
import pytest

from kernelforge.errors import CompileError, DeviceError
from kernelforge.kernels import Device
from kernelforge.kernels.cuda import CudaRuntime
from kernelforge.kernels.interpreted import InterpretedRuntime
from kernelforge.kernels.opencl import OpenCLRuntime
from kernelforge.settings import Context
from tests.kernels import conftest


def increment(runtime, *arguments):
    """out = x + 1 in the language of a runtime."""
    return conftest.increment(*arguments, language="triton" if runtime.target.language == "triton" else "opencl")


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
    (program,) = runtime.compile([increment(runtime, 100)])
    x, y = filled(runtime, values), runtime.allocate(values.nbytes)
    for _ in range(5):
        runtime.launch(program, [y, x])
        runtime.launch(program, [x, y])
    runtime.synchronize()
    assert np.array_equal(contents(runtime, x, values), values + 10)


def test_a_copy_in_waits_for_launches_that_read(runtime):
    values = np.zeros(4096, np.float32)
    (program,) = runtime.compile([increment(runtime, 4096)])
    x, y = filled(runtime, values), runtime.allocate(values.nbytes)
    runtime.launch(program, [y, x])
    runtime.copy_in(x, values + 7)
    assert np.array_equal(contents(runtime, y, values), values + 1)


def test_several_programs_of_one_name(runtime):
    first, second = runtime.compile([increment(runtime, 8), increment(runtime, 16)])
    assert first.program.grid == (8,) and second.program.grid == (16,)
    again, same = runtime.compile([increment(runtime, 8), increment(runtime, 16)])
    assert again.program == first.program and same.program == second.program


def test_parts_of_a_memory_are_memories(runtime):
    values = np.arange(256, dtype=np.float32)
    (program,) = runtime.compile([increment(runtime, 256)])
    whole = filled(runtime, np.zeros(3 * 1024 // 4, np.float32))
    parts = runtime.parts(whole)
    x, y = parts.part(1024, 1024), parts.part(2048, 1024)
    runtime.copy_in(x, values)
    runtime.launch(program, [y, x])
    assert np.array_equal(contents(runtime, y, values), values + 1)
    serial = y.block.serial
    del x, y
    assert parts.part(2048, 1024).block.serial == serial
    found = contents(runtime, whole, np.empty(3 * 256, np.float32))
    assert np.array_equal(found, [*np.zeros(256), *values, *(values + 1)])


def test_parts_of_a_part_are_memories(runtime):
    values = np.arange(256, dtype=np.float32)
    (program,) = runtime.compile([increment(runtime, 256)])
    whole = filled(runtime, np.zeros(4 * 1024 // 4, np.float32))
    parts = runtime.parts(runtime.parts(whole).part(1024, 3 * 1024))
    x, y = parts.part(1024, 1024), parts.part(2048, 1024)
    runtime.copy_in(x, values)
    runtime.launch(program, [y, x])
    assert np.array_equal(contents(runtime, y, values), values + 1)
    found = contents(runtime, whole, np.empty(4 * 256, np.float32))
    assert np.array_equal(found, [*np.zeros(512), *values, *(values + 1)])


def test_memory_is_reused(runtime):
    memory = runtime.allocate(1 << 16)
    serial = memory.block.serial
    del memory
    assert runtime.allocate(1 << 16).block.serial == serial


def test_memory_runs_out_with_sizes(runtime):
    runtime.pool.clear()
    with pytest.raises(MemoryError, match="bytes"):
        runtime.allocate(1 << 50)
    assert np.array_equal(contents(runtime, filled(runtime, np.ones(3)), np.ones(3)), np.ones(3))


def test_bad_source_names_kernel_and_file_and_leaves_the_process_usable(runtime):
    if isinstance(runtime, InterpretedRuntime):
        pytest.skip("compiles nothing")
    bad = increment(runtime, 4, "broken", conftest.BROKEN[runtime.target.language])
    with pytest.raises(CompileError, match="broken") as caught:
        runtime.compile([increment(runtime, 4, "fine"), bad])
    assert caught.value.path is not None and Path(caught.value.path).read_text() == bad.source
    (program,) = runtime.compile([increment(runtime, 4, "fine")])
    x, y = filled(runtime, np.zeros(4, np.float32)), runtime.allocate(16)
    runtime.launch(program, [y, x])
    assert contents(runtime, y, np.zeros(4, np.float32)).tolist() == [1, 1, 1, 1]


def test_timed_launches_take_time(runtime):
    (program,) = runtime.compile([increment(runtime, 1000)])
    x, y = filled(runtime, np.zeros(1000, np.float32)), runtime.allocate(4000)
    start = time.perf_counter()
    seconds = runtime.launch(program, [y, x], timed=True)
    assert seconds is not None and 0 < seconds <= 1.1 * (time.perf_counter() - start), "seconds, on a clock of its own"
    assert runtime.launch(program, [x, y]) is None
    assert np.array_equal(contents(runtime, x, np.zeros(1000, np.float32)), np.full(1000, 2, np.float32))


@pytest.mark.parametrize("kept", [0, 1 << 20])
def test_arguments_may_go_between_launches_and_while_they_run(runtime, kept):
    values = np.arange(5000, dtype=np.float32)
    (program,) = runtime.compile([increment(runtime, 5000)])
    with Context(POOL=kept):
        for _ in range(50):
            x = filled(runtime, values)
            for _ in range(3):
                y = runtime.allocate(values.nbytes)
                runtime.launch(program, [y, x])
                x = y
            assert np.array_equal(contents(runtime, x, values), values + 3)
            del x, y
            runtime.pool.clear()


def test_threads_launch_the_same_program(runtime):
    (program,) = runtime.compile([increment(runtime, 300)])
    wrong = []

    def work(start):
        values = np.arange(300, dtype=np.float32) + start
        for _ in range(30):
            x, y = filled(runtime, values), runtime.allocate(values.nbytes)
            runtime.launch(program, [y, x])
            if not np.array_equal(contents(runtime, y, values), values + 1):
                wrong.append(start)

    threads = [threading.Thread(target=work, args=(1000 * n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_no_bytes_are_copied_too(runtime):
    nothing = np.empty(0, np.float32)
    assert contents(runtime, filled(runtime, nothing), nothing).size == 0


def test_shared_memory_is_visible_without_a_copy(runtime):
    (program,) = runtime.compile([increment(runtime, 64)])
    x, y = filled(runtime, np.zeros(64, np.float32)), runtime.allocate(256)
    if y.host is None:
        pytest.skip("the device has memory of its own")
    runtime.launch(program, [y, x])
    runtime.synchronize()
    assert np.array_equal(y.host.view(np.float32), np.ones(64)) and y.host.nbytes == 256


def test_facts_describe_the_device(runtime):
    facts, target = runtime.facts, runtime.target
    assert facts.device and facts.compute_units == target.cores >= 1
    languages = {OpenCLRuntime: "opencl", CudaRuntime: "triton", InterpretedRuntime: "interpreted"}
    assert target.language == languages[type(runtime)]
    if facts.kind != "interpreter":
        assert facts.platform and facts.driver and facts.memory >= facts.max_allocation > 0 and facts.work_group >= 1
        assert facts.vector_bytes in (16, 32, 64) and facts.l1 < facts.l2


def test_unknown_devices_are_named():
    with pytest.raises(DeviceError, match="NUMPY"):
        Device["TPU"]
    with pytest.raises(DeviceError, match="CL:99"):
        Device["CL:99"]


def test_names_have_one_spelling():
    assert Device.canonicalize("cpu:0") == "CPU" and Device.canonicalize("cl") == "CL:0"
    assert Device.canonicalize(None) == Device.DEFAULT
