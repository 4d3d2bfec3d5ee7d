"""python -m bench.gpu [-o FOLDER] [--minutes 9] [--only SECTION ...] [--small]

The sections run in a process that this one watches: when a case brings it down, or
takes longer than it may, the next process goes on behind it.  When the device cannot
be opened, it is tried once more without its copy engine.
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
CASE = 60.0  # seconds one side of a case may take
WORTH = 10.0  # seconds of its time that a section must have left to be begun again behind a case
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
    left, switched, opened = list(options.only), dict[str, str](), False
    while left and (seconds := deadline - time.perf_counter()) > 0:
        switches = ["-o", str(options.output), "--minutes", str(seconds / 60), *(["--small"] if options.small else [])]
        process = subprocess.Popen([*CHILD, *switches, "--only", *left], env=os.environ | CLOSED | switched)
        spent = follow(process, options, deadline, left)
        found = Results.read(options.output, environment())
        begun = [name for name in left if name in found.begun]
        opened |= bool(begun)
        if process.returncode != 0 and not begun:
            way = f"its process ended with {process.returncode}, {switched or 'nothing switched off'}"
            found.add(Row("the device", "opening it", note=way))
            if switched:
                break
            switched = WITHOUT_COPIES
        elif process.returncode != 0:
            give_up(found, begun[-1], f"its process ended with {process.returncode}", spent)
        left = [name for name in left if name not in found.begun]
    print(f"results in {options.output / slug(environment())}.md")
    return int(not opened)


def give_up(found: Results, section: str, note: str, spent: float) -> None:
    """Puts down what became of a case; its section is to be begun again behind it where some of its time is left."""
    name = found.case or "the rest"
    row = found.row(section, name) or Row(section, name)
    row.note += note
    found.spent[section] = found.spent.get(section, 0) + spent
    if found.case and found.spent[section] + WORTH < SECTIONS[section][1]:
        found.begun.remove(section)
    found.case = ""
    found.add(row)


def follow(
    process: "subprocess.Popen[bytes]", options: argparse.Namespace, deadline: float, left: list[str]
) -> float:
    """Returns when a process has ended, with the seconds of its last section; ends it when a case, a section or all of
    them had their time and a little more."""
    path = options.output / f"{slug(environment())}.json"
    changed, section, case, limit = 0.0, "", "", START
    since = moved = now = time.perf_counter()
    while process.poll() is None:
        time.sleep(0.2)
        now = time.perf_counter()
        with suppress(FileNotFoundError):
            if (written := path.stat().st_mtime) != changed:
                changed, found = written, Results.read(options.output, environment())
                case, moved = found.case, now
                begun = [name for name in found.begun if name in left]
                if begun and begun[-1] != section:
                    section, since = begun[-1], now
                    limit = SECTIONS[section][1] - found.spent.get(section, 0)
        if now - since > limit + GRACE or (case and now - moved > CASE) or now > deadline + 15:
            process.kill()
            with suppress(subprocess.TimeoutExpired):
                process.wait(ENDING)
            break
    return now - since


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
        lab.deadline = min(last, time.perf_counter() + seconds - results.spent.get(name, 0))
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
