"""A graph for one example becomes a graph for many: every operation gets a dimension in front.

Comes in: nodes, and what stands for some of those they are computed from.  Goes out: the same nodes with the dimension
of examples.  What depends on no example is the same for all.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from kernelforge import graph
from kernelforge.graph import Node, toposort


def lifted(roots: Sequence[Node], inputs: Mapping[Node, Node], size: int) -> list[Node]:
    """The roots with the dimension of examples in front, given what stands for nodes that have one.

    The roots hold neither calls nor gradients.
    """
    done: dict[Node, Node] = dict(inputs)
    for node in toposort(roots):
        if node not in done and any(x in done for x in node.src):
            done[node] = _lifted(node, [_in_front(x, done, size) for x in node.src], size)
    return [_in_front(node, done, size) for node in roots]


def _in_front(node: Node, done: dict[Node, Node], size: int) -> Node:
    """A node with the dimension of examples: its own, or the same for all."""
    if node in done:
        return done[node]
    return graph.expand(graph.reshape(node, (1, *node.shape)), (size, *node.shape))


def _lifted(node: Node, src: list[Node], size: int) -> Node:
    """The node's operation on operands with one more dimension in front."""
    if node.op in _LIFTED:
        return _LIFTED[node.op](src, node.attr, size)
    if node.op == "host":
        return graph.host(node.attr, src, (size, *node.shape))
    if node.op in ("loop", "while"):
        return node.attr.lifted(src, size)
    return graph.node_of(node.op, tuple(src), node.attr, (size, *node.shape), node.dtype)


_LIFTED: Final[dict[str, Callable[[list[Node], Any, int], Node]]] = {
    "reshape": lambda src, attr, size: graph.reshape(src[0], (size, *attr)),
    "expand": lambda src, attr, size: graph.expand(src[0], (size, *attr)),
    "permute": lambda src, attr, size: graph.permute(src[0], (0, *(d + 1 for d in attr))),
    "pad": lambda src, attr, size: graph.pad(src[0], ((0, 0), *attr)),
    "shrink": lambda src, attr, size: graph.shrink(src[0], ((0, size), *attr)),
    "flip": lambda src, attr, size: graph.flip(src[0], tuple(d + 1 for d in attr)),
    "window": lambda src, attr, size: graph.window(src[0], attr[0] + 1, *attr[1:]),
    "unwindow": lambda src, attr, size: graph.unwindow(src[0], attr[0] + 1, *attr[1:]),
    "reduce": lambda src, attr, size: graph.reduce(attr[0], src[0], tuple(d + 1 for d in attr[1])),
    "scan": lambda src, attr, size: graph.scan(attr[0], src[0], attr[1] + 1, *attr[2:]),
    "gather": lambda src, attr, size: graph.gather(src[0], src[1], attr + 1),
    "scatter": lambda src, attr, size: graph.scatter(src[0], src[1], src[2], attr[0] + 1, *attr[1:]),
    "tally": lambda src, attr, size: graph.tally(src[0], src[1], src[2], attr[0] + 1, *attr[1:]),
    "stack": lambda src, attr, size: graph.stack(src, tuple((dim + 1, n) for dim, n in attr)),
    "copy": lambda src, attr, size: graph.copy(src[0], attr),
}
