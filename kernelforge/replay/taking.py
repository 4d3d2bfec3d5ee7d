"""Captured updates in place: new values written where the old ones were, while nothing else needs those.

Comes in: tensors a captured call changes, before it is replayed.  Goes out: whether their memory may take the results.
References are counted, as `ownership` does for graphs: a view, a copy or a history that holds the old values counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from sys import getrefcount
from typing import Final
from weakref import getweakrefcount

from kernelforge.buffer import Buffer
from kernelforge.tensor import Tensor

BARE: Final = next(map(getrefcount, [object()]))  # references to what a list alone holds


def are_alone(tensors: Sequence[Tensor]) -> bool:
    """True when nothing but the tensors themselves holds their buffers, and nothing was derived from these."""
    nodes = [tensor._node for tensor in tensors]
    if any(node.op != "buffer" for node in nodes):
        return False
    buffers: list[Buffer] = [node.attr for node in nodes]
    if any(map(getweakrefcount, buffers)) or any(buffer.shared or buffer.memory is None for buffer in buffers):
        return False
    memories = [buffer.memory for buffer in buffers]
    named = [BARE + 1 + 2 * tensor._leaf for tensor in tensors]  # and the table of leaves has it as key
    if list(map(getrefcount, nodes)) != named:
        return False
    held = list(map(getrefcount, buffers)), list(map(getrefcount, memories))
    return held == ([BARE + 1] * len(buffers), [BARE + 1] * len(memories))  # its node
