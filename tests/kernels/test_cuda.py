"""The CUDA runtime on a driver of host memory: whole programs, memory, copies, errors, several devices and threads."""

import gc
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from kernelforge import Context, Tensor, dtypes
from kernelforge.errors import DeviceError
from kernelforge.kernels import Device, cuda_memory, device
from kernelforge.kernels.cuda import CudaRuntime
from kernelforge.kernels.runtime import Memory
from kernelforge.realize import synchronize
from tests.fake_cuda import FakeDriver, installed
from tests.guarded import GUARDED
from tests.kernels.conftest import increment
from tests.kernels.test_triton_programs import PROGRAMS


def opened(name: str = "CUDA") -> CudaRuntime:
    runtime = Device[name]
    assert isinstance(runtime, CudaRuntime)
    return runtime


def filled(runtime: CudaRuntime, values: np.ndarray) -> Memory:
    memory = runtime.allocate(values.nbytes)
    runtime.copy_in(memory, values)
    return memory


def contents(runtime: CudaRuntime, memory: Memory, like: np.ndarray) -> np.ndarray:
    found = np.empty_like(like)
    runtime.copy_out(memory, found)
    return found


# -------------------------------------------------------------------------------------------------- whole programs


@pytest.mark.parametrize("program", PROGRAMS)
def test_programs_compute_what_numpy_does(program: Callable[[], list[Tensor]], cuda: FakeDriver) -> None:
    results = []
    for name in ("CUDA", "NUMPY"):
        with Context(DEVICE=name):
            results.append([t.cast(dtypes.float32).numpy() for t in program()])
    assert len(cuda.launched) > 3
    for found, expected in zip(*results, strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6 * np.abs(expected).max())


def test_a_program_met_before_is_neither_planned_nor_compiled(cuda: FakeDriver) -> None:
    for number in range(3):
        x = Tensor(np.full(1000, number, np.float32), device="CUDA")
        if number == 1:
            cuda.calls.clear()
            cuda.launched.clear()
        assert (x * 2 + 1).numpy()[7] == 2 * number + 1
    assert "cuModuleLoadData" not in cuda.calls and len(cuda.launched) == 2


def test_an_index_out_of_range_is_found(cuda: FakeDriver) -> None:
    table = Tensor(np.arange(6, dtype=np.float32), device="CUDA")
    picked = table[Tensor(np.array([1, 9], np.int32), device="CUDA")].realize()
    with pytest.raises(IndexError, match="0 <= index < 6"):
        synchronize("CUDA")
    assert picked.numpy().tolist() == [1, 0]


def test_the_device_is_described_by_its_facts(cuda: FakeDriver) -> None:
    runtime = opened()
    facts, target = runtime.facts, runtime.target
    assert (facts.device, facts.kind, facts.compute_units, facts.memory) == ("Fake GPU", "gpu", 132, 1 << 30)
    assert facts.driver.startswith("CUDA 13.0")
    assert (target.language, target.name, target.cores, target.scratch) == ("triton", "sm_90", 132, 232_448)


# --------------------------------------------------------------------------------------------------------- names


@pytest.mark.parametrize(
    ("written", "name"),
    [("cuda", "CUDA"), ("cuda:0", "CUDA"), ("GPU", "CUDA"), ("gpu:0", "CUDA"), ("cuda:01", "CUDA:1")],
)
def test_names_users_expect(written: str, name: str, cuda: FakeDriver) -> None:
    assert Device.canonicalize(written) == name == Device.canonicalize(name)


def test_gpus_are_available_and_the_default_stays(cuda: FakeDriver) -> None:
    names = Device.available()
    assert names[:3] == ["CPU", "CUDA", "CUDA:1"] and "GPU" not in names
    assert Tensor([1.0]).device == Device.DEFAULT != "CUDA"
    with pytest.raises(DeviceError, match=r"CUDA:2.*CUDA:1"):
        Device["CUDA:2"]


def test_a_gpu_too_old_is_refused(tmp_path: Path) -> None:
    with installed(FakeDriver(capability=75), str(tmp_path)), pytest.raises(DeviceError, match=r"7\.5.*at least 8\.0"):
        Device["CUDA"]


def test_a_device_that_computes_wrong_results_is_not_used(cuda: FakeDriver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.fake_cuda.probe", lambda arrays: None)
    with pytest.raises(DeviceError, match="computes wrong results"):
        Device["CUDA"]


def test_a_forked_process_is_told_what_to_do(cuda: FakeDriver, monkeypatch: pytest.MonkeyPatch) -> None:
    runtime = opened()
    memory = runtime.allocate(1 << 20)
    monkeypatch.setattr(device, "_opened", {"CUDA": runtime})
    monkeypatch.setattr(device, "_lost", {})
    device._settle()
    device._lose_all()  # as in the child
    monkeypatch.setattr("os.getpid", lambda: -1)
    with pytest.raises(DeviceError, match="'spawn' or 'forkserver'"):
        Device["CUDA"]
    cuda.calls.clear()
    del memory
    runtime.pool.clear()
    runtime.wait()
    assert not cuda.calls, "the context is the parent's"


# -------------------------------------------------------------------------------------------------------- memory


def test_memory_given_back_is_used_again_or_released(cuda: FakeDriver) -> None:
    runtime = opened()
    memory = runtime.allocate(1 << 16)
    serial, used = memory.block.serial, cuda.devices[0].used
    del memory
    again = runtime.allocate(1 << 16)
    assert again.block.serial == serial
    del again
    runtime.pool.clear()
    runtime.wait()
    assert cuda.devices[0].used <= used - (1 << 16)


def test_memory_in_a_cycle_of_garbage_is_given_back_once(cuda: FakeDriver) -> None:
    runtime, values = opened(), np.arange(100, dtype=np.float32)
    cycle: list[object] = [runtime.allocate(values.nbytes)]
    cycle.append(cycle)
    del cycle
    gc.collect()
    memory = filled(runtime, values)
    assert np.array_equal(contents(runtime, memory, values), values)
    assert "cuMemFreeAsync" not in cuda.calls


def test_memory_that_dies_leaves_the_context_of_the_thread(cuda: FakeDriver) -> None:
    """The garbage collector may run between two calls that are for another device, or for another library's context."""
    there = opened("CUDA:1")
    opened("CUDA").stream.enter()
    for before in (cuda.devices[0], None):
        cycle: list[object] = [there.allocate(1 << 16)]
        cycle.append(cycle)
        cuda.cuCtxSetCurrent(before)
        cuda.calls.clear()
        with Context(POOL=0):
            del cycle
            gc.collect()
        assert "cuMemFreeAsync" in cuda.calls and cuda.cuCtxGetCurrent()[1] is before


def test_memory_may_go_while_a_kernel_still_uses_it(cuda: FakeDriver) -> None:
    runtime, values = opened(), np.arange(500, dtype=np.float32)
    (program,) = runtime.compile([increment(500, language="triton")])
    x, y = filled(runtime, values), runtime.allocate(values.nbytes)
    runtime.launch(program, [y, x])
    with Context(POOL=0):
        del x
        runtime.pool.clear()
    assert np.array_equal(contents(runtime, y, values), values + 1)


@pytest.mark.skipif(GUARDED, reason="guarded memory has other sizes")
def test_memory_runs_out_with_sizes_and_what_was_free_is_used_first(cuda: FakeDriver) -> None:
    runtime = opened("CUDA:1")
    kept = runtime.allocate(300 << 10)
    with pytest.raises(MemoryError, match=r"allocate 983,040 bytes.*of its 1,048,576 bytes free.*smaller batches"):
        runtime.allocate(900 << 10)
    del kept
    assert runtime.allocate(900 << 10).nbytes == 900 << 10


def test_without_pools_memory_works_too(tmp_path: Path) -> None:
    with installed(FakeDriver(pools=False), str(tmp_path)) as fake:
        x = Tensor(np.arange(100, dtype=np.float32), device="CUDA")
        assert (x + 1).sum().item() == 5050
        assert "cuMemAlloc" in fake.calls and "cuMemAllocFromPoolAsync" not in fake.calls


# -------------------------------------------------------------------------------------------------------- copies


@pytest.mark.parametrize("nbytes", [0, 1, 1023, 1024, 1025, 10_000])
def test_copies_in_pieces(nbytes: int, cuda: FakeDriver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cuda_memory, "CHUNK", 1024)
    monkeypatch.setattr(cuda_memory, "CHUNKS", 3)
    runtime, values = opened(), np.random.default_rng(nbytes).integers(0, 256, nbytes, np.uint8)
    memories = [filled(runtime, values + shift) for shift in range(3)]
    for shift, memory in enumerate(memories):
        assert np.array_equal(contents(runtime, memory, values), values + np.uint8(shift))


def test_a_copy_in_waits_neither_for_kernels_nor_for_the_array(cuda: FakeDriver) -> None:
    runtime, values = opened(), np.zeros(1000, np.float32)
    (program,) = runtime.compile([increment(1000, language="triton")])
    x, y = filled(runtime, values), runtime.allocate(values.nbytes)
    cuda.calls.clear()
    runtime.launch(program, [y, x])
    values += 7
    runtime.copy_in(x, values)
    values += 100
    assert "cuStreamSynchronize" not in cuda.calls and "cuEventSynchronize" not in cuda.calls
    assert contents(runtime, y, values)[0] == 1 and contents(runtime, x, values)[0] == 7


# -------------------------------------------------------------------------------------------------------- launches


def test_launches_are_timed_by_the_device(cuda: FakeDriver) -> None:
    runtime, values = opened(), np.zeros(10, np.float32)
    (program,) = runtime.compile([increment(10, language="triton")])
    x, y = filled(runtime, values), runtime.allocate(values.nbytes)
    assert runtime.launch(program, [y, x], timed=True) == 0.125e-3
    assert runtime.launch(program, [y, x]) is None
    assert runtime.elapsed(lambda: [runtime.launch(program, [y, x]) for _ in range(5)] and None) == 0.125e-3


def test_threads_launch_without_a_context_of_their_own(cuda: FakeDriver) -> None:
    runtime, values = opened(), np.arange(50, dtype=np.float32)
    (program,) = runtime.compile([increment(50, language="triton")])
    results: list[bool] = []

    def work(start: int) -> None:
        for number in range(10):
            x, y = filled(runtime, values + start + number), runtime.allocate(values.nbytes)
            cuda.cuCtxSetCurrent(None)  # as another library may
            runtime.launch(program, [y, x])
            results.append(np.array_equal(contents(runtime, y, values), values + start + number + 1))

    threads = [threading.Thread(target=work, args=(1000 * number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [True] * 40


def test_two_devices_take_turns(cuda: FakeDriver) -> None:
    here = Tensor(np.arange(8, dtype=np.float32), device="CUDA")
    for _ in range(3):
        there = (here + 1).to("CUDA:1")
        here = (there * 2).to("CUDA")
    assert here.tolist() == [8 * x + 14 for x in range(8)]
    assert {call.function.context for call in cuda.launched} == set(cuda.devices)
    with pytest.raises(DeviceError, match="CUDA and CUDA:1"):
        here + there


# --------------------------------------------------------------------------------------------------------- errors


def test_a_fault_names_the_kernels_it_may_have_come_from(cuda: FakeDriver) -> None:
    runtime, values = opened(), np.zeros(4, np.float32)
    good, bad = runtime.compile([increment(4, name, language="triton") for name in ("good", "bad")])
    x, y = filled(runtime, values), runtime.allocate(16)
    cuda.culprit = "bad"
    runtime.launch(good, [y, x])
    runtime.launch(bad, [y, x])
    runtime.launch(good, [x, y])
    with pytest.raises(DeviceError, match=r"ILLEGAL_ADDRESS destroyed.*last kernels launched: .*bad.*KF_DEBUG=2"):
        runtime.wait()
    with pytest.raises(DeviceError, match="ILLEGAL_ADDRESS"):
        runtime.copy_out(x, values)
    del x, y
    runtime.pool.clear()


def test_a_fault_of_a_timed_launch_names_its_kernel(cuda: FakeDriver) -> None:
    runtime = opened()
    (good,), (bad,) = (runtime.compile([increment(4, name, language="triton")]) for name in ("good", "bad"))
    memories = [runtime.allocate(16), runtime.allocate(16)]
    runtime.launch(good, memories, timed=True)
    cuda.culprit = "bad"
    with pytest.raises(DeviceError, match="it came from the kernel bad"):
        runtime.launch(bad, memories, timed=True)


def test_other_errors_say_what_was_attempted(cuda: FakeDriver, monkeypatch: pytest.MonkeyPatch) -> None:
    runtime = opened()
    (program,) = runtime.compile([increment(4, language="triton")])
    cuda.functions[-1].settings["CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES"] = -1
    with pytest.raises(DeviceError, match="CUDA cannot launch the kernel increment.*INVALID_VALUE.*the text of"):
        runtime.launch(program, [runtime.allocate(16), runtime.allocate(16)])
    runtime.wait()
