"""A kernel at sizes it was not made for: its algebra with formulas in the places of numbers.

Comes in: one kernel as it is at a few choices of sizes.  Goes out: the same kernel at others; None where those given
differ in more than numbers.  What an open launch means is known so, at the sizes it runs with.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, cast

from codegen.fitting import Point, fitted
from codegen.index import Axis, Guard, Index, combination, dynamic, in_order, needed
from codegen.ir import (
    Apply,
    Const,
    Coord,
    Expr,
    Kernel,
    Load,
    Param,
    Reduce,
    Scan,
    Store,
    Valid,
    apply,
    const,
    coord,
    load,
    reduce,
    scan,
    valid,
)


class Unalike(Exception):
    """Kernels differ in more than numbers."""


def resized(kernels: Sequence[Kernel], points: Sequence[Point], sizes: Point) -> Kernel | None:
    """The kernel at some sizes, from what it is at the points; None where they are unlike, or it has no places there.

    >>> def copy(n):
    ...     i = Axis("i", n)
    ...     x, out = (Param(name, dtypes.float32, n + 1) for name in ("x", "out"))
    ...     return Kernel("copy", (x, out), (Store(out, i.index, load(x, i.index + 1)),))
    >>> from codegen.dtypes import dtypes
    >>> resized([copy(5), copy(8)], [{"n": 5}, {"n": 8}], {"n": 30}).params[0].size
    31
    """
    found = resized_with_values(kernels, points, sizes)
    return None if found is None else found[0]


def resized_with_values(
    kernels: Sequence[Kernel], points: Sequence[Point], sizes: Point
) -> tuple[Kernel, dict[Expr, int]] | None:
    """The kernel at some sizes, and for its values the places of those in the kernels that became them."""
    resizing = _Resizing(points, sizes)
    try:
        kernel = resizing.kernel(kernels)
    except Unalike:
        return None
    return kernel, {resizing.made[e]: place for place, e in enumerate(kernels[0].exprs)}


class _Resizing:
    """Builds one kernel while it walks several side by side; `made` holds what became of the first one's parts."""

    def __init__(self, points: Sequence[Point], sizes: Point) -> None:
        self.points, self.sizes = points, sizes
        self.axes: dict[Axis, Axis] = {}
        self.params: dict[Param, Param] = {}
        self.made: dict[Expr, Expr] = {}

    def kernel(self, kernels: Sequence[Kernel]) -> Kernel:
        for axes in _aligned(kernel.axes for kernel in kernels):
            size = self.number(a.size for a in axes)
            if size < 1:
                raise Unalike
            self.axes[axes[0]] = Axis(_one(a.name for a in axes), size)
        for params in _aligned(kernel.params for kernel in kernels):
            dtype = _one(p.dtype for p in params)
            self.params[params[0]] = Param(_one(p.name for p in params), dtype, self.number(p.size for p in params))
        for same in _aligned(kernel.exprs for kernel in kernels):
            self.made[same[0]] = self.expr(same)
        stores = tuple(self.store(same) for same in _aligned(kernel.stores for kernel in kernels))
        return Kernel(kernels[0].name, tuple(self.params.values()), stores)

    def number(self, values: Iterable[int]) -> int:
        formula = fitted(list(values), self.points)
        if formula is None:
            raise Unalike
        return formula(self.sizes)

    def index(self, same: Sequence[Index]) -> Index:
        parts = []
        for terms in _aligned(index.terms for index in same):
            atoms = [atom for atom, _ in terms]
            parts.append((self.term(atoms), self.number(k for _, k in terms)))
        return combination(parts, self.number(index.const for index in same))

    def term(self, same: Sequence[Any]) -> Index:
        """What an axis, a quotient, a remainder or the value of an expression becomes."""
        if _one(isinstance(atom, Axis) for atom in same):
            return self.axes[same[0]].index
        kind, by = _one(atom.kind for atom in same), self.number(atom.by for atom in same)
        if kind == "dynamic":
            return dynamic(self.made[same[0].of], by)
        inner = self.index([atom.of for atom in same])
        return inner // by if kind == "div" else inner % by

    def guards(self, same: Sequence[Iterable[Guard]]) -> list[Guard]:
        return [
            Guard(self.index([g.index for g in some]), self.number(g.lo for g in some), self.number(g.hi for g in some))
            for some in _aligned(map(in_order, cast(Any, same)))
        ]

    def expr(self, same: Sequence[Any]) -> Expr:
        e = same[0]
        _one((type(x), x.dtype) for x in same)
        args = [self.made[x] for x in e.args]
        if isinstance(e, Const):
            known = {repr(x.value) for x in same}
            return e if len(known) == 1 or not e.dtype.is_int else const(self.number(x.value for x in same), e.dtype)
        if isinstance(e, Load):
            guards = self.guards([x.guards for x in same])
            return load(self.params[e.param], self.index([x.index for x in same]), guards)
        if isinstance(e, Coord):
            return coord(self.index([x.index for x in same]), e.dtype)
        if isinstance(e, Valid):
            return valid(self.guards([x.guards for x in same]))
        if isinstance(e, Apply):
            return apply(_one(x.op for x in same), *args, dtype=e.dtype)
        if isinstance(e, Reduce):
            return reduce(_one(x.op for x in same), args[0], [self.axes[a] for a in e.bound])
        assert isinstance(e, Scan)
        return scan(_one(x.op for x in same), args[0], self.axes[e.axis], _one(x.reverse for x in same))

    def store(self, same: Sequence[Store]) -> Store:
        store = same[0]
        before = None if store.before is None else self.index([cast(Index, x.before) for x in same])
        return Store(
            self.params[store.param],
            self.index([x.index for x in same]),
            self.made[store.value],
            needed(self.guards([x.guards for x in same])),
            _one(x.mode for x in same),
            tuple(self.axes[a] for a in store.axes),
            before,
        )


def _aligned(columns: Iterable[Sequence[Any]]) -> Iterable[tuple[Any, ...]]:
    """The first parts of all, the second ones, ...

    raises Unalike where some have more
    """
    found = list(columns)
    _one(map(len, found))
    return zip(*found)


def _one(values: Iterable[Any]) -> Any:
    """What all values are.

    raises Unalike where they differ
    """
    found = list(values)
    if any(value != found[0] for value in found):
        raise Unalike
    return found[0]
