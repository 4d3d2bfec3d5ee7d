"""Without an OpenCL runtime, and interrupted by the user."""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

ROOT = Path(__file__).parents[2]
ATTEMPTS = 5
PATIENCE = 60.0  # seconds after an interrupt, in which what is left is compiled and the process ends


def start(program: str, folder: Path, **more: str) -> subprocess.Popen:
    environment = {**os.environ, "KF_CACHE_DIR": str(folder), "PYTHONPATH": str(ROOT), **more}
    return subprocess.Popen(
        [sys.executable, "-c", program], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def interrupted(process: subprocess.Popen) -> tuple[str, str]:
    """What a process prints that is interrupted: again where it goes on, as users do.

    Python drops an interrupt that comes while an object is finalised, and goes on.
    """
    try:
        for _ in range(ATTEMPTS):
            time.sleep(1.0)
            process.send_signal(signal.SIGINT)
            with suppress(subprocess.TimeoutExpired):
                return process.communicate(timeout=PATIENCE)
        raise AssertionError("no interrupt ended it")
    finally:
        process.kill()


def test_no_opencl_gives_one_notice_with_the_fix_and_right_results(tmp_path):
    program = """
import sys
sys.modules["pyopencl"] = None
from kernelforge import Tensor
print((Tensor([1.0, 2.0]) * 3).tolist(), Tensor([1.0, 5.0]).sum().item())
"""
    out, errors = start(program, tmp_path).communicate(timeout=600)
    assert out.split("\n")[0] == "[3.0, 6.0] 6.0", errors
    assert errors.count("kernelforge:") == 1 and "pip install 'kernelforge[cpu]'" in errors


def test_ctrl_c_leaves_cache_and_process_sound(tmp_path):
    program = """
import numpy as np
from kernelforge import Tensor
print("started", flush=True)
count = 0
try:
    while True:
        count += 1
        Tensor(np.ones(100 + count, np.float32)).exp().numpy()
except KeyboardInterrupt:
    pass
assert (Tensor(np.zeros(7, np.float32)).exp().numpy() == 1).all()
print("sound")
"""
    process = start(program, tmp_path)
    process.stdout.readline()
    out, errors = interrupted(process)
    assert "sound" in out, errors
    again = start("from kernelforge import Tensor; print(Tensor([1.0]).exp().item())", tmp_path)
    assert again.communicate(timeout=600)[0].startswith("2.718")
