"""Joining of kernels: the second half of fusion.

Comes in: the nodes `cuts` wants stored.  Goes out: `Part`s, each a set of stored nodes one kernel computes.  A part
joins the part whose values it loads, or one that loads the same values, when the questions allow it and no parallelism
is lost; a stored node that no other part needs is then not stored any more.
"""

from __future__ import annotations

from collections.abc import Iterable

from codegen.ops import SCALAR_OPS
from kernelforge.fusion.cuts import Cuts
from kernelforge.fusion.questions import IN_ORDER, Answer, Questions, is_pointwise
from kernelforge.graph import SCATTERS, VIEWS, Node
from kernelforge.rewrites.alongside import cuts_among
from kernelforge.seen import is_transfer

COMMON = "one value for several kernels"
DEVICES = "on different devices"
CONTIGUOUS = "asked to be contiguous"
OPERAND = "a contraction reads it from memory"
UPDATE = "much is computed from a long contraction"
ARRAYS = "too many arrays"
OPERATIONS = "too many operations"
PARALLEL = "parallelism would be lost"
WHOLE = "a large array would be read whole at each point"
FARTHEST = 400
NEIGHBOURS = 6
SMALL = 1 << 16
LARGE_ARRAYS = 3  # of a long product's size that its kernel may bring and store
PROGRAMS = 16
WALKED = 1 << 13  # elements of rows that one program goes through twice sooner than several are launched
ALONE = SCATTERS | {"stack", "host", "loop", "while"}


class Part:
    """A kernel to be: the nodes it stores, those it loads, and what is known of its parallelism.

    inside  the nodes it computes
    first, last  positions of its outputs in the graph's order
    reach        the latest position among its outputs and those of all parts it waits for
    values       what it stores: its outputs, or the pieces of one
    is_flat      its outputs differ in shape: they are computed along one axis
    """

    __slots__ = ("answer", "first", "inside", "is_flat", "last", "loads", "outputs", "reach", "special", "values")

    def __init__(self, outputs: tuple[Node, ...], cuts: Cuts, computed: Iterable[Node] = ()) -> None:
        self.outputs = outputs
        self.inside, self.loads = cuts.region(outputs, ignored=frozenset(outputs) | frozenset(computed))
        positions = [cuts.position[node] for node in outputs]
        self.first, self.last = min(positions), max(positions)
        self.reach = self.last
        self.values = tuple([piece for node in outputs for piece in (node.src if node.op == "stack" else (node,))])
        self.special = any(node.op in ALONE or is_transfer(node) for node in outputs)
        self.special = self.special or any(node.op == "contiguous" and node.attr is not None for node in outputs)
        self.answer: Answer | None = None
        self.is_flat = False

    @property
    def arrays(self) -> tuple[Node, ...]:
        """What it loads and stores."""
        return (*self.outputs, *self.loads)


class Merging:
    """The parts of one graph.

    ignoring  objections that are not heeded by the time there are parts, which shows what their boundaries rest on
    """

    def __init__(self, cuts: Cuts, ignoring: frozenset[str] = frozenset()) -> None:
        self.cuts, self.later_ignoring, self.ignoring = cuts, ignoring, frozenset[str]()
        self.questions = Questions(cuts.limits, cuts.contractions, cuts.scores)
        self.owner: dict[Node, Part] = {}
        self.users: dict[Node, dict[Part, None]] = {}
        self.refused: set[tuple[frozenset[Node], frozenset[Node]]] = set()
        for node in cuts.order:
            if node in cuts.reasons:
                self._add(Part((node,), cuts))

    def run(self) -> list[Part]:
        """Joins what belongs together; the parts that remain, in no particular order."""
        for node in self.cuts.order:
            if node in self.owner:
                self._join_producers(node)
        self._join_siblings()
        if self.cuts.limits.updates:
            self._join_updates()
        if self.later_ignoring:
            self._join_ignoring()
        return list(dict.fromkeys(self.owner.values()))

    def _join_ignoring(self) -> None:
        """Joins parts that nothing but ignored objections keeps apart."""
        cuts, self.ignoring = self.cuts, self.later_ignoring
        self.questions = Questions(cuts.limits, cuts.contractions, cuts.scores, self.ignoring)
        self.refused.clear()
        for node in cuts.order:
            if node in self.owner:
                self._join_producers(node)

    # ------------------------------------------------------------------------------------------- bookkeeping

    def _add(self, part: Part) -> None:
        for node in part.outputs:
            self.owner[node] = part
        for node in part.loads:
            self.users.setdefault(node, {})[part] = None
        part.reach = max([part.last, *(other.reach for other in self.producers(part))])
        self._reaches(part)

    def _reaches(self, part: Part) -> None:
        """Lets the parts that wait for a part reach as far as it does."""
        pending = [part]
        while pending:
            part = pending.pop()
            for user in [user for node in part.outputs for user in self.users.get(node, ())]:
                if user.reach < part.reach:
                    user.reach = part.reach
                    pending.append(user)

    def _remove(self, part: Part) -> None:
        for node in part.outputs:
            del self.owner[node]
        for node in part.loads:
            del self.users[node][part]

    def producers(self, part: Part) -> list[Part]:
        """The parts whose outputs a part loads, the latest first."""
        found = dict.fromkeys(self.owner[node] for node in part.loads if node in self.owner)
        return sorted(found, key=lambda other: -other.last)

    def depends(self, later: Part, earlier: Part, via: Iterable[Part]) -> bool:
        """True when `via`, other than earlier itself, leads back to earlier; also when the search is given up.

        A part that waits for earlier reaches beyond it, though its own outputs may all be before it: a part with
        several outputs has to wait for what any of them needs.
        """
        seen: set[Part] = {later, earlier}
        pending = [part for part in via if part not in seen and part.reach > earlier.first]
        while pending:
            part = pending.pop()
            if part in seen:
                continue
            seen.add(part)
            if len(seen) > FARTHEST:
                return True
            for other in self.producers(part):
                if other is earlier or other is later:
                    return True
                if other not in seen and other.reach > earlier.first:
                    pending.append(other)
        return False

    # ------------------------------------------------------------------------------------------------ joining

    def _join_producers(self, node: Node) -> None:
        """Joins the part of a node with the parts it loads from, as long as one can be joined."""
        joined = True
        while joined and node in self.owner:
            part, joined = self.owner[node], False
            for producer in self.producers(part):
                if self.heeds(self.is_common(producer)) is None and self._join(producer, part, self.producers(part)):
                    joined = True
                    break

    def heeds(self, objection: str | None) -> str | None:
        """The objection, unless it is ignored."""
        return None if objection in self.ignoring else objection

    def is_common(self, part: Part) -> str | None:
        """An objection to a single value several parts read, such as the number of a step: each would wait."""
        is_one = len(part.outputs) == 1 and part.outputs[0].size == 1
        return COMMON if is_one and len(self.users.get(part.outputs[0], ())) > 1 else None

    def _join_siblings(self) -> None:
        """Joins parts that load the same large node."""
        for shared in self.cuts.order:
            done: list[Part] = []
            for part in sorted(self.users.get(shared, {}), key=lambda part: part.last):
                for other in reversed(done[-NEIGHBOURS:]):
                    if other is not part and self._is_large(shared, part, other) and self._are_apart(other, part):
                        united = self._join(other, part, ())
                        if united is not None:
                            done[done.index(other)] = united
                            break
                else:
                    done.append(part)

    def _join_updates(self) -> None:
        """Joins parts whose elementwise results nothing here uses, such as an optimiser's updates of many parameters.

        They need not have one shape: small ones are joined whatever their sizes, large ones if their sizes are equal.
        """
        current: dict[tuple[str | None, int], Part] = {}
        for node in self.cuts.order:
            part = self.owner.get(node)
            if part is None or part.last != self.cuts.position[node] or not self._is_update(part):
                continue
            size = part.outputs[0].size
            key = part.outputs[0].device, size if size > SMALL else 0
            other = current.get(key)
            if other is part:
                continue
            if other is not None and self.excess(other, part) is None:
                part = self._replace(other, part, Part((*other.outputs, *part.outputs), self.cuts))
                part.is_flat = len({output.shape for output in part.outputs}) > 1
            current[key] = part

    def _is_update(self, part: Part) -> bool:
        """True when a part's outputs, of one size, are results no other part uses, computed element by element."""
        return (
            not part.special
            and all(node.size == part.outputs[0].size and node in self.cuts.outputs for node in part.outputs)
            and not any(self.users.get(node) for node in part.outputs)
            and is_pointwise(part.outputs, part.inside)
        )

    def _is_large(self, node: Node, *parts: Part) -> bool:
        return node.size > 1 and 4 * node.size >= max(output.size for part in parts for output in part.outputs)

    def _are_apart(self, earlier: Part, later: Part) -> bool:
        """True when neither part needs the other."""
        return not any(
            a in (producers := self.producers(b)) or self.depends(b, a, producers)
            for a, b in ((earlier, later), (later, earlier))
        )

    def _join(self, earlier: Part, later: Part, via: Iterable[Part]) -> Part | None:
        """One part in place of two, if that is allowed."""
        special = earlier.special or later.special
        if special and not (beside_pieces(earlier) and beside_pieces(later)):
            return None
        if self.heeds(self.devices(earlier, later)) is not None:
            return None
        if self.heeds(self.must_be_read(earlier, later)) is not None:
            return None
        key = frozenset(earlier.outputs), frozenset(later.outputs)
        if key in self.refused or self.heeds(self.excess(earlier, later)) is not None:
            return None
        if self.depends(later, earlier, via):
            return None
        part = self.united(earlier, later)
        if (special and not of_one_shape(part)) or self.refusal(part, earlier, later) is not None:
            self.refused.add(key)
            return None
        return self._replace(earlier, later, part)

    def united(self, earlier: Part, later: Part) -> Part:
        """One part that computes what two do."""
        return Part(self._needed(earlier, later), self.cuts, (*earlier.outputs, *later.outputs))

    def devices(self, earlier: Part, later: Part) -> str | None:
        """An objection to parts that run on different devices."""
        return DEVICES if earlier.outputs[0].device != later.outputs[0].device else None

    def must_be_read(self, earlier: Part, later: Part) -> str | None:
        """An objection where the later part loads what has to be in memory: by the user, or for a contraction.

        An optimiser's update takes so many registers that a product's tiles would be small: after a long one it is a
        kernel of its own.
        """
        between = self._inner(earlier, later)
        if any(node.op == "contiguous" for node in between):
            return CONTIGUOUS
        contractions = self.cuts.contractions
        is_operand = bool(between) and any(
            factor in between
            for node in later.inside
            if node in contractions
            for factor in self.cuts.stored_factors(node)
        )
        if is_operand:
            return OPERAND
        return UPDATE if between and self._is_long(earlier) and self._is_much(earlier, later) else None

    def _is_long(self, part: Part) -> bool:
        """True for a contraction with many terms, for which the largest tiles are worth a pass over its results.

        Those of an attention keep what they read for all that follows.
        """
        deep, cuts = self.cuts.limits.deep, self.cuts
        if not deep or not cuts.scores.isdisjoint(part.inside):
            return False
        return any(node in cuts.contractions and node.src[0].size >= deep * node.size for node in part.inside)

    def _is_much(self, earlier: Part, later: Part) -> bool:
        """True when kernels to be that use a value are several, each with arrays of its own, or one with many."""
        arrays = {*earlier.arrays, *later.arrays} - set(self._inner(earlier, later))
        large = sum(node.size == earlier.outputs[0].size for node in arrays)
        return large > LARGE_ARRAYS or any(len(self.users.get(node, ())) > 1 for node in earlier.outputs)

    def _replace(self, earlier: Part, later: Part, part: Part) -> Part:
        """Puts a part in the place of two; what it does not store is not stored any more."""
        dropped = [node for node in (*earlier.outputs, *later.outputs) if node not in part.outputs]
        self._remove(earlier)
        self._remove(later)
        for node in dropped:
            del self.cuts.reasons[node]
        self._add(part)
        return part

    def _needed(self, earlier: Part, later: Part) -> tuple[Node, ...]:
        """The outputs of two parts that something else needs."""
        parts = {earlier, later}
        return tuple(
            node
            for node in (*earlier.outputs, *later.outputs)
            if node in self.cuts.outputs or node.op == "contiguous" or not self.users.get(node, {}).keys() <= parts
        )

    def excess(self, earlier: Part, later: Part) -> str | None:
        """An objection where the two together are above the caps on operations and arrays."""
        limits = self.cuts.limits
        if len({*earlier.arrays, *later.arrays}) - len(self._inner(earlier, later)) > limits.params:
            return ARRAYS
        most = limits.operations
        fits = len(earlier.inside) + len(later.inside) <= most or len({*earlier.inside, *later.inside}) <= most
        return None if fits else OPERATIONS

    def _inner(self, earlier: Part, later: Part) -> list[Node]:
        """What the later part loads from the earlier one."""
        return [node for node in later.loads if node in earlier.outputs]

    def refusal(self, part: Part, earlier: Part, later: Part) -> str | None:
        """The questions' objection, or what is lost: a user may wait for the other, siblings may not."""
        part.answer = self._answer(part)
        return (
            part.answer.refusal
            or self.heeds(self.loss(part, earlier, later))
            or self.heeds(self.rereading(part, earlier, later))
        )

    def rereading(self, part: Part, earlier: Part, later: Part) -> str | None:
        """An objection where siblings walk each other's axes: the sums of a table's rows beside those of its columns
        leave no axis of the table to share out, and it is read for each point of what they have in common."""
        answers = [self._asked(x) for x in (earlier, later)]
        assert part.answer is not None
        if self._inner(earlier, later) or part.answer.parallel == 1:
            return None
        is_large = part.answer.whole > max(self.cuts.limits.program, *(answer.whole for answer in answers))
        return WHOLE if is_large else None

    def loss(self, part: Part, earlier: Part, later: Part) -> str | None:
        """An objection where the one part has less parallelism than the two."""
        assert part.answer is not None
        alone, limits = (self._parallel(earlier), self._parallel(later)), self.cuts.limits
        cuts = cuts_among(part.outputs)
        enough = (limits.parts if cuts else PROGRAMS) * limits.cores
        waits = bool(self._inner(earlier, later)) and not cuts
        least = min(alone) if waits and not self._walks_rows(part) else min(max(alone), enough)
        return PARALLEL if part.answer.parallel < least else None

    def _walks_rows(self, part: Part) -> bool:
        """True where one program would reduce many rows, and go through all of them again with what they came to: a
        loss and its gradient."""
        rows = (x for x in part.inside if x.op == "reduce" and x.size > 1)
        return self._asked(part).parallel == 1 and any(x.src[0].size > WALKED for x in rows)

    def _parallel(self, part: Part) -> int:
        return self._asked(part).parallel

    def _asked(self, part: Part) -> Answer:
        if part.answer is None:
            part.answer = self._answer(part)
        return part.answer

    def _answer(self, part: Part) -> Answer:
        return self.questions.ask(part.values, [node for node in part.inside if node.op != "stack"], part.loads)


def beside_pieces(part: Part) -> bool:
    """True for what is computed element by element, an array made of pieces among it or not."""
    return not any(node.op in ALONE and node.op != "stack" for node in part.outputs) and all(
        node.op in SCALAR_OPS or node.op in IN_ORDER or node.op in VIEWS or node.op == "stack" for node in part.inside
    )


def of_one_shape(part: Part) -> bool:
    """True where an array made of pieces and what is stored beside it have pieces of one shape: one loop stores all."""
    stacks = [node for node in part.inside if node.op == "stack"]
    return (
        len(stacks) == 1
        and stacks[0] in part.outputs
        and not any(stacks[0] in node.src for node in part.inside)
        and all(node.shape == part.values[0].shape for node in part.values)
    )
