"""Which nodes are stored: the first half of fusion.

Comes in: the outputs of a graph.  Goes out: `Cuts`, the nodes that get memory of their own, each with the reason; every
other node is computed inside the kernels of its users.  The rules look at neighbours and sizes only, in one pass
each, and cut too much rather than too little: `merging` joins what belongs together and drops the stores nobody needs.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from codegen.ops import SCALAR_OPS
from kernelforge.fusion.limits import Limits
from kernelforge.fusion.scores import Uses
from kernelforge.graph import LEAVES, Node, toposort
from kernelforge.seen import (
    BIJECTIVE,
    SEE_THROUGH,
    contraction_operands,
    in_memory,
    is_leaf,
    is_transfer,
    sources,
    through,
    uses_once,
    widens,
)

LONGEST_DIAMOND: Final = 32
SOON: Final = 24  # nodes: what others need later takes memory until then, as a gradient does of what came before it
MOST_AGAIN: Final = 4  # sums that compute the same products, each for itself
SHARED: Final = "used by several kernels and not cheap"
PIECE: Final = "a piece that is known before another"
CONTRACTION: Final = "a contraction and its epilogue"
REDUCTION: Final = "a reduction"
FACTOR: Final = "too dear to repeat in a contraction"
MET: Final = "several kernels would compute an attention's scores again"
FORCED: Final = {
    "contiguous": "asked to be contiguous",
    "scatter": "scattered into in place",
    "tally": "counted in place",
    "copy": "copied between devices",
    "host": "computed on the host",
    "loop": "computed step by step",
    "while": "computed round by round",
    "stack": "made of several values",
}


class Cuts:
    """The nodes of a graph that are stored.

    order    every node, sources before users
    reasons  for each stored node, why
    scores   short contractions that are never stored: see `Uses.scores`
    scans    scans that are stored only at the end of their epilogue; others that `stored` names are stored themselves,
             as are all nodes it names that are neither
    """

    def __init__(self, outputs: Sequence[Node], limits: Limits, stored: Iterable[Node] = ()) -> None:
        self.limits = limits
        self.outputs = frozenset(outputs)
        self.order = toposort(outputs, into_realized=False)
        self.position = {node: i for i, node in enumerate(self.order)}
        self.users: dict[Node, list[Node]] = {node: [] for node in self.order}
        for node in self.order:
            if node.realized is None:
                for source in dict.fromkeys(node.src):
                    self.users[source].append(node)
        self.contractions = {node: factors for node in self.order if (factors := contraction_operands(node))}
        self.reasons: dict[Node, str] = {}
        self._ends: dict[Node, int] = {}  # of what is not stored, the position of the last that is and needs it
        self._cut_forced()
        self._uses = Uses(self.users, self.contractions)
        self.scores = self._uses.scores(self.reasons, limits) - set(stored)
        self.scans = {node for node in self.order if node.op == "scan" and node.realized is None} - set(stored)
        self._cut_reductions()
        for node in stored:
            if node not in self.contractions and node.op != "scan":
                self.cut(node, "bounded")
        self._cut_nested()
        self._cut_long_regions()
        self._cut_pieces()
        self._cut_shared()
        self._keep_needed()

    def is_stored(self, node: Node) -> bool:
        """True when users of the node read it from memory; a constant they know, even if it is an output."""
        if node.op == "buffer" or node.realized is not None:
            return True
        return node in self.reasons and node.op not in LEAVES

    def cut(self, node: Node, reason: str) -> None:
        if not self.is_stored(node):
            self.reasons[node] = reason

    def cut_value(self, node: Node, reason: str) -> None:
        """Stores a value in the narrowest form it has: what was widened as it was before."""
        narrow = behind = node
        while self.limits.narrow and not is_leaf(behind) and (behind.op in BIJECTIVE or widens(behind)):
            widened, behind = widens(behind), behind.src[0]
            narrow = behind if widened else narrow
        if narrow is node:
            self.cut(self._placed(node) if self.limits.narrow else node, reason)
        elif not is_leaf(narrow) and not self.is_stored(through(narrow, SEE_THROUGH)):
            self.cut(in_memory(narrow), reason)

    def _placed(self, node: Node) -> Node:
        """A value in the order of the larger array it becomes a part of, if it does."""
        end, order = node, node
        while len(self.users[end]) == 1 and (end := self.users[end][0]).op in BIJECTIVE and end not in self.reasons:
            order = end
        return in_memory(order) if end.op == "pad" else node

    def stored_factors(self, contraction: Node) -> list[Node]:
        """The factors of a contraction that are read from memory as they are, at most converted."""
        body = through(contraction.src[0], BIJECTIVE | {"cast"})
        found = []
        for factor in body.src:
            while factor.op in SEE_THROUGH | {"cast"} and not self.is_stored(factor):
                factor = factor.src[0]
            if self.is_stored(factor):
                found.append(factor)
        return found

    def region(self, roots: Iterable[Node], ignored: frozenset[Node] = frozenset()) -> tuple[list[Node], list[Node]]:
        """What computing roots takes: the nodes computed, and those read from memory; `ignored` are not stored."""
        inside: dict[Node, None] = dict.fromkeys(roots)
        loads: dict[Node, None] = {}
        pending = list(inside)
        while pending:
            node = pending.pop()
            for source in sources(node):
                if source in inside or source in loads:
                    continue
                if self.is_stored(source) and source not in ignored:
                    loads[source] = None
                elif 0 not in source.shape:
                    inside[source] = None
                    pending.append(source)
        return list(inside), list(loads)

    # ---------------------------------------------------------------------------------------------- rules

    def _cut_forced(self) -> None:
        """Outputs, and the operations that are a step of their own."""
        for node in self.order:
            if node in self.outputs:
                self.reasons[node] = "output"
            elif node.op in FORCED and node.realized is None and (node.op != "copy" or is_transfer(node)):
                self.reasons[node] = FORCED[node.op]
            if is_transfer(node):
                self.cut(in_memory(node.src[0]), "read by another device")
            elif node.op in ("host", "loop", "while") and node.realized is None:
                for source in node.src:
                    self.cut(in_memory(source), "read by the host" if node.op == "host" else "read step by step")

    def _cut_reductions(self) -> None:
        """A reduction takes its elementwise epilogue: stored is the last of the elementwise nodes only it leads to.

        So does a scan, if its places are needed in its own order there.
        """
        taken: set[Node] = set()
        for node in self.order:
            if node.op not in ("reduce", "scan") or is_leaf(node) or node in self.scores or node in self.reasons:
                continue
            if self._continues(node):
                continue
            end = node
            if node.op == "scan" and node not in self.scans:
                self.cut(node, "a scan")
                continue
            while (after := self._epilogue(end)) is not None and after not in taken:
                taken.add(after)
                end = after
            kind = "a scan" if node.op == "scan" else REDUCTION
            self.cut_value(end, CONTRACTION if node in self.contractions else kind)

    def _continues(self, node: Node) -> bool:
        """True for a sum that is only summed on, a few values at a time, none of them used twice: both are one sum.

        So it is with the input gradient of a convolution: products summed over the channels, then over the taps.  What
        a few windows are put back from, each of them another way, is computed for each: it is much larger than what
        they come to.
        """
        if node.op != "reduce" or node in self.reasons:
            return False
        users = self.users[node]
        while len(users) == 1 and users[0].op in BIJECTIVE and users[0] not in self.reasons:
            users = self.users[users[0]]
        if len(users) < 2:
            return self._is_summed_on(node, node)
        again = node in self.contractions and len(users) <= MOST_AGAIN
        return again and all(user.op == "unwindow" and self._is_summed_on(node, user) for user in users)

    def _is_summed_on(self, node: Node, after: Node) -> bool:
        """True where a node that a sum leads to is only summed on, a few values of the sum at a time."""
        while after not in self.reasons and len(self.users[after]) == 1:
            after = self.users[after][0]
            if after.op == "reduce":
                return node.attr[0] == after.attr[0] == "add" and node.size <= self.limits.tile * after.size
            if not uses_once(after):
                return False
        return False

    def _epilogue(self, node: Node) -> Node | None:
        """The elementwise node, of the same size, that all uses of a node lead to, by elementwise nodes of that size.

        Views that only rearrange may lie between; where they lead to an output, it is the end.  When only a part of the
        node is used, that part is the end: the rest need not be computed.
        """
        if node in self.reasons:
            return None
        part = node
        while part not in self.reasons and len(self.users[part]) == 1:
            part = self.users[part][0]
            if part.op == "shrink":
                return part
            if part.op not in BIJECTIVE:
                break
        ahead = set(self.users[node])
        for _ in range(LONGEST_DIAMOND):
            after = min(ahead, key=self.position.__getitem__)
            is_scalar = after.op in SCALAR_OPS and after.size == node.size
            if len(ahead) == 1 and (is_scalar or (after.op in BIJECTIVE and after in self.reasons)):
                return after
            if after in self.reasons or not (is_scalar or after.op in BIJECTIVE):
                return None
            ahead.remove(after)
            ahead.update(self.users[after])
        return None

    def _cut_nested(self) -> None:
        """No kernel looks up places that are looked up themselves more than a few times over: each is checked against
        all before it."""
        depth: dict[Node, int] = {}
        for node in self.order:
            inside = [] if is_leaf(node) else [x for x in sources(node) if depth.get(x) and not self.is_stored(x)]
            depth[node] = max((depth[x] for x in inside), default=0)
            if node.op == "gather" and node.realized is None:
                while 1 + sum(depth[x] for x in inside) > self.limits.nested:
                    self.cut(min(inside, key=lambda x: x.size), "bounded")
                    inside = [x for x in inside if not self.is_stored(x)]
                depth[node] = 1 + sum(depth[x] for x in inside)

    def _cut_long_regions(self) -> None:
        """No kernel grows past the cap on operations or arrays, but for the pieces of one array: they are few.

        Sizes are estimated as if nothing were shared, and counted only where the estimate passes the cap.
        """
        size: dict[Node, tuple[int, int]] = {}
        limits = self.limits
        for node in self.order:
            if is_leaf(node) or node.op == "stack":
                continue
            size[node] = self._estimate(node, size)
            if size[node][0] > limits.operations or size[node][1] >= limits.params:
                inside, loads = self.region([node])
                size[node] = len(inside), len(loads)
                while size[node][0] > limits.operations or size[node][1] >= limits.params:
                    open_sources = [x for x in map(self._behind, sources(node)) if not self.is_stored(x) and x in size]
                    if not open_sources:
                        break
                    self.cut(max(open_sources, key=lambda x: size[x]), "bounded")
                    inside, loads = self.region([node])
                    size[node] = len(inside), len(loads)

    def _behind(self, node: Node) -> Node:
        while node.op in SEE_THROUGH and not self.is_stored(node):
            node = node.src[0]
        return node

    def _estimate(self, node: Node, size: dict[Node, tuple[int, int]]) -> tuple[int, int]:
        operations, loads = 1, 0
        for source in sources(node):
            if self.is_stored(source):
                loads += 1
            elif source in size:
                operations += size[source][0]
                loads += size[source][1]
        return operations, loads

    def _cut_pieces(self) -> None:
        """Of an array one piece of which is stored by a reduction, a dear piece is stored, too, where it shares work.

        It can then be computed with what it shares that with, before the reduction is.
        """
        for node in self.order:
            if node.op != "stack" or is_leaf(node) or not any(self._is_reduction(piece) for piece in node.src):
                continue
            inside = frozenset(self.region([node])[0])
            for piece in node.src:
                if piece.op in SCALAR_OPS and not self.is_stored(piece) and not self._is_cheap(piece):
                    computed = [x for x in self.region([piece])[0] if x.op in SCALAR_OPS and not self._is_cheap(x)]
                    if any(user not in inside for x in computed for user in self.users[x]):
                        self.cut(piece, PIECE)

    def _is_reduction(self, node: Node) -> bool:
        """True for a value that a reduction and its epilogue store."""
        behind = self._behind(node)
        return behind.realized is None and self.reasons.get(behind) in (CONTRACTION, REDUCTION)

    def _cut_shared(self) -> None:
        """A value several stored nodes use is stored too, unless it is cheap; so is a dear operand of a contraction."""
        roots: dict[Node, frozenset[Node]] = {}
        for node in reversed(self.order):
            if is_leaf(node) or self.is_stored(node):
                continue
            found: set[Node] = set()
            users = self.users[node]
            ends = [self.position[user] if self.is_stored(user) else self._ends.get(user, 0) for user in users]
            self._ends[node] = max(ends, default=0)
            for user in users:
                found |= {user} if self.is_stored(user) else roots.get(user, frozenset())
            if node.op in SCALAR_OPS or node.op == "gather" or node in self.scores:
                if len(found) > 1 and not self._is_cheap(node):
                    self.cut_value(node, SHARED)
                elif len(found) > 2 and self._meets_scores(node):
                    self.cut_value(node, MET)
                elif self._is_dear_factor(node):
                    self.cut_value(node, FACTOR)
            roots[node] = frozenset(list(found)[:3])

    def _meets_scores(self, node: Node) -> bool:
        """True for a value in which two attentions' scores meet, a gradient of one, while caches hold it: several
        kernels would take both products again."""
        if self.limits.narrow or not self.scores or node.size > self.limits.cached:
            return False
        met = self.scores.intersection(self.region([node])[0])
        return len(met) > 1 and all(score.size == node.size for score in met)

    def _keep_needed(self) -> None:
        """A shared value that is cheap now that others before it are stored need not be stored."""
        for node in self.order:
            if self.reasons.get(node) == SHARED and self._is_cheap(node):
                if self._is_dear_factor(node):
                    self.reasons[node] = FACTOR
                else:
                    del self.reasons[node]

    def _is_dear_factor(self, node: Node) -> bool:
        """True when a contraction repeats the node, and that costs more than reading it would."""
        if self.limits.narrow and self._is_rounded(node) and self._is_factor(node, self.limits.repeats):
            return True
        return self._is_factor(node) and not self._is_cheap(node, self.limits.prologue)

    def _is_rounded(self, node: Node) -> bool:
        """True for a value that is made narrower, and that no score leads to."""
        if node.op != "cast" or not (node.dtype.is_narrow_float and node.src[0].dtype.bits > node.dtype.bits):
            return False
        return self.scores.isdisjoint(self.region([node])[0]) if self.scores else True

    def _is_factor(self, node: Node, least: int = 0) -> bool:
        """True when a contraction repeats the node, at least so many times."""
        factor = through(node, frozenset(("cast",)))
        users = self.users[node]
        if self.limits.narrow:
            users = [after for user in users for after in (self.users[user] if widens(user) else (user,))]
        return any(
            factor in self.contractions[user] and user.src[0].size >= least * node.size
            for repeated in users
            if repeated.size > node.size or repeated.op in SEE_THROUGH
            for user in self._uses.contractions_of(repeated, SEE_THROUGH | {"cast"})
        )

    def _is_cheap(self, node: Node, limit: int | None = None) -> bool:
        """True when computing a node again costs little more than reading it would: at most limit per element."""
        if node in self.scores:
            return True
        is_small = node.size * node.dtype.itemsize <= self.limits.near
        is_near = is_small and self._ends.get(node, len(self.order)) <= self.position[node] + SOON
        usual = self.limits.cheap_near if is_near else self.limits.cheap
        cheap, small = (usual, self.limits.cheap_small) if limit is None else (limit, limit)
        cost, read = 0.0, 0
        seen, pending = {node}, [node]
        while pending:
            current = pending.pop()
            if current in self.scores:
                return True
            row = SCALAR_OPS.get(current.op)
            cost += (row.cost if row else 0) * current.size / node.size
            if cost > small and (not self.scores or len(seen) > 96):
                return False
            for source in sources(current):
                if source not in seen:
                    seen.add(source)
                    if self.is_stored(source):
                        read += source.size
                    else:
                        pending.append(source)
        if cost > small:
            return False
        is_little = limit is None and cost <= self.limits.cheap and read + node.size <= self.limits.small
        return is_little or 4 * read <= node.size or (cost <= cheap and 2 * read <= 3 * node.size)
