"""The tests that know nothing of GPUs, on one: each suite in processes of its own, with CUDA in the CPU's place.

Every operation, gradients, layers, optimisers, random kernels under random schedules, all against NumPy.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SUITES = {
    "runtime": ["tests/kernels/test_conformance.py", "tests/test_realize.py"],
    "kernels and schedules": ["tests/codegen/triton/test_printer.py"],
    "operations": ["tests/tensor", "--ignore", "tests/tensor/test_interchange.py"],  # which is about the host's memory
    "layers and optimisers": ["tests/nn", "tests/optim"],
    "torch": ["tests/parity"],
}
PROCESSES = max(1, min(14, (os.cpu_count() or 2) - 2))


@pytest.mark.gpu
@pytest.mark.parametrize("suite", SUITES)
def test_suite_on_a_gpu(suite: str) -> None:
    options = ["-q", "-p", "tests.cuda_device", "-n", str(PROCESSES), "--cases", "10", "--tb", "short"]
    command = [sys.executable, "-m", "pytest", *options, *SUITES[suite]]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
