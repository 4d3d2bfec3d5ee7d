"""How a kernel touches memory along its axes: the facts the default schedules are chosen by.

Comes in: a kernel.  Goes out: which axes may be spread over groups, which make good vector lanes, what is used twice.
It knows no languages.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from math import prod
from typing import Final

from codegen.index import Atom, Axis, Index, separated
from codegen.ir import Apply, Const, Expr, Kernel, Load, Reduce, Scan, Store, children, walk

WOVEN: Final = (2, 4)  # vectors that are woven into consecutive places
AGAIN: Final = 8  # times an element is read by a reduce from which on that counts, and not its place in memory
SHORTEST: Final = 4  # elements of a run worth turning vectors for
LINE: Final = 64  # bytes that caches fetch and write at once


def main_stores(kernel: Kernel) -> tuple[Store, ...]:
    """The stores that deliver results; reports of errors ("flag") do not count unless there is nothing else."""
    return tuple(s for s in kernel.stores if s.mode != "flag") or kernel.stores


def run_of(store: Store) -> list[Axis]:
    """The axes along which a store writes consecutive places: one of step 1, then those that go on where it ends."""
    found: list[Axis] = []
    step = 1
    while (axis := next((a for a in store.axes if a not in found and store.index.stride(a) == step), None)) is not None:
        found.append(axis)
        step *= axis.size
    return found


def has_whole_lines(store: Store) -> bool:
    """False when some rows of consecutive places begin amid a line of the cache."""
    steps = (store.index.const, *(store.index.stride(a) or 0 for a in store.axes))
    return all(step == 1 or step * store.param.dtype.itemsize % LINE == 0 for step in steps)


def bound_axes(kernel: Kernel) -> frozenset[Axis]:
    """Every axis some reduce binds."""
    return frozenset(axis for r in kernel.reduces for axis in r.bound)


def sequential_axes(kernel: Kernel) -> frozenset[Axis]:
    """Every axis one program must walk through: bound by some reduce, or scanned."""
    return bound_axes(kernel) | {e.axis for e in kernel.scans}


def parallel_axes(kernel: Kernel) -> tuple[Axis, ...]:
    """The axes that may be spread over groups: covered by every result, not sequential, in store order.

    An accumulating store lets go only of axes along which its places differ, whatever the rest of its index does.
    """
    stores = main_stores(kernel)
    sequential = sequential_axes(kernel)
    common = [a for a in stores[0].axes if a not in sequential and all(a in s.axes for s in stores)]
    return tuple(a for a in common if all(s.mode == "set" or a in separated(s.index) for s in stores))


def is_crowded(store: Store, near: int) -> bool:
    """True where places that are looked up are fewer than the points that write, and not more than `near` bytes: some
    points share a place, and programs that write there take its line of the cache away from each other."""
    looked_up = any(isinstance(atom, Atom) and atom.kind == "dynamic" for atom, _ in store.index.terms)
    return looked_up and store.param.nbytes <= near and prod(a.size for a in store.axes) > store.param.size


def walked_rows(kernel: Kernel, parallel: Collection[Axis], lane: Axis) -> list[Axis]:
    """Axes one program walks whose places are rows of their own: reduced along the lane, and combined only at the end.

    Nothing with such an axis needs what is combined along it, so a row's passes can follow each other.
    """
    ends = [*(r.arg for r in kernel.reduces), *(s.value for s in kernel.stores)]
    found = []
    for axis in kernel.axes:
        if axis in parallel or axis is lane or any(scan.axis is axis for scan in kernel.scans):
            continue
        late = {r for r in kernel.reduces if axis in r.bound}
        has_rows = any(lane in r.bound and axis in r.axes for r in kernel.reduces)
        if late and has_rows and all(late.isdisjoint(walk((e,))) for e in ends if axis in e.axes):
            found.append(axis)
    return found


def strides(kernel: Kernel) -> list[tuple[Index, frozenset[Axis], int]]:
    """(index, axes, weight) of every load and store; a store weighs twice."""
    found = [(e.index, e.axes, e.dtype.itemsize) for e in kernel.loads]
    found += [(s.index, frozenset(s.axes), 2 * s.param.dtype.itemsize) for s in main_stores(kernel)]
    return found


def lane_votes(kernel: Kernel, lanes: int) -> dict[Axis, float]:
    """For each axis the bytes moved with unit stride along it, times the share of lanes its size fills.

    A short axis and the one around it share a line: vectors along either can fill it.
    """
    votes: dict[Axis, float] = {}
    for index, axes, weight in strides(kernel):
        for axis in axes:
            if index.stride(axis) == 1:
                for lane in (axis, *(a for a in axes if axis.size in WOVEN and index.stride(a) == axis.size)):
                    filled = lane.size / (-(-lane.size // lanes) * lanes)
                    votes[lane] = votes.get(lane, 0.0) + weight * filled * prod(a.size for a in axes)
    return votes


def gathers(kernel: Kernel, lane: Axis) -> int:
    """Elements read from places that lie apart along an axis, by reduces that read them again and again: the same ones
    for every point along an axis they do not have.  In a vector along the axis each takes a load of its own."""
    found = 0
    for r in kernel.reduces:
        points = prod(a.size for a in r.arg.axes)
        for e in loads_of(r.arg):
            if lane in e.axes and e.index.stride(lane) not in (0, 1, -1):
                found += points if points >= AGAIN * prod(a.size for a in e.axes) else 0
    return found


def between_lanes(kernel: Kernel, lane: Axis | None, lanes: int) -> tuple[Axis, ...]:
    """The short axes whose places fill what lies between two lanes in every result: all of them are stored together."""
    if lane is None or lane.size < lanes:
        return ()
    stores = main_stores(kernel)
    return tuple(
        a
        for a in parallel_axes(kernel)
        if a.size in WOVEN and all(s.index.stride(a) == 1 and s.index.stride(lane) == a.size for s in stores)
    )


def cost(e: Expr, axis: Axis | None = None) -> int:
    """Rough cost of one element of e in fused multiply-adds, not counting the reduces it contains.

    axis  counts what is computed for every place along it only: the rest is done once
    """
    return sum(x.op.cost for x in _own(e) if isinstance(x, Apply) and (axis is None or axis in x.axes))


def _own(root: Expr) -> list[Expr]:
    """The expressions of one pass: below root, stopping at reduces."""
    seen: dict[Expr, None] = {root: None}
    stack = [root]
    while stack:
        for child in children(stack.pop()):
            if child not in seen and not isinstance(child, Reduce):
                seen[child] = None
                stack.append(child)
    return list(seen)


def flops(kernel: Kernel) -> int:
    """Arithmetic operations of one launch: every operation and every reduce step counts once per point of its axes."""
    total = 0
    for e in walk(kernel.roots):
        if isinstance(e, Apply) and e.op.rule == "same":
            total += prod(a.size for a in e.axes)
        elif isinstance(e, Reduce | Scan):
            total += prod(a.size for a in e.arg.axes)
    return total


def passes(kernel: Kernel) -> list[Expr]:
    """The values computed in passes of their own: every reduce's operand, every stored value that is no reduce."""
    return [r.arg for r in kernel.reduces] + [s.value for s in kernel.stores if not isinstance(s.value, Reduce)]


def loads_of(e: Expr) -> Iterable[Load]:
    """The loads one pass over e makes."""
    return (x for x in _own(e) if isinstance(x, Load))


def is_plain_load(e: Expr) -> bool:
    """True for a load, also under a conversion of its type."""
    while isinstance(e, Apply) and e.op.name == "cast":
        e = e.args[0]
    return isinstance(e, Load | Const)
