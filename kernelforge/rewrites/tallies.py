"""Tallies for machines whose programs have no order.

Comes in: a graph and a target.  Goes out: the same graph; where one program cannot take elements one by one, each tally
is made of its two halves, before -> after

    tally(base, index, x)  ->  scatter(base, index, x) and, for each element, what the base and all elements before it
                               of the same index come to

The second half compares all pairs of elements of a line: whoever builds a tally for such a machine keeps lines short.
"""

from __future__ import annotations

from collections.abc import Sequence

from codegen.dtypes import dtypes
from codegen.ops import REDUCE_OPS
from codegen.target import Target
from kernelforge import graph
from kernelforge.graph import Node, rebuilt, toposort


def without_tallies(outputs: Sequence[Node], target: Target) -> list[Node]:
    """The outputs, with tallies replaced if the target needs it; the same nodes where there is none."""
    if target.language != "triton":
        return list(outputs)
    order = toposort(outputs, into_realized=False)
    return rebuilt(order, outputs, lambda _, new: _halves(new) if new.op == "tally" else new)


def _halves(node: Node) -> Node:
    """The two halves of a tally, one after the other."""
    (base, index, x), (dim, mode) = node.src, node.attr
    first = graph.scatter(base, index, x, dim, mode)
    second = graph.elementwise(mode, graph.gather(base, index, dim), _earlier(index, x, dim, mode))
    n, m = base.shape[dim], index.shape[dim]
    pads = [tuple((0, 0) if d != dim else pad for d in range(len(node.shape))) for pad in ((0, m), (n, 0))]
    places = graph.expand(_along(graph.iota(n + m), node.shape, dim), node.shape)
    inside = graph.elementwise("lt", places, graph.full(node.shape, n, dtypes.int32))
    return graph.elementwise("where", inside, graph.pad(first, pads[0]), graph.pad(second, pads[1]))


def _earlier(index: Node, x: Node, dim: int, mode: str) -> Node:
    """For each element, those before it of the same index combined."""
    m = index.shape[dim]
    shape = (*index.shape[: dim + 1], m, *index.shape[dim + 1 :])

    def mine(values: Node) -> Node:
        return graph.expand(graph.reshape(values, (*values.shape[: dim + 1], 1, *values.shape[dim + 1 :])), shape)

    def other(values: Node) -> Node:
        return graph.expand(graph.reshape(values, (*values.shape[:dim], 1, *values.shape[dim:])), shape)

    before = graph.elementwise("lt", other(_numbers(index, dim)), mine(_numbers(index, dim)))
    equal = graph.elementwise("eq", mine(index), other(index))
    counts = graph.elementwise("and", before, equal)
    identity = graph.full(shape, REDUCE_OPS[mode].identity(x.dtype), x.dtype)
    return graph.reduce(mode, graph.elementwise("where", counts, other(x), identity), (dim + 1,))


def _numbers(like: Node, dim: int) -> Node:
    """0, 1, 2, ... along dim, in another's shape."""
    return graph.expand(_along(graph.iota(like.shape[dim]), like.shape, dim), like.shape)


def _along(x: Node, shape: tuple[int, ...], dim: int) -> Node:
    return graph.reshape(x, tuple(n if d == dim else 1 for d, n in enumerate(shape)))
