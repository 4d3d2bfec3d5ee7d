"""Products under sums in which one operand alone asks where nothing is added.

    sum over k of x[m - k | b + 2*k < 5] * w[b + 2*k | b + 2*k < 5]  ->  sum over k of x[m - k] * w[.. | b + 2*k < 5]

Comes in: a kernel.  Goes out: the same kernel with fewer guards.  An operand that asks about axes its index lacks has
these axes for nothing: what is packed of it would be packed for each of their positions.
"""

from __future__ import annotations

from codegen.index import Guard
from codegen.ir import Apply, Expr, Kernel, Load, Reduce, apply, load, reduce, with_axes
from codegen.rewrites.phases import in_bounds, vanishes
from codegen.rewrites.rebuild import with_exprs


def relieved(kernel: Kernel) -> Kernel:
    """The kernel with guards only where they are needed, in sums of products of two operands.

    A guard leaves a load when the other operand is 0 wherever it fails, an axis of it is none of the load's index, and
    the load stays in bounds without it.  A place it hid then gives 0 times what is there.
    """
    made: dict[Expr, Expr] = {}
    for e in kernel.exprs:
        new = with_axes(e, tuple(made[x] for x in e.args), {}, made)
        if isinstance(new, Reduce) and new.op.name == "add" and isinstance(new.arg, Apply) and new.arg.op.name == "mul":
            left, right = new.arg.args
            left = _without(left, right)
            new = reduce("add", apply("mul", left, _without(right, left)), new.bound)
        made[e] = new
    return with_exprs(kernel, made)


def _without(value: Expr, other: Expr) -> Expr:
    """A load, perhaps converted, without the guards another operand asks for as well."""
    if isinstance(value, Apply) and value.op.name in ("cast", "neg"):
        inner = _without(value.args[0], other)
        return value if inner is value.args[0] else with_axes(value, (inner,), {}, {})
    if not isinstance(value, Load):
        return value
    spared = {g for g in value.guards if _is_foreign(g, value) and vanishes(other, g)}
    free = load(value.param, value.index, value.guards - spared)
    return free if spared and isinstance(free, Load) and in_bounds(free) else value


def _is_foreign(guard: Guard, value: Load) -> bool:
    """True when a guard asks about an axis the load's index lacks."""
    return not guard.index.axes <= value.index.axes
