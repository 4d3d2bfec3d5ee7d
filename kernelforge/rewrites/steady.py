"""Operands of a loop's products that are the same in all rounds, laid out once as a product reads them fastest.

Comes in: a round's graph, and the buffers that stay the same.  Goes out: the same graph, before -> after

    sum over k of (x[m, k] * w[n, k])  ->  sum over k of (x[m, k] * v[k, n]), v[k, n] = w[n, k] stored

A kernel that finds w across brings it into that form itself, in every round.  Where rows of v would be pages apart, it
is stored in pieces of a few vectors of n each, one after the other.
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from itertools import accumulate
from math import prod
from operator import mul
from typing import Final

from codegen.target import Target
from kernelforge import graph
from kernelforge.buffer import Buffer
from kernelforge.graph import Node, Shape, rebuilt, toposort

PAGE: Final = 4096
VECTORS: Final = 4  # of a row in a piece


def steady(outputs: Sequence[Node], same: Container[Buffer], target: Target) -> list[Node]:
    """The outputs with such operands laid out; the same nodes where there is none."""
    if target.language != "opencl":
        return list(outputs)

    def change(node: Node, new: Node) -> Node:
        if new.op != "reduce" or new.attr[0] != "add" or new.src[0].op != "mul" or new.src[0].realized is not None:
            return new
        x, y = new.src[0].src
        summed = frozenset(new.attr[1])
        a, b = _laid_out(x, y, summed, same, target.lanes), _laid_out(y, x, summed, same, target.lanes)
        return new if a is x and b is y else graph.reduce("add", graph.elementwise("mul", a, b), new.attr[1])

    return rebuilt(toposort(outputs, into_realized=False), outputs, change)


def _laid_out(x: Node, other: Node, summed: frozenset[int], same: Container[Buffer], lanes: int) -> Node:
    """A factor as it is best read, itself where it is no array that stays the same or is not read across."""
    strides = _strides(x)
    if strides is None or x.dtype.bits < 32 or _leaf(x).attr not in same:
        return x
    dims = sorted((d for d, stride in enumerate(strides) if stride), key=lambda d: -strides[d])
    sizes = [x.shape[d] for d in dims]
    shown = [*accumulate([1, *sizes[:0:-1]], mul)][::-1]
    if not dims or dims[-1] not in summed or shown != [strides[d] for d in dims] or prod(sizes) != _leaf(x).size:
        return x
    there = [n > 1 for n in (other.src[0].shape if other.op == "expand" else other.shape)]
    own = [d for d in dims if d not in summed and not there[d]]
    if not own or prod(x.shape[d] for d in own) < lanes:
        return x
    batch = [d for d in dims if d not in summed and there[d]]
    order = [*batch, *(d for d in dims if d in summed), *own]
    moved = _stored(graph.reshape(_leaf(x), tuple(sizes)), [dims.index(d) for d in order], len(batch), len(own), lanes)
    back = graph.permute(moved, tuple(order.index(d) for d in sorted(order)))
    return graph.expand(graph.reshape(back, tuple(n if s else 1 for n, s in zip(x.shape, strides))), x.shape)


def _stored(x: Node, order: Sequence[int], batch: int, own: int, lanes: int) -> Node:
    """x with its dimensions in an order, in an array of its own; the last, if it is long, in pieces.

    batch, own  how many dimensions come before those that are summed, and after them
    """
    moved = graph.permute(x, tuple(order))
    rank, last, piece = len(order), moved.shape[-1], VECTORS * lanes
    if own > 1 or last % piece or last * x.dtype.itemsize < PAGE:
        return graph.contiguous(moved, "weight")
    pieces = graph.reshape(moved, (*moved.shape[:-1], last // piece, piece))
    outer = (*range(batch), rank - 1, *range(batch, rank - 1), rank)
    stored = graph.contiguous(graph.permute(pieces, outer), "weight")
    return graph.reshape(graph.permute(stored, tuple(outer.index(d) for d in range(rank + 1))), moved.shape)


def _leaf(x: Node) -> Node:
    """The node behind x's views."""
    return graph.behind_views(x)


def _strides(x: Node) -> Shape | None:
    """How far apart in a buffer the elements of x lie along each dimension, 0 where they repeat; None where that is no
    such number, or x shows no buffer."""
    views: list[Node] = []
    while x.op in ("reshape", "permute", "expand") and x.realized is None:
        views.append(x)
        x = x.src[0]
    if x.op != "buffer":
        return None
    found = [*accumulate([1, *x.shape[:0:-1]], mul)][::-1] if x.shape else []
    found = [stride if n > 1 else 0 for stride, n in zip(found, x.shape)]
    for view in reversed(views):
        before = view.src[0].shape
        if view.op == "permute":
            found = [found[d] for d in view.attr]
        elif view.op == "reshape":
            if [n for n in before if n > 1] != [n for n in view.shape if n > 1]:
                return None
            left = iter([stride for stride, n in zip(found, before) if n > 1])
            found = [next(left) if n > 1 else 0 for n in view.shape]
    return tuple(found)
