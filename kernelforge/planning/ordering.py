"""The order of kernels where some results may take the memory of what they replace.

Comes in: groups in an order in which they can run, and the leaves nobody needs afterwards.  Goes out: groups.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from kernelforge.buffer import Buffer
from kernelforge.fusion.group import Group
from kernelforge.graph import Node
from kernelforge.node import is_stored


def later_updates(groups: Sequence[Group], wanted: Collection[Node], dying: Collection[Buffer]) -> list[Group]:
    """The groups in an order in which more results can take the memory of dying leaves.

    A group with a wanted result as large as such a leaf that it reads comes after the last one that reads the leaf,
    where nothing before that waits for it, and what it alone still needs is not larger than what it saves.  A scatter
    waits for its base: both store the same node.

        w1 = w - x.T @ g; gx = g @ w.T  ->  gx = g @ w.T; w = w - x.T @ g
    """
    found = list(groups)
    place = {group: i for i, group in enumerate(found)}
    readers: dict[Node, list[Group]] = {}
    for group in groups:
        for x in group.inputs:
            readers.setdefault(x, []).append(group)
    for group in groups:
        kinds = {(node.size, node.dtype) for node in group.outputs if node in wanted}
        stored = [x for x in group.inputs if (x.attr if x.op == "buffer" else x.realized) in dying]
        updated = [x for x in stored if (x.size, x.dtype) in kinds]
        here = place[group]
        there = max((place[other] for x in updated for other in readers[x]), default=here)
        between, made = found[here + 1 : there + 1], set(group.outputs)
        if not between or any(not made.isdisjoint((*other.inputs, *other.outputs)) for other in between):
            continue
        longer = [x for x in group.inputs if not is_stored(x) and all(place[other] < there for other in readers[x])]
        if sum(x.size * x.dtype.itemsize for x in longer) <= sum(x.size * x.dtype.itemsize for x in updated):
            found[here : there + 1] = [*between, group]
            place.update((moved, here + i) for i, moved in enumerate(found[here : there + 1]))
    return found
