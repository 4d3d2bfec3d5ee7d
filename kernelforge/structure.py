"""The structure of a graph: what stays the same from one training step to the next.

Comes in: nodes.  Goes out: `Structure`, whose key is equal for graphs that differ only in the buffers they read, and
the buffers in the order in which they are met.  One visit of every node; every realize() pays for it, so it is written
for speed: the shape and dtype of a computed node follow from the rest, and a constant stands for itself, as equal
ones are one object while a key holds them.
"""

from __future__ import annotations

from collections.abc import Container, Hashable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from kernelforge.buffer import Buffer
from kernelforge.graph import Node, uniform
from kernelforge.native import compiled


class Structure(NamedTuple):
    """A graph without its buffers.

    key     equal for graphs that are alike: each node with its operation and attribute, then its sources; a node met
            again by its number, and buffers by theirs, with their shapes and dtypes
    leaves  the buffers, and the nodes of `inputs`, by number
    nodes   all nodes, by number
    """

    key: Hashable
    leaves: list[Buffer | Node]
    nodes: list[Node]


def structure(roots: Sequence[Node], inputs: Container[Node] = frozenset(), history: bool = False) -> Structure:
    """The structure of what roots are computed from.

    inputs   nodes to treat as leaves, like buffers and realized nodes
    history  True: also how realized nodes were computed, which gradients ask for; a graph with a gradient has it
    """
    number: dict[Node, int] = {}
    leaves: dict[Buffer | Node, int] = {}
    parts: list[object] = []
    stack = list(roots)
    while stack:
        node = stack.pop()
        if node in number:
            parts.append(number[node])
            continue
        number[node] = len(number)
        op = node.op
        leaf: Buffer | Node | None = node.realized
        if op == "buffer":
            leaf = node.attr
        elif inputs and node in inputs:
            leaf = node
        if leaf is not None:
            follow = history and leaf is node.realized and bool(node.src)
            kind, place = "known" if follow else "leaf", leaves.setdefault(leaf, len(leaves))
            parts += (kind, place, node.device, node.shape, node.dtype)
            if history and op == "const":
                parts.append(node)
            if not follow:
                continue
        elif node.device is None:
            if op == "iota":  # by value: a key must not keep a node that may be computed, and so hold memory
                parts += (op, node.shape, node.dtype)
                continue
            if uniform(node) is not None:
                parts.append(node)
                continue
        if op == "gradient" and not history:
            return structure(roots, inputs, True)
        parts += (op, node.attr)
        stack += node.src
    return Structure(tuple(parts), list(leaves), list(number))


if TYPE_CHECKING or compiled is None:

    def known_structure(roots: Sequence[Node], history: bool = False) -> Structure | None:
        """`structure` of roots with a key of another kind, in much less time; None where there is no such way."""
        return None

else:

    def known_structure(roots: Sequence[Node], history: bool = False) -> Structure | None:
        """`structure` of roots with a key of another kind, in much less time; None where there is no such way."""
        found = compiled.structure(list(roots), history)
        return None if found is None else Structure(*found)


def structure_on(roots: Sequence[Node], device: str) -> Structure:
    """The structure of what roots are computed from on a device, without constants that were computed on another one,
    which was the default one then.

    What is computed from no buffer is on no device of its own, and equal ones are one node while anything holds it.
    """
    if (known := known_structure(roots)) is not None and all(x.device == device for x in known.leaves):
        return known
    found = structure(roots)
    while any(leaf.device != device for leaf in found.leaves):
        constants = [x for x in found.nodes if x.device is None and x.realized is not None]
        elsewhere = [x for x in constants if x.realized is not None and x.realized.device != device]
        if not elsewhere:
            break
        for node in elsewhere:
            node.realized = None
        found = structure(roots)  # which may show others, that those were computed from
    return found
