"""Sums over an axis of which a guard asks for one place at most: that place takes the axis' part.

    sum over t of x[h, t] * w[t] where t == h + 1   ->  x[h, h + 1] * w[h + 1] where h + 1 is a place of t

Comes in: a kernel.  Goes out: the same kernel without such sums.  They come from windows that meet one place alone.
"""

from __future__ import annotations

from collections.abc import Iterator

from codegen.assumed import assumed
from codegen.index import Axis, Guard, Guards, Index, in_order, needed
from codegen.ir import Expr, Kernel, Load, Valid, load, valid, with_axes
from codegen.rewrites.phases import in_bounds, vanishes
from codegen.rewrites.rebuild import replace_axes, with_exprs


def fixed(kernel: Kernel) -> Kernel:
    """The kernel without summed axes that a guard fixes.

    lo <= e + c*t < hi with hi - lo <= c is met at t = ceil((lo - e) / c) alone, if at all.  Holds when t is bound by
    sums alone, every other axis of the guard is one of what they add up, and that is 0 where the guard fails.
    """
    refused: set[tuple[Guard, Axis]] = set()
    while (found := next((m for m in _fixing(kernel) if m not in refused), None)) is not None:
        refused.add(found)
        kernel = _without(kernel, *found)
    return kernel


def _fixing(kernel: Kernel) -> Iterator[tuple[Guard, Axis]]:
    """Guards that one place of a summed axis meets, with the axis, for which the sums may be left out."""
    guards = dict.fromkeys(g for e in kernel.exprs if isinstance(e, Load | Valid) for g in in_order(e.guards))
    for guard in guards:
        if guard.index.is_dynamic:
            continue
        for axis, factor in guard.index.terms:
            if not isinstance(axis, Axis) or guard.hi - guard.lo > abs(factor) or not guard.index.is_affine_in(axis):
                continue
            if _may_leave(kernel, guard, axis):
                yield guard, axis
                break


def _may_leave(kernel: Kernel, guard: Guard, axis: Axis) -> bool:
    """True when sums alone bind an axis, and what they add up is 0 where the guard fails and has its other axes."""
    if any(axis in store.axes for store in kernel.stores) or any(e.axis is axis for e in kernel.scans):
        return False
    binding = [e for e in kernel.reduces if axis in e.bound]
    terms = [e.arg for e in binding]
    alike = all(e.op.name == "add" for e in binding) and all(guard.index.axes <= term.axes for term in terms)
    return bool(terms) and alike and all(vanishes(term, guard) for term in terms)


def _without(kernel: Kernel, guard: Guard, axis: Axis) -> Kernel:
    """The kernel with the place in the axis' part; what asked for the guard asks for a place of the axis as well."""
    factor = guard.index.coefficient(axis)
    assumed("one place", abs(factor) - (guard.hi - guard.lo))
    rest = guard.index - axis.index * factor - guard.lo
    at = (rest * -1 + factor - 1) // factor if factor > 0 else rest // -factor
    inside = needed([Guard(at, 0, axis.size)])
    made: dict[Expr, Expr] = {}
    for e in kernel.exprs:
        new = with_axes(e, tuple(made[x] for x in e.args), {}, made)
        asks = isinstance(new, Load | Valid) and guard in new.guards
        made[e] = _asking(new, inside) if asks or _leaves(new, axis, at) else new
    return replace_axes(with_exprs(kernel, made), {axis: at}, {axis: ()})


def _asking(e: Expr, guards: Guards) -> Expr:
    if isinstance(e, Load):
        return load(e.param, e.index, e.guards | guards)
    return valid(e.guards | guards) if isinstance(e, Valid) else e


def _leaves(e: Expr, axis: Axis, at: Index) -> bool:
    """True for a load that may leave its array with a place in an axis' part."""
    if not isinstance(e, Load) or axis not in e.axes:
        return False
    moved = with_axes(e, (), {axis: at}, {})
    return isinstance(moved, Load) and not in_bounds(moved)
