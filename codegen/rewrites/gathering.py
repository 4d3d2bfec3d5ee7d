"""Short axes of look-ups joined with the one around them, so that vectors are full.

Comes in: a kernel whose axes are shared and merged.  Goes out: the same kernel over fewer axes.  `merging` merges axes
that no index takes apart; here the indices of look-ups do.
"""

from __future__ import annotations

from typing import Final

from codegen.index import Atom, Axis, Index
from codegen.ir import Kernel
from codegen.rewrites.rebuild import indices, replace_axes

SHORT: Final = 6  # places along an axis beyond which dividing by it costs more than empty lanes do


def gathered(kernel: Kernel) -> Kernel:
    """The kernel with short axes along which places are looked up joined with those around them.

        out[i*3 + j] = x[i*8 + [n[i*3 + j]]], j 3  ->  out[m] = x[m//3*8 + [n[m]]]

    Holds without reduces and scans, where all but look-ups along the short axis treat both axes as one.  Each lane has
    a place of its own in these, whatever the axis.
    """
    if kernel.reduces or kernel.scans:
        return kernel
    while (pair := _pair(kernel)) is not None:
        outer, inner = pair
        whole = Axis(outer.name + inner.name, outer.size * inner.size)
        replacement = {outer: whole.index // inner.size, inner: whole.index % inner.size}
        kernel = replace_axes(kernel, replacement, {outer: (), inner: (whole,)})
    return kernel


def _pair(kernel: Kernel) -> tuple[Axis, Axis] | None:
    """The next two axes to be joined, outer first."""
    stored = {index for store in kernel.stores for index in (store.index, store.before) if index is not None}
    for inner in kernel.axes:
        along = {e.index for e in kernel.loads if _is_looked_up(e.index, inner)}
        if not along or inner.size >= SHORT or not all(inner in store.axes for store in kernel.stores):
            continue
        rest = [index for index in indices(kernel) if index in stored or not _is_looked_up(index, inner)]
        for outer in kernel.axes:
            if outer is inner or not all(outer in store.axes for store in kernel.stores):
                continue
            if all(_is_one(index, outer, inner) for index in rest):
                return outer, inner
    return None


def _is_looked_up(index: Index, axis: Axis) -> bool:
    """True where an index has the value of an expression that changes along an axis."""
    return any(atom.kind == "dynamic" and axis in atom.axes for atom, _ in index.terms if isinstance(atom, Atom))


def _is_one(index: Index, outer: Axis, inner: Axis) -> bool:
    """True where an index treats two axes as one, or knows neither."""
    far, near = index.stride(outer), index.stride(inner)
    return far is not None and near is not None and far == near * inner.size
