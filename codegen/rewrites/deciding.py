"""Choices whose condition is known wherever a result depends on them: by the choices around them, or by sizes.

    where(0 <= l-30 < 5, where(75 - l < 41, 0, x[l]), 0)  ->  where(0 <= l-30 < 5, x[l], 0)

Comes in: a kernel.  Goes out: the same kernel with fewer choices.  A pad's gradient is such choices one inside another.
"""

from __future__ import annotations

from codegen.assumed import assumed
from codegen.bounds import bounds
from codegen.index import Guard, Guards
from codegen.ir import Apply, Expr, Kernel, with_axes
from codegen.rewrites.masked import demanded, necessary
from codegen.rewrites.rebuild import with_exprs


def decided(kernel: Kernel) -> Kernel:
    """The kernel without choices between two values one of which is never taken.

        where(condition, x, y)  ->  x or y

    Holds where a condition on positions has one truth at all positions at which some result depends on the choice:
    guards that the other truth would take contradict those under which the value is demanded, or the axes' sizes.
    """
    choices = [e for e in kernel.exprs if _is_of_positions(e)]
    if not choices:
        return kernel
    asked = demanded(kernel)
    taken = {e: x for e in choices if (x := _taken(e, asked[e])) is not None}
    if not taken:
        return kernel
    made: dict[Expr, Expr] = {}
    for e in kernel.exprs:
        made[e] = made[taken[e]] if e in taken else with_axes(e, tuple(made[x] for x in e.args), {}, made)
    return with_exprs(kernel, made)


def _is_of_positions(e: Expr) -> bool:
    """True for a choice by a condition on positions."""
    is_choice = isinstance(e, Apply) and e.op.name == "where"
    return is_choice and bool(necessary(e.args[0], True) or necessary(e.args[0], False))


def _taken(e: Expr, asked: Guards) -> Expr | None:
    """The value a choice takes at all places where the guards hold under which it is asked for; None where either."""
    condition, x, y = e.args
    for other, value in ((False, x), (True, y)):
        if any(_contradicts(guard, asked) for guard in necessary(condition, other)):
            return value
    return None


def _contradicts(guard: Guard, asked: Guards) -> bool:
    """True when a guard fails wherever others hold."""
    low, high = bounds(guard.index, asked)
    if high < guard.lo:
        return assumed("never", guard.lo - 1 - high)
    return low >= guard.hi and assumed("never", low - guard.hi)
