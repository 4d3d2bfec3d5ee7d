"""Counters of what ran: launches, arithmetic, bytes moved, time and memory."""

from __future__ import annotations

from typing import ClassVar


class GlobalCounters:
    """What happened since the last reset; the names are tinygrad's.

    kernel_count     launches
    global_ops       arithmetic operations of them
    global_mem       bytes they had to move at least
    time_sum_s       seconds they took, where they were timed (KF_DEBUG >= 2)
    mem_used         bytes of device memory in use; not reset
    plans, compiled  plans made and kernels compiled or taken from a cache, since the program began or reset()
    """

    kernel_count: ClassVar[int] = 0
    global_ops: ClassVar[int] = 0
    global_mem: ClassVar[int] = 0
    time_sum_s: ClassVar[float] = 0.0
    mem_used: ClassVar[int] = 0
    plans: ClassVar[int] = 0
    compiled: ClassVar[int] = 0

    @staticmethod
    def reset() -> None:
        """Set everything but mem_used to zero."""
        GlobalCounters.kernel_count = GlobalCounters.global_ops = GlobalCounters.global_mem = 0
        GlobalCounters.plans = GlobalCounters.compiled = 0
        GlobalCounters.time_sum_s = 0.0
