"""Indices out of range, found by running kernels and reported when the host next waits for a device.

Comes in: the fault flags of launches.  Goes out: an IndexError with the user's line.  Between launch and report nothing
waits; a kernel reads 0 and writes nowhere where an index is out of range.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from kernelforge.graph import Line
from kernelforge.kernels import Device
from kernelforge.kernels.runtime import reports


class Fault:
    """The flags of one kernel: an int32 array on a device.

    sizes, lines  for each flag: the index must be in 0 <= index < size, and the user's line of the operation
    """

    __slots__ = ("device", "lines", "memory", "sizes")

    def __init__(self, device: str, sizes: Sequence[int], lines: Sequence[Line | None]) -> None:
        self.device, self.sizes, self.lines = device, tuple(sizes), tuple(lines)
        self.memory: Any = Device[device].allocate(4 * len(self.sizes))
        self.clear()

    def clear(self) -> None:
        Device[self.device].copy_in(self.memory, np.zeros(len(self.sizes), np.int32))

    def message(self) -> str | None:
        """What went wrong, or None; waits for the device, and clears the flags."""
        flags = np.zeros(len(self.sizes), np.int32)
        Device[self.device].copy_out(self.memory, flags)
        if not flags.any():
            return None
        self.clear()
        which = int(np.flatnonzero(flags)[0])
        line = self.lines[which]
        place = f" in {line[0]}, line {line[1]}" if line else ""
        return (
            f"index out of range{place}: a gather, scatter or indexing by a tensor found an index that is not in "
            f"0 <= index < {self.sizes[which]} (negative ones count from the end); check the values of the index tensor"
        )


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
    messages = [message for fault in faults if (message := fault.message()) is not None]
    if messages:
        raise IndexError(messages[0])


reports.append(raise_pending)
