"""Values that were computed unasked, and how they came to be.

Comes in: computed nodes that no tensor need stand for.  Goes out: nothing; those are buffers now that no gradient is
going to ask how they were computed, and so what they were computed from can go.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable
from typing import Final
from weakref import WeakSet

from kernelforge.carried import unasked
from kernelforge.graph import Node
from kernelforge.interning import let_go
from kernelforge.tensor.core import leaves
from kernelforge.tensor.stops import stops

MOST_TRIES: Final = 4  # graphs after which a value keeps how it was computed

forgotten: Final[WeakSet[Node]] = WeakSet()  # without regard to tensors that take no part in gradients


def forget(nodes: Iterable[Node], named: Container[Node] = ()) -> None:
    """Makes computed nodes buffers, but for those that gradients of leaves there still are may go through.

    nodes  in an order in which they may be computed, or nearly
    named  nodes of tensors; to ask for a gradient with respect to one that takes no part in gradients is an error from
           now on
    """
    for node in nodes:
        if node.realized is not None and node.op != "buffer" and not _leads_to(node, _is_target):
            if named and _leads_to(node, lambda x: x in named and x.device is not None, plainly=True):
                forgotten.add(node)
            let_go(node)


def forget_unasked() -> None:
    """The same of what loops carry on and was computed with something else, now or a few graphs ago."""
    forget(list(unasked))
    for node, tries in list(unasked.items()):
        if node.op == "buffer" or tries == MOST_TRIES:
            del unasked[node]
        else:
            unasked[node] = tries + 1


def _is_target(node: Node) -> bool:
    return node in leaves or node in stops


def _leads_to(node: Node, is_target: Callable[[Node], bool], plainly: bool = False) -> bool:
    """True where a gradient that goes through a node comes to a target; plainly: not by another gradient."""
    if node in stops:
        return True
    stack, seen = [node], {node}
    while stack:
        x = stack.pop()
        if x.op == "detach" or (plainly and x.op == "gradient"):
            continue
        for source in x.src:
            if source not in seen and source.dtype.is_inexact:
                if is_target(source):
                    return True
                seen.add(source)
                stack.append(source)
    return False
