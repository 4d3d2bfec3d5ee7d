"""Tensors that are found by what they stand for, or because they wait.

Comes in: tensors that become leaves, and those that changed.  Goes out: the leaf of a node, also of one it had when it
was used, and what is computed with whatever shares work with it.  All of them are held weakly.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from weakref import WeakKeyDictionary, WeakValueDictionary, ref

from kernelforge.node import Node

if TYPE_CHECKING:
    from kernelforge.tensor.core import Core

leaves: Final[WeakValueDictionary[Node, Core]] = WeakValueDictionary()  # the leaf tensor of a node
former: Final[WeakKeyDictionary[Node, ref[Core]]] = WeakKeyDictionary()  # of nodes it had when it was used
pending: Final[WeakValueDictionary[int, Core]] = WeakValueDictionary()  # changed; computed with what shares work


def waiting_tensors() -> list[Core]:
    """Those in `pending`, to which other threads may add meanwhile."""
    return [tensor for reference in pending.valuerefs() if (tensor := reference()) is not None]
