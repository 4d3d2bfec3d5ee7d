"""Some of the tests on the GPU, as long as time is left: of hardware, models, operations with few cases."""

import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from bench.gpu.lab import Lab
from bench.gpu.table import Row

ROOT = Path(__file__).parents[2]
PROCESSES = max(1, min(14, (os.cpu_count() or 2) - 2))
RUNS = {  # name: seconds at most, arguments
    "hardware, models": (
        100,
        ["tests/gpu/test_hardware.py", "tests/gpu/test_models.py", "tests/kernels/test_conformance.py"],
    ),
    "operations": (
        70,
        ["-p", "tests.cuda_device", *(f"tests/tensor/test_{name}.py" for name in ("products", "reduce", "losses"))],
    ),
}


def tests(lab: Lab, section: str) -> None:
    for name, (limit, arguments) in RUNS.items():
        if lab.left > 60:
            lab.results.add(_run(lab, section, name, min(limit, lab.left), arguments))


def output_of(command: list[str], limit: float) -> str:
    """What a command prints; after the limit it is ended with all it has started, which would disturb what follows."""
    with tempfile.TemporaryFile() as file:
        process = subprocess.Popen(command, cwd=ROOT, stdout=file, stderr=file, start_new_session=True)
        note = ""
        try:
            process.wait(limit)
        except subprocess.TimeoutExpired:
            note = f"\nstopped after {limit:.0f} s"
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        file.seek(0)
        return file.read().decode(errors="replace") + note


def _run(lab: Lab, section: str, name: str, limit: float, arguments: list[str]) -> Row:
    options = ["-q", "--tb=short", "--cases=3", "-p", "no:cacheprovider", "-n", str(PROCESSES)]
    start = time.perf_counter()
    text = output_of([sys.executable, "-m", "pytest", *options, *arguments], limit)
    lab.results.details[f"{section}: {name}"] = text[-12_000:]
    counts = re.findall(r"\d+ (?:passed|failed|skipped|errors?)", text)
    return Row(section, name, time.perf_counter() - start, note=", ".join(counts[-4:]) or text.strip()[-150:])
