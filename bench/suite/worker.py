"""What a process of one library does when it is told to.

Comes in: requests, a method's name and its arguments (kernelforge/bench/sides.py). Goes out: the method's result. It
knows neither the other sides nor what its times are for.
"""

import os
from collections.abc import Callable
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.measure import THREADS, calls_to_last, seconds
from bench.suite.libraries import Library, load
from bench.suite.workload import Workload
from bench.suite.workloads import ALL
from kernelforge import Device
from kernelforge.ceilings import measured

GLANCES = 5  # at each ceiling, several times in a row of the table
LONG = 20e-3  # seconds of a call that does not care for what is in the caches at its beginning
FIRST_CALLS, WARM_UP = 8, 0.3  # calls, seconds: after some calls of one shape libraries specialise their kernels
STEPS = 3  # of a training step are compared


def ready(library: Library, name: str) -> Callable[[], Any]:
    """The workload as a call without arguments, on inputs that are the same for every library; not called yet."""
    workload, random = ALL[name], np.random.default_rng(0)
    if isinstance(workload, Workload):
        drawn = enumerate(workload.inputs(random))
        values = [library.tensor(array, place in workload.wrt, workload.stored) for place, array in drawn]
        work = library.gradient(workload.work, workload.wrt) if workload.wrt else library.function(workload.work)
        return lambda: work(*values)
    parameters = {key: library.tensor(array, True) for key, array in workload.parameters(random).items()}
    batch = [library.tensor(array) for array in workload.batch(random)]
    step = library.step(workload, parameters)
    return lambda: step(*batch)


class Worker:
    """The requests."""

    def __init__(self, name: str) -> None:
        use_processors()
        self.library = load(name)
        self.call: Callable[[], Any] = lambda: None
        self.repeats, self.warms = 1, True

    def prepare(self, name: str, sample: int = 0) -> list[NDArray]:
        """Get a workload ready for `round`; what it computes, of a training step the outcomes of the first few.

        sample   about how many elements of each array are wanted, evenly spread; 0: all
        """
        self.call = lambda: None
        call = ready(self.library, name)
        values = [np.array(value) for value in self.library.arrays(call())]  # copies: a step changes what it gave out
        if not isinstance(ALL[name], Workload):
            values += [np.array(self.library.arrays(call())[0]) for _ in range(STEPS - 1)]
        self.call = call
        return [value.reshape(-1)[:: max(1, value.size // sample) | 1] for value in values] if sample else values

    def calibrate(self) -> float:
        """Decide how many calls one timing takes, and whether one comes before it; how long a round will be."""
        end = perf_counter() + WARM_UP
        for _ in range(FIRST_CALLS):
            if perf_counter() < end:
                self.call()
        taken = seconds(self.call)
        self.warms = taken < LONG
        self.repeats = calls_to_last(self.call) if self.warms else 1
        start = perf_counter()
        if self.warms:
            self.round()
        return max(taken, perf_counter() - start)

    def round(self) -> float:
        """Seconds of one call, after one that is not timed where calls are short."""
        if self.warms:
            self.call()
        return seconds(self.call, self.repeats)

    def runtime(self) -> str:
        """Name and version of the OpenCL runtime that kernelforge finds here."""
        facts = Device[Device.DEFAULT].facts
        return f"{facts.platform} {facts.driver}"

    def ceilings(self) -> dict[str, float]:
        """What the machine can do at most."""
        return measured("CPU", GLANCES)


def use_processors() -> None:
    """Keep this process and its threads to as many processors as the table speaks of."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:THREADS])
