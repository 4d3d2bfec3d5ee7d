"""Steps whose gradients are still to be computed, run again without following the optimiser's rule.

Comes in: the tensors a step changes and those it reads, and how such a step ran.  Goes out: `Steps`, which tells by the
structure of the graphs of all these that a step is as one before, and runs that one's plan on the buffers of this one.
Where anything but values and buffers has changed it does nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple, cast

from codegen.dtypes import dtypes
from kernelforge.buffer import Buffer
from kernelforge.carried import kinds
from kernelforge.exclusive import give
from kernelforge.execution import faults
from kernelforge.execution.running import rerun
from kernelforge.graph import buffer, uniform
from kernelforge.growth import due
from kernelforge.held import held_among
from kernelforge.met import simply
from kernelforge.node import waiting
from kernelforge.planning.steps import Plan
from kernelforge.realize import Ran, is_steady
from kernelforge.recording import recorder
from kernelforge.settings import EAGER, NAN
from kernelforge.structure import Structure, known_structure
from kernelforge.tensor import Tensor
from kernelforge.tensor.aliases import relatives
from kernelforge.tensor.convert import settle
from kernelforge.tensor.core import narrow_type
from kernelforge.tensor.registry import pending, waiting_tensors

MOST: Final = 16  # steps that are known of an optimiser


class Done(NamedTuple):
    """A step that ran.

    leaves   for each leaf of the plan its place among those of what a step reads and changes
    results  the place among the plan's results of each tensor that changes or waits
    guilty   the places of nodes that may turn out to be errors
    """

    plan: Plan
    leaves: tuple[int, ...]
    results: tuple[int, ...]
    guilty: tuple[int, ...]


class Seen(NamedTuple):
    """A step about to be made.

    others  tensors that wait, and are computed with it
    """

    key: tuple[object, ...]
    changed: Sequence[Tensor]
    others: list[Tensor]
    graph: Structure


class Told(NamedTuple):
    """What is taken down of a step before it is made for the first time.  It holds neither nodes nor buffers: what
    nothing else needs may be overwritten.

    leaves, nodes  the places of those of its graph, by identity
    """

    key: tuple[object, ...]
    changed: Sequence[Tensor]
    others: list[Tensor]
    leaves: dict[int, int]
    nodes: dict[int, int]


def told(seen: Seen) -> Told:
    """A step of which the graph may go."""
    leaves = {id(leaf): place for place, leaf in enumerate(seen.graph.leaves)}
    nodes = {id(node): place for place, node in enumerate(seen.graph.nodes)}
    return Told(seen.key, seen.changed, seen.others, leaves, nodes)


class Steps:
    """The steps of an optimiser that are known."""

    def __init__(self) -> None:
        self._known: dict[tuple[object, ...], Done] = {}

    def seen(self, key: tuple[object, ...], changed: Sequence[Tensor], read: Sequence[Tensor]) -> Seen | None:
        """What a step is told by; None where it is none that could be known.

        key  all a step depends on beside these tensors
        """
        now = simply()
        if now is None or due or recorder.get() is not None:
            return None
        if narrow_type.get() is not None or EAGER.value or NAN.value or not all(map(_is_alone, changed)):
            return None
        met = set(map(id, changed))
        others = [cast(Tensor, x) for x in waiting_tensors() if id(x) not in met]
        nodes = [x._node for x in (*read, *others, *changed)]
        if any(x._stored is None for x in changed) or any(uniform(x._node) is not None for x in others):
            return None
        found = known_structure(nodes)
        if found is None or held_among(found.nodes, nodes) or (waiting and any(x.op == "while" for x in found.nodes)):
            return None
        if any(leaf.device != changed[0]._node.device for leaf in found.leaves):
            return None
        whole = (key, found.key, now, dtypes.default_float, len(kinds), len(read), len(others))
        return Seen(whole, changed, others, found)

    def run(self, seen: Seen) -> bool:
        """Makes a step, if it is known: True when it is done."""
        done = self._known.get(seen.key)
        if done is None:
            return False
        leaves, nodes = cast(list[Buffer], seen.graph.leaves), seen.graph.nodes
        try:
            faults.retell(done.plan, tuple([nodes[place].line for place in done.guilty]))
            buffers = rerun(done.plan, [leaves[place] for place in done.leaves])
        except Exception:
            for tensor in seen.others:  # who asks for something else is not told again
                pending.pop(id(tensor), None)
            raise
        found = iter([buffers[place] for place in done.results])
        for tensor, made in zip(seen.changed, found):
            tensor._rename(buffer(made, tensor._node.shape, tensor._node.dtype))
            if not tensor._leaf:
                tensor._tracked = None if tensor._tracked else tensor._tracked
        give([tensor._node for tensor in seen.others], list(found))
        settle(seen.others)
        return True

    def record(self, seen: Told, ran: Ran | None) -> None:
        """Takes down how a step ran that was not known, if that is all it did and the next will do the same."""
        if ran is None or not is_steady(ran):
            return
        places, numbers = seen.leaves, seen.nodes
        made = {id(x): place for place, x in enumerate(ran.buffers)}
        stored = [id(x._stored) for x in (*seen.changed, *seen.others)]
        if made.keys() != set(stored) or not places.keys() >= set(map(id, ran.leaves)):
            return
        if not numbers.keys() >= set(map(id, ran.guilty)):
            return
        if len(self._known) >= MOST:
            del self._known[next(iter(self._known))]
        self._known[seen.key] = Done(
            ran.plan,
            tuple([places[id(leaf)] for leaf in ran.leaves]),
            tuple([made[buffer] for buffer in stored]),
            tuple([numbers[id(node)] for node in ran.guilty]),
        )


def _is_alone(tensor: Tensor) -> bool:
    """Whether no other tensor shows elements of this one; one that is the last of them forgets the others."""
    if hasattr(tensor, "_place"):
        kin = relatives(tensor)
        if kin is not None and (kin.others or kin.eldest is not tensor):
            return False
        del tensor._place
    return True

