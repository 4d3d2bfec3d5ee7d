"""Modes of the tests: those that are only for lazy graphs exist, and a sample of the others passes captured."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from kernelforge import Tensor
from tests.lazily import LAZY_ONLY
from tests.modes import through_jit

ROOT = Path(__file__).parent.parent
SAMPLE = ["tests/tensor/test_inplace.py", "tests/tensor/test_losses.py"]


@pytest.mark.parametrize("place", LAZY_ONLY)
def test_what_is_for_lazy_graphs_only_exists(place: str) -> None:
    file, _, name = place.partition("::")
    assert f"def {name or 'test_'}" in (ROOT / file).read_text()


def test_a_sample_of_the_tests_is_captured() -> None:
    options = ["-q", "-x", "-p", "no:cacheprovider", "--cases", "2", "-k", "not CPU and not torch"]
    command = [sys.executable, "-m", "pytest", *options]
    modes = {**os.environ, "KF_TEST_MODE": "captured"}
    done = subprocess.run([*command, *SAMPLE], cwd=ROOT, env=modes, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:]
    (replayed,) = [line for line in done.stdout.splitlines() if line.endswith(" replayed")]
    assert int(replayed.split()[0]) > 10


@pytest.mark.usefixtures("numpy_device")
def test_what_a_replay_reads_is_compared() -> None:
    values, said = np.array([1.0, 2.0], np.float32), list[str]()
    through_jit(lambda: Tensor(values).sum().item(), said.append)()
    assert said == ["replayed"]

    with pytest.raises(AssertionError, match="captures"):
        through_jit(lambda: values.__setitem__(0, values[0] + 1) or Tensor(values).sum().item(), said.append)()
    through_jit(lambda: Tensor([1.0]) * np.random.rand(), said.append)()
    assert said[1].startswith("refused:")
