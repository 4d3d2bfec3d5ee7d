"""One thread at a time looks at graphs to find or make plans for them.

Comes in: from `realize`, what is to be done alone.  Goes out: a lock, a context in which no other thread computes
nodes, and the way to give nodes their buffers, which waits for such contexts to end.  A plan is made in many walks
through a graph, in which nodes must stay computed, or not computed, as they were; and nodes are shared by all threads,
for equal ones are one.  Kernels run while others plan.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Final

from kernelforge.buffer import Buffer
from kernelforge.native import compiled
from kernelforge.node import Node

lock: Final = threading.RLock()
_planning: Final[list[None]] = []  # something while a graph is planned: then C leaves to Python what is to be computed


class Planning:
    """What a thread that has the lock plans in: no other gives nodes their buffers.

    The lock is taken by a `with` of its own, which nothing can interrupt between taking it and being sure to free it.
    """

    __slots__ = ()

    def __enter__(self) -> None:
        before = len(_planning)
        try:
            _planning.append(None)
        except BaseException:  # something interrupts, before that is done or after
            del _planning[before:]
            raise

    def __exit__(self, *_: object) -> None:
        _planning.pop()


planning: Final = Planning()


def give(nodes: Sequence[Node], buffers: Sequence[Buffer]) -> None:
    """Gives nodes the buffers that hold their elements."""
    with lock:
        for node, buffer in zip(nodes, buffers):
            node.realized = buffer
            node.depth = 0


def wait() -> None:
    """Returns once no other thread plans."""
    with lock:
        pass


if compiled is not None:
    compiled.heed(_planning)
    compiled.heed_planning(_planning, wait)
