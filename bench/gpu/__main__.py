"""python -m bench.gpu [-o FOLDER] [--minutes 9] [--only SECTION ...] [--small]

The sections run in a process that this one watches: when one brings it down, the
rest runs in the next.  So it is when a section takes longer than it may.  When the
device cannot be opened, it is tried once more without its copy engine.
"""

import argparse
import gc
import importlib.metadata
import os
import platform
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from bench.gpu import attention, ceilings, checks, gpt2, host, products, rows, sizes
from bench.gpu.lab import DEVICE, Lab
from bench.gpu.table import Results, Row, slug
from kernelforge import Device
from kernelforge.kernels import cuda_devices
from kernelforge.kernels.cuda import CudaRuntime
from kernelforge.kernels.cuda_driver import absence

SECTIONS: dict[str, tuple[Callable[[Lab, str], None], float]] = {  # each with the seconds it may take
    "ceilings": (ceilings.measure, 30),
    "products of bfloat16": (products.narrow, 100),
    "attention": (attention.both, 90),
    "GPT-2": (gpt2.training, 130),
    "rows": (rows.all_rows, 70),
    "fused products": (products.epilogue, 60),
    "products of float32": (products.single, 70),
    "host": (host.calls, 30),
    "tests": (checks.tests, 150),
    "first results": (host.beginnings, 90),
    "open sizes": (sizes.drawn, 60),
}
START = 100.0  # seconds until the first section begins: torch may come from a slow disk
GRACE = 20.0  # seconds a section may go on beyond its time: a case that was begun ends
ENDING = 10.0  # seconds an ended process may take to go: one that waits for a device may never
CLOSED = {"KF_OPEN": "0"}  # rows are about kernels for their very sizes
WITHOUT_COPIES = {"KF_TMA": "0"}
CHILD = [sys.executable, "-m", "bench.gpu", "--child"]
RESULTS = Path(__file__).parents[1] / "results"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.gpu", description=__doc__)
    parser.add_argument("-o", "--output", type=Path, default=RESULTS, help="folder of the results (bench/results)")
    parser.add_argument("--minutes", type=float, default=8.7, help="when to stop")
    parser.add_argument("--only", nargs="+", choices=SECTIONS, default=list(SECTIONS), help="sections to run")
    parser.add_argument("--small", action="store_true", help="tiny sizes, to try the script itself")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if (reason := absence()) is not None:
        print(f"nothing to measure: {reason}", file=sys.stderr)
        return 0
    if options.child:
        return run(options)
    for file in options.output.glob(f"{slug(environment())}.*"):
        file.unlink()
    return watch(options)


# ------------------------------------------------------------------------------------------------------ the watcher


def watch(options: argparse.Namespace) -> int:
    """Runs the sections in processes, the next after one that is lost, until all were begun or the time is over."""
    deadline = time.perf_counter() + 60 * options.minutes
    left, switched = list(options.only), dict[str, str]()
    while left and (seconds := deadline - time.perf_counter()) > 0:
        switches = ["-o", str(options.output), "--minutes", str(seconds / 60), *(["--small"] if options.small else [])]
        process = subprocess.Popen([*CHILD, *switches, "--only", *left], env=os.environ | CLOSED | switched)
        follow(process, options, deadline)
        found = Results.read(options.output, environment())
        begun = [name for name in left if name in found.begun]
        if process.returncode != 0 and not begun:
            way = f"its process ended with {process.returncode}, {switched or 'nothing switched off'}"
            found.add(Row("the device", "opening it", note=way))
            if switched:
                break
            switched = WITHOUT_COPIES
        elif process.returncode != 0:
            found.add(Row(begun[-1], "the rest", note=f"its process ended with {process.returncode}"))
        left = [name for name in left if name not in found.begun]
    print(f"results in {options.output / slug(environment())}.md")
    return int(len(left) == len(options.only))


def follow(process: "subprocess.Popen[bytes]", options: argparse.Namespace, deadline: float) -> None:
    """Returns when a process has ended; ends it when a section, or all of them, had its time and a little more."""
    path = options.output / f"{slug(environment())}.json"
    changed, count, since = 0.0, -1, time.perf_counter()
    limit = START
    while process.poll() is None:
        time.sleep(0.2)
        with suppress(FileNotFoundError):
            if (now := path.stat().st_mtime) != changed:
                changed, begun = now, Results.read(options.output, environment()).begun
                if len(begun) != count:
                    count, since = len(begun), time.perf_counter()
                    limit = SECTIONS[begun[-1]][1] if begun else START
        if time.perf_counter() - since > limit + GRACE or time.perf_counter() > deadline + 15:
            process.kill()
            with suppress(subprocess.TimeoutExpired):
                process.wait(ENDING)
            return


# -------------------------------------------------------------------------------------------------------- the child


def run(options: argparse.Namespace) -> int:
    """Runs the sections in this process; stops at one that loses the device."""
    results = Results.read(options.output, environment())
    Device.DEFAULT = DEVICE
    runtime = Device[DEVICE]
    assert isinstance(runtime, CudaRuntime)
    lab = Lab(runtime, imported_torch(), results, options.minutes, options.small)
    last = lab.deadline
    for name in options.only:
        results.begun.append(name)
        results.write()
        section, seconds = SECTIONS[name]
        lab.deadline = min(last, time.perf_counter() + seconds)
        try:
            if lab.left > 0:
                section(lab, name)
            else:
                results.add(Row(name, "all", note="not run: out of time"))
        except Exception as error:
            results.details[f"{name}: the section"] = traceback.format_exc()[-4000:]
            print(traceback.format_exc()[-1500:], file=sys.stderr, flush=True)
            results.add(Row(name, "the rest", note=f"{type(error).__name__}: {str(error)[:150]}"))
        results.write()
        if runtime.stream.lost is not None:
            return 3
        gc.collect()
        runtime.pool.clear()
        if lab.torch is not None:
            lab.torch.cuda.empty_cache()
    return 0


def imported_torch() -> Any:
    """torch, where it is installed, can be loaded and sees a GPU."""
    if find_spec("torch") is None:
        return None
    try:
        import torch
    except (ImportError, OSError, RuntimeError) as error:
        print(f"nothing is compared with torch: {error}", file=sys.stderr, flush=True)
        return None
    if not torch.cuda.is_available():
        print("nothing is compared with torch: it sees no GPU", file=sys.stderr, flush=True)
        return None
    torch.backends.cuda.matmul.allow_tf32 = False
    return torch


def environment() -> dict[str, str]:
    """The device by its product name, and versions."""
    facts = cuda_devices.devices()[0].facts
    found = {
        "device": facts.device,
        "memory": f"{facts.memory / 2**30:.0f} GiB",
        "multiprocessors": str(facts.compute_units),
        "driver": facts.driver,
        "python": platform.python_version(),
    }
    for package in ("kernelforge", "numpy", "triton", "cuda-bindings", "torch"):
        with suppress(importlib.metadata.PackageNotFoundError):
            found[package] = importlib.metadata.version(package)
    return found


if __name__ == "__main__":
    sys.exit(main())
