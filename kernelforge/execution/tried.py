"""Ways to compute sums over windows, measured: plainly, or with fewer multiplications in blocks of some size.

Comes in: a device.  Goes out: the `Choice` that plans for it are made with.  Like schedules, ways are in the lock file,
and with KF_TUNE those that are not are measured, each as a plan of its own on random arrays.  Blocks are less exact, so
they must be clearly faster.

    [sum_8x28x28x128_3x3_128_f32 cpu 7b3d9a2f4c1e8d05]
    # 0.91 ms; plainly 1.52 ms; 5 ways in 2.2 s
    results  4 by 4
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable
from functools import partial
from typing import Any, Final

import numpy as np

from codegen.dtypes import dtypes
from codegen.target import Target
from kernelforge import graph
from kernelforge.buffer import Buffer
from kernelforge.execution.running import compile_all, rerun
from kernelforge.graph import VIEWS, Node, rebuild, toposort
from kernelforge.kernels import Device, Runtime
from kernelforge.planning.plan import make_plan
from kernelforge.planning.steps import Plan
from kernelforge.seen import through
from kernelforge.settings import TUNE, TUNE_SECONDS, Context
from kernelforge.structure import structure
from kernelforge.tune.lock import Lock, lock_at, lock_path
from kernelforge.windows.windowed import Windowed
from kernelforge.windows.winograd import GAIN, Choice, Way, computed, estimated, ways

ROUNDS: Final = 12  # in which all ways take turns
WARM: Final = 3  # runs before, in which weights that are kept are prepared
PLAIN: Final = Way()

_measured: Final[set[str]] = set()


def choice(device: str) -> Choice | None:
    """How plans for a device choose; None where estimates alone do."""
    path = lock_path()
    if path is None or not (TUNE.value or lock_at(path).sections):
        return None
    return partial(_chosen, device, lock_at(path))


def _chosen(device: str, lock: Lock, node: Node, window: Windowed, target: Target, kept: bool) -> Way:
    """The way the lock file tells, a measured one, or the estimated one."""
    key = _key(window, target, kept)
    found = lock.get(key) if TUNE.value < 2 or key in _measured else None
    way = None if found is None else _read(found, ways(window, target, kept))
    if way is None and TUNE.value:
        way, told = _fastest(device, node, window, target, kept)
        lock.put(key, f"# {told}\n{_shown(way)}")
        _measured.add(key)
    return way or estimated(node, window, target, kept)


def _key(window: Windowed, target: Target, kept: bool) -> str:
    """The sum's name in the lock file: the same for equal sums on equal machines."""
    known = (window.image.shape, window.weight.shape, window.crossed, window.turned, window.leads, window.places)
    digest = hashlib.sha256(f"{known} {window.order} {window.shape} {kept} {target!r}".encode()).hexdigest()
    sizes = ((*window.batch, *window.places, window.channels), window.taps, (window.outputs,))
    return f"sum_{'_'.join('x'.join(map(str, size)) for size in sizes)}_f32 {target.name} {digest[:16]}"


def _shown(way: Way) -> str:
    return f"{way.what:8} {' by '.join(map(str, way.blocks))}".rstrip()


def _read(text: str, known: Iterable[Way]) -> Way | None:
    """The way a section tells; None for one that is none of this sum's."""
    line = next((line for line in text.splitlines() if not line.startswith("#")), "")
    return next((way for way in (PLAIN, *known) if _shown(way) == line.rstrip()), None)


# ------------------------------------------------------------------------------------------------------- measuring


def _fastest(device: str, node: Node, window: Windowed, target: Target, kept: bool) -> tuple[Way, str]:
    """The fastest way by measuring, the plain one unless another is clearly faster; and what was found."""
    start = time.perf_counter()
    leaves = _random(device, window)
    plans: dict[Way, tuple[Plan, list[Buffer]]] = {}
    with Context(TUNE=0, WINOGRAD=0):
        for way in (PLAIN, *ways(window, target, kept)):
            if len(plans) > 1 and time.perf_counter() - start > TUNE_SECONDS.value / 2:
                break
            plans[way] = _plan(device, node if way is PLAIN else computed(window, way, kept), leaves, kept)
        times = _times(device, plans, start + TUNE_SECONDS.value)
    best = min(times, key=times.__getitem__)
    best = best if times[best] < GAIN * times[PLAIN] else PLAIN
    spent = time.perf_counter() - start
    told = f"{times[best] * 1e3:.4g} ms; plainly {times[PLAIN] * 1e3:.4g} ms; {len(times)} ways in {spent:.1f} s"
    return best, told


def _random(device: str, window: Windowed) -> dict[Node, Node]:
    """Random arrays in the places of what the sum reads."""
    random = np.random.default_rng(0)
    bases = dict.fromkeys((through(window.image, VIEWS), through(window.weight, VIEWS)))
    found = {}
    for base in bases:
        values = random.standard_normal(base.shape, np.float32)
        found[base] = graph.buffer(Buffer.from_numpy(values, dtypes.float32, device), base.shape)
    return found


def _plan(device: str, node: Node, leaves: dict[Node, Node], kept: bool) -> tuple[Plan, list[Buffer]]:
    """A plan for a sum of these arrays, and the arrays in its order.  What it prepares is computed in each run unless
    the weight is kept."""
    made = dict(leaves)
    for x in toposort([node], into_realized=False):
        if x not in made:
            made[x] = x if x.realized is not None else rebuild(x, [made[y] for y in x.src])
    buffers: list[Any] = structure([made[node]]).leaves
    plan = make_plan([made[node]], buffers, device)
    if not kept:
        plan.preparations = []
    compile_all(plan)
    return plan, buffers


def _times(device: str, plans: dict[Way, tuple[Plan, list[Buffer]]], deadline: float) -> dict[Way, float]:
    """The seconds of a run of each plan: the least of several, in which they take turns."""
    runtime: Runtime = Device[device]
    times = dict.fromkeys(plans, float("inf"))
    for turn in range(-WARM, ROUNDS):
        if turn > 0 and time.perf_counter() > deadline:
            break
        for way, (plan, buffers) in plans.items():
            runtime.wait()
            start = time.perf_counter()
            results = rerun(plan, buffers)
            runtime.wait()
            if turn >= 0:
                times[way] = min(times[way], time.perf_counter() - start)
            del results
    return times
