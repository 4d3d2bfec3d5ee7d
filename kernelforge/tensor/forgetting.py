"""Values that were computed unasked, and how they came to be.

Comes in: computed nodes that no tensor need stand for.  Goes out: nothing; those are buffers now that no gradient is
going to ask how they were computed, and so what they were computed from can go.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence, Set
from typing import Final
from weakref import WeakKeyDictionary, WeakSet

from kernelforge.buffer import Buffer
from kernelforge.calls import gradients
from kernelforge.carried import unasked
from kernelforge.execution.ownership import ALONE, references
from kernelforge.graph import Node
from kernelforge.interning import alive, let_go
from kernelforge.members import members
from kernelforge.tensor.registry import leaves
from kernelforge.tensor.stops import stops

MOST_TRIES: Final = 4  # graphs after which a value keeps how it was computed

forgotten: Final[WeakKeyDictionary[Node, WeakSet[Node | Buffer]]] = WeakKeyDictionary()
"""Nodes that forgot how they were computed, and the nodes of tensors, with their buffers, it was from: those that take
no part in gradients, but that somebody may ask for a gradient with respect to."""


def forget(nodes: Iterable[Node], named: Set[Node] = frozenset()) -> None:
    """Makes computed nodes buffers, but for those that gradients may go through: to leaves there still are, to
    variables of functions that are being differentiated, or to what gradients were asked for by that still wait.

    nodes  in an order in which they may be computed, or nearly
    named  nodes of tensors; to ask for a gradient with respect to one that takes no part in gradients is an error from
           now on
    """
    waiting: list[Node] | None = None
    names = {y for x in named if x.device is not None for y in _names(x)}
    for node in nodes:
        if node.realized is None or node.op == "buffer" or node.device is None or _leads_to(node, _is_target):
            continue  # what is on no device is made of nothing, and shared by all that make the same
        if _is_crossed(node, members(gradients)):  # gone before `held` counts what holds these
            waiting = _waiting(named or held(alive())) if waiting is None else waiting
            if _is_crossed(node, waiting):
                continue
        lost = _lost(node, names)
        if lost:
            forgotten[node] = lost
        let_go(node)


def is_lost(target: Node, places: Iterable[object]) -> bool:
    """True where one of some nodes was computed from a target, and forgot it."""
    sought = _names(target)
    return any(isinstance(x, Node) and not forgotten.get(x, frozenset()).isdisjoint(sought) for x in places)


def _lost(node: Node, names: Set[Node | Buffer]) -> WeakSet[Node | Buffer]:
    """What has a name of all that a node is computed from, or was before that forgot it."""
    found = WeakSet[Node | Buffer]()
    if names:
        for x in _below(node, plainly=True):
            known = _names(x)
            if x is not node and not names.isdisjoint(known):
                found.update(known)
            if x in forgotten:
                found.update(forgotten[x])
    return found


def _names(node: Node) -> list[Node | Buffer]:
    """What a node is found by: itself and, once it is computed, its buffer."""
    buffer = node.attr if node.op == "buffer" else node.realized
    return [node] if buffer is None else [node, buffer]


def _unasked() -> Iterator[Node]:
    """What was not asked for, to which other threads may add meanwhile; nothing holds it but who looks at it."""
    for reference in unasked.keyrefs():
        node = reference()
        if node is not None:
            yield node


def forget_unasked() -> None:
    """The same of what loops carry on and was computed with something else, now or a few graphs ago."""
    forget(_unasked())
    for node in _unasked():
        tries = unasked.get(node, MOST_TRIES)
        if node.op == "buffer" or tries == MOST_TRIES:
            unasked.pop(node, None)
        else:
            unasked[node] = tries + 1


def held(nodes: Sequence[Node]) -> set[Node]:
    """Those of all nodes there are that something else holds, a tensor mostly."""
    uses = dict.fromkeys(nodes, 0)
    for node in nodes:
        for source in node.src:
            if source in uses:
                uses[source] += 1
    return {node for node, count in zip(nodes, references(nodes)) if count != ALONE + 1 + uses[node]}


def _waiting(named: Iterable[Node]) -> list[Node]:
    """The gradients that are still to be computed: what tensors are computed from, and those these go through."""
    through: dict[Node, bool] = {}  # nodes, and whether a gradient that waits may go through them
    stack = [(x, False) for x in named]
    while stack:
        x, crossed = stack.pop()
        if (x.realized is None or crossed) and through.get(x) is not True and through.get(x) is not crossed:
            through[x] = crossed
            crossed = (crossed and x.op != "detach") or x.op == "gradient"
            stack += [(source, crossed) for source in x.src]
    return [x for x in through if x.op == "gradient"]


def _is_crossed(node: Node, by: Iterable[Node]) -> bool:
    """True where one of some gradients may go through a node: one it is not computed from, by what is below it."""
    below = set(_below(node))
    return any(x.op == "gradient" and x.src[2] in below and x.src[2] is not node and x not in below for x in by)


def _is_target(node: Node) -> bool:
    return node in leaves or node in stops or _is_variable(node)


def _is_variable(node: Node) -> bool:
    """True for what a function of func differentiates by."""
    return node.op == "surrogate" and node.attr is not None


def _leads_to(node: Node, is_target: Callable[[Node], bool]) -> bool:
    """True where a gradient that goes through a node comes to a target."""
    return node in stops or _is_variable(node) or any(is_target(x) for x in _below(node) if x is not node)


def _below(node: Node, plainly: bool = False) -> Iterator[Node]:
    """A node, and those a gradient through it comes to; plainly: not by another gradient."""
    stack, seen = [node], {node}
    while stack:
        x = stack.pop()
        yield x
        if x.op != "detach" and not (plainly and x.op == "gradient"):
            new = [source for source in x.src if source not in seen and source.dtype.is_inexact]
            seen.update(new)
            stack += new
