"""Fusion: a graph is cut into the groups of nodes that become one kernel each.

Comes in: the nodes to compute.  Goes out: `Group`s in an order of execution, with the reason why each stored node is
stored.  `cuts` says what must be stored at least, `merging` joins kernels, `questions` what may be joined.  Nothing
here knows how a kernel is written or run.

The policy, in words: views are never stored; an elementwise node is computed by its users unless there are several and
it is not cheap; a reduction takes its elementwise epilogue, and what reads it over the same axes stays with it
(softmax, norms); a contraction takes epilogues and cheap prologues; an attention's scores are never stored; reductions
that read the same values become one kernel with several stores, and so do an optimiser's updates where launches cannot
be joined (see `joint`).
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence

from codegen.target import Target
from kernelforge.cuts import Cuts, Limits, in_memory, is_transfer
from kernelforge.graph import SCATTERS, Node
from kernelforge.group import Group
from kernelforge.merging import Merging, Part
from kernelforge.questions import Questions


def groups(outputs: Sequence[Node], target: Target) -> list[Group]:
    """The kernels that compute the outputs, in an order in which they can run.

    outputs  nodes that are not realized yet; each is stored
    """
    limits = Limits.of(target)
    cuts = _cuts(outputs, limits)
    parts = Merging(cuts).run()
    return [group for part in _in_order(parts) for group in _as_groups(part, cuts)]


def _cuts(outputs: Sequence[Node], limits: Limits) -> Cuts:
    """The nodes to store, with those scores and scans stored that cannot be computed where they are needed."""
    stored: set[Node] = set()
    while True:
        cuts = Cuts(outputs, limits, stored)
        questions = Questions(limits, cuts.contractions, cuts.scores)
        failed: set[Node] = set()
        open_nodes = (cuts.scores | cuts.scans) - cuts.reasons.keys()
        for node in cuts.reasons if open_nodes else ():
            inside, loads = cuts.region([node])
            used = open_nodes.intersection(inside)
            if used and questions.ask([node], inside, loads).refusal is not None:
                failed |= used
        if not failed:
            return cuts
        stored |= failed


def _in_order(parts: list[Part]) -> list[Part]:
    """The parts, producers before users; those that come first in the graph as early as possible."""
    owner = {node: part for part in parts for node in part.outputs}
    waits = {part: {owner[node] for node in part.loads if node in owner} for part in parts}
    users: dict[Part, list[Part]] = {part: [] for part in parts}
    for part, producers in waits.items():
        for producer in producers:
            users[producer].append(part)
    open_producers = {part: len(producers) for part, producers in waits.items()}
    ready = [(part.last, i, part) for i, part in enumerate(parts) if not open_producers[part]]
    heapq.heapify(ready)
    order: list[Part] = []
    number = {part: i for i, part in enumerate(parts)}
    while ready:
        part = heapq.heappop(ready)[2]
        order.append(part)
        for user in users[part]:
            open_producers[user] -= 1
            if not open_producers[user]:
                heapq.heappush(ready, (user.last, number[user], user))
    assert len(order) == len(parts), "kernels wait for each other"
    return order


def _as_groups(part: Part, cuts: Cuts) -> list[Group]:
    """The launches of a part: one, or two for a scatter, whose base comes first unless nothing is left of it."""
    reasons = {node: cuts.reasons[node] for node in part.outputs}
    (node, *_) = part.outputs
    if is_transfer(node):
        return [Group("copy", part.outputs, (in_memory(node.src[0]),), reasons)]
    if node.op == "host":
        return [Group("host", part.outputs, tuple(in_memory(source) for source in node.src), reasons)]
    if node.op == "stack":
        return [Group("stack", part.outputs, _loads(cuts, node.src), reasons)]
    if node.op not in SCATTERS:
        return [Group("flat" if part.is_flat else "compute", part.outputs, tuple(part.loads), reasons)]
    base, *rest = node.src
    scatter = Group("scatter", (node,), _loads(cuts, rest), reasons)
    return [scatter] if node.attr[1] == "place" else [Group("base", (node,), _loads(cuts, [base]), reasons), scatter]


def _loads(cuts: Cuts, values: Sequence[Node]) -> tuple[Node, ...]:
    """What computing the values reads, the values themselves included where they are stored."""
    stored = [node for node in values if cuts.is_stored(node)]
    _, loads = cuts.region([node for node in values if not cuts.is_stored(node)])
    return tuple(dict.fromkeys((*stored, *loads)))
