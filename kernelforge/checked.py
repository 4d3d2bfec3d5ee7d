"""Which values may turn out to be an error: those picked, or put, by indices that are checked when they are computed.

Comes in: nodes.  Goes out: whether an index among what they are computed from is checked, so that they must be computed
even where no bit of their value is needed.
"""

from __future__ import annotations

from typing import Final
from weakref import WeakSet

from kernelforge.graph import SCATTERS, Node

PROBABILITIES, OVERLAPS, WEIGHTS = -0x50524F42, -0x4F564552, -0x57454947
CHANCES, BAGS, ODDS = -0x4348414E, -0x42414753, -0x4F444453
RULES: Final = {
    PROBABILITIES: "binary cross entropy takes probabilities and targets from 0 to 1 and found others; apply sigmoid() "
    "to scores, or use the function of logits",
    OVERLAPS: "istft() found places of the signal where the windows of all pieces are 0, so that nothing is known of "
    "it there; take a window that is not 0, pieces closer together, or center=True",
    WEIGHTS: "cov() found negative weights; they are how often an observation counts",
    CHANCES: "multinomial() found weights that are negative, infinite or NaN, or none above 0 in a row; they are what "
    "the chances are proportional to",
    BAGS: "embedding_bag() takes offsets in order from 0, the first, to the number of integers, and found others",
    ODDS: "bernoulli() takes probabilities from 0 to 1 and found others",
}
"""What else a check may find: the int32 a value is picked from tells which rule the index stands for."""

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
