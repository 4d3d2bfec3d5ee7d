"""What a loop carries on without asking for it: values that each round computes from those of the round before.

Comes in: graphs about to be computed.  Goes out: the places of nodes that had better be computed with them.  The first
graphs of such a loop tell:

    m = m * 0.9 + 1; (m * 2).sum().item()      is a longer graph each time, for nobody asks for m

A node that a graph goes on from, first met in an earlier one and there computed from what was met in one before, is
such a value of a past round; what the same line of the user's made since is the value of this one, or the last of
several rounds.  From then on values of this line are computed with the first graph they are part of.  What lazy graphs
share otherwise, a mask or weights that are unpacked where they are used, was met at once, and is computed again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final
from weakref import WeakKeyDictionary

from kernelforge.graph import Node, uniform

MOST_KINDS: Final = 1 << 14

unasked: Final[WeakKeyDictionary[Node, int]] = WeakKeyDictionary()  # computed; how often it was to forget how
kinds: Final[set[tuple[object, ...]]] = set()  # of values that loops carried on
_met: Final[WeakKeyDictionary[Node, int]] = WeakKeyDictionary()  # the number of the graph a node was met in first
_graphs: Final = [0]


def carried(nodes: Sequence[Node]) -> tuple[int, ...]:
    """The places among a graph's nodes of those that the next round of a loop is going to use; of a graph that is met
    for the first time, and so tells of loops."""
    waiting = [x for x in nodes if x.src and x.realized is None and (x.device is not None or uniform(x) is None)]
    earlier = {x: graph for x in waiting if (graph := _met.get(x)) is not None}
    _graphs[0] += 1
    for x in waiting:
        _met.setdefault(x, _graphs[0])
    if earlier:
        ends = {x for node in waiting if node not in earlier for x in node.src if x in earlier}
        if len(kinds) < MOST_KINDS:
            kinds.update([kind_of(x) for x in ends if x.line is not None and _goes_on(x, earlier)])
    return tuple([i for i in of_known_kinds(nodes) if nodes[i] not in earlier])


def of_known_kinds(nodes: Sequence[Node]) -> tuple[int, ...]:
    """The places of values that loops are known to carry on; of those computed from one another, the last."""
    if not kinds:
        return ()
    found: dict[tuple[object, ...], dict[Node, int]] = {}
    for i, x in enumerate(nodes):
        if x.src and x.realized is None and (kind := kind_of(x)) in kinds:
            found.setdefault(kind, {})[x] = i
    return tuple(sorted([i for alike in found.values() for i in _last(alike)]))


def _last(places: Mapping[Node, int]) -> Iterable[int]:
    """The places of nodes from which none of the others is computed."""
    if len(places) < 2:
        return places.values()
    stack = [source for x in places for source in x.src]
    below: set[Node] = set()
    while stack:
        x = stack.pop()
        if x not in below and x.realized is None:
            below.add(x)
            stack += x.src
    return [i for x, i in places.items() if x not in below]


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
