"""One way to train or to ask one model, in a process of its own: the most bytes its arrays take in a step.

    python -m bench.memory.side 'MLP, Adam' captured [BUDGET]

Comes in: a model's name, a way (eager, lazy, captured, torch), and perhaps a budget.  Goes out: two numbers: bytes at
the peak of a step, and those at its beginning.  What is counted is what arrays ask an allocator for, parameters, their
gradients, the optimiser's state and the input included; what kernels and libraries have on their stacks is not.
"""

import gc
import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from bench.memory.models import Case
from bench.memory.wider import case_of

WARM, STEPS = 5, 3  # steps before, and those that are watched
OPTIONS: dict[str, dict[str, float]] = {"SGD": {"lr": 0.01}, "momentum": {"lr": 0.01, "momentum": 0.9}}


def values(case: Case) -> np.ndarray:
    """The input."""
    rng = np.random.default_rng(0)
    return rng.integers(0, case.high, case.shape) if case.high else rng.standard_normal(case.shape, np.float32)


def optimizer(optim: Any, case: Case, parameters: Any) -> Any:
    """The optimiser of a library's module of them."""
    options = OPTIONS.get(case.optimizer, {"lr": 1e-3})
    return getattr(optim, "SGD" if case.optimizer == "momentum" else case.optimizer)(parameters, **options)


def train(model: Any, optimizer: Any) -> Callable[[Any], Any]:
    """A step as everybody writes it; the loss is given without its history."""

    def step(x: Any) -> Any:
        optimizer.zero_grad()
        loss = model(x)
        loss.backward()
        optimizer.step()
        return loss.detach()

    return step


def asked(model: Any, no_grad: Any) -> Callable[[Any], Any]:
    """What a user of a trained model does."""
    model.eval()

    def step(x: Any) -> Any:
        with no_grad():
            return model.answer(x)

    return step


def needed(step: Any) -> int:
    """The bytes that are alive at a time, of what a captured step reads and makes: no layout of it takes less."""
    from kernelforge.planning.layout import alive

    run = step._entries[0].capture.steps[-1]
    plan = (run.in_place or run.repeated).plan
    return max(alive(plan)) + sum(slot.nbytes for slot in plan.slots if slot.role == "leaf")


def ours(case: Case, way: str, budget: int) -> tuple[int, int, int]:
    """Bytes of the blocks in use, which are rounded up, at each moment one is taken; and what is `needed`."""
    from kernelforge import Context, Device, Tensor, jit, nn, no_grad
    from kernelforge.kernels.pool import Pool
    from kernelforge.nn import functional, optim

    peak, taken = [0], Pool.take

    def in_use(pool: Pool) -> int:
        return pool._bytes - sum(capacity * len(blocks) for capacity, blocks in list(pool._free.items()))

    def take(self: Pool, nbytes: int) -> Any:
        memory = taken(self, nbytes)
        peak[0] = max(peak[0], in_use(self))
        return memory

    Pool.take = take  # type: ignore[method-assign]
    with Context(EAGER=int(way == "eager")):
        x = Tensor(values(case)).realize()
        model = case.make(nn, functional)
        if case.trains:
            step = train(model, optimizer(optim, case, model.parameters()))
        else:
            step = asked(model, no_grad)
        step = jit(step, memory_budget=budget or None) if way == "captured" else step

        def once() -> None:
            Tensor.realize(step(x), *model.parameters())

        for _ in range(WARM):
            once()
        gc.collect()
        pool = Device[Device.DEFAULT].pool
        pool.clear()
        peak[0] = before = in_use(pool)
        for _ in range(STEPS):
            once()
    return peak[0], before, needed(step) if way == "captured" else 0


def theirs(case: Case) -> tuple[int, int, int]:
    """Bytes in use after each allocation, as torch's profiler writes them down; it begins before the model is made."""
    import torch
    from torch.profiler import ProfilerActivity, profile

    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        x = torch.tensor(values(case))
        model = case.make(torch.nn, torch.nn.functional)
        if case.trains:
            step = train(model, optimizer(torch.optim, case, model.parameters()))
        else:
            step = asked(model, torch.no_grad)
        for _ in range(WARM + STEPS):
            with torch.profiler.record_function("a step"):
                step(x)
    with tempfile.TemporaryDirectory() as folder:
        profiler.export_chrome_trace(f"{folder}/trace.json")
        events = json.loads(Path(f"{folder}/trace.json").read_text())["traceEvents"]
    begun = sorted(event["ts"] for event in events if event.get("name") == "a step")[WARM]
    totals = sorted((e["ts"], e["args"]["Total Allocated"]) for e in events if e.get("name") == "[memory]")
    before = max((total for total in totals if total[0] < begun), default=(0, 0))[1]
    return max(total for at, total in totals if at >= begun), before, 0


def main(name: str, way: str, budget: str = "0") -> None:
    case = case_of(name)
    print(*(theirs(case) if way == "torch" else ours(case, way, int(budget))))


if __name__ == "__main__":
    main(*sys.argv[1:])
