"""Candidates of one kernel on random arguments: do they compute what the default computes, and how fast.

Comes in: a kernel, and compiled programs for it.  Goes out: whether results agree, and seconds.  Floats may differ by
what another order of summation explains; everything else must be equal.
"""

from __future__ import annotations

import time
from math import prod
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from codegen.access import bound_axes
from codegen.dtypes import DType, from_storage
from codegen.ir import Kernel
from kernelforge.kernels import Runtime
from kernelforge.tune.inputs import arguments

LEAST: Final = 1e-3  # seconds one sample lasts at least
MARGIN: Final = 16.0  # roundings a result may be off, times the square root of the number of values summed
PRECISION: Final = {"bfloat16": 2.0**-7, "float16": 2.0**-10, "float32": 2.0**-23, "float64": 2.0**-52}


class Trial:
    """Memory for one kernel's arguments, and what the first program run left in them."""

    def __init__(self, runtime: Runtime, kernel: Kernel) -> None:
        self.runtime = runtime
        self.params = kernel.params
        given = arguments(kernel)
        self.written = {name: given[name] for name in kernel.written}
        self.memories = [runtime.allocate(given[param.name].nbytes) for param in self.params]
        for param, memory in zip(self.params, self.memories):
            runtime.copy_in(memory, given[param.name])
        self.summed = prod(axis.size for axis in bound_axes(kernel))
        self.expected: dict[str, NDArray] = {}

    def check(self, executable: Any) -> bool:
        """True when a program leaves what the first one left; it starts from the same content of what it writes."""
        self._restore()
        self.runtime.launch(executable, self.memories)
        found = self._contents()
        if not self.expected:
            self.expected = found
        types = {param.name: param.dtype for param in self.params}
        return all(agrees(found[name], self.expected[name], types[name], self.summed) for name in found)

    def seconds(self, executable: Any, repeats: int = 1) -> float:
        """Seconds of one launch, as the mean of some in a row."""
        self.runtime.wait()
        start = time.perf_counter()
        for _ in range(repeats):
            self.runtime.launch(executable, self.memories)
        self.runtime.wait()
        return (time.perf_counter() - start) / repeats

    def repeats(self, seconds: float) -> int:
        """How many launches in a row make a sample that the clock's grain does not blur."""
        return max(1, round(LEAST / max(seconds, 1e-7)))

    def _restore(self) -> None:
        for param, memory in zip(self.params, self.memories):
            if param.name in self.written:
                self.runtime.copy_in(memory, self.written[param.name])

    def _contents(self) -> dict[str, NDArray]:
        found = {name: np.empty_like(array) for name, array in self.written.items()}
        for param, memory in zip(self.params, self.memories):
            if param.name in found:
                self.runtime.copy_out(memory, found[param.name])
        return found


def agrees(found: NDArray, expected: NDArray, dtype: DType, summed: int) -> bool:
    """True when storage arrays are equal, floats up to the rounding of sums of `summed` values."""
    if np.array_equal(found, expected):
        return True
    if not dtype.is_float:
        return False
    a, b = from_storage(found, dtype), from_storage(expected, dtype)
    with np.errstate(all="ignore"):
        scale = float(np.abs(b, where=np.isfinite(b), out=np.zeros_like(b)).max(initial=0.0))
        rounding = 2 * PRECISION[dtype.name] + MARGIN * PRECISION[dtype.arithmetic.name] * summed**0.5
        same = (np.abs(a - b) <= rounding * scale) | (a == b) | (np.isnan(a) & np.isnan(b))
    return bool(same.all())
