"""Sums of products that are added before they are summed on are summed on each by itself, and added then.

Comes in: nodes.  Goes out: nodes of the same values up to rounding.  The input gradient of two convolutions that read
one value through the same windows is such a sum: products summed over channels, both added, then put back.  Each alone
is one contraction; their sum would be stored with all its taps.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import reduce
from itertools import pairwise
from typing import Final

from kernelforge.graph import Node, elementwise, rebuild, rebuilt, toposort
from kernelforge.seen import BIJECTIVE, contraction_operands, uses_once

MOST: Final = 128  # partial sums of a sum, as many as one kernel goes on summing


def apart(outputs: Sequence[Node]) -> list[Node]:
    """sum(view(sum(x) + sum(y))) -> sum(view(sum(x))) + sum(view(sum(y))), of floating-point products x and y, where
    nothing else uses the values between and the views show each of them once at most, and where results are fewer."""
    order = toposort(outputs, into_realized=False)
    users: dict[Node, list[Node]] = {node: [] for node in order}
    for node in order:
        for source in node.src if node.realized is None else ():
            users[source].append(node)
    for node in outputs:
        users[node] += [node, node]
    parts = _of_products(order, users)
    sums = [node for node in order if node.op == "add" and node in parts]
    above = {pair for node in sums for pair in pairwise(_summed_on(node, users))}
    if not above:
        return list(outputs)
    summed = {later for _, later in above}
    return rebuilt(order, outputs, lambda node, new: _distributed(new, new.src[0]) if node in summed else new)


def _distributed(node: Node, addend: Node) -> Node:
    """The operation of a node on what is added, by itself."""
    pending, parts = [addend], []
    while pending:
        part = pending.pop()
        if part.op == "add" and part.realized is None:
            pending += reversed(part.src)
        else:
            parts.append(rebuild(node, [part]))
    return reduce(lambda left, right: elementwise("add", left, right), parts)


def _of_products(order: Sequence[Node], users: Mapping[Node, Sequence[Node]]) -> set[Node]:
    """The sums of products, those of several of them added, and these seen otherwise, that are used once."""
    found: set[Node] = set()
    for node in order:
        if len(users[node]) != 1 or node.realized is not None:
            continue
        if node.op in BIJECTIVE or _converts(node):
            is_one = node.src[0] in found
        else:
            is_sum = node.op == "add" and all(x in found for x in node.src)
            is_one = node.dtype.is_float and bool(is_sum or contraction_operands(node))
        if is_one:
            found.add(node)
    return found


def _summed_on(node: Node, users: Mapping[Node, Sequence[Node]]) -> list[Node]:
    """A node and those it leads to up to the last sum it is added up in, or the part of that which is used; none where
    that is not worth it."""
    way, last = [node], 0
    while len(users[way[-1]]) == 1:
        after = users[way[-1]][0]
        is_sum = after.op == "reduce" and after.attr[0] == "add"
        if not (is_sum or uses_once(after) or _converts(after)):
            break
        way.append(after)
        is_part = after.op == "shrink" and last == len(way) - 1
        if (last and is_part) or (is_sum and after.size < node.size <= MOST * after.size):
            last = len(way)
    return way[:last]


def _converts(node: Node) -> bool:
    return node.op == "cast" and node.dtype.is_float and node.src[0].dtype.is_float
