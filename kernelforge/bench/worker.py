"""A side's process: it prepares a subject in its library and times it.

Comes in: requests (see `sides`).  Goes out: seconds, and results to compare.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from time import perf_counter
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from kernelforge.bench.libraries import OURS, load, threads
from kernelforge.bench.subjects import Subject
from kernelforge.ceilings import ceilings
from kernelforge.counters import GlobalCounters
from kernelforge.inspect.profile import profile
from kernelforge.kernels import Device

LEAST: Final = 2e-3  # seconds one timing lasts at least: shorter calls are repeated
PARTS: Final = 15  # timings of what a call is made of
YARDSTICK: Final = 20  # repetitions of work that is always the same
_YARD: Final = np.linspace(0.0, 10.0, 4096)


class Worker:
    """The requests."""

    def __init__(self, name: str, device: str) -> None:
        os.environ["KF_THREADS"] = os.environ["OMP_NUM_THREADS"] = str(threads())
        self.name, self.device, self.library = name, device, load(name, device)
        self.call: Callable[[], Any] = lambda: None
        self.repeats = 1

    def prepare(self, subject: Subject) -> NDArray:
        """Get a subject ready for `round`; what it computes."""
        values = [self.library.tensor(array, subject.dtype) for array in subject.inputs()]
        function = self.library.ready(subject.call(self.library.find))
        self.call = lambda: function(*values)
        result = self.library.array(self.call())
        self.call()
        start = perf_counter()
        self.call()
        self.repeats = max(1, round(LEAST / max(perf_counter() - start, 1e-7)))
        return result

    def round(self) -> float:
        """Seconds of one call, after one that is not timed."""
        self.call()
        start = perf_counter()
        for _ in range(self.repeats):
            self.call()
        return (perf_counter() - start) / self.repeats

    def yardstick(self) -> float:
        """Seconds of work that is always the same and NumPy's: what it takes longer, the machine was slower."""
        start = perf_counter()
        for _ in range(YARDSTICK):
            np.sin(_YARD)
        return (perf_counter() - start) / YARDSTICK

    def parts(self) -> dict[str, float]:
        """Of kernelforge: seconds on the device, of the host around it, and to bring the result to the host; what it
        launches, computes and moves; what the device can do at most."""
        if self.name != OURS:
            return {}
        before = GlobalCounters.kernel_count, GlobalCounters.global_ops, GlobalCounters.global_mem
        result = self.call()
        after = GlobalCounters.kernel_count, GlobalCounters.global_ops, GlobalCounters.global_mem
        kernels, flops, nbytes = (b - a for a, b in zip(before, after))
        device, whole, back = [], [], []
        for _ in range(PARTS):
            start = perf_counter()
            result = self.call()
            whole.append(perf_counter() - start)
            start = perf_counter()
            self.library.array(result)
            back.append(perf_counter() - start)
            with profile() as found:
                self.call()
            device.append(found.kernel_seconds)
        told = {"device": min(device), "host": max(0.0, min(whole) - min(device)), "transfer": min(back)}
        told |= {"kernels": kernels, "flops": flops, "bytes": nbytes}
        return told | {f"most_{name}": value for name, value in ceilings(self.device).items()}

    def description(self) -> str:
        """The device, by its names."""
        facts = Device[self.device].facts
        return f"{facts.device}, {facts.platform} {facts.driver}"
