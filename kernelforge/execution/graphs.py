"""Plans that run again, each as one CUDA graph instead of launch by launch.

Comes in: a plan and the memory of its slots, whenever it runs.  Goes out: whether a graph did it.  A plan is captured
when it runs for the second time: most run once, or very often.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, cast

from kernelforge.kernels import Device, Runtime
from kernelforge.planning.steps import Launch, Plan

if TYPE_CHECKING:
    from kernelforge.kernels.cuda import CudaRuntime
    from kernelforge.kernels.cuda_graph import Graph

LEAST: Final = 3  # launches: fewer cost less one by one
MOST: Final = 256  # plans that have a graph at a time


@dataclass(slots=True)
class Known:
    """A plan that ran, kept so that no other has its number; graph: None until it runs again."""

    plan: Plan
    runtime: CudaRuntime
    graph: Graph | None = None


_known: Final[dict[int, Known]] = {}
_lock: Final = threading.Lock()


def replayed(plan: Plan, memories: Sequence[Any]) -> bool:
    """True when all launches of a plan were started as one graph; else it is to be run as ever."""
    with _lock:
        known = _known.get(id(plan))
        runtime = _runtime(plan) if known is None else known.runtime
        if runtime is None or Device[runtime.name] is not runtime:  # another one after a fork
            _known.pop(id(plan), None)
            return False
        if known is None:
            if len(_known) >= MOST:
                _forget(next(iter(_known)))
            _known[id(plan)] = Known(plan, runtime)
            return False
        if known.graph is None:
            launches = [(step.executable, step.arguments) for step in plan.launches]
            known.graph = runtime.graph(launches, memories)
        known.graph.replay(memories)
    return True


def _runtime(plan: Plan) -> CudaRuntime | None:
    """The GPU a plan runs on, if it consists of launches there and of enough of them."""
    devices = {step.device if isinstance(step, Launch) else "" for step in plan.steps}
    if len(plan.steps) < LEAST or len(devices) > 1 or "" in devices:
        return None
    runtime: Runtime = Device[devices.pop()]
    return cast("CudaRuntime", runtime) if hasattr(runtime, "graph") else None


def _forget(number: int) -> None:
    graph = _known.pop(number).graph
    if graph is not None:
        graph.close()
