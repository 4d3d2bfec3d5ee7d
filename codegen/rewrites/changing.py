"""Results in the places of operands, stored only where they differ from these.

Comes in: a kernel with results in the places of operands.  Goes out: a kernel of the same meaning over fewer points.  A
row that is assigned leaves the rest of its array as it is, so the kernel need not go there.
"""

from __future__ import annotations

from codegen.index import Axis, Guard, Guards, Index
from codegen.ir import Apply, Const, Expr, Kernel, Load, Reduce, Scan, Store
from codegen.rewrites.masked import necessary
from codegen.rewrites.rebuild import replace_axes

Range = tuple[int, int]


def where_changed(kernel: Kernel) -> Kernel:
    """The kernel whose axes go no further than some result changes; the same kernel where they all go everywhere.

    A result is not changed where it chooses the element that is there already.  An axis is made shorter where no sum or
    scan walks it, to what holds all that its stores change.

        x[i, j] = y[j] if 3 <= i < 5 else x[i, j]  over i < 100  ->  x[i + 3, j] = y[j]  over i < 2
    """
    ranges = [_changed(store) for store in kernel.stores]
    walked = {a for e in kernel.exprs if isinstance(e, Reduce | Scan) for a in _walked(e)}
    shorter: dict[Axis, Axis] = {}
    starts: dict[Axis, int] = {}
    for axis in dict.fromkeys(a for store in kernel.stores for a in store.axes if a not in walked):
        found = [own.get(axis, (0, axis.size)) for store, own in zip(kernel.stores, ranges) if axis in store.axes]
        start, stop = min(low for low, _ in found), max(high for _, high in found)
        if start < stop and stop - start < axis.size:
            shorter[axis], starts[axis] = Axis(axis.name, stop - start), start
    if not shorter:
        return kernel
    places: dict[Axis, Index] = {axis: new.index + starts[axis] for axis, new in shorter.items()}
    return replace_axes(kernel, places, {axis: (new,) for axis, new in shorter.items()})


def _walked(e: Reduce | Scan) -> tuple[Axis, ...]:
    return tuple(e.bound) if isinstance(e, Reduce) else (e.axis,)


def _changed(store: Store) -> dict[Axis, Range]:
    """By axis, outside of which range a store leaves everything as it is."""
    found: dict[Axis, Range] = {}
    if store.mode != "set":
        return found
    for guard in _conditions(store):
        if (bounds := _bounds(guard)) is not None:
            axis, low, high = bounds
            before = found.get(axis, (0, axis.size))
            found[axis] = max(low, before[0]), min(high, before[1])
    return found


def _conditions(store: Store) -> Guards:
    """Guards that hold wherever a store changes something."""
    value, found = store.value, store.guards
    while isinstance(value, Apply) and value.op.name == "where":
        condition, first, second = value.args
        if _is_there(second, store):
            found, value = found | necessary(*_asked(condition, True)), first
        elif _is_there(first, store):
            found, value = found | necessary(*_asked(condition, False)), second
        else:
            break
    return found


def _asked(condition: Expr, truth: bool) -> tuple[Expr, bool]:
    """A condition of a truth without choices between true and false."""
    while isinstance(condition, Apply) and condition.op.name == "where":
        condition_of, first, second = condition.args
        if not isinstance(first, Const) or not isinstance(second, Const) or bool(first.value) is bool(second.value):
            break
        condition, truth = condition_of, truth is bool(first.value)
    return condition, truth


def _is_there(e: Expr, store: Store) -> bool:
    """Whether an expression is the very element that a store replaces."""
    return isinstance(e, Load) and e.param is store.param and e.index is store.index and e.guards <= store.guards


def _bounds(guard: Guard) -> tuple[Axis, int, int] | None:
    """The axis and the range of it a guard asks for, if it is about one axis alone."""
    if len(guard.index.terms) != 1:
        return None
    ((axis, factor),) = guard.index.terms
    if not isinstance(axis, Axis):
        return None
    low, high = guard.lo - guard.index.const, guard.hi - 1 - guard.index.const  # low <= factor * axis <= high
    if factor < 0:
        low, high, factor = -high, -low, -factor
    return axis, -(-low // factor), high // factor + 1
