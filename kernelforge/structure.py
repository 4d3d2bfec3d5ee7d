"""The structure of a graph: what stays the same from one training step to the next.

Comes in: nodes.  Goes out: `Structure`, whose key is equal for graphs that differ only in the buffers they read, and
the buffers in the order in which they are met.  One pass; every realize() pays for it, so it is written for speed.
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from typing import NamedTuple

from kernelforge.buffer import Buffer
from kernelforge.graph import Node


class Structure(NamedTuple):
    """A graph without its buffers.

    key     operations, attributes, shapes, dtypes and edges; buffers by number
    leaves  the buffers, and the nodes of `inputs`, by number
    nodes   all nodes, sources before users
    """

    key: tuple[object, ...]
    leaves: list[Buffer | Node]
    nodes: list[Node]


def structure(roots: Sequence[Node], inputs: Container[Node] = frozenset()) -> Structure:
    """The structure of what roots are computed from.

    inputs  nodes to treat as leaves, like buffers and realized nodes
    """
    number: dict[Node, int] = {}
    leaves: dict[Buffer | Node, int] = {}
    nodes: list[Node] = []
    parts: list[object] = []
    add = parts.append
    stack = list(roots)
    stack.reverse()
    while stack:
        node = stack[-1]
        if node in number:
            stack.pop()
            continue
        op = node.op
        leaf = node.attr if op == "buffer" else node if node in inputs else node.realized
        if leaf is None:
            open_sources = [x for x in node.src if x not in number]
            if open_sources:
                open_sources.reverse()
                stack += open_sources
                continue
        stack.pop()
        number[node] = len(nodes)
        nodes.append(node)
        if leaf is not None:
            add("leaf")
            add(leaves.setdefault(leaf, len(leaves)))
            add(node.device)
        else:
            add(op)
            # Zeros of either sign are equal, and a NaN is not equal to itself; their texts are.
            add(repr(node.attr) if op == "const" else node.attr)
            for x in node.src:
                add(number[x])
        add(node.shape)
        add(node.dtype)
    add(tuple(number[node] for node in roots))
    return Structure(tuple(parts), list(leaves), nodes)
