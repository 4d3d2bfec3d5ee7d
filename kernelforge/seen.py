"""What lies behind views and conversions, and what a node is to the rules that cut a graph into kernels.

Comes in: nodes.  Goes out: the nodes behind them, and answers about one node and its sources.
"""

from __future__ import annotations

from math import gcd
from typing import Final

from kernelforge.graph import LEAVES, Node

BIJECTIVE: Final = frozenset(("reshape", "permute", "detach"))
REPEATING: Final = BIJECTIVE | {"expand"}
SEE_THROUGH: Final = REPEATING | frozenset(("pad", "shrink", "flip", "window", "unwindow"))
USING_ONCE: Final = BIJECTIVE | frozenset(("pad", "shrink", "flip", "unwindow"))


def is_leaf(node: Node) -> bool:
    """True for a node that is read or known, not computed."""
    return node.op in LEAVES or node.realized is not None or 0 in node.shape


def is_transfer(node: Node) -> bool:
    """True for a copy between two devices; the copy of what no device holds is computed where it is needed."""
    return node.op == "copy" and node.realized is None and node.src[0].device is not None


def in_memory(node: Node) -> Node:
    """The node whose stored elements a step that is no kernel reads for one of its sources."""
    return through(node, frozenset(("reshape", "detach")))


def through(node: Node, ops: frozenset[str]) -> Node:
    """The node behind a chain of the given views."""
    while node.op in ops and node.realized is None:
        node = node.src[0]
    return node


def uses_once(node: Node) -> bool:
    """True for a view that shows no element of what it shows twice."""
    if node.op != "window":
        return node.op in USING_ONCE
    _, taps, stride, dilation = node.attr
    return stride // gcd(stride, dilation) >= taps


def contraction_operands(node: Node) -> tuple[Node, ...]:
    """The two factors of a sum of products, behind views and casts, if each of them is used more than once; else ()."""
    if node.op != "reduce" or node.attr[0] != "add":
        return ()
    body = through(node.src[0], BIJECTIVE | {"cast"})
    if body.op != "mul" or body.realized is not None:
        return ()
    factors = tuple(through(x, SEE_THROUGH | {"cast"}) for x in body.src)
    return factors if all(2 * x.size <= body.size for x in factors) else ()


def widens(node: Node) -> bool:
    """True for a conversion of floats that loses nothing and takes more memory."""
    return node.op == "cast" and node.dtype.is_float and node.src[0].dtype.is_float and (
        node.dtype.bits > node.src[0].dtype.bits
    )


def sources(node: Node) -> tuple[Node, ...]:
    """The nodes a node is computed from; none for a leaf."""
    return () if node.realized is not None or 0 in node.shape else node.src
