"""The order of kernels where some results may take the memory of what they replace.

Comes in: groups in an order in which they can run, and the leaves nobody needs afterwards.  Goes out: groups.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import accumulate
from typing import Final

from kernelforge.buffer import Buffer
from kernelforge.fusion.group import Group
from kernelforge.graph import Node
from kernelforge.node import is_stored
from kernelforge.settings import MEMORY_BUDGET

MOST_TRIED: Final = 128  # groups for which that is computed
FAR: Final = 3 / 4  # of the peak, which leaves room for results


def later_updates(groups: Sequence[Group], wanted: Collection[Node], dying: Collection[Buffer]) -> list[Group]:
    """The groups in an order in which more results can take the memory of dying leaves.

    A group with a wanted result as large as such a leaf that it reads comes after the last one that reads the leaf,
    where nothing before that waits for it, and what it alone still needs is not larger than what it saves, or comes
    where far less is alive than at the peak.  A scatter waits for its base: both store the same node.

        w1 = w - x.T @ g; gx = g @ w.T  ->  gx = g @ w.T; w = w - x.T @ g
    """
    found = list(groups)
    place = {group: i for i, group in enumerate(found)}
    readers: dict[Node, list[Group]] = {}
    for group in groups:
        for x in group.inputs:
            readers.setdefault(x, []).append(group)
    most, tried = -1, MOST_TRIED if MEMORY_BUDGET.value else 0  # what reads an overwritten leaf cannot run again
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
            tried, most = tried + 1, max(alive(found, wanted)) if most < 0 else most
            if max(alive(later, wanted)[here : there + 1]) > FAR * most:
                continue
        found = later
        place.update((moved, here + i) for i, moved in enumerate(found[here : there + 1]))
    return found


def alive(groups: Sequence[Group], wanted: Collection[Node]) -> list[int]:
    """The bytes that are alive at each group of what groups store, without what is wanted."""
    last: dict[Node, int] = {}
    first: dict[Node, int] = {}
    for i, group in enumerate(groups):
        for node in (*group.inputs, *group.outputs):
            last[node], first[node] = i, first.get(node, i)
    change = [0] * (len(groups) + 1)
    for node in last:
        if node not in wanted and not is_stored(node):
            change[first[node]] += _nbytes(node)
            change[last[node] + 1] -= _nbytes(node)
    return list(accumulate(change[:-1]))


def _nbytes(node: Node) -> int:
    return node.size * node.dtype.itemsize
