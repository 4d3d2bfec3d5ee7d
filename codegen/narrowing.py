"""Loops that need not run to the end: steps that a mask makes idle are left out.

Comes in: a nest.  Goes out: guards on its loops (`Loop.within`), and how these bound a loop's variable.  It knows no
text; a printer that ignores the guards is right too.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from codegen.assumed import assumed
from codegen.index import NO_GUARDS, Axis, Guard, Guards, Index, in_order
from codegen.ir import Expr, Reduce
from codegen.nodes import (
    Advance,
    Box,
    Declare,
    Finish,
    Keep,
    Loop,
    Nest,
    Node,
    Out,
    Pack,
    Place,
    Scale,
    Settle,
    Shift,
    Update,
    nodes,
)
from codegen.rewrites.masked import Masked, demanded, masked_values


@dataclass(frozen=True, eq=False)
class Limit:
    """A bound of a loop's variable: the sum of coefficient * variable and a constant, divided by a number, rounded up.

    low, high  between which the bound lies, whatever the variables are
    """

    terms: tuple[tuple[str, int], ...]
    const: int
    low: int
    high: int
    by: int = 1


def narrow(nest: Nest) -> None:
    """Give the loops of a nest guards outside of which they change nothing that lasts beyond a step.

    That is so when all they do to boxes from outside is to combine them with a reduce's identity, or to compute what
    no result is chosen from.
    """
    masked = masked_values(nest.kernel.exprs)
    if not masked:
        return
    idle = _Idle(masked, demanded(nest.kernel))
    pending: list[tuple[Sequence[Node], Guards]] = [(nest.body, NO_GUARDS)]
    while pending:
        body, met = pending.pop()
        for node in body:
            if isinstance(node, Loop):
                if not node.grid:
                    node.within = frozenset(g for g in idle.guards(node) if _bounds(g, node, met))
                own = frozenset(g for g in node.within if g.index.coefficient(node.axis))
                pending.append((node.body, met | own))


def limits(loop: Loop) -> tuple[list[Limit], list[Limit]]:
    """What the points of a loop's axis must reach, and what they must stay below, by its guards."""
    firsts: list[Limit] = []
    lasts: list[Limit] = []
    for index, lo, hi in in_order(loop.within):
        if not index.coefficient(loop.axis):
            lasts += _all_or_one(index, lo, hi, loop)
            continue
        if index.coefficient(loop.axis) < 0:
            index, lo, hi = index * -1, 1 - hi, 1 - lo
        by = index.coefficient(loop.axis)
        rest = [(axis, -k) for axis, k in index.terms if isinstance(axis, Axis) and axis is not loop.axis]
        if lo > index.lo:
            firsts.append(_extreme(rest, lo - index.const, by, loop.place, highest=False))
        else:
            assumed("always", index.lo - lo)
        if hi <= index.hi:
            lasts.append(_extreme(rest, hi - index.const, by, loop.place, highest=True))
        else:
            assumed("always", hi - 1 - index.hi)
    return firsts, lasts


def _all_or_one(index: Index, lo: int, hi: int, loop: Loop) -> Iterator[Limit]:
    """Bounds of no effect where a guard on other axes holds at some point of a tile, below the first step elsewhere."""
    size = loop.axis.size
    for sign, const in ((1, 1 - lo), (-1, hi)):
        if (index.lo < lo) if sign > 0 else (index.hi >= hi):
            terms = [(axis, sign * k * size) for axis, k in index.terms if isinstance(axis, Axis)]
            yield _extreme(terms, (const + sign * index.const) * size, 1, loop.place, highest=True)
        else:
            assumed("always", index.lo - lo if sign > 0 else hi - 1 - index.hi)


def _extreme(terms: Iterable[tuple[Axis, int]], const: int, by: int, place: Place, highest: bool) -> Limit:
    """The lowest or the highest value of a sum over the points of the tiles at a place, divided."""
    spelled: list[tuple[str, int]] = []
    low = high = const
    for axis, k in terms:
        var, reach = place.var(axis), place.tile(axis) - 1
        end = k * reach if (k > 0) == highest else 0
        const, low, high = const + end, low + end, high + end
        if var is not None:
            spelled.append((var, k))
            low, high = low + min(0, k * axis.hi), high + max(0, k * axis.hi)
    return Limit(tuple(spelled), const, -(-low // by), -(-high // by), by)


def _bounds(guard: Guard, loop: Loop, met: Guards) -> bool:
    """True when a guard is about the loop's axis and others, or about others alone that have one position here.

    met  guards that loops around it see to
    """
    terms: Mapping[object, int] = dict(guard.index.terms)
    if not all(isinstance(term, Axis) for term in terms):
        return False
    single = all(loop.place.tile(axis) == 1 for axis in guard.index.axes)
    return bool(terms.get(loop.axis)) or (single and guard not in met)


class _Idle:
    """Outside of which guards nodes do nothing."""

    def __init__(self, masked: Mapping[Expr, Masked], needed: Mapping[Expr, Guards]) -> None:
        self.masked, self.needed = masked, needed

    def guards(self, loop: Loop) -> Guards:
        """Guards that every lasting effect of a loop's body is subject to."""
        inner = list(nodes(loop.body))
        own = {node.box for node in inner if isinstance(node, Declare)}
        still = {factor for node in inner if isinstance(node, Shift) for _, factor in node.factors}
        found: Guards | None = None
        for node in inner:
            guards = self.effect(node, loop.axis, own, still)
            if guards is not None:
                found = guards if found is None else found & guards
                if not found:
                    break
        return found or NO_GUARDS

    def effect(self, node: Node, axis: Axis, own: set[Box], still: set[Box]) -> Guards | None:
        """The guards of what a node in a loop does to boxes from outside; None when it does nothing to them.

        axis   what the loop walks
        own    boxes that do not last
        still  factors that are 1 where a running maximum does not move, or scale what is still 0
        """
        if isinstance(node, Update):
            return None if _widest(node.box) in own else self.updates(node.reduce, axis) | self.asked(node.reduce)
        if isinstance(node, Shift):
            assert isinstance(node.running.of, Reduce)
            return None if node.running in own else self.updates(node.running.of, axis)
        if isinstance(node, Scale):
            return None if node.box in own or node.factor in still else NO_GUARDS
        if isinstance(node, Keep | Pack):
            return None if node.box in own else NO_GUARDS
        if isinstance(node, Finish):
            return None if node.to in own else NO_GUARDS
        if isinstance(node, Settle):
            return None if all(factor in own for _, factor in node.factors) else NO_GUARDS
        return NO_GUARDS if isinstance(node, Advance | Out) else None

    def updates(self, reduce: Reduce, axis: Axis) -> Guards:
        """Outside of which guards a reduce's operand is its identity.

        Only where the loop walks a bound axis: then every result has a step that remains, which tells whether it is nan
        (the weights of a row that is masked as a whole).
        """
        found = self.masked.get(reduce.arg) if axis in reduce.bound else None
        same = found is not None and found.constant.value == reduce.op.identity(reduce.dtype)
        return found.guards if found is not None and same else NO_GUARDS

    def asked(self, reduce: Reduce) -> Guards:
        """The guards, on axes there are loops over where the reduce is computed, without which nothing asks for it."""
        return frozenset(g for g in self.needed[reduce] if g.index.axes <= reduce.axes)


def _widest(box: Box) -> Box:
    """The accumulator a narrow one is written back to in the end."""
    while box.init is not None:
        box = box.init
    return box
