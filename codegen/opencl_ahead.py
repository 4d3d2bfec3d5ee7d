"""Loads asked for ahead, as OpenCL C: the cache is told what the next step of a loop will read.

Comes in: a schedule, and each load where it is printed.  Goes out: lines of text.
"""

from __future__ import annotations

from codegen.ir import Load
from codegen.nodes import Leaf
from codegen.schedule import Schedule

PAGE = 4096  # bytes at whose multiples processors lose track of what is read in a line


class Requests:
    """Which pass asks.

    The first one that meets a load does; where a step goes so far that processors do not foresee the next, later ones
    ask again, for requests get lost while many are under way.  `leaf` is what is printed just now.
    """

    def __init__(self, schedule: Schedule) -> None:
        self.ahead = dict(schedule.ahead)
        inside = schedule.loops[schedule.grid :]
        self.steps = dict(reversed(inside))  # how far the outermost of an axis' loops inside a group goes at once
        self.first: dict[Load, Leaf | None] = {}
        self.leaf: Leaf | None = None

    def of(self, e: Load, address: str) -> list[str]:
        """The request that goes with a load at an address, if there is one."""
        if e not in self.ahead:
            return []
        axis = self.ahead[e]
        distance = (e.index.stride(axis) or 0) * self.steps[axis]
        if self.first.setdefault(e, self.leaf) is not self.leaf and abs(distance) * e.dtype.itemsize <= PAGE:
            return []
        return [f"__builtin_prefetch({address} + {distance});"]
