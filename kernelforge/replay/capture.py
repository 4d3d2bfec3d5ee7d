"""A captured call: its plans as steps over numbered buffers, and what it leaves behind.

Comes in: a function and a call of it.  Goes out: `Capture`, which does the same on other values.  Buffers never change,
so until the end of a replay nothing has happened that could not be given up.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from codegen.dtypes import DType
from kernelforge import graph, realize
from kernelforge.buffer import Buffer
from kernelforge.calls import Recipe, call
from kernelforge.execution import running
from kernelforge.execution.faults import LATE, raise_pending, retell
from kernelforge.graph import Line, Node, Shape
from kernelforge.planning.layout import gathered
from kernelforge.planning.steps import Plan
from kernelforge.replay.holders import MISSING, Holder
from kernelforge.replay.repeated import Repeated
from kernelforge.replay.structures import Maker
from kernelforge.replay.taking import are_alone
from kernelforge.replay.trace import Act
from kernelforge.tensor import Tensor, aliases
from kernelforge.tensor.frames import calling_line
from kernelforge.tensor.generators import states
from kernelforge.tensor.spent import SPENT, spent_node

LARGE: Final = 1 << 12  # bytes of a constant from which on it is looked at whether it is one value


class Other(Exception):
    """A value that reached Python is another one than when the call was captured: the function may go another way.

    old, new   the values; None where there was an error instead
    """

    def __init__(self, line: Line | None, old: NDArray | None, new: NDArray | None) -> None:
        self.line, self.old, self.new = line, old, new
        super().__init__()


class RunStep(NamedTuple):
    """Run a plan on the buffers of the given numbers; its results are the next buffers.

    in_place   the same plan with results in the memory of what they replace, for as long as nothing else needs that
    told       the lines of what its checks are about
    """

    repeated: Repeated
    order: tuple[int, ...]
    in_place: Repeated | None = None
    told: tuple[Line | None, ...] = ()

    @property
    def plan(self) -> Plan:
        return self.repeated.plan


class DrawStep(NamedTuple):
    """Make the next buffer of new numbers."""

    draw: Callable[[], NDArray]
    like: Buffer


class ReadStep(NamedTuple):
    """Compare a buffer's values with those the call saw; None: there was an error, which it caught."""

    number: int
    value: NDArray | None
    line: Line | None


Step = RunStep | DrawStep | ReadStep | Act


@dataclass
class Source:
    """Where a tensor's values come from: a numbered buffer, or a node that depends on none.

    history  the operations it was computed by, for gradients
    inputs   what from: the numbers of buffers, and the nodes, which are used themselves where there is no number
    same     whether it stands for the very node of the tensor with that number, with all that leads to it
    kind     the class of the tensor, and attributes: what it has beside as an object of that
    """

    shape: Shape
    dtype: DType
    number: int = -1
    node: Node | None = None
    tracked: bool | None = None
    history: Recipe | None = None
    inputs: tuple[tuple[int, Node], ...] = ()
    same: bool = False
    kind: type[Tensor] = Tensor
    attributes: dict[str, Any] = field(default_factory=dict)


@dataclass
class Change:
    """What a call made of a tensor it was given or could see."""

    place: int
    source: Source | None
    tracked: bool | None
    leaf: bool


@dataclass
class GradientEffect:
    """The gradient a call has left with a tensor it was given."""

    place: int
    make: Maker


@dataclass
class Effect:
    """A content of a place that a call has replaced; no maker: removed."""

    holder: Holder
    key: Any
    make: Maker | None


class Filled(NamedTuple):
    """What a buffer holds whose elements have all the same bits: the first of them."""

    first: NDArray
    size: int
    like: Buffer

    def buffer(self) -> Buffer:
        """A new one."""
        return Buffer(self.size, self.like.dtype, self.like.device, host=np.repeat(self.first, self.size))


class Views(NamedTuple):
    """Tensors a call makes that show elements of one tensor, which it knows (its number is `parent`) or which is gone.

    shape   of that tensor
    places  numbers of the views, and the steps that lead to them
    """

    parent: int | None
    shape: Shape
    places: list[tuple[int, tuple[aliases.Step, ...]]]

    def join(self, tensors: Sequence[Tensor]) -> None:
        """Makes the tensors of a replay views as those of the call were."""
        if self.parent is None:
            aliases.join_each_other(self.shape, [(tensors[number], steps) for number, steps in self.places])
            return
        for number, steps in self.places:
            aliases.join_again(tensors[self.parent], tensors[number], steps)


class Capture:
    """One way through a function.

    steps     each makes the next buffers; the first ones are those of the tensors it knows, then come the constants
    sources   where the values of the tensors it makes come from
    said      what prints and logs the same again
    views     which of the tensors it makes show the same elements as others
    shared    how many containers are in several places
    unread    numbers of tensors it is given of which it takes no values: what it has to look at is that they are there
    """

    def __init__(self) -> None:
        self.constants: list[Buffer | Filled] = []
        self.unread: frozenset[int] = frozenset()
        self.steps: list[Step] = []
        self.sources: list[Source] = []
        self.changes: list[Change] = []
        self.effects: list[Effect] = []
        self.gradients: list[GradientEffect] = []
        self.said: list[Callable[[], None]] = []
        self.views: list[Views] = []
        self.result: Maker = lambda tensors: None
        self.single: RunStep | None = None
        self.wrap: Callable[[Node, bool | None], Tensor] = Tensor._wrap  # that of the single result
        self.taken: list[int] = []
        self.shared = 0
        self.line = calling_line()

    @cached_property
    def reads(self) -> bool:
        """Whether values reach Python."""
        return any(isinstance(step, ReadStep) for step in self.steps)

    @property
    def plans(self) -> list[Plan]:
        """What is run."""
        return [step.plan for step in self.steps if isinstance(step, RunStep)]

    def replay(self, tensors: Sequence[Tensor], containers: Sequence[Any] = ()) -> Any:
        """The function's result for other values of the tensors it knows; containers: those that are given.

        raises Other, with nothing done, when a value that reached Python is not as it was
        """
        if self.single is not None:
            return self._replay_single(self.single, tensors)
        in_place = bool(self.taken) and are_alone([tensors[place] for place in self.taken])
        buffers = [buffer_of(tensor) for tensor in tensors]
        buffers += self._own()
        if self.reads:
            raise_pending()  # an index out of range that is no fault of this call
        drawn = states() if len(self.steps) > 1 else []
        try:
            for step in self.steps:
                self._do(step, buffers, in_place)
        except BaseException:
            for generator, state in drawn:
                generator.go_on(state)
            raise
        nodes = [tensor._node for tensor in tensors]
        made: list[Any] = [*tensors, *[self._made(source, buffers, nodes) for source in self.sources]]
        for change in self.changes:
            self._change(change, tensors, buffers, nodes)
        for views in self.views:
            views.join(made)
        if containers or self.shared:
            made += [*containers, *[None] * self.shared]
        for gradient in self.gradients:
            tensors[gradient.place].grad = gradient.make(made)
        for effect in self.effects:
            effect.holder.put(effect.key, MISSING if effect.make is None else effect.make(made))
        for say in self.said:
            say()
        return self.result(made)

    def _own(self) -> list[Buffer]:
        """The constants, with all of their elements from the first replay on."""
        own = [x.buffer() if isinstance(x, Filled) else x for x in self.constants]
        self.constants[:] = own
        return own

    def let_go(self) -> None:
        """Keeps of large constants that have one value everywhere, as the state an optimiser begins with, that value.

        Most captures of a first call are never replayed.
        """
        self.constants = [filled(x) or x if isinstance(x, Buffer) else x for x in self.constants]

    def take(self, plan: Plan) -> None:
        """Uses a plan for the last step that writes results in the memory of tensors the call changes.

        Not where a result of the call shows the old values, or a history leads to them.
        """
        step = self.steps[-1] if self.steps else None
        if not isinstance(step, RunStep):
            return
        taken = {step.order[slot.takes] for slot in plan.slots if slot.takes >= 0}
        sources = [*self.sources, *[change.source for change in self.changes if change.source is not None]]
        if taken.isdisjoint(source.number for source in sources) and not any(source.history for source in sources):
            self.steps[-1], self.taken = step._replace(in_place=Repeated(plan)), sorted(taken)

    def gather(self, replaced: Collection[int], known: int) -> None:
        """Has results of the last step that the next replay lets go of first lie in one block.

        replaced   their numbers, and known: how many tensors a replay is given
        """
        step = self.steps[-1] if self.steps else None
        if not isinstance(step, RunStep):
            return
        first = known + len(self.constants) + sum(map(_results, self.steps[:-1]))
        places = [number - first for number in sorted(replaced) if first <= number < first + _results(step)]
        ways = [way and _gathered(way, places) for way in (step.repeated, step.in_place)]
        assert ways[0] is not None
        self.steps[-1] = step._replace(repeated=ways[0], in_place=ways[1])

    def settle(self, result: Any) -> None:
        """Finds out whether all a replay does is to run one kernel for the one tensor that is the result."""
        if len(self.steps) != 1 or len(self.sources) != 1 or self.said or self.views:
            return
        if self.changes or self.gradients or self.effects:
            return
        (step,), (source,) = self.steps, self.sources
        plain = source.history is None and source.node is None and not source.same and not source.attributes
        plain = plain and isinstance(result, Tensor)
        if plain and isinstance(step, RunStep) and step.plan.is_one_launch and not self.constants:
            self.single, self.wrap = step, source.kind._wrap

    def _replay_single(self, step: RunStep, tensors: Sequence[Tensor]) -> Tensor:
        (source,) = self.sources
        retell(step.plan, step.told)
        buffer = running.run_one(step.plan, [buffer_of(tensors[number]) for number in step.order])
        node = graph.buffer(buffer, source.shape, source.dtype)
        node.place = self.line
        return self.wrap(node, source.tracked)

    @staticmethod
    def _do(step: Step, buffers: list[Buffer], in_place: bool) -> None:
        if isinstance(step, RunStep):
            way = step.in_place if in_place and step.in_place is not None else step.repeated
            retell(way.plan, step.told)
            buffers += way.run([buffers[number] for number in step.order])
        elif isinstance(step, DrawStep):
            buffers.append(Buffer.from_numpy(step.draw(), step.like.dtype, step.like.device))
        elif isinstance(step, ReadStep):
            now = _contents(buffers[step.number])
            if not _has_same_bits(now, step.value):
                raise Other(step.line, step.value, now)
        else:
            step.act()

    def _made(self, source: Source, buffers: Sequence[Buffer], nodes: Sequence[Node]) -> Tensor:
        node = self._node(source, buffers, nodes)
        if node.line is None:
            node.line = self.line
        made = source.kind._wrap(node, source.tracked)
        if source.attributes:
            vars(made).update(source.attributes)
        return made

    def _node(self, source: Source, buffers: Sequence[Buffer], nodes: Sequence[Node]) -> Node:
        if source.node is not None:
            return source.node
        if source.same:
            return nodes[source.number]
        if source.history is None:
            return graph.buffer(buffers[source.number], source.shape, source.dtype)
        inputs = [
            like if number < 0
            else nodes[number] if number < len(nodes)
            else graph.buffer(buffers[number], like.shape, like.dtype)
            for number, like in source.inputs
        ]
        node = call(source.history, inputs)
        node.realized = buffers[source.number]
        return node

    def _change(
        self, change: Change, tensors: Sequence[Tensor], buffers: Sequence[Buffer], nodes: Sequence[Node]
    ) -> None:
        tensor = tensors[change.place]
        if change.source is not None:
            tensor._set(self._node(change.source, buffers, nodes))
        if (tensor._tracked, tensor._leaf) != (change.tracked, change.leaf):
            if tensor._leaf or change.leaf:
                tensor.requires_grad = change.tracked if change.leaf else None
            tensor._tracked = change.tracked
            if change.tracked is SPENT:
                tensor._node = spent_node(tensor._node)


def _results(step: Step) -> int:
    """How many buffers a step adds."""
    return len(step.plan.results) if isinstance(step, RunStep) else isinstance(step, DrawStep)


def _gathered(way: Repeated, places: Sequence[int]) -> Repeated:
    """A plan to run again with those of its results that are at places, and nowhere else, in one block."""
    plan = way.plan
    others = {slot for place, slot in enumerate(plan.results) if place not in places}
    found = gathered(plan, [plan.results[place] for place in places if plan.results[place] not in others])
    return way if found is plan else Repeated(found, way)


def buffer_of(tensor: Tensor) -> Buffer:
    node = tensor._node
    buffer: Buffer | None = node.attr if node.op == "buffer" else tensor._stored
    assert buffer is not None
    return buffer


def _contents(buffer: Buffer) -> NDArray | None:
    """The elements of a buffer; None where what has run found an index out of range, or a value a rule forbids."""
    try:
        return realize.contents(buffer)
    except LATE:
        return None


def filled(buffer: Buffer) -> Filled | None:
    """What stands for a large buffer whose elements have all the same bits."""
    if buffer.nbytes < LARGE or (values := _contents(buffer)) is None:
        return None
    bits = values.view(np.uint8).reshape(values.size, -1)
    if not ((bits[:LARGE] == bits[0]).all() and (bits == bits[0]).all()):
        return None
    return Filled(values[:1].copy(), buffer.size, Buffer(0, buffer.dtype, buffer.device))


def _has_same_bits(new: NDArray | None, old: NDArray | None) -> bool:
    if new is None or old is None:
        return new is old
    return np.array_equal(new.view(np.uint8), old.view(np.uint8))
