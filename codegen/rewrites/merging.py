"""Axes split where indices take them apart, and merged where every index treats two as one.

Comes in: a kernel.  Goes out: the same kernel over other axes.  Splitting comes before sharing (it makes loads alike),
merging after it (it makes tiles wide).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import prod

from codegen.index import Axis, Index, constant
from codegen.ir import Kernel
from codegen.rewrites.rebuild import indices, replace_axes

Shape = frozenset[tuple[int, int]]  # (coefficient, size) of the axes of an index


def without_unit_axes(kernel: Kernel) -> Kernel:
    """The kernel without axes of size 1: their only value is 0."""
    unit = [axis for axis in kernel.axes if axis.size == 1]
    if not unit:
        return kernel
    return replace_axes(kernel, dict.fromkeys(unit, constant(0)), dict.fromkeys(unit, ()))


def split_axes(kernel: Kernel, match: bool = True) -> Kernel:
    """The kernel with axes split where an index divides them, or (match) where another load has several for one.

        f[j//4 + j%4*6], j 24                  ->  f[jo + ji*6], jo 6, ji 4
        x[r] and x[a*9 + b*3 + c], r 18        ->  x[r0*9 + r1*3 + r2] and x[a*9 + b*3 + c]

    The first holds when the divisors of an axis divide its size and each other; the second, for loads of one buffer,
    when the axes' coefficients are a mixed radix of exactly the one axis's span.  A scanned axis is never split.
    """
    scanned = {e.axis for e in kernel.scans}
    while True:
        found = _divided(kernel) or (_matched(kernel) if match else {})
        parts = {axis: sizes for axis, sizes in found.items() if axis not in scanned}
        if not parts:
            return kernel
        replacement: dict[Axis, Index] = {}
        become: dict[Axis, tuple[Axis, ...]] = {}
        for axis, sizes in parts.items():
            pieces = [Axis(f"{axis.name}{position}", size) for position, size in enumerate(sizes)]
            replacement[axis] = flattened(pieces)
            become[axis] = tuple(pieces)
        kernel = replace_axes(kernel, replacement, become)


def flattened(axes: Sequence[Axis]) -> Index:
    """The position in a row-major array over the axes, outer first.

    >>> flattened([Axis("i", 4), Axis("j", 6)])
    i*6+j
    """
    flat = constant(0)
    for axis in axes:
        flat = flat * axis.size + axis.index
    return flat


def merge_axes(kernel: Kernel) -> Kernel:
    """The kernel with all clean twins merged.

        x[i*6 + j] * y[i*6 + j]  ->  x[ij] * y[ij]

    Axes are twins when each reduce binds both or neither, each store covers both or neither and no scan walks one;
    (outer, inner) is clean when everywhere the outer's coefficient is the inner's times its size.
    """
    chains = _clean_chains(kernel)
    if not chains:
        return kernel
    replacement: dict[Axis, Index] = {}
    become: dict[Axis, tuple[Axis, ...]] = {}
    for chain in chains:
        whole = Axis("".join(axis.name for axis in chain), prod(axis.size for axis in chain))
        for axis in chain[:-1]:
            replacement[axis], become[axis] = constant(0), ()
        replacement[chain[-1]], become[chain[-1]] = whole.index, (whole,)
    return replace_axes(kernel, replacement, become)


# ------------------------------------------------------------------------------------------------------ splits


def _all_indices(kernel: Kernel) -> list[Index]:
    """The kernel's indices and those inside their divisions and remainders, each once."""
    found: dict[Index, None] = {}
    for index in indices(kernel):
        found[index] = None
        found.update((atom.inner, None) for atom in index.atoms() if atom.kind != "dynamic")
    return list(found)


def _divided(kernel: Kernel) -> dict[Axis, list[int]]:
    """The axes that occur alone under a division or remainder, with the sizes (outer, inner) to split them into."""
    cuts: dict[Axis, set[int]] = {}
    for index in dict.fromkeys(indices(kernel)):
        for atom in index.atoms():
            if atom.kind != "dynamic" and atom.inner.is_single_axis:
                cuts.setdefault(next(iter(atom.axes)), set()).add(atom.by)
    found = {}
    for axis, by in cuts.items():
        chain = [*sorted(by), axis.size]
        if all(outer % inner == 0 for inner, outer in pairwise(chain)):
            found[axis] = [axis.size // chain[0], chain[0]]
    return found


def _matched(kernel: Kernel) -> dict[Axis, list[int]]:
    """The axes that face several axes in another load of their buffer, with the sizes of those, outer first."""
    found: dict[Axis, list[int]] = {}
    loads: dict[object, dict[Index, Shape]] = {}
    for e in kernel.loads:
        loads.setdefault(e.param, {})[e.index] = _shape(e.index)
    for shapes in loads.values():
        patterns: dict[Shape, Index] = {}
        for index, shape in shapes.items():
            patterns.setdefault(shape, index)
        for index, shape in shapes.items():
            for other_shape, other in patterns.items():
                if other_shape != shape and (part := _facing(index, other)):
                    found.setdefault(*part)
    return found


def _shape(index: Index) -> Shape:
    return frozenset((k, atom.size) for atom, k in index.terms if isinstance(atom, Axis))


def _facing(index: Index, other: Index) -> tuple[Axis, list[int]] | None:
    """An axis of index whose span is a chain of axes of other, after equal terms are dropped, and the chain's sizes."""
    ours, theirs = dict(index.terms), dict(other.terms)
    common = [atom for atom, k in ours.items() if theirs.get(atom) == k]
    rest = sorted(
        (k, y.id, y.size) for y, k in theirs.items() if isinstance(y, Axis) and y.size > 1 and y not in common
    )
    for axis, k in ours.items():
        if axis in common or not isinstance(axis, Axis):
            continue
        sizes, span = [], k
        for step, _, size in rest:
            if k <= step < k * axis.size:
                if step != span:
                    break
                sizes.append(size)
                span *= size
        else:
            if span == k * axis.size and len(sizes) > 1:
                return axis, sizes[::-1]
    return None


# ------------------------------------------------------------------------------------------------------ merges


def _clean_chains(kernel: Kernel) -> list[list[Axis]]:
    """Maximal chains of clean twins, outer first."""
    binders, uses = _binders(kernel), _uses(kernel)
    outer: dict[tuple[object, ...], list[Axis]] = {}
    for axis in kernel.axes:
        outer.setdefault((*binders[axis], *uses[axis]), []).append(axis)
    above: dict[Axis, Axis] = {}
    for axis in kernel.axes:
        partners = outer.get((*binders[axis], *((number, k * axis.size) for number, k in uses[axis])), [])
        if axis.size > 1 and uses[axis] and partners:
            above[axis] = partners.pop(0)
    chains, below = [], set(above.values())
    for innermost in kernel.axes:
        if innermost in above and innermost not in below:
            chain = [innermost]
            while chain[-1] in above:
                chain.append(above[chain[-1]])
            chains.append(chain[::-1])
    return chains


def _binders(kernel: Kernel) -> dict[Axis, list[tuple[str, int]]]:
    """Which reduces bind each axis, which scans walk it and which stores cover it."""
    found: dict[Axis, list[tuple[str, int]]] = {axis: [] for axis in kernel.axes}
    for number, e in enumerate(kernel.reduces):
        for axis in e.bound:
            found[axis].append(("reduce", number))
    for number, scan in enumerate(kernel.scans):
        found[scan.axis].append(("scan", number))
    for number, store in enumerate(kernel.stores):
        for axis in store.axes:
            found[axis].append(("store", number))
    return found


def _uses(kernel: Kernel) -> dict[Axis, list[tuple[int, int]]]:
    """The indices each axis occurs in, with its coefficient there."""
    found: dict[Axis, list[tuple[int, int]]] = {axis: [] for axis in kernel.axes}
    for number, index in enumerate(_all_indices(kernel)):
        for atom, k in index.terms:
            if isinstance(atom, Axis):
                found[atom].append((number, k))
    return found
