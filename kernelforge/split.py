"""Large reductions to few results become two: partial results in parallel, then their combination.

Comes in: a graph.  Goes out: the same graph with such reductions replaced, before -> after

    reduce(x, n)  ->  reduce(contiguous(reduce(x as (parts, n / parts), n / parts)), parts)

so that all processors take part.  The number of parts follows from the sizes alone: results are the same in every run.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

from codegen.target import Target
from kernelforge import graph
from kernelforge.cuts import contraction_operands
from kernelforge.graph import Node, rebuild, toposort

CHUNK = 4096
CHUNK_CONTRACTION = 1024


@dataclass(frozen=True)
class Part:
    """How to split a reduction: the dimension of its operand, and the number of parts."""

    dim: int
    parts: int


def split(outputs: Sequence[Node], target: Target) -> list[Node]:
    """The outputs with large reductions to few results split; the same nodes where there is none."""
    order = toposort(outputs, into_realized=False)
    parts = {node: part for node in order if node.op == "reduce" and (part := partition(node, target)) is not None}
    if not parts:
        return list(outputs)
    made: dict[Node, Node] = {}
    for node in order:
        if node.realized is not None:
            made[node] = node
            continue
        new = rebuild(node, [made[x] for x in node.src])
        made[node] = _split(new, parts[node]) if node in parts else new
    return [made[node] for node in outputs]


def partition(node: Node, target: Target) -> Part | None:
    """How to split a reduction, or None if it is better left alone."""
    if node.realized is not None or not node.size or not node.src[0].size:
        return None
    shape, (_, dims) = node.src[0].shape, node.attr
    length = prod(shape[d] for d in dims)
    gpu = target.language == "triton"
    if contraction_operands(node):
        programs, chunk = node.size // (4096 if gpu else 256), CHUNK_CONTRACTION
    else:
        rows = dims[-1] == len(shape) - 1
        programs, chunk = node.size // (1 if rows else 64 if gpu else 16), max(CHUNK, (1 << 17) // target.cores)
    if programs >= target.cores:
        return None
    wanted = min(4 * target.cores // max(1, programs), length // chunk)
    if wanted < 2:
        return None
    dim = next(d for d in dims if shape[d] > 1)
    return Part(dim, min(wanted, shape[dim]))


def _split(node: Node, part: Part) -> Node:
    """The reduction in two steps; elements that do not fill the parts evenly are a part of their own."""
    (x,), (op, dims) = node.src, node.attr
    wide = graph.cast(x, x.dtype.arithmetic)
    size = x.shape[part.dim]
    each = size // part.parts
    even = _between(wide, part.dim, 0, each * part.parts)
    shape = (*x.shape[: part.dim], part.parts, each, *x.shape[part.dim + 1 :])
    inner = tuple(d + (d >= part.dim) for d in dims)
    partial = graph.contiguous(graph.reduce(op, graph.reshape(even, shape), inner))
    place = part.dim - sum(d < part.dim for d in dims)
    result = graph.reduce(op, partial, (place,))
    if each * part.parts < size:
        rest = graph.reduce(op, _between(wide, part.dim, each * part.parts, size), dims)
        result = graph.elementwise(op, result, rest)
    return graph.cast(result, node.dtype)


def _between(x: Node, dim: int, start: int, stop: int) -> Node:
    return graph.shrink(x, tuple((start, stop) if d == dim else (0, n) for d, n in enumerate(x.shape)))
