"""The questions fusion asks about a tentative group: may these nodes be computed by one kernel, and should they?

Comes in: the nodes a kernel would store, and what it would load.  Goes out: `Answer`, with the name of the first
question that was answered with no, or with the parallelism the kernel would have.  It looks at the demand walk alone;
no expression is built.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Final

from codegen.index import Axis, Index
from codegen.ops import SCALAR_OPS
from kernelforge.fusion.demand import Demand, Demands, TooManyDemands
from kernelforge.fusion.limits import Limits
from kernelforge.graph import LEAVES, VIEWS, Node
from kernelforge.rewrites.alongside import cuts_among
from kernelforge.rewrites.split import is_narrow
from kernelforge.structure import structure

IN_ORDER: Final = LEAVES | {"reshape", "detach", "contiguous", "copy"}


@dataclass(frozen=True)
class Answer:
    """What fusion needs to know of a group.

    refusal   the reason why it cannot be one kernel, or None
    parallel  number of independent points: the sizes of the axes every store covers and no reduction or scan walks
    whole     elements of the largest array that is read whole for each of these points
    """

    refusal: str | None
    parallel: int = 0
    whole: int = 0


class Questions:
    """Asks about groups of one graph.  Groups of equal structure, such as a network's layers, have one answer.

    contractions  its contractions; `scores` are those that are computed again wherever they are needed
    ignoring      refusals that are not heeded
    """

    def __init__(
        self,
        limits: Limits,
        contractions: Collection[Node],
        scores: Collection[Node],
        ignoring: Collection[str] = (),
    ) -> None:
        self.limits, self.contractions, self.scores, self.ignoring = limits, contractions, scores, ignoring
        self._answers: dict[tuple[object, ...], Answer] = {}

    def ask(self, outputs: Sequence[Node], inside: Sequence[Node], loads: Sequence[Node]) -> Answer:
        """The answer for a group with these outputs, which computes the nodes inside and loads others."""
        if len(outputs) + len(loads) > self.limits.params:
            return Answer("too many arrays")
        if is_pointwise(outputs, inside):
            return Answer(None, outputs[0].size)
        shape = structure(outputs, frozenset(loads))
        key = shape.key, tuple(i for i, node in enumerate(shape.nodes) if node in self.scores)
        if key not in self._answers:
            self._answers[key] = self._answer(outputs, loads)
        return self._answers[key]

    def refusals(self, outputs: Sequence[Node], inside: Sequence[Node], loads: Sequence[Node]) -> list[str]:
        """All questions that are answered with no for a group."""
        if len(outputs) + len(loads) > self.limits.params:
            return ["too many arrays"]
        if is_pointwise(outputs, inside):
            return []
        try:
            demands, stores = self._demands(outputs, loads)
        except TooManyDemands:
            return ["bounded"]
        order = demands.order()
        return list(self._refusals(outputs, order, parallel_axes(stores, order), stores))

    def is_bounded(self, outputs: Sequence[Node], loads: Sequence[Node]) -> bool:
        """False when computing the outputs from loads takes far more than a kernel should hold."""
        demands = Demands(frozenset(loads), cuts=cuts_among(outputs))
        try:
            for node in outputs:
                demands.add_store([node])
        except TooManyDemands:
            return False
        return True

    def _demands(self, outputs: Sequence[Node], loads: Sequence[Node]) -> tuple[Demands, list[tuple[Axis, ...]]]:
        """What the group demands, and the axes of its stores."""
        limits = self.limits
        demands = Demands(frozenset(loads), 4 * limits.operations, cuts_among(outputs), limits.nested)
        return demands, [demands.add_store([node]) for node in sorted(outputs, key=lambda node: -node.size)]

    def _answer(self, outputs: Sequence[Node], loads: Sequence[Node]) -> Answer:
        try:
            demands, stores = self._demands(outputs, loads)
        except TooManyDemands:
            return Answer("bounded")
        order = demands.order()
        parallel = parallel_axes(stores, order)
        refusal = next(self._refusals(outputs, order, parallel, stores), None)
        whole = [demand.node.size for demand in order if demand.kind == "load" and parallel.isdisjoint(demand.axes)]
        return Answer(refusal, prod(axis.size for axis in parallel), max(whole, default=0))

    def _refusals(
        self,
        outputs: Sequence[Node],
        order: Sequence[Demand],
        parallel: frozenset[Axis],
        stores: Sequence[tuple[Axis, ...]],
    ) -> Iterator[str]:
        """The questions' answers one by one, as far as they are no."""
        points = prod(axis.size for axis in parallel)
        questions: tuple[Callable[[], str | None], ...] = (
            lambda: self._walks(order),
            lambda: self._images(order, outputs),
            lambda: self._windows(order),
            lambda: self._repeats(order, parallel),
            lambda: self._contractions(order, parallel),
            lambda: self._scores(order, stores),
            lambda: self._programs(order, points),
        )
        answers = (question() for question in questions)
        return (answer for answer in answers if answer is not None and answer not in self.ignoring)

    def _walks(self, order: Sequence[Demand]) -> str | None:
        """Scans are needed in the order of an axis, one axis in a kernel, and in one direction."""
        scans = [demand for demand in order if demand.kind == "scan"]
        if not all(demand.bound for demand in scans):
            return "a scan is needed in another order"
        ways = {(demand.bound[0], demand.backward) for demand in scans}
        if len({axis for axis, _ in ways}) < len(ways):
            return "an axis would be scanned both ways"
        return "scans would run across each other" if len(ways) > 1 else None

    def _images(self, order: Sequence[Demand], outputs: Sequence[Node]) -> str | None:
        """One image: every reduction, scan and stored node is needed at one place only."""
        stored, met = frozenset(outputs), set()
        for demand in order:
            if demand.kind in ("reduce", "scan") or demand.node in stored:
                if demand.node in met:
                    return "needed at several places"
                met.add(demand.node)
        return None

    def _windows(self, order: Sequence[Demand]) -> str | None:
        """What is computed from a reduction is not read through windows: over other axes, and for every tap again."""
        bound = frozenset(axis for demand in order if demand.kind == "reduce" for axis in demand.bound)
        below = reductions_below(order)
        mixed = (demand for demand in order if demand.kind == "apply" and below[id(demand)])
        if any(overlaps(index, bound) for demand in mixed for index in demand.index):
            return "a window of what a reduction gives"
        return None

    def _repeats(self, order: Sequence[Demand], parallel: frozenset[Axis]) -> str | None:
        """No replication: no reduction is repeated over parallel axes it does not have, unless they fit one tile."""
        tile = self._tile(order)
        for demand in order:
            if demand.kind not in ("reduce", "scan"):
                continue
            lacking = [axis.size for axis in parallel - demand.axes]
            most = self.limits.again if self._is_long(demand.node) else self.limits.repeats
            if max(lacking, default=1) > tile or prod(lacking) > most:
                return "a reduction would be repeated"
            if prod(axis.size for axis in demand.axes) > demand.node.size:
                return "a reduction would be computed more than once"
        return None

    def _tile(self, order: Sequence[Demand]) -> int:
        """The longest axis that fits whole in one tile."""
        scores = [demand.node for demand in order if demand.node in self.scores]
        return self.limits.width if scores and all(map(is_narrow, scores)) else self.limits.tile

    def _is_long(self, node: Node) -> bool:
        return node in self.contractions and node not in self.scores

    def _contractions(self, order: Sequence[Demand], parallel: frozenset[Axis]) -> str | None:
        """A contraction is parallel over its result and reads no reduction, except around an attention's scores."""
        below = reductions_below(order)
        long = 0
        for demand in order:
            if not self._is_long(demand.node) or demand.kind != "reduce":
                continue
            inner = below[id(demand.needs[0])]
            lacking = [axis.size for axis in demand.axes - parallel]
            if inner.isdisjoint(self.scores):
                long += 1
                if inner:
                    return "a contraction reads no reduction"
                if lacking:
                    return "a contraction would lose parallel axes"
            elif max(lacking, default=1) > self._tile(order) or prod(lacking) > self.limits.repeats:
                return "a contraction would lose parallel axes"
        return "one contraction in a kernel" if long > 1 else None

    def _scores(self, order: Sequence[Demand], stores: Sequence[tuple[Axis, ...]]) -> str | None:
        """Tiles of an attention's scores go by: beside what is made of them nothing else is summed over their batches,
        and nothing of their size is stored; nor is beside sums over their batches."""
        if not self.scores:
            return None
        below = reductions_below(order)
        stored = frozenset(axis for axes in stores for axis in axes)
        summed = self._batches_summed(order)
        if not summed.isdisjoint(stored):
            return "a contraction would lose parallel axes"
        for demand in order:
            if demand.kind == "reduce" and self._is_long(demand.node):
                goes_by = not below[id(demand.needs[0])].isdisjoint(self.scores)
                stays = not stored.isdisjoint(demand.bound)
                if goes_by and (stays or not summed.isdisjoint(demand.axes)):
                    return "a contraction would lose parallel axes"
        return None

    def _batches_summed(self, order: Sequence[Demand]) -> frozenset[Axis]:
        """The axes that both operands of an attention's scores have and that something else is summed over."""
        batches: set[Axis] = set()
        bound: set[Axis] = set()
        for demand in order:
            if demand.kind == "reduce" and demand.node not in self.contractions:
                bound.update(demand.bound)
            elif demand.kind == "reduce" and demand.node in self.scores:
                product = demand.needs[0]
                while len(product.needs) == 1:
                    product = product.needs[0]
                batches.update(frozenset.intersection(*(need.axes for need in product.needs)) if product.needs else ())
        return frozenset(batches & bound)

    def _programs(self, order: Sequence[Demand], points: int) -> str | None:
        """Parallel: there are enough programs, or little to do."""
        widest = max((prod(axis.size for axis in demand.axes) for demand in order), default=1)
        if points >= self.limits.cores or widest <= points * self.limits.program:
            return None
        return "too few parallel programs"


def is_pointwise(outputs: Sequence[Node], inside: Sequence[Node]) -> bool:
    """True when all is computed element by element in one order: nothing to ask about.

    Views other than a reshape then show stored nodes, constants and single values alone.
    """
    computed = frozenset(inside)
    return all(output.shape == outputs[0].shape for output in outputs) and all(
        node.op in SCALAR_OPS or node.op in IN_ORDER or (node.op in VIEWS and is_plain(node.src[0], computed))
        for node in inside
    )


def is_plain(node: Node, computed: frozenset[Node]) -> bool:
    """True when a node shows no result of an operation of the group, or a single one."""
    while node in computed and node.op in VIEWS:
        node = node.src[0]
    return node not in computed or node.op in LEAVES or node.size == 1


def overlaps(index: Index, bound: frozenset[Axis]) -> bool:
    """True when a sum of axes, some of them bound and some not, takes a value several times."""
    terms = sorted(((abs(k), axis) for axis, k in index.terms if isinstance(axis, Axis)), key=lambda term: term[0])
    if bound.isdisjoint(index.axes) or index.axes <= bound:
        return False
    reach = 0
    for step, axis in terms:
        if 0 < step <= reach:
            return True
        reach += step * (axis.size - 1)
    return False


def parallel_axes(stores: Sequence[tuple[Axis, ...]], order: Sequence[Demand]) -> frozenset[Axis]:
    """The axes that every store covers, no reduction binds and no scan walks."""
    covered = frozenset.intersection(*(frozenset(axis for axis in axes if axis.size > 1) for axes in stores))
    return covered.difference(*(demand.bound for demand in order))


def reductions_below(order: Sequence[Demand]) -> Mapping[int, frozenset[Node]]:
    """For each demand, by id, the reductions and scans its value is computed from, itself included."""
    below: dict[int, frozenset[Node]] = {}
    for demand in order:
        found: frozenset[Node] = frozenset().union(*(below[id(need)] for need in demand.needs))
        below[id(demand)] = found | {demand.node} if demand.kind in ("reduce", "scan") else found
    return below
