"""The structure of a graph: what stays the same from one training step to the next.

Comes in: nodes.  Goes out: `Structure`, whose key is equal for graphs that differ only in the buffers they read, and
the buffers in the order in which they are met.  One pass; every realize() pays for it, so it is written for speed: the
shape and dtype of a computed node follow from the rest, and a constant stands for itself, as equal
ones are one object while a key holds them.
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from typing import NamedTuple

from kernelforge.buffer import Buffer
from kernelforge.graph import Node, uniform


class Structure(NamedTuple):
    """A graph without its buffers.

    key     operations, attributes and edges; buffers by number, with their shapes and dtypes; constants
    leaves  the buffers, and the nodes of `inputs`, by number
    nodes   all nodes, sources before users
    """

    key: tuple[object, ...]
    leaves: list[Buffer | Node]
    nodes: list[Node]


def structure(
    roots: Sequence[Node], inputs: Container[Node] = frozenset(), history: bool = False
) -> Structure:
    """The structure of what roots are computed from.

    inputs   nodes to treat as leaves, like buffers and realized nodes
    history  True: also how realized nodes were computed, which gradients ask for; a graph with a gradient has it
    """
    number: dict[Node, int] = {}  # -1 while its sources come first
    leaves: dict[Buffer | Node, int] = {}
    nodes: list[Node] = []
    parts: list[object] = []
    add = parts.append
    stack = list(roots)
    stack.reverse()
    while stack:
        node = stack.pop()
        state = number.get(node)
        if state is None:
            op = node.op
            leaf = node.attr if op == "buffer" else node if node in inputs else node.realized
            if leaf is not None:
                parts += ("leaf", leaves.setdefault(leaf, len(leaves)), node.device, node.shape, node.dtype)
                follow = history and leaf is node.realized and bool(node.src)
            elif op == "gradient" and not history:
                return structure(roots, inputs, True)
            elif op == "iota":  # by value: a key must not keep a node that may be computed, and so hold memory
                parts += (op, node.shape, node.dtype)
                follow = False
            elif node.device is None and uniform(node) is not None:
                add(node)
                follow = False
            else:
                follow = True
            if follow:
                number[node] = -1
                stack.append(node)
                stack += node.src[::-1]
                continue
        elif state < 0:
            parts += (node.op, node.attr)
            for x in node.src:
                add(number[x])
        else:
            continue
        number[node] = len(nodes)
        nodes.append(node)
    add(tuple([number[node] for node in roots]))
    return Structure(tuple(parts), list(leaves), nodes)
