"""The CUDA runtime through the real bindings: what they hand to the driver is what the runtime means."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FILES = [f"tests/kernels/test_{name}.py" for name in ("cuda", "cuda_build", "cuda_graph")]
OTHERS = "not programs and not worker and not cubin"  # which say nothing of the driver, or nothing new


@pytest.mark.skipif(shutil.which("cc") is None, reason="there is no C compiler to make a library with")
def test_the_bindings_hand_over_what_is_meant() -> None:
    pytest.importorskip("cuda.bindings.driver", reason="cuda-bindings is not installed")
    command = [sys.executable, "-m", "tests.bound_cuda", "-q", "--tb", "short", "-k", OTHERS, *FILES]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
