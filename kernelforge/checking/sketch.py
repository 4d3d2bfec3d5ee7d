"""Graphs as data: what can be cut out of a graph, made smaller, run on its own and written as Python.

Comes in: nodes, and arrays for those that are given.  Goes out: a `Sketch`, and from it new nodes on new buffers, which
share nothing with the program's but what is constant.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from codegen.dtypes import DType
from kernelforge import graph
from kernelforge.blame import Line
from kernelforge.buffer import Buffer
from kernelforge.graph import Node, Shape, node_of, toposort, user_line


class Item(NamedTuple):
    """One node: its operation, the places of its sources among the items, and what else makes it.

    values  the elements of one that is given, in their compute type
    """

    op: str
    src: tuple[int, ...]
    attr: Any
    shape: Shape
    dtype: DType
    line: Line | None
    values: NDArray | None = None


class Sketch(NamedTuple):
    """Items, sources before users; the places of those that are asked for; the device."""

    items: tuple[Item, ...]
    roots: tuple[int, ...]
    device: str

    def nodes(self) -> tuple[list[Node], dict[Node, NDArray]]:
        """New nodes for the roots, and the arrays of those that are given."""
        made: list[Node] = []
        given: dict[Node, NDArray] = {}
        for item in self.items:
            with user_line(item.line):
                if item.values is not None:
                    buffer = Buffer.from_numpy(item.values, item.dtype, self.device)
                    made.append(graph.buffer(buffer, item.shape, item.dtype))
                    given[made[-1]] = item.values
                else:
                    made.append(_made(item, [made[i] for i in item.src]))
        return [made[i] for i in self.roots], given

    @property
    def operations(self) -> int:
        """How many items compute something."""
        return sum(bool(item.src) for item in self.items)


def _made(item: Item, src: list[Node]) -> Node:
    if item.op == "const":
        return graph.const(item.attr, item.dtype)
    if item.op == "iota":
        return graph.iota(item.shape[0], item.dtype)
    return node_of(item.op, tuple(src), item.attr, item.shape, item.dtype)


def sketch(
    roots: Sequence[Node], given: Mapping[Node, NDArray], device: str, leaves: Collection[Node] = ()
) -> Sketch:
    """The sketch of a graph.

    given   arrays for nodes it is computed from, and for all leaves that it is to be cut at
    """
    ends = dict.fromkeys((*leaves, *given))
    order = toposort(roots, leaves=ends)
    place = {node: i for i, node in enumerate(order)}
    items = []
    for node in order:
        if node in ends:
            values = np.ascontiguousarray(given[node]).reshape(node.shape)
            items.append(Item("buffer", (), None, node.shape, node.dtype, node.line, values))
        else:
            src = tuple([place[x] for x in node.src])
            items.append(Item(node.op, src, node.attr, node.shape, node.dtype, node.line))
    return Sketch(tuple(items), tuple([place[x] for x in roots]), device)
