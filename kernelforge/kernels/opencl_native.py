"""Kernels called by several threads, without the driver: by the C module, where it is built.

Comes in: where a kernel's machine code is and what it takes.  Goes out: functions that call it, or several kernels one
after another, on memories whose addresses they are given.  When such a call returns, its kernels are done.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from kernelforge.native import native

Place = tuple[int, int]
"""Which memory, and where in it."""

Run = Callable[..., None]
"""Calls kernels on memories at the addresses it is given."""


@dataclass(frozen=True, slots=True)
class Native:
    """A kernel on a grid.

    address, stack  of its machine code, and the bytes it needs beside
    is_small        whether it may be so short that one thread does it
    numbers         the int arguments after the arrays
    kernel          the driver's, which keeps the machine code where it is
    run             calls it on the addresses of its arguments
    """

    module: ModuleType
    address: int
    stack: int
    grid: tuple[int, ...]
    is_small: bool
    parameters: int
    numbers: tuple[int, ...]
    kernel: Any
    run: Run

    def on(self, grid: tuple[int, ...], is_small: bool, numbers: tuple[int, ...]) -> Native:
        """The same kernel on another grid."""
        return entered(self.module, self.kernel, self.address, self.stack, grid, is_small, self.parameters, numbers)

    def step(self, places: Sequence[Place]) -> Any:
        """What the module takes for a call on certain memories."""
        return _step(self.address, self.stack, self.grid, self.is_small, places, self.numbers)


def entered(
    module: ModuleType,
    kernel: Any,
    address: int,
    stack: int,
    grid: tuple[int, ...],
    is_small: bool,
    parameters: int,
    numbers: tuple[int, ...] = (),
) -> Native:
    """A kernel that takes so many arrays, and numbers."""
    places = [(number, 0) for number in range(parameters)]
    run = module.Sequence([_step(address, stack, grid, is_small, places, numbers)], parameters).run
    return Native(module, address, stack, grid, is_small, parameters, numbers, kernel, run)


def _step(
    address: int, stack: int, grid: tuple[int, ...], is_small: bool, places: Sequence[Place], numbers: tuple[int, ...]
) -> Any:
    return address, (*grid, *(1,) * (3 - len(grid))), is_small, stack, tuple(places), numbers


def sequence(launches: Sequence[tuple[Native, Sequence[Place]]], count: int) -> Run:
    """A function from `count` addresses that calls kernels one after another, as long as somebody has these."""
    run: Run = launches[0][0].module.Sequence([kernel.step(places) for kernel, places in launches], count).run
    return run


def module_for(threads: int) -> ModuleType | None:
    """The C module, told how many threads may run kernels; None where it is not to be used."""
    module = native()
    if module is not None:
        allowed = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else range(threads)
        module.threads(min(threads, len(allowed)))
    return module
