"""Sums that are only summed on are not rounded between.

Comes in: nodes.  Goes out: nodes in which partial sums of 16-bit values stay as wide as they were added up.  The input
gradient of a convolution is such a sum: products summed over channels, then over the taps of each dimension.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final

from codegen.dtypes import DType
from kernelforge.graph import Node, rebuilt, toposort
from kernelforge.seen import uses_once, widens

MOST: Final = 128  # partial sums of a sum: of more, each is stored, and narrow ones take less memory


def unrounded(outputs: Sequence[Node]) -> list[Node]:
    """narrow(sum(wide(view(narrow(sum(x)))))) -> narrow(sum(view(sum(x)))), where nothing else uses the values between.

    The views show each partial sum once at most.  Results are as near to the exact ones as those of one long sum.  A
    sum that is not itself rounded to the type of its partial sums may be there to tell what that rounding does.
    """
    order = toposort(outputs, into_realized=False)
    if not any(widens(node) for node in order):
        return list(outputs)
    counts = Counter([*outputs, *(x for node in order if node.realized is None for x in node.src)])
    totals = {x.src[0]: x.dtype for x in order if _narrows(x) and counts[x.src[0]] == 1 and _is_sum(x.src[0])}
    dropped = {cast for total, dtype in totals.items() for cast in _below(total, dtype, counts)}
    return rebuilt(order, outputs, lambda node, new: new.src[0] if node in dropped else new) if dropped else [*outputs]


def _is_sum(node: Node) -> bool:
    return node.op == "reduce" and node.attr[0] == "add" and node.realized is None


def _below(total: Node, dtype: DType, counts: Counter[Node]) -> list[Node]:
    """The conversions to a type between a sum and the partial sums it alone adds up."""
    node, found = total.src[0], list[Node]()
    wide = False
    while counts[node] == 1 and node.realized is None:
        if wide and found and _is_sum(node):
            return found if node.dtype is total.dtype and node.size <= MOST * total.size else []
        if widens(node) and not wide:
            wide = True
        elif wide and not found and _narrows(node) and node.dtype is dtype:
            found.append(node)
        elif not uses_once(node):
            break
        node = node.src[0]
    return []


def _narrows(node: Node) -> bool:
    """True for a conversion of floats to 16-bit ones."""
    return node.op == "cast" and node.dtype.is_narrow_float and node.src[0].dtype.is_float
