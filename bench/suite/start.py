"""New processes: how long until their first result, and how much memory the work takes.

Comes in: a side and a workload. Goes out: seconds of the first call with nothing in any cache on disk, of the same in
a second process, of that process as a whole; and the most memory that process takes beyond what it took before the
work. `first_results` runs this file as a program of its own:

    python -m bench.suite.start LIBRARY WORKLOAD time|memory STARTED
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from bench.measure import variables
from bench.suite.libraries import Library, load
from bench.suite.worker import ready, use_processors

CACHES = {
    "KF_CACHE_DIR": "kernelforge",
    "POCL_CACHE_DIR": "pocl",
    "TORCHINDUCTOR_CACHE_DIR": "inductor",
    "JAX_COMPILATION_CACHE_DIR": "jax",
}
EVERYTHING = {
    "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
}
STATUS, RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")
CALLS = 4  # whose memory counts


def first_results(side: str, workload: str, patience: float = 240) -> dict[str, float]:
    """Seconds "cold", "warm" and "process", bytes "memory".

    raises RuntimeError when the work fails, TimeoutExpired when it takes longer than patience
    """
    with tempfile.TemporaryDirectory() as folder:
        caches = {variable: str(Path(folder) / name) for variable, name in CACHES.items()}

        def run(what: str) -> dict[str, float]:
            command = [sys.executable, "-m", "bench.suite.start", side, workload, what, str(perf_counter())]
            given = variables() | caches | EVERYTHING
            done = subprocess.run(command, env=given, capture_output=True, text=True, timeout=patience, check=False)
            if done.returncode:
                raise RuntimeError(done.stderr.strip().rpartition("\n")[2][:200])
            told: dict[str, float] = json.loads(done.stdout.strip().rpartition("\n")[2])
            return told

        cold, warm = run("time"), run("time")
        return {"cold": cold["first"], "warm": warm["first"], "process": warm["process"], **run("memory")}


def times(library: Library, workload: str, started: float) -> dict[str, float]:
    """Seconds "first", of the first call, and "process", since the process was started."""
    call = ready(library, workload)
    before = perf_counter()
    library.arrays(call())
    now = perf_counter()
    return {"first": now - before, "process": now - started}


def space(library: Library, workload: str, started: float) -> dict[str, float]:
    """Bytes "memory": the most this process holds while it works, less what it held, awake, before it had any inputs.

    Pages of files do not count: they are the libraries' code, read when it is first needed.
    """
    library.wake()
    library.arrays(library.tensor(np.ones(16, np.float32)))
    before = held("RssAnon")
    call = ready(library, workload)
    library.arrays(call())
    RESET.write_text("5")  # forget the peak, in which compilers may have had their part
    for _ in range(CALLS):
        library.arrays(call())
    return {"memory": held("VmHWM") - held("RssFile") - held("RssShmem") - before}


def held(field: str) -> int:
    """Bytes of memory of this process, by the field of its status: Rss.. now, VmHWM at most since it was reset."""
    (line,) = (line for line in STATUS.read_text().splitlines() if line.startswith(field))
    return int(line.split()[1]) << 10


def main(side: str, workload: str, what: str, started: str) -> None:
    """Measure, and print what was found as the last line."""
    use_processors()
    measures: dict[str, Callable[..., Any]] = {"time": times, "memory": space}
    print(json.dumps(measures[what](load(side), workload, float(started))))


if __name__ == "__main__":
    main(*sys.argv[1:])
