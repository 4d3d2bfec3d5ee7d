"""Kernels called by the C module compute what launched ones do: on any grid, by any number of threads."""

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from codegen.program import Program
from kernelforge import Context, Tensor, native
from kernelforge.kernels import device
from kernelforge.kernels.opencl import OpenCLRuntime
from kernelforge.kernels.opencl_devices import candidates
from kernelforge.kernels.opencl_native import Native, sequence
from kernelforge.kernels.runtime import Memory
from tests.forgotten import forget_plans
from tests.kernels.test_opencl_direct import RUNTIMES, numbered

pytestmark = pytest.mark.skipif(not (RUNTIMES and native.native()), reason="no kernels are called by C code here")
MOST_THREADS = 5
SMALL_STACK = 256 << 10
OFTEN = 8  # calls after which what is learnt of a short kernel is used


@pytest.fixture(scope="module")
def runtime() -> Iterator[OpenCLRuntime]:
    """A device whose kernels are called by the C module."""
    with Context(NATIVE=1):
        found = OpenCLRuntime("CPU", next(c for c in candidates() if c.facts == RUNTIMES[0].facts))
    assert found.is_native
    yield found
    native._native.threads(found.facts.compute_units)


def added(grid: tuple[int, ...], extra: str = "") -> Program:
    """out[g] += x[g] + g / 3 for each group."""
    program = numbered(grid, extra)
    return replace(program, source=program.source.replace("out[group] =", "out[group] +="))


class Call:
    """A program on memory of its own, out of zeros and x."""

    def __init__(self, runtime: OpenCLRuntime, program: Program, is_small: bool = True) -> None:
        (executable,) = runtime.compile([program])
        assert executable.native is not None
        self.size = program.params[0].size
        self.kernel: Native = executable.native.on(program.grid, is_small, ())
        self.x = np.random.default_rng(self.size).random(self.size, np.float32)
        self.memories = [runtime.allocate(4 * self.size) for _ in range(2)]
        self.addresses = [memory.block.address for memory in self.memories]
        for memory, array in zip(self.memories, (np.zeros_like(self.x), self.x)):
            runtime.copy_in(memory, array)

    def check(self, times: int = 1) -> None:
        """Holds out against what so many calls must have made of it."""
        once = self.x + np.arange(self.size, dtype=np.float32) / 3
        np.testing.assert_allclose(values(self.memories[0], self.size), times * once, rtol=1e-5)


def values(memory: Memory, size: int) -> NDArray:
    assert memory.host is not None
    return memory.host[: 4 * size].view(np.float32)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(1, 9), min_size=1, max_size=3), st.integers(1, MOST_THREADS), st.booleans())
def test_every_group_runs_once_however_many_threads_there_are(
    runtime: OpenCLRuntime, grid: list[int], threads: int, is_small: bool
) -> None:
    assert native._native.threads(threads) == threads
    call = Call(runtime, added(tuple(grid)), is_small)
    for _ in range(OFTEN):
        call.kernel.run(*call.addresses)
    call.check(OFTEN)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 40), st.booleans()), min_size=1, max_size=20), st.integers(1, MOST_THREADS))
def test_a_sequence_goes_on_when_all_groups_of_a_kernel_are_done(
    runtime: OpenCLRuntime, steps: list[tuple[int, bool]], threads: int
) -> None:
    native._native.threads(threads)
    size = 64
    x, whole = runtime.allocate(4 * size), runtime.allocate(4 * size * (len(steps) + 1))
    runtime.copy_in(x, np.ones(size, np.float32))
    runtime.copy_in(whole, np.zeros(size * (len(steps) + 1), np.float32))
    launches, expected = [], [np.zeros(size, np.float32)]
    for i, (groups, is_small) in enumerate(steps):  # each reads what the one before it wrote
        kernel = Call(runtime, numbered((groups,)), is_small).kernel
        launches.append((kernel, [(1, 4 * size * (i + 1)), (1, 4 * size * i) if i else (0, 0)]))
        before = expected[-1] if i else np.ones(size, np.float32)
        expected.append(np.where(np.arange(size) < groups, before + np.arange(size, dtype=np.float32) / 3, 0))
    run = sequence(launches, 2)
    for _ in range(OFTEN):
        runtime.copy_in(whole, np.zeros(size * (len(steps) + 1), np.float32))
        run(x.block.address, whole.block.address)
        np.testing.assert_allclose(values(whole, size * len(expected)), np.concatenate(expected), rtol=1e-5)


def test_numbers_follow_the_arrays(runtime: OpenCLRuntime) -> None:
    program = numbered((3,), "\n  out[group] = first * 100.0f + second * 10.0f + third;")
    source = program.source.replace("restrict x)", "restrict x, const int first, const int second, const int third)")
    (executable,) = runtime.compile([replace(program, source=source, numbers=("first", "second", "third"))])
    memories = [runtime.allocate(32) for _ in range(2)]
    for numbers in ((1, 2, 3), (-4, 5, 6)):
        sized = executable.sized(replace(executable.program, grid=(5,)), numbers)
        runtime.launch(sized, memories)
        assert sized.native is not None
        assert np.array_equal(values(memories[0], 5), np.full(5, np.dot(numbers, (100, 10, 1)), np.float32))


def test_numbers_of_more_than_32_bits_are_an_error() -> None:
    for number in (1 << 31, -(1 << 31) - 1):
        with pytest.raises(OverflowError, match=f"{number} is no 32-bit integer"):
            native._native.Sequence([(0, (1, 1, 1), True, 0, (), (number,))], 0)
    native._native.Sequence([(0, (1, 1, 1), True, 0, (), (-(1 << 31), (1 << 31) - 1, -1))], 0)


@pytest.mark.parametrize("is_small", [True, False])
def test_a_grid_may_have_no_groups(runtime: OpenCLRuntime, is_small: bool) -> None:
    call = Call(runtime, added((2, 3)), is_small)
    for grid in ((0,), (0, 3), (2, 0), (2, 3, 0)):
        call.kernel.on(grid, is_small, ()).run(*call.addresses)
    call.check(0)


@pytest.mark.parametrize("word", ["__local", "local"])
def test_kernels_that_need_memory_of_their_group_are_the_drivers(runtime: OpenCLRuntime, word: str) -> None:
    extra = f"""
  {word} float kept[64];
  for (int i = 0; i < 64; i++) kept[i] = x[i % 5];
  out[group] = kept[group + 60];"""
    (executable,) = runtime.compile([numbered((4,), extra)])
    assert executable.native is None and executable.direct is None
    memories = [runtime.allocate(20) for _ in range(2)]
    runtime.copy_in(memories[1], np.arange(5, dtype=np.float32))
    runtime.launch(executable, memories)
    runtime.synchronize()
    np.testing.assert_array_equal(values(memories[0], 4), np.arange(4))


def test_a_kernel_is_done_before_the_process_ends_whatever_thread_it_runs_in(tmp_path: Path) -> None:
    """What it uses, its code above all, would go while it runs."""
    program = """
import sys, threading, time
import numpy as np
from kernelforge.kernels import Device
from tests.kernels.test_opencl_direct import numbered
slow = "\\n  for (int i = 0; i < 1000000; i++) out[group] = out[group] * 0.5f + x[group];"
runtime = Device["CPU"]
(executable,) = runtime.compile([numbered((600,), slow)])
assert executable.native is not None
out, x = np.memmap(sys.argv[1], np.float32, "w+", shape=600), runtime.allocate(2400)
runtime.copy_in(x, np.ones(600, np.float32))
threading.Thread(target=runtime.launch, args=(executable, [runtime.adopt(out), x]), daemon=True).start()
while not out[0]:
    time.sleep(1e-3)
"""
    environment, out = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}, tmp_path / "out"
    command = [sys.executable, "-c", program, str(out)]
    ended = subprocess.run(command, env=environment, stderr=subprocess.PIPE, timeout=600)
    assert not ended.returncode, ended.stderr
    assert np.all(np.fromfile(out, np.float32) == 2)


@pytest.mark.parametrize("is_small", [True, False])
def test_several_python_threads_may_call_at_once(runtime: OpenCLRuntime, is_small: bool) -> None:
    native._native.threads(3)
    shared, calls = Call(runtime, added((40, 3)), is_small), [Call(runtime, added((60,)), is_small) for _ in range(4)]
    outs = [runtime.allocate(4 * shared.size) for _ in calls]
    for out in outs:
        runtime.copy_in(out, np.zeros(shared.size, np.float32))

    def work(i: int) -> None:
        for _ in range(200):
            shared.kernel.run(outs[i].block.address, shared.addresses[1])
            calls[i].kernel.run(*calls[i].addresses)

    with ThreadPoolExecutor(4) as executor:
        list(executor.map(work, range(4)))
    for call, out in zip(calls, outs):
        call.check(200)
        np.testing.assert_allclose(
            values(out, shared.size), 200 * (shared.x + np.arange(shared.size) / 3), rtol=1e-4
        )


def blocked(thread: int) -> set[int]:
    """The signals a thread of this process does not get."""
    with open(f"/proc/self/task/{thread}/status", encoding="ascii") as file:
        (mask,) = [int(line.split()[1], 16) for line in file if line.startswith("SigBlk:")]
    return {number + 1 for number in range(64) if mask >> number & 1}


def test_a_copy_of_the_process_has_threads_of_its_own(runtime: OpenCLRuntime) -> None:
    native._native.threads(3)
    call = Call(runtime, added((100,)), is_small=False)
    call.kernel.run(*call.addresses)
    child = os.fork()
    if not child:
        code = 1
        try:
            for _ in range(3):
                call.kernel.run(*call.addresses)
            call.check(4)
            until = time.monotonic() + 20
            while code and time.monotonic() < until:  # a thread that has not begun yet blocks every signal
                threads = [int(name) for name in os.listdir("/proc/self/task")]
                masks = [blocked(thread) for thread in threads if thread != os.getpid()]
                code = 0 if len(masks) == 2 else 2
                if any(signal.SIGINT not in mask or signal.SIGSEGV in mask for mask in masks):
                    code = 3
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    call.check()


PROCESSORS = """
#define _GNU_SOURCE
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>
_Atomic int away, back; /* how often a thread was kept from processor 0, and let run on both again */
int sched_getcpu(void) { return getenv("APART") && gettid() != getpid(); }
int sched_getaffinity(pid_t thread, size_t size, cpu_set_t *set)
{
    CPU_ZERO_S(size, set);
    CPU_SET_S(0, size, set);
    CPU_SET_S(1, size, set);
    return 0;
}
int sched_setaffinity(pid_t thread, size_t size, const cpu_set_t *set)
{
    (*(CPU_ISSET_S(0, size, set) ? &back : &away))++;
    return !CPU_ISSET_S(1, size, set);
}
"""
"""A library by which a process has two processors, all its threads on the first, or all but one on the other."""

MOVING = """
import ctypes, sys
import numpy as np
from kernelforge import Context, native
from kernelforge.kernels.opencl import OpenCLRuntime
from tests.kernels.test_opencl_direct import RUNTIMES, numbered
from tests.kernels.test_opencl_native import Call, candidates
with Context(NATIVE=1):
    runtime = OpenCLRuntime("CPU", next(c for c in candidates() if c.facts == RUNTIMES[0].facts))
native._native.threads(2)
work = "\\n  float v = x[group];\\n  for (int i = 0; i < 20000; i++) v = sin(v);\\n  if (v == 2) out[0] = 3;"
call, counts = Call(runtime, numbered((40,), work), is_small=False), ctypes.CDLL(None)
away, back = (ctypes.c_int.in_dll(counts, name) for name in ("away", "back"))
away.value = back.value = 0  # what the driver and others ask for as they are loaded does not count
for _ in range(int(sys.argv[1])):
    call.kernel.run(*call.addresses)
    if away.value and away.value == back.value:
        break
print(away.value > 0, away.value == back.value)
"""


@pytest.mark.skipif(shutil.which("cc") is None, reason="there is no C compiler to make a library with")
@pytest.mark.parametrize("apart", [False, True])
def test_a_thread_woken_where_the_caller_runs_moves_and_no_other(tmp_path: Path, apart: bool) -> None:
    library = str(tmp_path / "processors.so")
    subprocess.run(["cc", "-shared", "-fPIC", "-x", "c", "-", "-o", library], input=PROCESSORS, text=True, check=True)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "LD_PRELOAD": library}
    environment |= {"APART": "1"} if apart else {}
    command = [sys.executable, "-c", MOVING, "20" if apart else "10000"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600)
    assert done.stdout.split() == [str(not apart), "True"], done.stderr


def test_a_kernel_may_need_more_stack_than_a_thread_has(runtime: OpenCLRuntime) -> None:
    size = 100_000
    extra = f"""
  float kept[{size}];
  for (int i = 0; i < {size}; i++) kept[i] = x[0] * i + group;
  out[group] = kept[(int)x[1]];"""
    (executable,) = runtime.compile([numbered((3,), extra)])
    assert executable.native is not None and executable.native.stack > SMALL_STACK
    memories = [runtime.allocate(12) for _ in range(2)]
    runtime.copy_in(memories[1], np.array([2, 1000, 0], np.float32))
    before = threading.stack_size(SMALL_STACK)
    try:
        thread = threading.Thread(target=lambda: [runtime.launch(executable, memories) for _ in range(OFTEN)])
        thread.start()
    finally:
        threading.stack_size(before)
    thread.join()
    np.testing.assert_array_equal(values(memories[0], 3), 2000 + np.arange(3))


def test_what_makes_no_sense_is_an_error(runtime: OpenCLRuntime) -> None:
    call = Call(runtime, added((2,)))
    with pytest.raises(TypeError, match="2 addresses are needed, not 1"):
        call.kernel.run(call.addresses[0])
    with pytest.raises(TypeError):
        call.kernel.run("0", 0)
    with pytest.raises(IndexError, match="no place 2"):
        sequence([(call.kernel, [(0, 0), (2, 0)])], 2)
    with pytest.raises((TypeError, ValueError)):
        native._native.Sequence([(0, 1, 2)], 1)


def test_without_it_results_are_the_same_to_the_last_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Groups are the same, whoever runs them."""
    rng = np.random.default_rng(0)
    x, w = rng.standard_normal((130, 70), np.float32), rng.standard_normal((70, 90), np.float32)
    found = []
    for switch in (0, 1):
        with Context(NATIVE=switch):
            runtime = OpenCLRuntime("CPU", next(c for c in candidates() if c.facts == RUNTIMES[0].facts))
        assert runtime.is_native == bool(switch)
        forget_plans(monkeypatch)
        monkeypatch.setitem(device._opened, "CPU", runtime)
        a, b = Tensor(x, device="CPU"), Tensor(w, device="CPU")
        found.append(((a @ b).softmax(-1).sum(0) + a.exp().sum()).numpy())
    np.testing.assert_array_equal(*found)
