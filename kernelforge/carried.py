"""What a loop carries on without asking for it: values that each round computes from those of the round before.

Comes in: graphs no plan is known for.  Goes out: the places of nodes that had better be computed when they are used
next.  The first graphs of such a loop tell:

    m = m * 0.9 + 1; (m * 2).sum().item()      is a longer graph each time, for nobody asks for m

A node that a graph goes on from, first met in an earlier one and there computed from what was met in one before, is
such a value of a past round; what the same line of the user's made now is the value of this one.  What lazy graphs
share otherwise, a mask or weights that are unpacked where they are used, was met at once, and is computed again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final
from weakref import WeakKeyDictionary

from kernelforge.graph import Node, uniform

CARRIED: Final = 1 << 30  # the depth of what is to be computed when it is used: that of no chain of operations

_met: Final[WeakKeyDictionary[Node, int]] = WeakKeyDictionary()  # the number of the graph a node was met in first
_graphs: Final = [0]


def carried(nodes: Sequence[Node]) -> tuple[int, ...]:
    """The places among a new graph's nodes of those that the next round of a loop is going to use."""
    waiting = [x for x in nodes if x.src and x.realized is None and (x.device is not None or uniform(x) is None)]
    earlier = {x: graph for x in waiting if (graph := _met.get(x)) is not None}
    _graphs[0] += 1
    for x in waiting:
        _met.setdefault(x, _graphs[0])
    if not earlier:
        return ()
    ends = {x for node in waiting if node not in earlier for x in node.src if x in earlier}
    before = {kind_of(x) for x in ends if _goes_on(x, earlier)}
    if not before:
        return ()
    return tuple([i for i, x in enumerate(nodes) if x.src and x not in earlier and kind_of(x) in before])


def mark(nodes: Sequence[Node], places: Sequence[int]) -> None:
    """Has what is carried computed when it is used next."""
    for place in places:
        if nodes[place].realized is None:
            nodes[place].depth = CARRIED


def kind_of(node: Node) -> tuple[object, ...]:
    """What the values of all rounds have in common."""
    return node.line, node.op, node.shape, node.dtype


def _goes_on(node: Node, earlier: Mapping[Node, int]) -> bool:
    """True when a node is computed from one that was met before it was."""
    own, seen, stack = earlier[node], {node}, [node]
    while stack:
        for x in stack.pop().src:
            if x in earlier and x not in seen:
                if earlier[x] < own:
                    return True
                seen.add(x)
                stack.append(x)
    return False
