"""Modes of the tests: those that are only for lazy graphs exist, and a sample of the others passes captured."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernelforge import Device, Tensor
from tests.lazily import LAZY_ONLY
from tests.modes import through_jit
from tests.unchecked import UNCHECKED

ROOT = Path(__file__).parent.parent
SAMPLE = ["tests/tensor/test_inplace.py", "tests/tensor/test_losses.py"]


@pytest.mark.parametrize("place", [*LAZY_ONLY, *UNCHECKED])
def test_what_modes_leave_out_exists(place: str) -> None:
    file, _, name = place.partition("::")
    assert f"def {name.rpartition('.')[2] or 'test_'}" in (ROOT / file).read_text()  # an example's name has its module


def test_a_sample_of_the_tests_is_captured() -> None:
    options = ["-q", "-x", "-p", "no:cacheprovider", "--cases", "2", "-k", "not CPU and not torch"]
    command = [sys.executable, "-m", "pytest", *options]
    modes = {**os.environ, "KF_TEST_MODE": "captured"}
    done = subprocess.run([*command, *SAMPLE], cwd=ROOT, env=modes, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:]
    (replayed,) = [line for line in done.stdout.splitlines() if line.endswith(" replayed")]
    assert int(replayed.split()[0]) > 10


OVERRUN = """
import numpy as np
from codegen.dtypes import dtypes
from codegen.ir import Param
from codegen.program import Program
from kernelforge.kernels import Device
from tests import guarded

guarded.install()
device = Device["CPU"]
text = "__kernel void picked(__global const int *x, __global int *y) { y[0] = x[y[1]]; }"
params = Param("x", dtypes.int32, 1000), Param("y", dtypes.int32, 2)
(picked,) = device.compile([Program("opencl", text, "picked", (1,), params, frozenset("y"))])
x, y = device.allocate(4000), device.allocate(8)
device.copy_in(x, np.arange(1000, dtype=np.int32))
for place in (999, 1000 + 16):
    device.copy_in(y, np.array([0, place], np.int32))
    device.launch(picked, [x, y])
    device.synchronize()
    found = np.empty(2, np.int32)
    device.copy_out(y, found)
    print(found[0], flush=True)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="pages are guarded on Linux alone")
@pytest.mark.skipif(Device.DEFAULT != "CPU", reason="memory of CPU devices is guarded")
def test_what_reads_behind_its_array_ends_in_guarded_mode(tmp_path: Path) -> None:
    places = {**os.environ, "TMPDIR": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", OVERRUN], cwd=ROOT, env=places, capture_output=True, text=True)
    assert done.stdout == "999\n" and done.returncode < 0, done.stderr
    (notes,) = tmp_path.glob("kernelforge-guarded-*")
    assert notes.read_text().startswith("picked(x int32[1000], y int32[2])")


@pytest.mark.usefixtures("numpy_device")
def test_what_a_replay_reads_is_compared() -> None:
    values, said = np.array([1.0, 2.0], np.float32), list[str]()
    through_jit(lambda: Tensor(values).sum().item(), said.append)()
    assert said == ["replayed"]

    counts = [1.0]
    with pytest.raises(AssertionError, match="captures"):
        through_jit(lambda: counts.append(len(counts)) or Tensor(counts).sum().item(), said.append)()
    through_jit(lambda: values.__setitem__(0, values[0] + 1) or Tensor(values).sum().item(), said.append)()
    through_jit(lambda: Tensor([1.0]) * np.random.rand(), said.append)()
    assert all(words.startswith("refused:") for words in said[1:]) and len(said) == 3


@pytest.mark.usefixtures("numpy_device")
def test_what_is_drawn_while_a_test_runs_is_drawn_once() -> None:
    said = list[str]()

    @given(st.data())
    @settings(max_examples=5, database=None)
    def some(data: st.DataObject) -> None:
        sizes = [data.draw(st.integers(0, 9)) for _ in range(data.draw(st.integers(1, 3)))]
        assert Tensor(sizes).sum().item() == sum(sizes)

    some.hypothesis.inner_test = through_jit(some.hypothesis.inner_test, said.append)
    some()
    assert said == ["replayed"] * 5
