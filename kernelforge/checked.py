"""Which values may turn out to be an error: those picked, or put, by indices that are checked when they are computed.

Comes in: nodes.  Goes out: whether an index among what they are computed from is checked, so that they must be computed
even where no bit of their value is needed.
"""

from __future__ import annotations

from typing import Final
from weakref import WeakSet

from kernelforge.graph import SCATTERS, Node

CHECKED: Final = {"gather", *SCATTERS}
_free: Final[WeakSet[Node]] = WeakSet()  # nodes never change: what was free of checks remains so


def checks(node: Node) -> bool:
    """Whether a node, or one it is computed from, picks or puts elements by an index."""
    pending, seen = [node], set()
    while pending:
        x = pending.pop()
        if x in seen or x.realized is not None or x in _free:
            continue
        if x.op in CHECKED:
            return True
        seen.add(x)
        pending += x.src
    _free.update(seen)
    return False
