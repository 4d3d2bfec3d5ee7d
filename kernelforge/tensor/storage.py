"""Leaf nodes of values, and the device nodes are on.

Comes in: arrays, and constants.  Goes out: nodes with a buffer of their own, of whose bytes note is taken; nodes on the
device that was named, or that wait again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from numpy.typing import NDArray

from codegen.dtypes import DType
from kernelforge import graph
from kernelforge.buffer import Buffer
from kernelforge.graph import Node
from kernelforge.growth import due, grew
from kernelforge.kernels import Device
from kernelforge.later import later
from kernelforge.native import compiled

if TYPE_CHECKING:
    from kernelforge.tensor import unread
else:
    later(globals(), unread="kernelforge.tensor.unread")


def own_storage(values: NDArray, dtype: DType, device: str) -> Node:
    """A leaf node with the given values in a buffer nothing else shares."""
    return told(graph.buffer(Buffer.from_numpy(values, dtype, device), tuple(values.shape), dtype), values.nbytes)


def array_leaf(array: NDArray, wanted: DType | None, device: str) -> Node | None:
    """The same of an array whose values are stored as they are, in one call of C; None where that is another matter."""
    if compiled is None or (node := compiled.leaf_of_array(array, wanted, device)) is None:
        return None
    return told(node, array.nbytes)


def told(node: Node, nbytes: int) -> Node:
    """A new leaf, of whose bytes note is taken."""
    grew(nbytes)
    if due:
        unread.look()
    return node


def pinned(node: Node, device: str | None) -> Node:
    """A node, if computed from no buffer, on the device the user named; the default device needs no naming."""
    if device is None or node.device is not None or (place := Device.canonicalize(device)) == Device.DEFAULT:
        return node
    return graph.copy(node, place)


def forget_elsewhere(node: Node) -> None:
    """Has a constant that was computed where the default device was another wait again."""
    if node.device is None and node.realized is not None and node.realized.device != Device.DEFAULT:
        node.realized = None
