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

from collections.abc import Mapping, Sequence
from typing import Final

from codegen.target import Target
from kernelforge.fusion.boundaries import between
from kernelforge.fusion.cuts import Cuts
from kernelforge.fusion.group import Group
from kernelforge.fusion.limits import Limits
from kernelforge.fusion.merging import Merging, Part
from kernelforge.fusion.questions import Questions, is_pointwise
from kernelforge.fusion.story import telling
from kernelforge.graph import LEAVES, SCATTERS, VIEWS, Node
from kernelforge.seen import in_memory, is_transfer

FEW: Final = 16  # nodes, which are never far too many


def groups(outputs: Sequence[Node], target: Target, ignoring: frozenset[str] = frozenset()) -> list[Group]:
    """The kernels that compute the outputs, in an order in which they can run.

    outputs   nodes that are not realized yet; each is stored
    ignoring  objections to joining kernels that are not heeded, which tells what a boundary rests on
    """
    limits = Limits.of(target)
    cuts = _cuts(outputs, limits)
    merging = Merging(cuts, ignoring)
    parts = _in_order(merging.run())
    found = [group for part in parts for group in _as_groups(part, cuts)]
    if (story := telling()) is not None:
        story.grouped(found, between(merging, parts, story.origins))
    return found


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
        failed |= _in_the_midst(cuts, questions)
        if not failed:
            return cuts
        stored |= failed


def _in_the_midst(cuts: Cuts, questions: Questions) -> set[Node]:
    """A node in the midst of each kernel that would be far too large, as views show what it computes at many places."""
    found: set[Node] = set()
    for node in cuts.reasons:
        if node.op in ("host", "loop", "while") or is_transfer(node):
            continue
        is_apart = node.op == "stack" or node.op in SCATTERS
        outputs = [x for x in node.src if not cuts.is_stored(x)] if is_apart else [node]
        inside, loads = cuts.region(outputs)
        if len(inside) < FEW or is_pointwise([node], inside) or questions.is_bounded(outputs, loads):
            continue
        computed = [x for x in inside if x.op not in VIEWS | LEAVES and x not in outputs]
        within = set(inside)
        shared = [x for x in computed if len(within.intersection(cuts.users[x])) > 1] or computed
        found.update(sorted(shared, key=cuts.position.__getitem__)[len(shared) // 2 :][:1])
    return found


def _in_order(parts: list[Part]) -> list[Part]:
    """The parts, producers before users, each as late as its users allow, so that few values are alive at a time.

    What a part needs is computed the longest way first, as its result may be all that is left of it.  Of the parts that
    nothing waits for, and what they need, the shortest way comes first: the gradients of the last layers.
    """
    owner = {node: part for part in parts for node in part.outputs}
    producers = {part: list(dict.fromkeys(owner[x] for x in part.loads if x in owner)) for part in parts}
    waited_for = {x for found in producers.values() for x in found}
    ends = [part for part in parts if part not in waited_for]
    depth: dict[Part, int] = {}
    for part in _behind(ends, producers):
        depth[part] = 1 + max((depth[x] for x in producers[part]), default=0)
    ends.sort(key=lambda part: (depth[part], part.last))
    last = frozenset(ends)
    for part, found in producers.items():
        found.sort(key=lambda x: (depth[x] if part in last else -depth[x], x.last))
    order = _behind(ends, producers)
    assert len(order) == len(parts), "kernels wait for each other"
    return order


def _behind(ends: Sequence[Part], producers: Mapping[Part, Sequence[Part]]) -> list[Part]:
    """The parts that lead to given ones, and these, each after its producers, which are met in their order."""
    order: list[Part] = []
    seen: set[Part] = set()
    stack = [(part, False) for part in reversed(ends)]
    while stack:
        part, expanded = stack.pop()
        if expanded:
            order.append(part)
        elif part not in seen:
            seen.add(part)
            stack.append((part, True))
            stack += [(x, False) for x in reversed(producers[part]) if x not in seen]
    return order


def _as_groups(part: Part, cuts: Cuts) -> list[Group]:
    """The launches of a part: one, or two for a scatter, whose base comes first unless nothing is left of it."""
    reasons = {node: cuts.reasons[node] for node in part.outputs}
    (node, *others) = sorted(part.outputs, key=lambda x: x.op != "stack")
    if is_transfer(node):
        return [Group("copy", part.outputs, (in_memory(node.src[0]),), reasons)]
    if node.op in ("host", "loop", "while"):
        return [Group(node.op, part.outputs, tuple(in_memory(source) for source in node.src), reasons)]
    if node.op == "stack":
        return [Group("stack", (node, *others), tuple(part.loads) if others else _loads(cuts, node.src), reasons)]
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
