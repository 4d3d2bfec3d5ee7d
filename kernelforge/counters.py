"""Counters of what ran: launches, arithmetic, bytes moved, time and memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol
from weakref import WeakSet

from kernelforge.members import members
from kernelforge.native import NO_MORE, record

if TYPE_CHECKING:
    _Fields = object
else:
    _Fields = record("Counters", "compiled", "confirmed", "global_mem", "global_ops", "kernel_count", "plans", "pools",
                     "time_sum_s", "verified")  # fmt: skip


class Holder(Protocol):
    """Whoever knows how much memory is in use."""

    @property
    def bytes_used(self) -> int: ...


class Counters(_Fields):
    """What happened since the last reset; the names are tinygrad's.

    kernel_count     launches
    global_ops       arithmetic operations of them
    global_mem       bytes they had to move at least
    time_sum_s       seconds they took, where they were timed (KF_DEBUG >= 2)
    mem_used         bytes of device memory in use, those of `pools`; not reset
    plans, compiled  plans made and kernels compiled, or taken from a cache, since the program began or reset()
    verified         launches whose results were checked (KF_VERIFY)
    confirmed        plans' runs whose results were held against their graphs
    """

    kernel_count: int
    global_ops: int
    global_mem: int
    time_sum_s: float
    pools: WeakSet[Holder]
    plans: int
    compiled: int
    verified: int
    confirmed: int

    __slots__ = NO_MORE

    def __init__(self) -> None:
        self.pools = WeakSet()
        self.reset()

    @property
    def mem_used(self) -> int:
        return sum(pool.bytes_used for pool in members(self.pools))

    def reset(self) -> None:
        """Set everything but mem_used to zero."""
        self.kernel_count = self.global_ops = self.global_mem = self.plans = self.compiled = self.verified = 0
        self.time_sum_s = 0.0
        self.confirmed = 0


GlobalCounters: Final = Counters()
