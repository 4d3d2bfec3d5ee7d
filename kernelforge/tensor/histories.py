"""What a gradient can reach: the nodes a tensor was computed from, and which tensors these stand for.

Comes in: a node, and tensors gradients are wanted of.  Goes out: the nodes of its history, by themselves and by their
buffers, and those among them that stand for these tensors; errors where a history was let go of.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from kernelforge.errors import StateError
from kernelforge.graph import Node
from kernelforge.tensor.core import Core
from kernelforge.tensor.forgetting import forgotten, is_lost
from kernelforge.tensor.registry import former, leaves
from kernelforge.tensor.spent import is_spent
from kernelforge.tensor.stops import stops


def complain_if_forgotten(places: Iterable[object], targets: Sequence[Node] = ()) -> None:
    """raises StateError where it was forgotten how a node was computed from one of the targets, or from anything"""
    if not forgotten:
        return
    anything = not targets and any(isinstance(x, Node) and x in forgotten for x in places)
    if anything or any(is_lost(x, places) for x in targets):
        raise StateError(
            "gradient of a tensor that waited so long that part of its history was let go, to bound memory: make what "
            "gradients are wanted of with requires_grad=True, take the gradient earlier, or set KF_PENDING=0"
        )


def history(root: Node) -> dict[object, Node]:
    """Every node a gradient of root can reach, found by itself and, once computed, by its buffer."""
    places: dict[object, Node] = {}
    stack = [root]
    while stack:
        node = stack.pop()
        if node in places or not node.dtype.is_inexact:
            continue
        places[node] = node
        if node.realized is not None:
            places[node.realized] = node
        if node.op == "buffer":
            places[node.attr] = node
        if node.op != "detach":
            stack += node.src
        elif node in stops:
            stack += stops[node].inputs
        elif is_spent(node):
            raise StateError(
                f"backward() a second time through a tensor of {node.shape}{_at(node)}: the first let go of how it was "
                "computed, to free memory; pass retain_graph=True there, add losses up before, or detach() it"
            )
    return places


def _at(node: Node) -> str:
    """Where a node was made."""
    return f" made at {node.line[0]}:{node.line[1]}" if node.line is not None else ""


def of_the_past(places: dict[object, Node], reached: Sequence[Core]) -> list[tuple[Node, Core]]:
    """Leaves that changed since they were used, by the nodes they had then, but for those that are reached as they are:
    where a loop carries on what earlier weights gave, gradients end at the change."""
    if not former:
        return []
    known = set(map(id, reached))
    found = [(node, tensor()) for node, tensor in list(former.items()) if node in places]
    return [(node, x) for node, x in found if x is not None and x._leaf and id(x) not in known]


def nodes_used(places: dict[object, Node], tensor: Core) -> list[Node]:
    """The nodes in the history that stand for a tensor: its own, or those it had before it changed."""
    node = place_in(places, tensor._node)
    if node is not None:
        return [node]
    return [node for node, x in of_the_past(places, ()) if x is tensor]


def place_in(places: dict[object, Node], target: Node) -> Node | None:
    """The node in the history that target names: itself, or the one whose computed buffer it shows.

    A leaf's node is nobody else's, and so is one that was set apart from those computed alike: buffers it shares with
    others do not count.
    """
    found = places.get(target)
    if found is None and target.realized is not None:
        found = places.get(target.realized)
    base = target.src[0] if target.op == "reshape" else target
    if found is None and base.op == "buffer":
        found = places.get(base.attr)
    if found is None or found.shape != target.shape or (found is not target and (found.apart or target.apart)):
        return None
    is_another = found is not target and (found in leaves or target in leaves)
    return None if is_another else found
