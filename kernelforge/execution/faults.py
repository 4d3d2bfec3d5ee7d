"""Indices out of range, found by running kernels and reported when the host next waits for a device.

Comes in: the fault flags of launches.  Goes out: an IndexError with the user's line.  Between launch and report nothing
waits; a kernel reads 0 and writes nowhere where an index is out of range.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from kernelforge.errors import PlaceError
from kernelforge.graph import user_line
from kernelforge.kernels import Device
from kernelforge.kernels.runtime import reports
from kernelforge.planning.steps import Check


class Fault:
    """The flags of one kernel: an int32 array on a device.

    checks  for each flag: the index must be in 0 <= index < size, and the user's line of the operation
    """

    __slots__ = ("checks", "device", "flags", "memory")

    def __init__(self, device: str, checks: Sequence[Check]) -> None:
        self.device, self.checks = device, tuple(checks)
        self.memory: Any = Device[device].allocate(4 * len(self.checks))
        self.flags = np.zeros(len(self.checks), np.int32)
        self.clear()

    def clear(self) -> None:
        Device[self.device].copy_in(self.memory, np.zeros(len(self.checks), np.int32))

    def found(self) -> Check | None:
        """What went wrong, or None; waits for the device, and clears the flags."""
        Device[self.device].copy_out(self.memory, self.flags)
        if not self.flags.any():
            return None
        self.clear()
        return self.checks[int(np.flatnonzero(self.flags)[0])]


_pending: Final[dict[int, Fault]] = {}


def expect(fault: Fault) -> None:
    """A kernel with these flags was launched: look at them at the next synchronisation."""
    _pending[id(fault)] = fault


def raise_pending() -> None:
    """raises IndexError if a kernel launched since the last call found an index out of range"""
    if not _pending:
        return
    faults = list(_pending.values())
    _pending.clear()
    failed = [check for fault in faults if (check := fault.found()) is not None]
    if not failed:
        return
    with user_line(failed[0].line):
        raise PlaceError(
            f"index out of range: {failed[0].what} found an index that is not in 0 <= index < {failed[0].size} "
            "(negative ones count from the end); check the values of the index tensor"
        )


reports.append(raise_pending)
