"""What is scattered into zeros and added to something is scattered into that.

Comes in: nodes.  Goes out: nodes of the same values, with neither the zeros nor the addition.  So the gradient of a
value that several look-ups read is one array they are all added to.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from codegen.dtypes import dtypes
from kernelforge import graph
from kernelforge.graph import Node, rebuilt, toposort, uniform


def onto(outputs: Sequence[Node]) -> list[Node]:
    """add(x, scatter(0, i, y, dim, "add")) -> scatter(x, i, y, dim, "add"), where nothing else uses that scatter.

    Sums are then added up in another order; a zero's sign may be that of x.
    """
    order = toposort(outputs, into_realized=False)
    if not any(node.op == "scatter" for node in order):
        return list(outputs)
    users = Counter(x for node in order if node.realized is None for x in node.src)
    users.update(outputs)
    alone = {x for x, count in users.items() if count == 1}

    def change(node: Node, new: Node) -> Node:
        if new.op != "add" or new.dtype is dtypes.bool:
            return new
        for i in range(2):
            x, y = new.src[1 - i], new.src[i]
            if node.src[i] in alone and y is not x and _is_into_zeros(y):
                return graph.scatter(x, y.src[1], y.src[2], *y.attr)
        return new

    return rebuilt(order, outputs, change)


def _is_into_zeros(x: Node) -> bool:
    if x.op != "scatter" or x.realized is not None or x.attr[1] != "add":
        return False
    base = uniform(x.src[0])
    return base is not None and base.attr == 0
