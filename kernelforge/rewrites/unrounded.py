"""Sums that are only summed on are not rounded between.

Comes in: nodes.  Goes out: nodes in which partial sums of 16-bit values stay as wide as they were added up.  The input
gradient of a convolution is such a sum: products summed over channels, then over the taps of each dimension.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final

from kernelforge.graph import Node, rebuilt, toposort
from kernelforge.seen import uses_once, widens

MOST: Final = 128  # partial sums of a sum: of more, each is stored, and narrow ones take less memory


def unrounded(outputs: Sequence[Node]) -> list[Node]:
    """sum(wide(view(narrow(sum(x))))) -> sum(view(sum(x))), where nothing else uses the values between.

    The views show each partial sum once at most.  Results are as near to the exact ones as those of one long sum.
    """
    order = toposort(outputs, into_realized=False)
    if not any(widens(node) for node in order):
        return list(outputs)
    counts = Counter([*outputs, *(x for node in order if node.realized is None for x in node.src)])
    dropped = {cast for node in order if _is_sum(node) for cast in _below(node, counts)}
    return rebuilt(order, outputs, lambda node, new: new.src[0] if node in dropped else new) if dropped else [*outputs]


def _is_sum(node: Node) -> bool:
    return node.op == "reduce" and node.attr[0] == "add" and node.realized is None


def _below(total: Node, counts: Counter[Node]) -> list[Node]:
    """The rounding conversions between a sum and the partial sums it alone adds up."""
    node, found = total.src[0], list[Node]()
    wide = False
    while counts[node] == 1 and node.realized is None:
        if wide and found and _is_sum(node):
            return found if node.dtype is total.dtype and node.size <= MOST * total.size else []
        if widens(node) and not wide:
            wide = True
        elif wide and not found and _narrows(node):
            found.append(node)
        elif not uses_once(node):
            break
        node = node.src[0]
    return []


def _narrows(node: Node) -> bool:
    """True for a conversion of floats to 16-bit ones."""
    return node.op == "cast" and node.dtype.is_narrow_float and node.src[0].dtype.is_float
