"""Tensors that are not to wait: all of them where each operation runs as it is made, else those with long histories.

Comes in: new tensors, nodes.  Goes out: the same, computed where they are not to wait.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from kernelforge import graph
from kernelforge.graph import Node
from kernelforge.growth import due
from kernelforge.later import later
from kernelforge.recording import recorder, spelling
from kernelforge.settings import EAGER, NAN
from kernelforge.tensor.pressure import PATIENCE, waits_for_much
from kernelforge.tensor.spent import SPENT, spent_node
from kernelforge.tensor.storage import forget_elsewhere

if TYPE_CHECKING:
    from kernelforge import nans, realize
    from kernelforge.tensor import unread
    from kernelforge.tensor.core import Core
else:
    later(globals(), nans="kernelforge.nans", realize="kernelforge.realize", unread="kernelforge.tensor.unread")


def computed(nodes: Sequence[Node], tracked: bool | None = None) -> list[Node]:
    """Nodes, computed unless they are constants or only noted for later; without a long history if none is needed."""
    if spelling.get() or recorder.get() is not None:
        return list(nodes)
    depths = [node.depth for node in nodes]
    for node in nodes:
        forget_elsewhere(node)
    realize.realize([node for node in nodes if node.op != "buffer" and graph.uniform(node) is None])
    found = []
    for node, depth in zip(nodes, depths):
        cut = node.realized is not None and not tracked and depth >= PATIENCE
        found.append(graph.buffer(node.realized, node.shape, node.dtype) if node.realized is not None and cut else node)
        node.depth = depth
    return found


def settled(tensor: Core, tracked: bool | None) -> None:
    """Has a new tensor computed that is not to wait.

    raises AnomalyError where each operation runs as it is made, and this one gives NaN that KF_NAN asks for
    """
    node = tensor._node
    eager = EAGER.touched and EAGER.value
    if eager or (node.depth >= PATIENCE and waits_for_much(node)):
        waited = node.realized is None
        (found,) = computed([node], tracked)
        tensor._node = spent_node(found) if tracked is SPENT and found.op == "buffer" else found
        if eager and due:
            unread.look()
        if eager and NAN.touched and NAN.value and waited and node.realized is not None:
            nans.blame([node])
