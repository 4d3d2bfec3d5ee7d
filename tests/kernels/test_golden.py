"""What kernels take of GPUs that are not here stays what it was: registers, spills, shared memory, instructions.

The sample takes seconds; `--golden` compiles every kernel of `golden_kernels` for every target.
"""

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from bench.gpu.figures import Figures, faults
from kernelforge.kernels.triton_compile import triton_version
from tests.kernels.golden_kernels import KERNELS, SAMPLE, TARGETS, differences, kept, version_of

ROOT = Path(__file__).parents[2]
NARROW = {  # operands cut into parts of fewer bits leave registers for too few rows for groups of warps
    "sm_90": ("attention 128, float32, gradients",),
    "sm_100": ("attention 128, float32, gradients",),
}


def compare(names: list[str], target: str) -> None:
    """In a process of its own: here Triton may have been imported to interpret."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TRITON_INTERPRET": "0"}
    command = [sys.executable, "-m", "tests.kernels.golden_kernels", *names, "--target", target]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{done.stdout}{done.stderr}"


@pytest.mark.parametrize("target", TARGETS)
def test_kernels_take_what_is_kept(target: str, pytestconfig: pytest.Config) -> None:
    if find_spec("triton") is None or triton_version() != version_of(TARGETS[target]):
        pytest.skip("what is kept was made by another Triton")
    compare([] if pytestconfig.getoption("--golden") else list(SAMPLE), target)


@pytest.mark.parametrize("target", TARGETS)
def test_what_is_kept_is_sound(target: str) -> None:
    """No spills, shared memory and registers within limits, and products on the matrix unit."""
    found = kept(TARGETS[target])
    assert found.keys() == KERNELS.keys()
    for kernel, launches in found.items():
        for launch, figures in launches.items():
            told = faults(Figures(**figures), TARGETS[target], matrix="contract" in launch)
            if kernel in NARROW.get(target, ()):
                told = [text for text in told if "the older instructions" not in text]
            assert not told, f"{kernel}: {launch}: {told}"


def test_a_difference_is_told() -> None:
    figures = dict.fromkeys(Figures.__annotations__, 100)
    assert not differences({"0 k": Figures(**{**figures, "instructions": 109})}, {"0 k": figures})
    assert differences({"0 k": Figures(**{**figures, "instructions": 111})}, {"0 k": figures}) == [
        "0 k: instructions 111 instead of 100"
    ]
    assert differences({"0 k": Figures(**{**figures, "spills": 101})}, {"0 k": figures})
    assert differences({}, {"0 k": figures})


def test_faults_are_told() -> None:
    good = Figures(64, 128, 0, 0, 1024, 100, 4, 0, 8, 8, 0)
    target = TARGETS["sm_90"]
    assert not faults(good, target, matrix=True)
    bad = Figures(255, 512, 3, 16, 1 << 20, 100, 0, 4, 8, 8, 0)
    assert len(faults(bad, target, matrix=True)) == 4
