"""A step that was planned, run again on new values without building its graph.

Comes in: the tensors a step changes in place, those it reads, and how it ran.  Goes out: `Again`, which does the same
once more as long as nothing but values has changed, and otherwise leaves everything as it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from sys import getrefcount
from typing import Final
from weakref import getweakrefcount

from kernelforge import graph
from kernelforge.buffer import Buffer
from kernelforge.execution.running import rerun
from kernelforge.met import circumstances
from kernelforge.realize import Ran
from kernelforge.tensor import Tensor
from kernelforge.tensor.registry import pending

BARE: Final = next(map(getrefcount, [object()]))  # references to what a list alone holds


def seen(tensors: Sequence[Tensor]) -> list[int]:
    """What `recorded` has to know from before the step: the identities of the tensors' buffers, 0 where there is none.
    """
    return [0 if tensor._stored is None else id(tensor._stored) for tensor in tensors]


def recorded(ran: Ran | None, changed: Sequence[Tensor], read: Sequence[Tensor], before: list[int]) -> Again | None:
    """How to do a step again, or None where it cannot be done without its graph.

    changed  the tensors it gives new values, in the memory of the old ones if they are more than one element
    read     the others it needs
    before   what `seen` said of all of them before the step
    """
    tensors = [*changed, *read]
    place = {identity: i for i, identity in enumerate(before)}
    if ran is None or 0 in place or len(place) < len(tensors) or not {id(x) for x in ran.leaves} <= place.keys():
        return None
    order = [place[id(leaf)] for leaf in ran.leaves]
    now = {id(tensor._stored): i for i, tensor in enumerate(tensors)}
    made, kept = [], []
    for position, (slot, buffer) in enumerate(zip(ran.plan.results, ran.buffers)):
        taken, result = ran.plan.slots[slot].takes, now.get(id(buffer), len(changed))
        if taken >= 0 and order[taken] == result:
            kept.append(result)
        elif taken < 0 and buffer.size == 1:
            made.append((result, position))
        else:
            return None
    complete = sorted(kept + [result for result, _ in made]) == list(range(len(changed)))
    return Again(ran, changed, read, order, sorted(kept), made) if complete else None


class Again:
    """A step to be done again.

    order  for each leaf of the plan the place of its tensor among those changed and those read
    kept   the places of the tensors whose buffers stay
    made   (place, result): the tensors that get new ones
    """

    __slots__ = ("counts", "kept", "kinds", "made", "names", "order", "plan", "when")

    def __init__(
        self,
        ran: Ran,
        changed: Sequence[Tensor],
        read: Sequence[Tensor],
        order: list[int],
        kept: list[int],
        made: list[tuple[int, int]],
    ) -> None:
        self.plan, self.order, self.kept, self.made = ran.plan, order, kept, made
        self.when, self.names, self.kinds = circumstances(), list(map(id, changed)), _kinds(read)
        stays = [changed[place] for place in kept]
        self.counts = (
            [BARE + 1 + 2 * tensor._leaf for tensor in stays],  # the tensor, and the table of leaves that has it as key
            [BARE + 1] * len(kept),  # its node
            [BARE + 1] * len(kept),
        )

    def run(self, changed: Sequence[Tensor], read: Sequence[Tensor]) -> bool:
        """Does the step, if it is the same: True when it is done."""
        if pending or list(map(id, changed)) != self.names or self.when != circumstances():
            return False
        if _kinds(read) != self.kinds or not self._are_alone([changed[place] for place in self.kept]):
            return False
        leaves = [buffer for tensor in (*changed, *read) if (buffer := tensor._stored) is not None]
        if len(leaves) < len(changed) + len(read):
            return False
        buffers = rerun(self.plan, [leaves[i] for i in self.order])
        for place, result in self.made:
            tensor = changed[place]
            tensor._set(graph.buffer(buffers[result], tensor.shape, tensor.dtype))
        return True

    def _are_alone(self, tensors: Sequence[Tensor]) -> bool:
        """True when nothing but the tensors themselves holds their buffers, and nothing was derived from these."""
        nodes = [tensor._node for tensor in tensors]
        buffers = [node.attr for node in nodes]
        if set(map(type, buffers)) != {Buffer} or any(map(getweakrefcount, buffers)):
            return False
        if any(buffer.shared for buffer in buffers):
            return False
        memories = [buffer.memory for buffer in buffers]
        held = (list(map(getrefcount, objects)) for objects in (nodes, buffers, memories))
        return all(map(list.__eq__, held, self.counts))


def _kinds(tensors: Sequence[Tensor]) -> list[object]:
    """What a plan depends on of the tensors it reads, but for whether they are computed."""
    return [(node.shape, node.dtype, node.device) for node in [tensor._node for tensor in tensors]]
