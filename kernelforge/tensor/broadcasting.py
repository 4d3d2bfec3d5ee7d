"""Nodes brought to one shape.

Comes in: nodes of shapes that go together by NumPy's rules.  Goes out: nodes of one shape.
"""

from __future__ import annotations

from kernelforge import graph
from kernelforge.graph import Node
from kernelforge.shape import broadcast_shapes


def broadcast(*nodes: Node) -> tuple[Node, ...]:
    """The nodes expanded to their common shape, by NumPy's rules.

    raises ShapeError
    """
    shape = broadcast_shapes(*[node.shape for node in nodes])
    return tuple([expanded(node, shape) for node in nodes])


def expanded(node: Node, shape: tuple[int, ...]) -> Node:
    """A node expanded to a shape it broadcasts to."""
    if node.shape == shape:
        return node
    missing = len(shape) - len(node.shape)
    if missing:
        filled = (1,) * missing + node.shape
        node = graph.node_of("reshape", (node,), filled, filled, node.dtype)
    return graph.expand(node, shape)
