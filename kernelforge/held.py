"""Values that are computed once and stay: random numbers and parameters that the program still holds.

Comes in: from tensors, themselves and their nodes.  Goes out: to `realize`, those of a graph's nodes that are computed
before it, and so are in memory for every graph that reads them later.  Without this each graph would draw a model's
first weights again, and a model's first graph would be of another structure than its second.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final, Protocol
from weakref import ref

from kernelforge.native import compiled
from kernelforge.node import Node, is_stored
from kernelforge.recording import recorder


class Holder(Protocol):
    """Something that stands for a node: a tensor."""

    _node: Node


_held: Final[dict[Node, ref[Holder]]] = {}


def hold(holder: Holder) -> None:
    """What a holder stands for now is to stay once it is computed, as long as the holder stands for it."""
    node = holder._node
    if not is_stored(node):
        _held[node] = ref(holder, _forgetting(node))


def held_among(nodes: Iterable[Node], wanted: Iterable[Node]) -> list[Node]:
    """The nodes that are to stay and are not computed yet, but for the wanted, which stay anyway.

    None of them while a function is recorded, whose results are computed together.
    """
    if not _held or recorder.get() is not None:
        return []
    for node, holder in list(_held.items()):
        found = holder()
        if found is None or found._node is not node or is_stored(node):
            _held.pop(node, None)
    apart = set(wanted) if _held else set()
    return [node for node in nodes if node in _held and node not in apart] if _held else []


def computed(nodes: Iterable[Node]) -> None:
    """These are to be held no more: they are in memory."""
    for node in nodes:
        _held.pop(node, None)


def _forgetting(node: Node) -> Callable[[ref[Holder]], None]:
    """What is to be done when the holder of a node is gone."""

    def forget(holder: ref[Holder]) -> None:
        if _held.get(node) is holder:
            del _held[node]

    return forget


if compiled is not None:
    compiled.heed_held(_held)
