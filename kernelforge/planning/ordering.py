"""The order of kernels where some results may take the memory of what they replace.

Comes in: groups in an order in which they can run, and the leaves nobody needs afterwards.  Goes out: groups.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final

from kernelforge.buffer import Buffer
from kernelforge.fusion.group import Group
from kernelforge.graph import Node
from kernelforge.node import is_stored

MOST_TRIED: Final = 128  # groups for which the peak is computed


def later_updates(groups: Sequence[Group], wanted: Collection[Node], dying: Collection[Buffer]) -> list[Group]:
    """The groups in an order in which more results can take the memory of dying leaves.

    A group with a wanted result as large as such a leaf that it reads comes after the last one that reads the leaf,
    where nothing before that waits for it, and what it alone still needs is not larger than what it saves, or does not
    raise the peak.  A scatter waits for its base: both store the same node.

        w1 = w - x.T @ g; gx = g @ w.T  ->  gx = g @ w.T; w = w - x.T @ g
    """
    found = list(groups)
    place = {group: i for i, group in enumerate(found)}
    readers: dict[Node, list[Group]] = {}
    for group in groups:
        for x in group.inputs:
            readers.setdefault(x, []).append(group)
    most, tried = -1, 0
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
        later = [*found[:here], *between, group, *found[there + 1 :]]
        if sum(map(_nbytes, longer)) > sum(map(_nbytes, updated)):
            if tried >= MOST_TRIED:
                continue
            tried, most = tried + 1, peak(found, wanted) if most < 0 else most
            if peak(later, wanted) > most:
                continue
        found = later
        place.update((moved, here + i) for i, moved in enumerate(found[here : there + 1]))
    return found


def peak(groups: Sequence[Group], wanted: Collection[Node]) -> int:
    """The most bytes that are alive at a time of what groups store; what is wanted stays."""
    last: dict[Node, int] = {}
    for i, group in enumerate(groups):
        last.update(dict.fromkeys((*group.inputs, *group.outputs), i))
    ends = [0] * (len(groups) + 1)
    for node, i in last.items():
        if node not in wanted and not is_stored(node):
            ends[i + 1] += _nbytes(node)
    alive = most = 0
    met: set[Node] = set()
    for i, group in enumerate(groups):
        new = [node for node in group.outputs if node not in met]
        met.update(new)
        alive += sum(map(_nbytes, new)) - ends[i]
        most = max(most, alive)
    return most


def _nbytes(node: Node) -> int:
    return node.size * node.dtype.itemsize
