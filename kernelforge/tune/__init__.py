"""Measured schedules: which kernels have one, how one is found, where it is kept.

`program` is all that the rest of the library calls.  Read the files in this order:

    lock      winners in a file that people can read and keep under version control
    inputs    random arguments on which a kernel can be run
    trial     checks candidates against the default and times them
    search    which candidates to try, within a budget of seconds
    choice    the lock's schedule, a measured one, or the analytical model's
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kernelforge.later import later
from kernelforge.tune.lock import state

if TYPE_CHECKING:
    from codegen.ir import Kernel
    from codegen.program import Program
    from codegen.target import Target
    from kernelforge.tune import choice
else:
    later(globals(), choice="kernelforge.tune.choice")

__all__ = ["program", "state"]


def program(kernel: Kernel, target: Target, device: str) -> Program:
    """The program of a kernel for a device; with KF_TUNE=1 this may take seconds, in which candidates are measured."""
    return choice.program(kernel, target, device)
