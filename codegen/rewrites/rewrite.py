"""Kernels in canonical form: expressions simplified, axes shared and merged, names and order fixed.

Comes in: a kernel as a lowering wrote it.  Goes out: the kernel that schedules, printers and caches work with.  Every
rewrite states when it holds; `scalar_rules` has those of single operations, this file those of sums and guards.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from math import isfinite

from codegen.index import Axis
from codegen.ir import (
    Apply,
    Const,
    Expr,
    Kernel,
    Load,
    Reduce,
    Scan,
    Valid,
    apply,
    children,
    const,
    load,
    reduce,
    scan,
    with_axes,
)
from codegen.origins import applied
from codegen.rewrites.contract import canonical, contraction, regrouped
from codegen.rewrites.deciding import decided
from codegen.rewrites.factors import factors, product
from codegen.rewrites.fixing import fixed
from codegen.rewrites.gathering import gathered
from codegen.rewrites.merging import merge_axes, split_axes, without_unit_axes
from codegen.rewrites.phases import phased
from codegen.rewrites.rebuild import with_exprs
from codegen.rewrites.relieving import relieved
from codegen.rewrites.reordering import reorder
from codegen.rewrites.scalar_rules import simplified
from codegen.rewrites.scanning import forward
from codegen.rewrites.sharing import share

MOST_LOOKED_AT = 64  # parts of a factor
_TAME = frozenset(("cast", "neg", "abs", "add", "sub", "mul", "max", "min", "where", "tanh", "erf", "lt", "le", "eq"))


def prepare(kernel: Kernel) -> Kernel:
    """The kernel's canonical form: the same for the same kernel, whatever was built before.

    normalise, leave out choices that are never made, taps that meet nothing, guards asked twice and sums of which one
    term is left, turn scans forward, split, share, merge; again where a merged axis is one that indices divide (a
    reshape of a reshape); sums of sums in the order that costs less, products under sums as two operands, short axes of
    look-ups joined; all of it again where more may be left out then; last the canonical names and order of axes and
    parameters.
    """
    kernel = _all(kernel, without_unit_axes, normalise)
    if (chosen := applied(decided, kernel)) is not kernel:
        kernel = applied(normalise, chosen)
    while (split := _all(kernel, phased, relieved, fixed)) is not kernel:  # where one term is left choices may be made
        kernel = _all(split, normalise, decided, normalise)
    kernel = _all(kernel, forward, split_axes, share, merge_axes)
    while (divided := applied(divided_axes, kernel)) is not kernel:
        kernel = _all(divided, share, merge_axes)
    if (left := _needless(kernel)) is not kernel:  # parts of split axes show equal guards, and sums of one term
        return prepare(left)
    kernel = _all(kernel, gathered, reorder, regrouped)
    if (left := _needless(kernel)) is not kernel:  # as do the operands of products that were put together
        return prepare(left)
    return applied(canonical, kernel)


def _needless(kernel: Kernel) -> Kernel:
    """The kernel without choices that are never made, guards asked twice and sums of which one term is left."""
    return _all(kernel, decided, relieved, fixed)


def divided_axes(kernel: Kernel) -> Kernel:
    """The kernel with axes split that indices divide, whether or not another is cut alike."""
    return split_axes(kernel, match=False)


def _all(kernel: Kernel, *rules: Callable[[Kernel], Kernel]) -> Kernel:
    for rule in rules:
        kernel = applied(rule, kernel)
    return kernel


def normalise(kernel: Kernel) -> Kernel:
    """The kernel with simpler expressions: scalar identities, nested sums merged, factors out of sums, guards inward.

    Rounding may change (a factor leaves a sum); a sum is never split over its addends, which would cost precision.
    """
    while True:
        uses = Counter(child for e in kernel.exprs for child in children(e))
        uses.update(root for store in kernel.stores for root in store.roots)
        made: dict[Expr, Expr] = {}
        for e in kernel.exprs:
            made[e] = _normal(e, made, uses)
        simpler = with_exprs(kernel, made)
        if simpler is kernel:
            return kernel
        kernel = simpler


def _normal(e: Expr, made: dict[Expr, Expr], uses: Counter[Expr]) -> Expr:
    """One node in its normal form, given those of its operands."""
    args = tuple(made[x] for x in e.args)
    if isinstance(e, Reduce):
        return _normal_reduce(e, _guarded_addend(e, args[0]), alone=uses[e.arg] == 1)
    if isinstance(e, Apply):
        if e.op.name == "where" and (guarded := _guards_inward(args, alone=uses[e.args[1]] == 1)) is not None:
            return guarded
        return simplified(e.op, args, e.dtype)
    if isinstance(e, Scan):
        return scan(e.op, args[0], e.axis, e.reverse)
    inside = children(e)
    return e if all(made[x] is x for x in inside) else with_axes(e, (), {}, made)


# -------------------------------------------------------------------------------------------------------- sums


def _normal_reduce(e: Reduce, arg: Expr, alone: bool) -> Expr:
    """A reduce of a reduce with one operation is one, if nothing else needs the inner one; factors leave sums.

    A contraction stays one: axes only one operand has are not added to those it sums.
    """
    if alone and isinstance(arg, Reduce) and arg.op is e.op:
        inner = contraction(arg)
        if inner is None or frozenset(e.bound) <= inner.left.axes & inner.right.axes:
            return reduce(e.op, arg.arg, e.bound + arg.bound)
    return _without_free_factors(e, arg) if e.op.name == "add" else reduce(e.op, arg, e.bound)


def _guarded_addend(e: Reduce, arg: Expr) -> Expr:
    """What a sum adds up, with its guards further inward where they may be: see `_guards_inward`."""
    while e.op.name == "add" and isinstance(arg, Apply) and arg.op.name == "where":
        guarded = _guards_inward(arg.args, alone=False, below_sum=True)
        if guarded is None or guarded is arg:
            break
        arg = guarded
    return arg


def _without_free_factors(e: Reduce, arg: Expr) -> Expr:
    """sum over k of c * x[k] / d  ->  (sum over k of x[k]) * c / d, for factors that lack every summed axis."""
    bound = frozenset(e.bound)
    negative, found = factors(arg, signed=True)
    free = [factor for factor in found if not factor[0].axes & bound]
    kept = [factor for factor in found if factor[0].axes & bound]
    if not kept or not (free or negative):
        return reduce("add", arg, e.bound)
    result = product([(reduce("add", product(kept), e.bound), True), *free])
    return apply("neg", result) if negative else result


# ------------------------------------------------------------------------------------------------------ guards


def _guards_inward(args: tuple[Expr, ...], alone: bool, below_sum: bool = False) -> Expr | None:
    """where(valid, value, 0) as a value whose own loads are guarded, or None.

        where(valid, x[i], 0)                   ->  x[i | valid]
        where(valid, sum over r of e, 0)        ->  sum over r of where(valid, e, 0)
        under a sum: where(valid, a * b, 0)     ->  where(valid, a, 0) * b

    Through a sum only if the guards' axes are axes of the sum (else one sum becomes one per guarded place) and nothing
    else needs the sum; onto the operand of a product that has the axes, where the other one is finite if the data are.
    A padded place then gives 0 * b.
    """
    condition, value, otherwise = args
    if not isinstance(condition, Valid) or not isinstance(otherwise, Const) or otherwise.value != 0:
        return None
    path: list[tuple[Expr, int]] = []
    while (position := _inward(value, condition.axes, below_sum, alone)) is not None:
        below_sum = below_sum or isinstance(value, Reduce)
        path.append((value, position))
        value = value.args[position]
    if isinstance(value, Load):
        result = load(value.param, value.index, value.guards | condition.guards)
    elif below_sum and not value.dtype.is_narrow_float:
        result = apply("where", condition, value, const(0, value.dtype))
    else:
        return None
    for e, position in reversed(path):
        operands = (*e.args[:position], result, *e.args[position + 1 :])
        result = reduce(e.op, result, e.bound) if isinstance(e, Reduce) else with_axes(e, operands, {}, {})
    return result


def _inward(e: Expr, axes: frozenset[Axis], below_sum: bool, alone: bool) -> int | None:
    """The operand of e that may take over a condition with these axes: where it is 0, e is 0."""
    if isinstance(e, Reduce):
        return 0 if e.op.name == "add" and axes <= e.axes and (below_sum or alone) else None
    if not isinstance(e, Apply):
        return None
    if e.op.name in ("cast", "neg"):
        return 0
    if e.op.name != "mul":
        return None
    for position in (0, 1):
        other = e.args[1 - position]
        if isinstance(other, Const) and isfinite(other.value):
            return position
    return next((i for i in (0, 1) if below_sum and axes <= e.args[i].axes and _is_tame(e.args[1 - i])), None)


def _is_tame(e: Expr) -> bool:
    """True when a value is finite wherever what it is read from is: 0 times it is 0, and no nan made here."""
    seen, pending = {e}, [e]
    while pending:
        e = pending.pop()
        plain = e.op.name in _TAME if isinstance(e, Apply) else not isinstance(e, Reduce) or e.op.name == "add"
        if not plain or len(seen) > MOST_LOOKED_AT:
            return False
        fresh = [x for x in e.args if x not in seen]
        seen.update(fresh)
        pending += fresh
    return True
