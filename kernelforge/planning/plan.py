"""The plan: a graph's kernels with their arguments, ready to run on any buffers.

Comes in: nodes to compute.  Goes out: `Plan`, a list of steps over numbered slots.  It holds no graph node and no
buffer, so the same plan serves every graph of the same structure.  Lowering and code generation are done once for
groups of equal structure, for instance the layers of a deep network.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from math import prod
from typing import Final

from codegen.assumed import noting
from codegen.dtypes import dtypes
from codegen.ir import Param
from codegen.open_sizes import STATIC, Sizes
from codegen.target import Target
from kernelforge import graph
from kernelforge.buffer import Buffer
from kernelforge.calls import differentiates, is_stray, memory_forms
from kernelforge.collector import paused
from kernelforge.fusion.boundaries import BY_REWRITE
from kernelforge.fusion.fuse import groups
from kernelforge.fusion.group import Group
from kernelforge.fusion.story import telling
from kernelforge.graph import Node, toposort, user_line
from kernelforge.kernels import Device
from kernelforge.node import is_stored
from kernelforge.planning.joint import joint
from kernelforge.planning.kept import Preparation, preparations
from kernelforge.planning.layout import held, lay_out
from kernelforge.planning.ordering import later_updates
from kernelforge.planning.recomputing import within
from kernelforge.planning.rounds import begun, part_of, unrolled
from kernelforge.planning.spaced import places, spaced
from kernelforge.planning.steps import Check, Driven, HostCall, Launch, Plan, Rounds, Slot, Step, Transfer, in_words
from kernelforge.planning.templates import alike_but_for_places, lines_of, template_of
from kernelforge.rewrites.alongside import alongside
from kernelforge.rewrites.apart import apart
from kernelforge.rewrites.onto import onto
from kernelforge.rewrites.privatise import privatise
from kernelforge.rewrites.simplify import simplify
from kernelforge.rewrites.split import split
from kernelforge.rewrites.steady import steady
from kernelforge.rewrites.tallies import without_tallies
from kernelforge.rewrites.unread import unread
from kernelforge.rewrites.unrounded import unrounded
from kernelforge.settings import MEMORY_BUDGET
from kernelforge.windows.winograd import Choice, with_winograd

TABLE: Final = 1 << 20  # bytes of a value that depends on nothing, at most, for it to be kept
STEPS: Final = 3  # groups that differ in where they read alone, from which on they are given parts of what they read
FITTINGS: Final = 4  # bounds of a peak that are tried for a budget


def make_plan(
    nodes: Sequence[Node],
    leaves: Sequence[Buffer],
    device: str,
    dying: frozenset[int] = frozenset(),
    choice: Choice | None = None,
    sizes: Sizes = STATIC,
    same: Collection[Buffer] = (),
) -> Plan:
    """The plan that computes nodes.

    leaves  the buffers they are computed from, in the order the plan's caller will pass them
    device  where to compute what names no device
    dying   the leaves nothing else will need: results may take their memory
    choice  tells how to compute sums over windows, where that is not left to estimates
    sizes   which sizes kernels must not rely on
    same    the leaves that are the same in all rounds of a loop whose round this is
    """
    target = Device[device].target
    planner = Planner(leaves, device, sizes)
    with paused(), rewritten(leaves, nodes, target, choice, sizes, same) as simple:
        stores = [storage(node) for node in simple]
        wanted = stores[: len(nodes)]
        computed = [node for node in dict.fromkeys(stores) if not is_stored(node) and node.size]
        with noting():  # what is asked about groups decides which there are: no kernel relies on it
            found = groups(computed, target) if computed else []
        if dying:
            found = later_updates(found, frozenset(wanted), {leaves[number] for number in dying})
        planner.foresee(found, wanted, dying)
        for group in found:
            planner.add(group)
        if (story := telling()) is not None:
            story.steps = planner.plan.launches
        return planner.finish(wanted)


@contextmanager
def rewritten(
    leaves: Sequence[Buffer],
    nodes: Sequence[Node],
    target: Target,
    choice: Choice | None = None,
    sizes: Sizes = STATIC,
    same: Collection[Buffer] = (),
) -> Iterator[Sequence[Node]]:
    """The simplified nodes, with every buffer but the leaves forgotten for the duration; after them what looks at
    indices of which the nodes need a part alone.

    Calls that are spelled out and simplification can arrive at a node that happens to be interned and computed already.
    A plan that read its buffer would be wrong for the next graph of the same structure, where it need not be.
    """
    known = {id(buffer) for buffer in leaves}
    forgotten: list[tuple[Node, Buffer]] = []
    repeated = not differentiates(toposort(nodes, into_realized=False))
    rewrites: dict[str, Callable[[Sequence[Node]], Sequence[Node]]] = {
        "spaced": lambda x: spaced(x, sizes),
        "simplify": simplify,
        "apart": apart,
        "unrounded": unrounded,
        "onto": onto,
        "tallies": lambda x: without_tallies(x, target),
        "winograd": lambda x: with_winograd(x, target, repeated, choice),
        "steady": lambda x: steady(x, same, target) if same else x,
        "privatise": lambda x: privatise(x, target),
        "alongside": lambda x: alongside(x, target, sizes),
        "split": lambda x: split(x, target, sizes),
    }
    story = telling()
    try:
        if story is not None:
            story.begins(nodes)
        simple: Sequence[Node] = memory_forms(nodes, known)
        simple = [*simple, *unread(simple)]
        if story is not None:
            story.rewritten("spelled out", simple)
        while True:
            for name, rewrite in rewrites.items():
                simple = rewrite(simple)
                if story is not None:
                    story.rewritten(name, simple)
            strays = [x for x in toposort(simple, into_realized=False) if is_stray(x, known, repeated)]
            if not strays:
                break
            for node in strays:
                assert node.realized is not None
                forgotten.append((node, node.realized))
                node.realized = None
        yield simple
    finally:
        for node, buffer in forgotten:
            node.realized = buffer


def storage(node: Node) -> Node:
    """The node whose row-major elements are those of node: itself, or what lies behind reshapes of it."""
    while node.realized is None and node.op in ("reshape", "detach"):
        node = node.src[0]
    if node.op == "contiguous" and node.realized is None and is_stored(behind := storage(node.src[0])):
        return behind
    return node


class Planner:
    """A plan being made."""

    def __init__(self, leaves: Sequence[Buffer], device: str, sizes: Sizes = STATIC) -> None:
        self.device, self.sizes = device, sizes
        self.plan = Plan(slots=[Slot(b.size, b.dtype, b.device, "leaf") for b in leaves])
        self.leaf = {id(buffer): slot for slot, buffer in enumerate(leaves)}
        self.slot: dict[Node, int] = {}
        self.moved: dict[tuple[int, str], int] = {}
        self.wanted: frozenset[Node] = frozenset()
        self.last: dict[Node, Group] = {}
        self.dying: frozenset[int] = frozenset()
        self.driven: dict[tuple[object, tuple[Node, ...]], Driven] = {}
        self.loops: dict[tuple[object, tuple[Node, ...]], dict[Node, None]] = {}  # what is wanted of each
        self.readers: Counter[Node] = Counter()  # groups that read a value
        self.unrolled: set[Group] = set()
        self.parts: dict[tuple[int, int, int], int] = {}
        self.asked: list[int] = []  # positions of the steps that prepare a weight

    def foresee(self, groups: Sequence[Group], wanted: Sequence[Node], dying: frozenset[int]) -> None:
        """Notes which group is the last to read each leaf, where no other node shows the same buffer."""
        readers: dict[int, dict[Node, Group]] = {}
        for group in groups:
            if group.kind == "loop":
                (node,) = group.outputs
                self.loops.setdefault((node.attr.states, node.src), {})[node] = None
            for node in group.inputs:
                if is_stored(node):
                    readers.setdefault(self._slot(node, self.device), {})[node] = group
        self.readers = Counter(node for group in groups for node in group.inputs)
        given = {self._slot(node, self.device) for node in wanted if is_stored(node)}
        if not self.sizes.open:
            self._foresee_steps(groups)
        alone = [found for slot, found in readers.items() if len(found) == 1 and slot not in given]
        self.last = {node: group for found in alone for node, group in found.items()}
        self.wanted, self.dying = frozenset(wanted), dying

    def _foresee_steps(self, groups: Sequence[Group]) -> None:
        """Notes which groups are steps of what was written out: many that differ in where they read alone."""
        may = [
            group
            for group in groups
            if group.kind in ("compute", "flat", "stack")
            and any(self.readers[x] >= STEPS for x in group.inputs)
            and not any(node.op == "contiguous" and node.attr == "weight" for node in group.outputs)
        ]
        self.unrolled = {group for alike in alike_but_for_places(may) if len(alike) >= STEPS for group in alike}

    def add(self, group: Group) -> None:
        """Appends a group's step."""
        device = group.device or self.device
        if group.kind == "copy":
            source = self._slot(group.inputs[0], self.device)
            self.plan.steps.append(Transfer(source, self._slot(group.outputs[0], device)))
            return
        if group.kind == "host":
            (node,) = group.outputs
            sources = tuple(self._slot(x, self.device) for x in group.inputs)
            shapes = tuple(x.shape for x in node.src)
            self.plan.steps.append(HostCall(node.attr, sources, shapes, self._slot(node, device), node.line))
            return
        if group.kind == "base" and self._is_in_place(group):
            return
        if group.kind in ("loop", "while"):
            (self._repeat if group.kind == "loop" else self._drive)(group, device)
            return
        spare = [x for x in group.inputs if self.last.get(x) is group and x.device == device]
        dying = frozenset(node for node in spare if self._slot(node, device) in self.dying)
        results = frozenset(node for node in group.outputs if node in self.wanted)
        steps = group in self.unrolled
        template, numbered = template_of(group, Device[device].target, device, results, dying, self.sizes, steps)
        fitting = {numbered[source] for result, source in template.fitting if numbered[result] in results}
        self.plan.spares |= {self._slot(node, device) for node in fitting.intersection(spare)}
        for result, source in template.takes:
            self.plan.slots[self._slot(numbered[result], device)].takes = self._slot(numbered[source], device)
        fault = self._new(Slot(len(template.checks), dtypes.int32, device, "fault")) if template.checks else -1
        arguments = [fault if n is None else self._argument(numbered[n], device, group) for n in template.arguments]
        if template.begins:
            parts = zip(arguments, template.begins, template.program.params)
            arguments = [self._part(slot, begin, p) if begin else slot for slot, begin, p in parts]
        checks = tuple(Check(size, numbered[n].line, in_words(numbered[n])) for size, n in template.checks)
        origins = story.origins if (story := telling()) is not None else {}
        told = {node: BY_REWRITE + origins[node] if node in origins else why for node, why in group.reasons.items()}
        reasons = tuple(f"{node!r}: {reason}" for node, reason in told.items())
        given = frozenset(group.inputs)
        lines = tuple(dict.fromkeys(x.line for x in numbered if x.line is not None and x not in given))
        if any(node.op == "contiguous" and node.attr == "weight" for node in group.outputs):
            self.asked.append(len(self.plan.steps))
        step = Launch(device, template.program, tuple(arguments), fault, checks, reasons, lines, template.is_plain)
        step.origins, step.rewrites = lines_of(template, numbered), template.rewrites
        self.plan.steps.append(step)

    def _is_in_place(self, group: Group) -> bool:
        """Has a base stay where it is, if it is an intermediate result that nothing else reads; False for others, and
        for a tally, which is longer than its base."""
        (node,) = group.outputs
        base = storage(node.src[0])
        if group.inputs != (base,) or base not in self.slot or base in self.wanted or self.readers[base] > 1:
            return False
        slot = self.plan.slots[self.slot[base]]
        if slot.role != "scratch" or slot.device != (group.device or self.device) or slot.size != node.size:
            return False
        self.slot[node] = self.slot[base]
        return True

    def _repeat(self, group: Group, device: str) -> None:
        """Appends the steps of a loop, once for all that is wanted of it."""
        (node,) = group.outputs
        loop, steps = node.attr.states, node.shape[0]
        wanted = self.loops.pop((loop, node.src), None)
        if wanted is None:
            return
        shapes = [x.shape for x in node.src]
        shapes[1 : 1 + loop.sequences] = loop.apart or [shape[1:] for shape in shapes[1 : 1 + loop.sequences]]
        leaves = [Buffer(prod(shape), x.dtype, device) for shape, x in zip(shapes, node.src)]
        kind = loop.step.shape, loop.step.dtype
        each = (places(*kind, self.sizes),) if loop.apart else kind[0]
        whole = graph.loop(loop, node.src, (steps, *each))
        found = [whole, *(x for x in wanted if x is not whole)]
        with user_line(node.line):
            given_here = [graph.buffer(leaf, shape) for leaf, shape in zip(leaves, shapes)]
            made = [(x.attr.value or loop.step).replayed(given_here) for x in found]
        body = make_plan(made, leaves, device, sizes=self.sizes, same=leaves[1 + loop.sequences :])
        given = [self._argument(x, device, group) for x in group.inputs]
        once, repeated, where = begun(body, given, loop.sequences, self.plan.slots)
        sequences = tuple([(given[i], _row(node.src[i])) for i in range(1, 1 + loop.sequences)])
        targets = tuple([(self._slot(x, device), _row(x)) for x in found])
        weights = {where[slot] for p in body.preparations for slot in p.outputs if slot in where}
        self.asked += [len(self.plan.steps) + i for i, step in enumerate(once) if not weights.isdisjoint(step.writes)]
        rounds = Rounds(body, repeated, where, given[0], sequences, targets, steps, loop.reverse)
        self.plan.steps += [*once, *([rounds] if self.sizes.open else unrolled(rounds, self.plan.slots))]

    def _drive(self, group: Group, device: str) -> None:
        """Appends the step of a loop the host drives, or gives one that is there another of its states to compute."""
        (node,) = group.outputs
        loop, place = node.attr
        step = self.driven.get((loop, node.src))
        if step is None:
            sources = [self._argument(x, device, group) for x in group.inputs]
            leaves = [Buffer(x.size, x.dtype, device) for x in node.src]
            with user_line(node.line):
                given = [graph.buffer(leaf, x.shape) for leaf, x in zip(leaves, node.src)]
                states = [recipe.replayed(given) for recipe in loop.body]
                again = loop.condition.replayed([*states, *given[len(states) :]])
                begin = make_plan([loop.condition.replayed(given)], leaves, device)
            each = make_plan([*states, again], leaves, device)
            step = self.driven[loop, node.src] = Driven(begin, each, tuple(sources), [-1] * len(states), node.line)
            self.plan.steps.append(step)
        step.targets[place] = self._slot(node, device)

    def finish(self, wanted: Sequence[Node]) -> Plan:
        """The plan, with memory assigned."""
        plan = self.plan
        for node in wanted:
            slot = self._slot(node, self.device)
            if plan.slots[slot].role == "scratch":
                plan.slots[slot].role = "result"
        plan.results = tuple(self._slot(node, self.device) for node in wanted)
        if MEMORY_BUDGET.value:
            return self._bounded(MEMORY_BUDGET.value)
        return self._laid_out(plan.steps, plan.slots, self.asked)

    def _bounded(self, budget: int) -> Plan:
        """The plan, with memory within a budget if that can be.

        Blocks take more than what is alive in them, so the peak of that is bounded by less until they fit.
        """
        steps, slots, target = self.plan.steps, self.plan.slots, budget
        ways = []
        for _ in range(FITTINGS):
            more = list(slots)
            again, places = within(target, steps, more)
            way = again, more, [places[position] for position in self.asked]
            spent = held(self._laid_out(*way))
            if spent <= budget:
                return self.plan
            ways.append((spent, way))
            target -= spent - budget
        least, way = min(ways, key=lambda found: found[0])
        message = f"memory_budget={budget:,}: {least:,} bytes beside what is given are the least that were found"
        warnings.warn(message, RuntimeWarning, stacklevel=2)
        return self._laid_out(*way)

    def _laid_out(self, steps: Sequence[Step], slots: list[Slot], asked: Sequence[int]) -> Plan:
        """The plan of given steps, with memory assigned; asked: positions of the steps that prepare a weight."""
        plan = self.plan
        plan.slots = slots
        over = {slot.takes for slot in slots}  # what is overwritten is prepared anew in each run
        found = preparations(steps, asked, len(self.leaf), self._scratch_bytes, self._kind)
        found = [p for p in found if over.isdisjoint(p.leaves)]
        found += self._tables(steps, {position for p in found for position in p.steps})
        apart = frozenset(position for p in found for position in p.steps)
        memory = [next((n for n in (slot.whole, slot.takes) if n >= 0), i) for i, slot in enumerate(plan.slots)]
        plan.steps, moved = joint(steps, apart, memory)
        plan.preparations = [replace(p, steps=tuple(moved[position] for position in p.steps)) for p in found]
        lay_out(plan)
        plan.sum_up()
        return plan

    def _tables(self, steps: Sequence[Step], taken: Collection[int]) -> list[Preparation]:
        """What computes small values from nothing, such as factors that depend on positions; without taken steps."""
        if MEMORY_BUDGET.value or self.sizes is not STATIC:  # open sizes are numbers that a launch is given
            return []
        alone = [i for i, x in enumerate(steps) if isinstance(x, Launch) and set(x.writes).issuperset(x.arguments)]
        found = preparations(steps, alone, len(self.leaf), self._table_bytes, self._kind)
        return [p for p in found if not p.leaves and not any(position in taken for position in p.steps)]

    def _table_bytes(self, slot: int) -> int:
        """The size of an intermediate result that is small enough to be kept for nothing but itself; else 0."""
        nbytes = self._scratch_bytes(slot)
        return nbytes if nbytes <= TABLE else 0

    def _scratch_bytes(self, slot: int) -> int:
        """The size of an intermediate result; 0 for another slot."""
        here = self.plan.slots[slot]
        return here.nbytes if here.role == "scratch" else 0

    def _kind(self, step: Step) -> object:
        """What a step does, apart from its arguments: equal for steps that make the same of the same."""
        if isinstance(step, Launch):
            return step.device, step.program
        if isinstance(step, HostCall):
            return HostCall, step.function, step.shapes
        if isinstance(step, Transfer):
            return Transfer, *[self.plan.slots[slot].device for slot in step.arguments]
        return object()

    def _slot(self, node: Node, device: str) -> int:
        """The slot of a node's elements."""
        if is_stored(node):
            return self.leaf[id(node.attr if node.op == "buffer" else node.realized)]
        if node not in self.slot:
            self.slot[node] = self._new(Slot(node.size, node.dtype, node.device or device, "scratch"))
        return self.slot[node]

    def _argument(self, node: Node, device: str, group: Group) -> int:
        """The slot of a kernel's argument, moved to the kernel's device if it is elsewhere."""
        slot = self._slot(node, device)
        if self.plan.slots[slot].device == device or node in group.outputs:
            return slot
        if (slot, device) not in self.moved:
            here = self.plan.slots[slot]
            self.moved[slot, device] = self._new(Slot(here.size, here.dtype, device, "scratch"))
            self.plan.steps.append(Transfer(slot, self.moved[slot, device]))
        return self.moved[slot, device]

    def _part(self, slot: int, begin: int, param: Param) -> int:
        """The slot of a part of another, as long as a parameter."""
        key = slot, begin, param.size
        if key not in self.parts:
            like = Slot(param.size, param.dtype, self.plan.slots[slot].device, "part")
            self.parts[key] = part_of(slot, like, begin, self.plan.slots)
        return self.parts[key]

    def _new(self, slot: Slot) -> int:
        self.plan.slots.append(slot)
        return len(self.plan.slots) - 1


def _row(x: Node) -> int:
    """The bytes of a node's elements at one place of its first dimension."""
    return x.size // x.shape[0] * x.dtype.itemsize
