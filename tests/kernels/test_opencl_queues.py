"""Without the C module, short kernels run at once, long ones are handed over, and both stay in order."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernelforge import Context
from kernelforge.kernels import opencl_queues
from kernelforge.kernels.opencl import OpenCLRuntime
from kernelforge.kernels.opencl_build import CHANCES, MOST_FLOPS, Compiled
from kernelforge.kernels.opencl_devices import Candidate, candidates
from kernelforge.kernels.runtime import Memory
from tests.kernels.conftest import increment

ROOT = Path(__file__).parents[2]
SIZE = 1000
IMMEDIATE = [c for c in candidates() if opencl_queues.EXTENSION in c.handle.extensions.split()]
needs_extension = pytest.mark.skipif(not IMMEDIATE, reason="no driver here runs kernels in the calling thread")


def opened(candidate: Candidate | None = None) -> tuple[OpenCLRuntime, Compiled, list[Memory]]:
    """A device of its own, with out = x + 1 and its arguments; x is 0."""
    with Context(NATIVE=0):
        runtime = OpenCLRuntime("CPU", candidate or IMMEDIATE[0])
    (executable,) = runtime.compile([increment(SIZE)])
    memories = [runtime.allocate(4 * SIZE), runtime.allocate(4 * SIZE)]
    for memory in memories:
        runtime.copy_in(memory, np.zeros(SIZE, np.float32))
    return runtime, executable, memories


@needs_extension
def test_a_short_kernel_is_done_when_its_launch_returns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opencl_queues, "HAND_OVER", np.inf)
    runtime, executable, memories = opened()
    for _ in range(2 * CHANCES):
        runtime.launch(executable, memories)
    host = memories[0].host
    assert host is not None and np.array_equal(host.view(np.float32), np.ones(SIZE))
    assert executable.chances == CHANCES
    assert runtime.launch(executable, memories, timed=True) is not None


@needs_extension
def test_a_kernel_that_takes_long_in_a_row_is_handed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    runtime, executable, memories = opened()
    for limit in (0.0, np.inf, *[0.0] * CHANCES):
        assert executable.chances > 0
        monkeypatch.setattr(opencl_queues, "HAND_OVER", limit)
        runtime.launch(executable, memories)
    assert executable.chances == 0
    runtime.launch(executable, memories)
    queues = runtime._queues
    assert queues.finished < queues.launched
    runtime.wait()
    assert queues.finished == queues.launched


def test_what_waits_while_a_kernel_is_handed_over_does_not_count_it_as_done(monkeypatch: pytest.MonkeyPatch) -> None:
    runtime, executable, memories = opened(candidates()[0])
    queues, executable.chances, executable.direct = runtime._queues, 0, None
    enqueue = queues._enqueue

    def collecting(*arguments: object) -> object:
        queues.finish()
        return enqueue(*arguments)

    monkeypatch.setattr(queues, "_enqueue", collecting)
    monkeypatch.setattr(queues, "_alone", False)
    runtime.launch(executable, memories)
    assert queues.finished < queues.launched
    runtime.wait()


@needs_extension
def test_a_kernel_of_much_work_gets_no_chance() -> None:
    runtime, executable, _ = opened()
    (large,) = runtime.compile([replace(increment(SIZE, "large"), flops=MOST_FLOPS + 1)])
    assert executable.chances == CHANCES and large.chances == 0


@needs_extension
def test_one_thread_runs_everything_itself() -> None:
    candidate = replace(IMMEDIATE[0], facts=replace(IMMEDIATE[0].facts, compute_units=1))
    runtime, executable, memories = opened(candidate)
    executable.chances = 0
    runtime.launch(executable, memories)
    assert runtime._queues.finished == runtime._queues.launched


THREADS = """
import os
import numpy as np
from kernelforge import Device, Tensor
x = Tensor(np.ones((600, 600), np.float32)).realize()

def worked():
    ticks = {}
    for name in os.listdir("/proc/self/task"):
        with open(f"/proc/self/task/{name}/stat") as file:
            fields = file.read().rsplit(")", 1)[1].split()
        ticks[int(name)] = int(fields[11]) + int(fields[12])
    return ticks

before = worked()
for _ in range(30):
    (x @ x).realize()
Device["CPU"].synchronize()
others = sum(ticks - before.get(name, 0) for name, ticks in worked().items() if name != os.getpid())
print(others / max(sum(worked().values()) - sum(before.values()), 1), Device["CPU"].facts.compute_units)
"""


@needs_extension
@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="the system does not tell the time of threads")
def test_a_process_told_to_use_one_thread_computes_in_the_calling_thread() -> None:
    environment = os.environ | {"KF_THREADS": "1", "KF_OPENCL": "intel", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", THREADS]
    printed = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    share, units = printed.stdout.split()
    assert float(share) < 0.3 and units == "1"


@needs_extension
@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.booleans()), max_size=20))
def test_launches_stay_in_order_on_whichever_queue(steps: list[tuple[bool, bool]]) -> None:
    runtime, executable, (y, x) = opened()
    for short, waits in steps:
        executable.chances = CHANCES if short else 0
        runtime.launch(executable, [y, x])
        x, y = y, x
        if waits:
            runtime.wait()
    found = np.empty(SIZE, np.float32)
    runtime.copy_out(x, found)
    assert np.array_equal(found, np.full(SIZE, len(steps)))
