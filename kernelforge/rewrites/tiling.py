"""Sums of pieces that lie side by side become stacks.

Comes in: nodes, as differentiation makes them.  Goes out: nodes of the same values.  What is taken apart into pieces
has a cotangent that is a sum of padded ones; as a stack every piece is computed for its own place alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from kernelforge import graph
from kernelforge.graph import Node, rebuild, toposort


def tiled(roots: Sequence[Node]) -> list[Node]:
    """add(pad(a), add(pad(b), ..)) -> stack(a, b, ..), where pieces of one shape fill one dimension of the sum."""
    order = toposort(roots)
    users = Counter(x for node in order for x in node.src)
    users.update(roots)
    inner = {x for node in order if node.op == "add" for x in node.src if x.op == "add" and users[x] == 1}
    done: dict[Node, Node] = {}
    for node in order:
        src = [done[x] for x in node.src]
        again = rebuild(node, src) if src else node
        found = _stacked(_terms(again)) if node.op == "add" and node not in inner else None
        done[node] = again if found is None else found
    return [done[node] for node in roots]


def _terms(node: Node) -> list[Node]:
    """What a tree of additions adds up."""
    found, stack = [], [node]
    while stack:
        node = stack.pop()
        if node.op == "add":
            stack += node.src
        else:
            found.append(node)
    return found


def _stacked(terms: Sequence[Node]) -> Node | None:
    """The sum of pads of one shape that fill a dimension; None for others."""
    if len(terms) < 2 or any(x.op != "pad" or x.src[0].shape != terms[0].src[0].shape for x in terms):
        return None
    shape = terms[0].src[0].shape
    wide = [d for d, (m, n) in enumerate(zip(shape, terms[0].shape)) if m != n]
    if len(wide) != 1 or terms[0].shape[wide[0]] != len(terms) * shape[wide[0]]:
        return None
    (dim,) = wide
    places = sorted(terms, key=lambda x: x.attr[dim][0])
    if [x.attr[dim][0] for x in places] != [i * shape[dim] for i in range(len(terms))]:
        return None
    return graph.reshape(graph.stack([x.src[0] for x in places], ((dim, len(terms)),)), terms[0].shape)
