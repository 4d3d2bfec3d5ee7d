"""What dumping costs, and how much of it has the user's lines: python -m bench.dumping [script with arguments ...]

Each script runs as its own process with an empty cache, with and without KF_DUMP, in turn.  Compared is the processor
time of the whole process: a dump also waits for each launch, but on a busy machine seconds tell nothing.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

ROUNDS: Final = 2
SCRIPTS: Final = (("examples/digits.py", "--epochs", "2"), ("examples/vae.py", "--epochs", "2"),
                  ("examples/gpt.py", "--steps", "20", "--length", "20"))  # fmt: skip


def seconds(command: tuple[str, ...], cache: str, dump: str) -> float:
    """Processor seconds of a script and what it starts."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    environment = {**os.environ, "KF_CACHE_DIR": cache, "KF_DUMP": dump}
    subprocess.run([sys.executable, *command], env=environment, check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    """Prints a line for each script."""
    scripts = [tuple(sys.argv[1:])] if sys.argv[1:] else SCRIPTS
    print(f"{'script':40} {'plain':>8} {'dumped':>8} {'ratio':>6} {'kernels':>8} {'mapped':>8} {'page':>8}")
    for command in scripts:
        times: dict[bool, list[float]] = {False: [], True: []}
        with tempfile.TemporaryDirectory() as folder:
            seconds(command, f"{folder}/warm", "")  # files into the machine's memory
            for number in range(ROUNDS):
                for dumps in (False, True):
                    dump = f"{folder}/dump" if dumps else ""
                    times[dumps].append(seconds(command, f"{folder}/{number}{dumps}", dump))
            manifest = json.loads(Path(folder, "dump", "manifest.json").read_text())
            size = Path(folder, "dump", "index.html").stat().st_size
        plain, dumped, totals = min(times[False]), min(times[True]), manifest["totals"]
        print(
            f"{' '.join(command):40} {plain:8.2f} {dumped:8.2f} {dumped / plain:6.2f} {len(manifest['kernels']):8} "
            f"{totals['mapped'] / totals['statements']:8.1%} {size / 1e6:6.2f}MB"
        )


if __name__ == "__main__":
    main()
