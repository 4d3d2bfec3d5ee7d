"""Kernels built anew with other axes or other expressions; what every rewrite is made of.

Comes in: a kernel and a mapping.  Goes out: a kernel.  Whether the change keeps the kernel's meaning is the caller's
affair, with one exception: an axis is always replaced where it is free and where it is bound alike.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Final

from codegen.index import Axis, Guard, Index, in_order, needed
from codegen.ir import (
    Coord,
    Expr,
    Kernel,
    Load,
    Param,
    Reduce,
    Scan,
    Store,
    Valid,
    index_exprs,
    load,
    reduce,
    replace,
    scan,
    with_axes,
)
from codegen.origins import follow

NO_BEGINS: Final[Mapping[Param, int]] = MappingProxyType({})


def with_exprs(kernel: Kernel, made: dict[Expr, Expr]) -> Kernel:
    """The kernel whose stores hold made[e] in place of every expression e; the same kernel if nothing changed.

    `made` has an entry for each of the kernel's roots.
    """
    if all(made[root] is root for root in kernel.roots):
        return kernel
    follow(made)
    return Kernel(kernel.name, kernel.params, tuple(_moved(store, {}, {}, made) for store in kernel.stores))


def replace_axes(kernel: Kernel, replacement: Mapping[Axis, Index], become: Mapping[Axis, tuple[Axis, ...]]) -> Kernel:
    """The kernel with axes replaced wherever they occur.

    replacement  what an axis becomes in indices and guards
    become       the axes a reduce binds or a store covers in place of it: all those of the replacement, or (); one axis
                 in place of one that is scanned
    """
    made: dict[Expr, Expr] = {}
    replaced = dict(replacement)
    for e in kernel.exprs:
        args = tuple(made[x] for x in e.args)
        if isinstance(e, Reduce):
            bound = [new for a in e.bound for new in become.get(a, (a,))]
            made[e] = reduce(e.op, args[0], bound)
        elif isinstance(e, Scan):
            (along,) = become.get(e.axis, (e.axis,))
            made[e] = scan(e.op, args[0], along, e.reverse)
        elif e.args:
            made[e] = e if args == e.args else with_axes(e, args, {}, {})
        elif e.axes & replaced.keys() or any(made[x] is not x for x in index_exprs(e)):
            made[e] = with_axes(e, (), replaced, made)
        else:
            made[e] = e
    follow(made)
    stores = tuple(_moved(store, replaced, become, made) for store in kernel.stores)
    return Kernel(kernel.name, kernel.params, stores)


def with_params(
    kernel: Kernel, params: Mapping[Param, Param], begins: Mapping[Param, int] = NO_BEGINS
) -> tuple[Store, ...]:
    """The stores of a kernel with other parameters of the same types.

    begins  the element of an old parameter, read only, that the new one begins with
    """
    made: dict[Expr, Expr] = {}
    for e in kernel.exprs:
        if isinstance(e, Load):
            guards = needed(Guard(replace(g.index, {}, made), g.lo, g.hi) for g in in_order(e.guards))
            made[e] = load(params[e.param], replace(e.index, {}, made) - begins.get(e.param, 0), guards)
        else:
            made[e] = with_axes(e, tuple(made[x] for x in e.args), {}, made)
    stores = (_moved(store, {}, {}, made) for store in kernel.stores)
    return tuple(dataclasses.replace(store, param=params[store.param]) for store in stores)


def rename(kernel: Kernel, names: Mapping[Axis, Axis]) -> Kernel:
    """The kernel with axes renamed; sound when no axis comes to bear the name of one it clashes with."""
    changed = {old: new for old, new in names.items() if old is not new}
    if not changed:
        return kernel
    return replace_axes(kernel, {a: b.index for a, b in changed.items()}, {a: (b,) for a, b in changed.items()})


def indices(kernel: Kernel) -> Iterator[Index]:
    """Every index of the kernel: those of loads, coordinates, stores and of all guards."""
    for e in kernel.exprs:
        if isinstance(e, Load | Coord):
            yield e.index
        if isinstance(e, Load | Valid):
            yield from (guard.index for guard in in_order(e.guards))
    for store in kernel.stores:
        yield store.index
        if store.before is not None:
            yield store.before
        yield from (guard.index for guard in in_order(store.guards))


def _moved(
    store: Store, replacement: dict[Axis, Index], become: Mapping[Axis, tuple[Axis, ...]], made: dict[Expr, Expr]
) -> Store:
    guards = needed(Guard(replace(g.index, replacement, made), g.lo, g.hi) for g in in_order(store.guards))
    order = tuple(dict.fromkeys(new for a in store.order for new in become.get(a, (a,))))
    index = replace(store.index, replacement, made)
    before = None if store.before is None else replace(store.before, replacement, made)
    return Store(store.param, index, made[store.value], guards, store.mode, order, before)
