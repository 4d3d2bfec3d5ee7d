"""Bound axes told apart from stored ones: the way out where no schedule suits a kernel that shares them.

Comes in: a kernel.  Goes out: a kernel of the same meaning.  Sharing an axis lets a store and a reduce run in one loop,
but a reduce over a stored axis cannot be spread over programs along it; apart, the reduce is recomputed per program.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from codegen.index import Axis, Guard, Index, in_order
from codegen.ir import Expr, Kernel, Reduce, Scan, Store, children, reduce, replace, scan, with_axes
from codegen.origins import follow

Axes = frozenset[Axis]


def bound_apart(kernel: Kernel) -> Kernel:
    """The kernel whose reduces bind no axis that a store covers; the same kernel when that is so already.

    out[i] = x[i] / sum over i of x[i]  ->  out[i] = x[i] / sum over j of x[j]
    """
    stored = {axis for store in kernel.stores for axis in store.axes}
    shared = dict.fromkeys(a for r in kernel.reduces for a in r.bound if a in stored)
    if not shared:
        return kernel
    twins: dict[Axis, Axis] = {}
    for axis in shared:
        twins[axis] = Axis(_free_name(axis, (*kernel.axes, *twins.values())), axis.size)
    made: dict[tuple[Expr, Axes], Expr] = {}
    for root in kernel.roots:
        _make(root, twins, made)
    outside = {e: new for (e, renamed), new in made.items() if not renamed}
    stores = tuple(
        Store(
            s.param,
            replace(s.index, {}, outside),
            outside[s.value],
            frozenset(Guard(replace(g.index, {}, outside), g.lo, g.hi) for g in in_order(s.guards)),
            s.mode,
            s.order,
            s.before,
        )
        for s in kernel.stores
    )
    follow(outside)
    return Kernel(kernel.name, kernel.params, stores)


def _free_name(axis: Axis, others: Iterable[Axis]) -> str:
    taken, name = {a.name for a in others}, axis.name
    while name in taken:
        name += "_"
    return name


def _make(root: Expr, twins: Mapping[Axis, Axis], made: dict[tuple[Expr, Axes], Expr]) -> None:
    """Put root and all it needs into `made`: each expression with some of its free axes renamed to their twins."""
    stack: list[tuple[Expr, Axes]] = [(root, frozenset())]
    while stack:
        e, renamed = stack[-1]
        below = renamed | twins.keys() & set(e.bound) if isinstance(e, Reduce) else renamed
        parts = [(x, below & x.axes) for x in children(e)]
        if (e, renamed) in made:
            stack.pop()
        elif missing := [part for part in parts if part not in made]:
            stack.extend(missing)
        else:
            made[stack.pop()] = _rebuilt(e, renamed, {part[0]: made[part] for part in parts}, twins)


def _rebuilt(e: Expr, renamed: Axes, parts: dict[Expr, Expr], twins: Mapping[Axis, Axis]) -> Expr:
    if isinstance(e, Reduce):
        return reduce(e.op, parts[e.arg], [twins.get(a, a) for a in e.bound])
    if isinstance(e, Scan):
        return scan(e.op, parts[e.arg], twins[e.axis] if e.axis in renamed else e.axis, e.reverse)
    if e.args:
        return with_axes(e, tuple(parts[x] for x in e.args), {}, {})
    replacement: dict[Axis, Index] = {a: twins[a].index for a in renamed}
    return with_axes(e, (), replacement, parts)
