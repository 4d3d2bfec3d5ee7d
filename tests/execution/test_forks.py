"""A process may be forked while another of its threads loads modules, opens a device or plans: the child computes."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = """
import os, signal, sys, threading, time
from kernelforge import Tensor

thread = threading.Thread(target=lambda: (Tensor([1.0, 2.0], device="NUMPY").exp() + 1).numpy())
thread.start()
time.sleep(float(sys.argv[1]))
child = os.fork()
if child == 0:
    signal.alarm(60)
    print((Tensor([3.0, 4.0], device="NUMPY") * 2).tolist(), flush=True)
    os._exit(0)
thread.join()
print(os.waitpid(child, 0)[1], (Tensor([3.0, 4.0], device="NUMPY") * 3).tolist())
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are not forked here")
@pytest.mark.parametrize("delay", [0.0, 0.003, 0.01, 0.03, 0.06])
def test_of_a_process_that_computes_its_first_result(delay: float) -> None:
    command = [sys.executable, "-W", "ignore", "-c", PROGRAM, str(delay)]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600, check=True)
    assert sorted(found.stdout.splitlines()) == ["0 [9.0, 12.0]", "[6.0, 8.0]"]
