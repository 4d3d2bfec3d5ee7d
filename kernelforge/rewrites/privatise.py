"""Scatters that few programs could share become several, each with a copy of the places of its own.

Comes in: a graph and a target.  Goes out: the same graph with such scatters replaced, before -> after

    scatter(base, index, x, "add")  ->  base + sum over parts of scatter(zeros, part of index, part of x, "add")

Points that share a place are combined one after the other by one program; here each part is a program.  The number of
parts follows from the sizes alone: results are the same in every run.  Where hardware combines atomically, nothing is
to be done.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from codegen.ops import REDUCE_OPS
from codegen.target import Target
from kernelforge import graph
from kernelforge.graph import Node, rebuilt, toposort

PARTS_PER_CORE = 2
CHUNK = 1 << 15  # elements of a part at least: a launch more must pay
LINE = 64  # bytes of a line of the cache, which no two copies share: cores would take it away from each other
FEW = 4  # lines of a copy so short that one it shares with the next counts
SHARE = 4  # elements of a part for each place of its copy


def privatise(outputs: Sequence[Node], target: Target) -> list[Node]:
    """The outputs with such scatters replaced; the same nodes where there is none."""
    order = toposort(outputs, into_realized=False)
    parts = {node: count for node in order if node.op == "scatter" and (count := copies(node, target)) > 1}
    if not parts:
        return list(outputs)

    def change(node: Node, new: Node) -> Node:
        return _in_parts(new, parts[node]) if node in parts else new

    return rebuilt(order, outputs, change)


def copies(node: Node, target: Target) -> int:
    """How many programs should share a scatter's points; 1 if it is better left alone."""
    base, index, _ = node.src
    dim, mode = node.attr
    lines = prod(n for d, n in enumerate(index.shape) if d != dim)
    alike = lines * base.shape[dim] == base.size
    if node.realized is not None or mode not in REDUCE_OPS or target.language != "opencl" or not alike:
        return 1
    if lines >= target.cores:
        return 1
    wanted = -(-PARTS_PER_CORE * target.cores // lines)
    return max(1, min(wanted, index.size // CHUNK, index.size // (SHARE * max(1, base.size))))


def _in_parts(node: Node, parts: int) -> Node:
    """The scatter in parts; elements that do not fill the parts evenly are scattered last."""
    (base, index, x), (dim, mode) = node.src, node.attr
    each = index.shape[dim] // parts
    wide = x.dtype.arithmetic
    head: tuple[int, ...] = (parts, each)
    own_index, own_x = (
        graph.reshape(_between(y, dim, 0, parts * each), (*y.shape[:dim], *head, *y.shape[dim + 1 :]))
        for y in (index, graph.cast(x, wide))
    )
    apart = 1 + FEW * LINE // (wide.itemsize * max(1, base.shape[dim]))  # lengths of a copy from one to the next
    head, row = (*base.shape[:dim], parts), base.shape[dim:]
    zeros = graph.full((*head, apart, *row), REDUCE_OPS[mode].identity(wide), wide)
    first_index, first_x = (graph.reshape(y, (*y.shape[: dim + 1], 1, *y.shape[dim + 1 :])) for y in (own_index, own_x))
    partial = _between(graph.scatter(zeros, first_index, first_x, dim + 2, mode), dim + 1, 0, 1)
    partial = graph.reshape(partial, (*head, *row))
    total = graph.elementwise(mode, graph.cast(base, wide), graph.reduce(mode, partial, (dim,)))
    if parts * each < index.shape[dim]:
        rest, last = (_between(y, dim, parts * each, y.shape[dim]) for y in (index, graph.cast(x, wide)))
        total = graph.scatter(total, rest, last, dim, mode)
    return graph.cast(total, node.dtype)


def _between(x: Node, dim: int, start: int, stop: int) -> Node:
    return graph.shrink(x, tuple((start, stop) if d == dim else (0, n) for d, n in enumerate(x.shape)))
