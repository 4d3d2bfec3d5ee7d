"""What the host pays: for a launch, a replayed graph, a known expression, copies; and for a process to begin."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial

import numpy as np

from bench.gpu.lab import DEVICE, Lab
from bench.gpu.table import Row
from bench.gpu.timing import recorded
from kernelforge import Tensor

REPEATS = 2000
ROUNDS = 7
LIMIT = 120.0  # seconds a process may take to begin


def least(work: Callable[[], object], wait: Callable[[], object], repeats: int = REPEATS) -> float:
    """The least mean seconds of the host for a call, the device's time left out where it keeps up."""
    found = []
    for _ in range(ROUNDS):
        wait()
        start = time.perf_counter()
        for _ in range(repeats):
            work()
        found.append((time.perf_counter() - start) / repeats)
    wait()
    return min(found)


def calls(lab: Lab, section: str) -> None:
    """Costs of single calls."""
    runtime, add = lab.runtime, lab.results.add
    repeats = 20 if lab.small else REPEATS
    x = Tensor(np.ones((64, 64), np.float32), device=DEVICE).realize()
    with recorded(runtime) as launches:
        y = (x + 1).realize()
    kernel, memories = launches[0]
    add(Row(section, "a launch", least(partial(runtime.launch, kernel, memories), runtime.wait, repeats)))
    graph = runtime.graph([(kernel, range(len(memories)))] * 50, memories)
    add(Row(section, "a graph of 50 launches", least(partial(graph.replay, memories), runtime.wait, repeats // 10)))
    expressions(lab, section, x, repeats)
    for name, size in (("1 MiB", 1 << 20), ("256 MiB", 1 << 28)):
        values = np.ones(size >> (10 if lab.small else 0), np.uint8)
        memory = runtime.allocate(values.nbytes)
        for way, work in (("to the device", runtime.copy_in), ("from the device", runtime.copy_out)):
            taken = least(partial(work, memory, values), runtime.wait, 3)
            add(Row(section, f"copy {name} {way}", taken, nbytes=values.nbytes))
    del y


def expressions(lab: Lab, section: str, x: Tensor, repeats: int) -> None:
    """Whole expressions of next to no work, without and with the way back to the host."""
    wait, torch = lab.runtime.wait, lab.torch

    def compute() -> None:
        (x + 1).realize()

    def read() -> None:
        (x + 1).numpy()

    rows = [
        Row(section, "(x + 1).realize(), 64 x 64", least(compute, wait, repeats)),
        Row(section, "(x + 1).numpy(), 64 x 64", least(read, wait, repeats // 10)),
    ]
    if torch is not None:
        theirs = torch.ones((64, 64), device=lab.place)

        def read_theirs() -> None:
            (theirs + 1).cpu()

        rows[0].theirs = least(partial(torch.add, theirs, 1), torch.cuda.synchronize, repeats)
        rows[1].theirs = least(read_theirs, torch.cuda.synchronize, repeats // 10)
    for row in rows:
        row.peer = "torch"
        lab.results.add(row)


def beginnings(lab: Lab, section: str) -> None:
    """Seconds until a process has its first result: with nothing compiled, and with everything; then torch's."""
    programs = {"a softmax of a product": [], "a GPT-2 training step": ["--step"]}
    names = [(f"{program}, {state} compiled", arguments)
             for state in ("nothing", "everything") for program, arguments in programs.items()]  # fmt: skip
    more = ["--small"] if lab.small else []
    rows: dict[str, Row] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, arguments in names:
            if lab.left > 30:
                limit = min(LIMIT, lab.left)  # or this process is ended over it
                rows[name] = lab.results.add(_begin(section, name, [*arguments, *more], folder, limit))
        for name, arguments in names:
            if lab.torch is not None and lab.left > 30 and name in rows:
                found = _begin(section, name, [*arguments, *more, "--torch"], folder, min(LIMIT, lab.left))
                rows[name].theirs, rows[name].peer = found.ours, "torch.compile"
                lab.results.keep(rows[name])


def _begin(section: str, name: str, arguments: list[str], folder: str, limit: float) -> Row:
    switches = {"KF_CACHE_DIR": folder, "TRITON_CACHE_DIR": f"{folder}/triton", "KF_DEVICE": DEVICE}
    switches |= {"TORCHINDUCTOR_CACHE_DIR": f"{folder}/torch"}
    command = [sys.executable, "-m", "bench.gpu.first", *arguments]
    start = time.perf_counter()
    try:
        done = subprocess.run(
            command, env=os.environ | switches, capture_output=True, text=True, timeout=limit, check=False
        )
    except subprocess.TimeoutExpired:
        return Row(section, name, note=f"took more than {limit:.0f} s")
    taken = time.perf_counter() - start
    if done.returncode:
        return Row(section, name, note=done.stderr[-150:])
    return Row(section, name, taken, note=done.stdout.strip())
