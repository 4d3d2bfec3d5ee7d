"""Loops whose rounds' arrays begin where memory can be divided.

Comes in: a graph.  Goes out: the same, before -> after

    loop(init, xs)  ->  the first places of each row of loop(init, rows(xs)), rows [steps, places]

where the elements of xs, or the states, are so large that the second would begin anywhere.  What lies behind them is
nobody's: no round reads or writes it.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Final

from codegen.dtypes import DType
from codegen.open_sizes import STATIC, Sizes
from kernelforge import graph
from kernelforge.graph import Node, Shape, rebuilt, toposort

APART: Final = 512  # bytes at whose multiples memory can be divided


def places(shape: Shape, dtype: DType, sizes: Sizes = STATIC) -> int:
    """How many elements are stored for an array that others of its shape follow.

    Where its size is open there is room behind it, unless it ends at such a place whatever the size is.

    >>> from codegen.dtypes import dtypes
    >>> places((5, 20), dtypes.float32), places((4, 32), dtypes.float32)
    (128, 128)
    """
    size, unit = prod(shape), APART // dtype.itemsize
    if not sizes.has(size):
        return -(-size // unit) * unit
    for one in sizes.open:
        if size % one == 0 and not any(one % other == 0 for other in sizes.open if other != one):
            size //= one
    return prod(shape) if size % unit == 0 else sizes.room(prod(shape), unit)


def spaced(outputs: Sequence[Node], sizes: Sizes = STATIC) -> Sequence[Node]:
    """The outputs with such loops."""
    order = toposort(outputs, into_realized=False)
    if not any(x.op == "loop" and not x.attr.apart for x in order):
        return outputs

    def change(node: Node, new: Node) -> Node:
        return _spaced(new, sizes) if new.op == "loop" and not new.attr.apart else new

    return rebuilt(order, outputs, change)


def _spaced(node: Node, sizes: Sizes) -> Node:
    init, *rest = node.src
    loop, steps = node.attr, node.shape[0]
    elements, same = rest[: loop.sequences], rest[loop.sequences :]
    kinds = [(init.shape, init.dtype), *((x.shape[1:], x.dtype) for x in elements)]
    room = [places(*kind, sizes) for kind in kinds]
    if all(size == prod(shape) for size, (shape, _) in zip(room, kinds)):
        src = node.src
    else:
        loop = loop._replace(apart=tuple([shape for shape, _ in kinds[1:]]))
        src = (init, *[_row(x, size) for x, size in zip(elements, room[1:])], *same)
    shape = node.shape[1:]
    size = places(shape, node.dtype, sizes)
    if not loop.apart and size == prod(shape):
        return node
    found = graph.loop(loop, src, (steps, size))
    return graph.reshape(graph.shrink(found, ((0, steps), (0, prod(shape)))), node.shape)


def _row(x: Node, size: int) -> Node:
    """The elements of a sequence, each in so many places, with zeros behind it, or what was there before."""
    before = x.src[0] if x.op == "reshape" else x
    if before.op == "shrink" and before.src[0].shape == (x.shape[0], size) and before.attr[1][0] == 0:
        return before.src[0]
    flat = graph.reshape(x, (x.shape[0], x.size // x.shape[0]))
    return graph.pad(flat, ((0, 0), (0, size - flat.shape[1])))
