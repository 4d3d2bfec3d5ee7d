"""python -m bench.gpu [-o FOLDER] [--minutes 9] [--only SECTION ...] [--small]

The sections run in a process that this one watches: when one brings it down, or nothing is heard of it for a while, the
rest runs in the next.
"""

import argparse
import importlib.metadata
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

from bench.gpu import attention, ceilings, checks, gpt2, host, products, rows
from bench.gpu.lab import DEVICE, Lab
from bench.gpu.table import Results, Row, slug
from kernelforge import Device
from kernelforge.kernels import cuda_devices
from kernelforge.kernels.cuda import CudaRuntime
from kernelforge.kernels.cuda_driver import absence

SECTIONS: dict[str, Callable[[Lab, str], None]] = {
    "tests": checks.tests,
    "ceilings": ceilings.measure,
    "host": host.calls,
    "products of bfloat16": products.narrow,
    "attention": attention.both,
    "rows": rows.all_rows,
    "fused products": products.epilogue,
    "GPT-2": gpt2.training,
    "products of float32": products.single,
    "first results": host.beginnings,
}
SILENCE = 170.0  # seconds without a new row after which a process is given up
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
    left = list(options.only)
    while left and (seconds := deadline - time.perf_counter()) > 0:
        switches = ["-o", str(options.output), "--minutes", str(seconds / 60), *(["--small"] if options.small else [])]
        process = subprocess.Popen([*CHILD, *switches, "--only", *left])
        follow(process, options, deadline)
        found = Results.read(options.output, environment())
        begun = [name for name in left if name in found.begun]
        if process.returncode:
            name = begun[-1] if begun else left[0]
            found.begun = list(dict.fromkeys([*found.begun, name]))
            found.add(Row(name, "the rest", note=f"its process ended with {process.returncode}"))
        left = [name for name in left if name not in found.begun]
    print(f"results in {options.output / slug(environment())}.md")
    return 0


def follow(process: "subprocess.Popen[bytes]", options: argparse.Namespace, deadline: float) -> None:
    """Returns when a process has ended; ends it when it is silent for long, or has had its time and a little more."""
    path = options.output / f"{slug(environment())}.json"
    heard = time.time()
    while process.poll() is None:
        time.sleep(0.2)
        with suppress(FileNotFoundError):
            heard = max(heard, path.stat().st_mtime)
        if time.time() - heard > SILENCE or time.perf_counter() > deadline + 15:
            process.kill()
            process.wait()


# -------------------------------------------------------------------------------------------------------- the child


def run(options: argparse.Namespace) -> int:
    """Runs the sections in this process; stops at one that loses the device."""
    results = Results.read(options.output, environment())
    Device.DEFAULT = DEVICE
    runtime = Device[DEVICE]
    assert isinstance(runtime, CudaRuntime)
    lab = Lab(runtime, imported_torch(), results, options.minutes, options.small)
    for name in options.only:
        results.begun.append(name)
        results.write()
        try:
            if lab.left > 0:
                SECTIONS[name](lab, name)
            else:
                results.add(Row(name, "all", note="not run: out of time"))
        except Exception as error:
            results.details[f"{name}: the section"] = traceback.format_exc()[-4000:]
            results.add(Row(name, "the rest", note=f"{type(error).__name__}: {str(error)[:150]}"))
        results.write()
        if runtime.stream.lost is not None:
            return 3
        runtime.pool.clear()
    return 0


def imported_torch() -> Any:
    """torch, where it is installed and sees a GPU."""
    if find_spec("torch") is None:
        return None
    import torch

    if not torch.cuda.is_available():
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
