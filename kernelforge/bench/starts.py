"""First calls: what a new process waits for, with nothing in any cache and with what the first one left there.

Comes in: a subject and a device.  Goes out: seconds.  Run as a module it is such a process.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from time import perf_counter
from typing import Final

from kernelforge.bench.subjects import Subject
from kernelforge.errors import DeviceError
from kernelforge.execution.observing import Observer, observed
from kernelforge.nn import functional
from kernelforge.tensor import Tensor

PATIENCE: Final = 600  # seconds


class Compiling(Observer):
    """How long programs were compiled."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def compiled(self, count: int, seconds: float) -> None:
        self.seconds += seconds


def first_calls(subject: Subject, device: str) -> dict[str, float]:
    """Seconds of the first call: "cold", "warm", and "compile" of the cold one.

    raises DeviceError if such a process fails
    """
    with tempfile.TemporaryDirectory() as folder:
        cold, compiling = _first(subject, device, folder)
        warm, _ = _first(subject, device, folder)
    return {"cold": cold, "warm": warm, "compile": compiling}


def _first(subject: Subject, device: str, folder: str) -> tuple[float, float]:
    request = json.dumps([subject.text, subject.shapes, subject.dtype, device])
    command = [sys.executable, "-m", "kernelforge.bench.starts", request]
    environment = os.environ | {"KF_CACHE_DIR": folder}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=PATIENCE, check=False)
    if done.returncode:
        raise DeviceError(f"the first call of {subject} failed: {(done.stderr.splitlines() or ['no message'])[-1]}")
    whole, compiling = json.loads(done.stdout.splitlines()[-1])
    return whole, compiling


def main(request: str) -> None:
    """Call a subject once in this process; print its seconds and those of compiling."""
    text, shapes, dtype, device = json.loads(request)
    subject = Subject(text, tuple(map(tuple, shapes)), dtype)
    arrays = subject.inputs()
    watch, start = Compiling(), perf_counter()
    with observed(watch):
        values = [Tensor(array, dtype=dtype, device=device) for array in arrays]
        call = subject.call(lambda name: getattr(Tensor, name, None) or getattr(functional, name))
        call(*values).numpy()
    print(json.dumps([perf_counter() - start, watch.seconds]))


if __name__ == "__main__":
    main(sys.argv[1])
