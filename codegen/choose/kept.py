"""Values that several passes over the same elements need: computed by the first, kept for the others.

Comes in: a kernel, a target.  Goes out: which values, as stages of a schedule, and how many columns there is room for.
"""

from __future__ import annotations

from collections.abc import Collection, Container, Iterable, Mapping, Sequence
from itertools import accumulate
from math import prod
from typing import Final

from codegen.access import passes
from codegen.choose.picks import Pick, either
from codegen.index import Axis
from codegen.ir import Apply, Expr, Kernel, Reduce, children
from codegen.schedule import Stage
from codegen.target import Target

LEAST_COST: Final = 8  # of a value worth keeping: that of a call
SHARE: Final = 2  # part of the larger near cache that kept values may fill
NBYTES: Final = 4  # of an element, about


def keeping(reused: Sequence[Expr], target: Target, held: Mapping[Axis, int], depth: int, pick: Pick) -> list[Stage]:
    """Stages that keep values at a depth, with so many places along axes: the first ones, as far as there is room."""
    total = list(accumulate(prod(held.get(axis, 1) for axis in e.axes) * NBYTES for e in reused))
    fitting = sum(nbytes <= target.l2 // SHARE for nbytes in total)
    keeps = bool(reused) and pick("keep", either(fitting > 0, (True, False)))
    return [Stage(e, depth) for e in reused[: max(1, fitting)] if keeps]


def columns_near(reused: Sequence[Expr], target: Target, deep: Collection[Axis], widest: int) -> int:
    """The width of a stripe, in vectors and at most the widest, of which a near cache holds all these values.

    The widest where it does not hold them even of one vector: rows are then sooner read in long pieces.
    """
    column = sum(prod(axis.size for axis in e.axes if axis in deep) * NBYTES for e in reused)
    fitting = target.l2 // SHARE // max(1, column * target.lanes) * target.lanes
    return min(widest, fitting or widest)


def reused_values(kernel: Kernel, axis: Axis) -> list[Expr]:
    """Values along axis that a pass needs after an earlier one did: worth keeping instead of computing again.

    Computing one from those kept before it costs something.  So in a chain of norms what each gives is
    kept, and what is one step away from that is not.
    """
    computed: set[Expr] = set()
    kept: dict[Expr, None] = {}
    for root in passes(kernel):
        seen, open_values = {root}, [root]
        while open_values:
            met = _met(open_values, seen, computed)
            open_values = []
            for e in sorted(met, key=lambda e: e.id):
                if e not in kept and _cost_from(e, kept, axis) >= LEAST_COST:
                    kept[e] = None
                elif e not in kept:
                    open_values.append(e)
        computed |= seen
    return sorted(kept, key=lambda e: e.id)


def _met(roots: Iterable[Expr], seen: set[Expr], computed: Container[Expr]) -> list[Expr]:
    """What was computed before, of all that computing roots takes beside reduces; adds what it looks at to seen."""
    met: list[Expr] = []
    stack = list(roots)
    while stack:
        for child in children(stack.pop()):
            if child in seen or isinstance(child, Reduce):
                continue
            seen.add(child)
            if isinstance(child, Apply) and child in computed:
                met.append(child)
            else:
                stack.append(child)
    return met


def _cost_from(e: Expr, kept: Container[Expr], axis: Axis) -> int:
    """Rough cost of one element along an axis, of what it takes beside reduces and values that are kept."""
    total, seen, stack = 0, {e}, [e]
    while stack:
        current = stack.pop()
        total += current.op.cost if isinstance(current, Apply) and axis in current.axes else 0
        for child in children(current):
            if child not in seen and child not in kept and not isinstance(child, Reduce):
                seen.add(child)
                stack.append(child)
    return total
