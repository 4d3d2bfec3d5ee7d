"""Double sums whose inner sum is computed anyway: the order of summation is exchanged.

Comes in: a kernel whose axes are shared and merged.  Goes out: a kernel with fewer products.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from math import prod

from codegen.index import Axis
from codegen.ir import Apply, Expr, Kernel, Reduce, apply, reduce, with_axes
from codegen.rewrites.rebuild import with_exprs

Key = tuple[frozenset[Axis], frozenset[tuple[Expr, int]]]


def reorder(kernel: Kernel) -> Kernel:
    """The kernel in which double sums use the sums it has.

        sum over r of p[i,r] * (sum over l of g[i,l] * v[r,l])
            ->  sum over l of g[i,l] * (sum over r of p[i,r] * v[r,l])

    when the latter inner sum is a value of the kernel and the outer one has fewer terms.  Rounding changes.
    """
    found: Kernel | None = kernel
    while found is not None:
        kernel, found = found, _one_reordered(found)
    return kernel


def _one_reordered(kernel: Kernel) -> Kernel | None:
    sums = {_key(e): e for e in kernel.reduces if e.op.name == "add" and e.dtype.is_float}
    for e in sums.values() if len(sums) > 2 else ():
        other = _reordered(e, sums)
        if other is not None:
            return _replaced(kernel, e, other)
    return None


def _replaced(kernel: Kernel, old: Expr, new: Expr) -> Kernel:
    made: dict[Expr, Expr] = {}
    for e in kernel.exprs:
        args = tuple(made[x] for x in e.args)
        made[e] = new if e is old else e if args == e.args else with_axes(e, args, {}, {})
    return with_exprs(kernel, made)


def _key(e: Reduce) -> Key:
    return frozenset(e.bound), frozenset(Counter(_factors(e.arg)).items())


def _factors(e: Expr) -> list[Expr]:
    """The factors of a product."""
    found, pending = [], [e]
    while pending:
        e = pending.pop()
        if isinstance(e, Apply) and e.op.name == "mul":
            pending += reversed(e.args)
        else:
            found.append(e)
    return found


def _reordered(e: Reduce, sums: Mapping[Key, Reduce]) -> Expr | None:
    """The double sum with its sums exchanged, if it is one and the other inner sum is there."""
    outer, bound = _factors(e.arg), frozenset(e.bound)
    for inner in outer:
        if not isinstance(inner, Reduce) or inner.op is not e.op or outer.count(inner) > 1:
            continue
        rest = [x for x in outer if x is not inner]
        near = [x for x in _factors(inner.arg) if x.axes & bound]
        far = [x for x in _factors(inner.arg) if not x.axes & bound]
        if not far or not near or not rest or any(x.axes & frozenset(inner.bound) for x in rest):
            continue
        other = sums.get((bound, frozenset(Counter([*rest, *near]).items())))
        if other is not None:
            product: Expr = other
            for factor in far:
                product = apply("mul", factor, product)
            if prod(a.size for a in product.axes) < prod(a.size for a in e.arg.axes):
                return reduce("add", product, inner.bound)
    return None
