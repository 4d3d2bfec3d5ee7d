"""Which buffers nobody needs any more once a graph is computed: their memory may take its results.

Comes in: the structure of a graph about to be computed, and how often the tensors that will forget it name its nodes.
Goes out: the numbers of leaves only this graph holds.  References are counted, so what anything else holds (a tensor
that keeps its value, a view, another graph, a history for gradients) is never among them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from sys import getrefcount
from typing import Any, Final

from kernelforge.buffer import Buffer
from kernelforge.graph import Node
from kernelforge.structure import Structure


def dying(shape: Structure, names: Mapping[Node, int]) -> frozenset[int]:
    """The leaves that are freed when the graph is.

    names   how many references to its nodes, other than the graph's own and the structure's, are known to go, that of
            this mapping included
    """
    uses = _uses(shape.nodes)
    kept = _kept(shape.nodes, uses, names)
    holders = _holders(shape, kept)
    counts = references(shape.leaves)
    return frozenset(
        number
        for number, (count, (leaf, known)) in enumerate(zip(counts, holders.items()))
        if count == ALONE + 1 + known and isinstance(leaf, Buffer) and not _is_shared(leaf)
    )


def references(objects: Sequence[object]) -> list[int]:
    """How many references there are to each object."""
    return [getrefcount(x) for x in objects]


ALONE: Final = references([object()])[0]  # of an object in the list alone


def _uses(nodes: Sequence[Node]) -> dict[Node, int]:
    """How often each node is a source of one of them."""
    uses = dict.fromkeys(nodes, 0)
    for node in nodes:
        for source in node.src:
            if source in uses:
                uses[source] += 1
    return uses


def _kept(nodes: Sequence[Node], uses: Mapping[Node, int], names: Mapping[Node, int]) -> set[Node]:
    """The nodes something else holds, and what these are computed from."""
    known = names.get
    alive = [
        node
        for node, count, used in zip(nodes, references(nodes), uses.values())
        if count != ALONE + 1 + used + known(node, 0)
    ]
    kept: set[Node] = set()
    while alive:
        node = alive.pop()
        if node not in kept:
            kept.add(node)
            alive += [source for source in node.src if source in uses]
    return kept


def _holders(shape: Structure, kept: set[Node]) -> dict[Any, int]:
    """For each leaf, in order, how many references the nodes that go have to it."""
    holders: dict[Any, int] = dict.fromkeys(shape.leaves, 0)
    for node in shape.nodes:
        if node not in kept:
            if node.op == "buffer":
                holders[node.attr] += 1
            elif node.realized in holders:
                holders[node.realized] += 1
    return holders


def _is_shared(buffer: Buffer) -> bool:
    """True when something else holds the memory of a buffer."""
    memories = [buffer.memory]
    return buffer.shared or (buffer.memory is not None and references(memories)[0] != ALONE + 1)
