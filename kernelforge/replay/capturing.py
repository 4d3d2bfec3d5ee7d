"""A call that is being captured: what it reads and changes, and the steps that do the same again.

Comes in: the tensors a function can see and is given, and the trace of one call.  Goes out: a `Capture`.  While it
lasts, tensors stand for others, so that it shows which of them were read.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from kernelforge import graph, realize
from kernelforge.buffer import Buffer
from kernelforge.calls import Recipe, call, expanded
from kernelforge.errors import JitError
from kernelforge.execution import running
from kernelforge.graph import Node, toposort
from kernelforge.replay.capture import (
    Capture,
    Change,
    DrawStep,
    Effect,
    GradientEffect,
    ReadStep,
    RunStep,
    Source,
    Views,
    buffer_of,
)
from kernelforge.replay.guards import is_same
from kernelforge.replay.holders import MISSING, Globals, Gradient, Holder, Library
from kernelforge.replay.kinds import is_a
from kernelforge.replay.others import Remembered
from kernelforge.replay.repeated import Repeated
from kernelforge.replay.state import Snapshot, is_simple
from kernelforge.replay.structures import Making, tensors_in
from kernelforge.replay.trace import Draw, Read, Run, Trace
from kernelforge.tensor import Tensor
from kernelforge.tensor.aliases import Place
from kernelforge.tensor.registry import leaves, pending, waiting_tensors
from kernelforge.tensor.spent import SPENT, spent_node


class Capturing:
    """A call that is being captured.

    tensors    those it can see and those it is given, computed
    seen       how many of them are not given
    snapshot   what it can see
    containers  those it is given
    """

    def __init__(self, tensors: Sequence[Tensor], seen: int, snapshot: Snapshot, containers: Sequence[Any]) -> None:
        self.tensors, self.seen, self.snapshot, self.containers = list(tensors), seen, snapshot, containers
        self.before = [(tensor._node, tensor._tracked, tensor._leaf, tensor.grad) for tensor in tensors]
        self.fresh = [_stand_in(buffer_of(tensor)) for tensor in tensors]
        carried = ["a tensor it sees" if i < seen else f"tensor argument {i - seen}" for i, tensor in enumerate(tensors)
                   if tensor._tracked and not tensor._leaf]  # fmt: skip
        self.trace = Trace(frozenset(map(id, tensors)), carried, identifies=snapshot.asks)
        self.carrying: list[tuple[Tensor, Source]] = []
        self.inputs: dict[int, Node] = {}
        self.waiting = {id(tensor): tensor for tensor in waiting_tensors()}  # one may go while they are taken down
        pending.clear()
        self.nodes = [graph.buffer(buffer, tensor.shape, tensor.dtype) for buffer, tensor in zip(self.fresh, tensors)]
        for tensor, node in zip(self.tensors, self.nodes):
            _point(tensor, node)

    def give_back(self) -> None:
        """Makes every tensor that did not change what it was before; histories of results lead to what these were."""
        for tensor, node, before in zip(self.tensors, self.nodes, self.before):
            if tensor._node is node:
                _point(tensor, before[0])
        for tensor, source in self.carrying:
            if source.same:
                _point(tensor, self.inputs[source.number])
                continue
            inputs = [like if number < 0 else self.inputs.get(number, like) for number, like in source.inputs]
            buffer = tensor._stored
            assert source.history is not None
            tensor._node = call(source.history, inputs)
            tensor._node.realized = buffer
        pending.clear()  # what else changed is of this call alone, which may have failed
        pending.update(self.waiting)

    def remembers_tensors(self) -> bool:
        """True where a function with a memory has put tensors into it, which the next call will see, and may change."""
        memories = [holder for holder, _ in self.snapshot.contents.values() if isinstance(holder, Remembered)]
        found = tensors_in([holder.results() for holder in memories])
        return not all(map(self.snapshot.holds, found))

    def finish(self, result: Any, visible: Callable[[Tensor], bool]) -> tuple[Capture, list[int]]:
        """Computes the results and all that has changed; the capture, and which of the tensors it has to be given.

        visible   whether code that ran could have looked at a tensor
        """
        capture, effects, gradients = Capture(), self._effects(), self._gradients()
        capture.said = self.trace.said
        everything = tensors_in([result, [value for _, _, value in effects], [value for _, value in gradients]])
        changed = {
            i for i, (tensor, node, before) in enumerate(zip(self.tensors, self.nodes, self.before))
            if tensor._node is not node or (tensor._tracked, tensor._leaf) != before[1:3]
        }  # fmt: skip
        known = {id(tensor): i for i, tensor in enumerate(self.tensors)}
        made = [tensor for tensor in everything if id(tensor) not in known]
        wanted = [*made, *(self.tensors[i] for i in sorted(changed))]
        for tensor in wanted:
            pending.pop(id(tensor), None)
        roots = [tensor._node for tensor in wanted if graph.uniform(tensor._node) is None]
        roots = [node for node in roots if node.op != "buffer"]
        spare = {self.fresh[i] for i in changed if i < self.seen and self._is_only_one(i)}
        plan = realize.in_place(roots, spare) if spare else None
        self.trace.compute(roots)
        used = changed | {known[id(tensor)] for tensor in everything if id(tensor) in known}
        used |= {place for place, _ in gradients} | set(range(self.seen, len(self.tensors))) | self._read(wanted)
        used |= {i for i, tensor in enumerate(self.tensors) if visible(tensor)}
        parents = {id(tensor): parent for tensor in made if (parent := self._parent(tensor)) is not None}
        used |= set(parents.values())
        chosen = sorted(used)
        self.inputs = {number: self.before[i][0] for number, i in enumerate(chosen)}
        place = {id(self.tensors[i]): number for number, i in enumerate(chosen)}
        numbers = self._steps(capture, [self.fresh[i] for i in chosen])
        capture.sources = [_of_its_kind(self._source(tensor, numbers), tensor) for tensor in made]
        place.update((id(tensor), len(chosen) + i) for i, tensor in enumerate(made))
        capture.views = self._views(made, parents, lambda tensor: place[id(tensor)])
        for i in sorted(changed):
            tensor = self.tensors[i]
            source = None if tensor._node is self.nodes[i] else self._source(tensor, numbers)
            capture.changes.append(Change(place[id(tensor)], source, tensor._tracked, tensor._leaf))
        self._write_down(capture, result, effects, gradients, lambda tensor: place[id(tensor)])
        capture.unread = self._unread(capture, everything, changed | set(parents.values()), chosen)
        self._settle(wanted)
        capture.settle(result)
        if plan is not None:
            capture.take(plan)
        left = {id(value) for holder, key, value in effects if isinstance(holder, Gradient) and key == "grad"}
        if not capture.reads:
            capture.gather(self._replaced(capture, made, left), len(chosen))
        capture.let_go()
        return capture, chosen

    def _unread(
        self, capture: Capture, everything: Sequence[Tensor], needed: set[int], chosen: Sequence[int]
    ) -> frozenset[int]:
        """The numbers of tensors whose values no step, no result and no history of one takes.

        needed   those that change, or that others are views of
        """
        inside = set(map(id, everything))
        used = {number for step in capture.steps if isinstance(step, RunStep) for number in step.order}
        used |= {step.number for step in capture.steps if isinstance(step, ReadStep)}
        sources = [*capture.sources, *[change.source for change in capture.changes if change.source is not None]]
        used |= {x.number for x in sources} | {number for x in sources for number, _ in x.inputs}
        return frozenset(
            number for number, i in enumerate(chosen)
            if number not in used and i not in needed and id(self.tensors[i]) not in inside
        )  # fmt: skip

    @staticmethod
    def _replaced(capture: Capture, made: Sequence[Tensor], gradients: set[int]) -> set[int]:
        """The numbers of buffers that nothing is but gradients, given by identity: the next replay lets go of them."""
        sources = [(source, id(tensor) in gradients) for tensor, source in zip(made, capture.sources)]
        sources += [(change.source, False) for change in capture.changes if change.source is not None]
        stay = {source.number for source, goes in sources if not goes}
        stay |= {number for source, _ in sources for number, _ in source.inputs}
        return {source.number for source, goes in sources if goes} - stay

    def _parent(self, view: Tensor) -> int | None:
        """The number of the nearest tensor that was there before and that a tensor is a view of."""
        place: Place | None = getattr(view, "_place", None)
        if place is None:
            return None
        found = []
        for i, tensor in enumerate(self.tensors):
            other: Place | None = getattr(tensor, "_place", None)
            if other is not None and other.family is place.family and place.steps[: len(other.steps)] == other.steps:
                found.append((len(other.steps), i))
        return max(found)[1] if found else None

    def _views(self, made: Sequence[Tensor], parents: dict[int, int], number: Callable[[Tensor], int]) -> list[Views]:
        """Which tensors made show the same elements as known ones or each other."""
        found: dict[tuple[int, int], Views] = {}
        for tensor in made:
            place: Place | None = getattr(tensor, "_place", None)
            if place is None:
                continue
            i = parents.get(id(tensor), -1)
            parent = self.tensors[i] if i >= 0 else None
            before = len(parent._place.steps) if parent is not None else 0
            views = found.setdefault(
                (i, id(place.family)), Views(None if parent is None else number(parent), place.family.shape, [])
            )
            views.places.append((number(tensor), place.steps[before:]))
        return [views for views in found.values() if views.parent is not None or len(views.places) > 1]

    def _is_only_one(self, place: int) -> bool:
        """True for a tensor of values no other known tensor has, in memory that is its own."""
        memory = self.fresh[place].memory
        return memory is not None and sum(buffer.memory is memory for buffer in self.fresh) == 1

    def _write_down(
        self,
        capture: Capture,
        result: Any,
        effects: Sequence[tuple[Holder, Any, Any]],
        gradients: Sequence[tuple[int, Tensor | None]],
        place: Callable[[Tensor], int],
    ) -> None:
        """How to make the result again, and what has changed."""
        whole = [result, [value for _, _, value in effects], [value for _, value in gradients]]
        making = Making(place, self.snapshot.holds, self.containers, whole)
        capture.shared = len(making.shared)
        for i, value in gradients:
            make = making.of(value, "stores")
            capture.gradients.append(GradientEffect(place(self.tensors[i]), make))
        for holder, key, value in effects:
            if is_a(key, Tensor) and not self.snapshot.holds(key):
                raise JitError(
                    f"a captured function stores in {holder.path} under a tensor, where a replay would find another: "
                    "store under a number or a name"
                )
            what = f"stores in {holder.spelled(key)}"
            make_or_none = None if value is MISSING else making.of(value, what)
            capture.effects.append(Effect(holder, key, make_or_none))
        capture.result = making.of(result, "returns")

    def _gradients(self) -> list[tuple[int, Tensor | None]]:
        """The tensors given whose gradients are others now; those of tensors it sees are among the effects."""
        given = range(self.seen, len(self.tensors))
        return [(i, self.tensors[i].grad) for i in given if self.tensors[i].grad is not self.before[i][3]]

    def _read(self, wanted: Sequence[Tensor]) -> set[int]:
        """The tensors whose values were used, by number."""
        number = {id(buffer): i for i, buffer in enumerate(self.fresh)}
        found = {id(leaf) for event in self.trace.events if isinstance(event, Run) for leaf in event.ran.leaves}
        found |= {id(event.buffer) for event in self.trace.events if isinstance(event, Read)}
        found |= {id(x.attr) for x in toposort([tensor._node for tensor in wanted]) if x.op == "buffer"}
        return {number[buffer] for buffer in found if buffer in number}

    def _effects(self) -> list[tuple[Holder, Any, Any]]:
        """The contents of places that are not as they were."""
        found = []
        for holder, before in self.snapshot.contents.values():
            if holder.grows:
                continue
            now = holder.items()
            if is_a(holder.owner, dict) and not isinstance(holder, Globals) and _is_in_other_order(before, now):
                found += [(holder, key, MISSING) for key in before] + [(holder, *item) for item in now.items()]
                continue
            for key in reversed([key for key in before if key not in now]):
                if holder.fixed and not isinstance(holder, Library):
                    holder.put(key, MISSING)
                found.append((holder, key, MISSING))
            loaded = holder.loaded(before) if isinstance(holder, Library) else ()
            for key, value in now.items():
                if not is_same(before.get(key, MISSING), value) and key not in loaded:
                    if holder.fixed:
                        holder.put(key, value)
                    found.append((holder, key, value))
        return found

    def _steps(self, capture: Capture, given: Sequence[Buffer]) -> dict[int, int]:
        """Writes down the steps; the numbers of the buffers by identity, first those given."""
        numbers = {id(buffer): i for i, buffer in enumerate(given)}
        events = self.trace.events
        own: set[int] = set()  # what was made before it was read: a constant can be a result as well
        for event in events:
            for leaf in event.ran.leaves if isinstance(event, Run) else ():
                if id(leaf) not in numbers and id(leaf) not in own:
                    self._check_own(leaf)
                    numbers[id(leaf)] = len(given) + len(capture.constants)
                    capture.constants.append(leaf)
            own.update(map(id, event.ran.buffers if isinstance(event, Run) else ()))
            if isinstance(event, Draw):
                own.add(id(event.buffer))
        made = len(given) + len(capture.constants)
        for event in events:
            if isinstance(event, Run):
                order = tuple([numbers[id(leaf)] for leaf in event.ran.leaves])
                capture.steps.append(RunStep(Repeated(event.ran.plan), order, told=event.ran.told))
                for buffer in event.ran.buffers:
                    numbers.setdefault(id(buffer), made)  # a result may be what was given, in another shape
                    made += 1
            elif isinstance(event, Draw):
                numbers[id(event.buffer)], made = made, made + 1
                capture.steps.append(DrawStep(event.draw, event.buffer))
            elif isinstance(event, Read):
                if id(event.buffer) not in numbers:
                    continue  # a constant's value is always the same
                capture.steps.append(ReadStep(numbers[id(event.buffer)], event.value, event.line))
            else:
                capture.steps.append(event)
        return numbers

    def _check_own(self, buffer: Buffer) -> None:
        """raises JitError for a buffer that was there before and that no replay could find again"""
        if id(buffer) in self.trace.foreign:
            raise JitError(
                f"a captured function reads a tensor of {buffer.size} {buffer.dtype} that is neither an argument nor "
                "found in its closure, its globals or the attributes of what these name: pass it as an argument"
            )

    def _source(self, tensor: Tensor, numbers: dict[int, int]) -> Source:
        node = tensor._node
        if graph.uniform(node) is not None:
            return Source(node.shape, node.dtype, node=node, tracked=tensor._tracked)
        buffer = tensor._stored
        if buffer is None:
            raise JitError(f"a captured function leaves {tensor!r} uncomputed")
        if id(buffer) not in numbers:
            self._check_own(buffer)
            node = graph.buffer(buffer, node.shape, node.dtype)
            return Source(node.shape, node.dtype, node=node, tracked=tensor._tracked)
        source = Source(node.shape, node.dtype, numbers[id(buffer)], tracked=tensor._tracked)
        source.same = bool(tensor._tracked and not tensor._leaf) and any(node is x for x in self.nodes)
        if source.same:
            self.carrying.append((tensor, source))
        elif tensor._tracked and not tensor._leaf and node.op != "buffer":
            (spelled,) = expanded([node], history=True)
            inputs = [x for x in toposort([spelled]) if x.op == "buffer"]
            source.history = Recipe("captured", inputs, spelled)
            source.inputs = tuple((numbers.get(id(x.attr), -1), x) for x in inputs)
            self.carrying.append((tensor, source))
        return source

    def _settle(self, wanted: Sequence[Tensor]) -> None:
        """Lets tensors no gradient flows through forget how they were computed, as realize() does."""
        for tensor in wanted:
            stored = tensor._stored
            if stored is not None and not (tensor._tracked and not tensor._leaf) and tensor._node.op != "buffer":
                node = graph.buffer(stored, tensor.shape, tensor.dtype)
                _point(tensor, spent_node(node) if tensor._tracked is SPENT else node)


def _is_in_other_order(before: dict[Any, Any], now: dict[Any, Any]) -> bool:
    """True when to remove keys and add others would not lead to the order the keys are in now."""
    order = [*[key for key in before if key in now], *[key for key in now if key not in before]]
    return list(map(id, order)) != list(map(id, now))


def _stand_in(buffer: Buffer) -> Buffer:
    """Another buffer over the same memory: equal ones would not tell which of two tensors was read."""
    if buffer.size:
        running.resident(buffer)
    return Buffer(buffer.size, buffer.dtype, buffer.device, buffer.host, buffer.memory)


def _point(tensor: Tensor, node: Node) -> None:
    """Makes a tensor a name of another node with the same values."""
    if tensor._leaf:
        if leaves.get(tensor._node) is tensor:
            del leaves[tensor._node]
        leaves[node] = tensor
    tensor._node = node


def _of_its_kind(source: Source, tensor: Tensor) -> Source:
    """Where the values of a tensor come from, with its class and what it has as an object of that.

    raises JitError for an attribute that each replay would have to make anew
    """
    source.kind, source.attributes = type(tensor), dict(getattr(tensor, "__dict__", {}))
    for name, value in source.attributes.items():
        if not is_simple(value):
            raise JitError(
                f"a captured function gives a {source.kind.__name__} whose attribute {name} is a "
                f"{type(value).__name__}: set it outside, or return it beside the tensor"
            )
    return source
