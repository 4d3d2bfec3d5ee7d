"""Sums over the taps of strided windows that were put back, without the taps that meet no window.

    dx[h] = sum over k of w[k] * dy[(h-k)//s | (h-k) % s == 0]
    dx[p*s+r | p*s+r < places] = sum over j of w[j*s+r | j*s+r < taps] * dy[p-j]

Comes in: a kernel.  Goes out: the same kernel over other axes, with a part 1/s of the terms for each such pair.  Sums
over the places instead walk those that meet a tap, s apart, as in a strided convolution's gradient.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from math import gcd

from codegen.assumed import assumed
from codegen.bounds import bounds
from codegen.index import Atom, Axis, Guard, Guards, Index, constant, in_order, needed, substitute
from codegen.ir import Apply, Const, Expr, Kernel, Load, Reduce, Valid, load, valid, walk, with_axes
from codegen.rewrites.rebuild import replace_axes, with_exprs


@dataclass(frozen=True)
class Meeting:
    """A guard that is met where place = slope * tap + const modulo step: by every step-th tap, or, without one, at
    every step-th place, which is free or summed."""

    guard: Guard
    place: Axis
    tap: Axis | None
    step: int
    slope: int
    const: int


def phased(kernel: Kernel) -> Kernel:
    """The kernel with places and taps that agree modulo a step walked by their remainder.

    (h - d*k + c) % s == 0 is met at  h = p*s + d*r, k = j*s + r - before.  Holds when

    - h is free, and k is bound by sums alone; d and s have no common factor;
    - what these sums add up is 0 where the guard fails, and where k is not in its range.

    Places past the end that come in when s does not divide the number of places are not stored.  Where a dilation
    leaves no tap in the guard, (h + c) % s == 0, places are split alone: loops leave out those of other remainders.
    Where such an h is summed, the sum walks the places that meet the guard alone.
    """
    refused: set[Guard] = set()
    while (found := next((m for m in _meetings(kernel) if m.guard not in refused), None)) is not None:
        refused.add(found.guard)
        kernel = _split(kernel, found) or kernel
    return kernel


def _meetings(kernel: Kernel) -> Iterator[Meeting]:
    """The guards that are met by remainder, of a free axis and one that is summed."""
    guards = dict.fromkeys(g for e in kernel.exprs if isinstance(e, Load | Valid) for g in in_order(e.guards))
    sums = [(guard, atom) for guard in guards if (atom := _remainder_of(guard)) is not None]
    if not sums:
        return
    bound = {a for e in kernel.reduces for a in e.bound}
    walked = bound.union(e.axis for e in kernel.scans)
    fixed = {a for e in kernel.reduces if e.op.name != "add" for a in e.bound}
    fixed.update(a for store in kernel.stores for a in store.axes)
    for guard, atom in sums:
        step, terms = atom.by, atom.inner.terms
        if len(terms) == 1:
            ((place, one),) = terms
            if not isinstance(place, Axis) or gcd(one, step) > 1:
                continue
            # a free axis that is no longer than the step is a remainder already, as splitting leaves it
            if place in bound - fixed or (place.size > step and place not in walked and bound):
                yield Meeting(guard, place, None, step, 1, -atom.inner.const * pow(one, -1, step) % step)
            continue
        for (place, one), (tap, other) in (terms, terms[::-1]):
            if not isinstance(place, Axis) or not isinstance(tap, Axis) or gcd(one, step) > 1 or gcd(other, step) > 1:
                continue
            if place not in walked and tap in bound - fixed:
                unit = pow(one, -1, step)
                slope = -other * unit % step
                slope = slope if 2 * slope <= step else slope - step
                yield Meeting(guard, place, tap, step, slope, -atom.inner.const * unit % step)


def _remainder_of(guard: Guard) -> Atom | None:
    """The remainder, of a sum of at most two terms, that a guard wants to be 0."""
    index = guard.index
    if guard.hi != 1 or index.const or len(index.terms) != 1 or index.terms[0][1] != 1:
        return None
    atom = index.terms[0][0]
    return atom if isinstance(atom, Atom) and atom.kind == "mod" and len(atom.inner.terms) <= 2 else None


def _split(kernel: Kernel, meeting: Meeting) -> Kernel | None:
    """The kernel with place and tap walked by remainder; None when a term need not be 0 where none meet.

    Where more is summed than stored, the sum walks the places that meet alone.  Else the taps get a range of which the
    step divides both ends, then they are split.
    """
    step = meeting.step
    if meeting.tap is None and any(meeting.place in e.bound for e in kernel.reduces):
        return _thinned(kernel, meeting)
    if meeting.tap is None:
        return _apart(kernel, meeting.place, step, -meeting.const % step)
    if abs(meeting.slope) == 1 and meeting.tap.size > meeting.place.size:
        solved = _solved(kernel, meeting, meeting.tap)
        if solved is not None:
            return solved
    before = meeting.const * pow(meeting.slope, -1, step) % step
    tap = Axis(meeting.tap.name, -(-(meeting.tap.size + before) // step) * step)
    moved = {meeting.tap: tap.index - before}
    wide = replace_axes(kernel, moved, {meeting.tap: (tap,)})
    inside = needed([Guard(moved[meeting.tap], 0, meeting.tap.size)])
    meets = meeting.guard._replace(index=substitute(meeting.guard.index, moved))
    for every in (False, True):
        guarded = _guarded(wide, tap, meets, inside, every)
        terms = [e.arg for e in guarded.reduces if tap in e.bound]
        if all(vanishes(term, guard) for term in terms for guard in (meets, *inside)):
            return _by_remainder(guarded, meeting, tap)
    return None


def _thinned(kernel: Kernel, meeting: Meeting) -> Kernel | None:
    """The kernel with a summed axis walked at the places that meet the guard alone; None when others add something."""
    place, step = meeting.place, meeting.step
    terms = [e.arg for e in kernel.reduces if place in e.bound]
    count = len(range(meeting.const, place.size, step))
    if not count or not all(vanishes(term, meeting.guard) for term in terms):
        return None
    met = Axis(place.name, count)
    return replace_axes(kernel, {place: _at(met) * step + meeting.const}, {place: (met,) if count > 1 else ()})


def _solved(kernel: Kernel, meeting: Meeting, tap: Axis) -> Kernel | None:
    """The kernel with a summed axis walked from where it meets each place on, in steps; None when others add something.

    sum over k of x[(k-h)//s | (k-h) % s == 0] * y[k]  ->  sum over j of x[j] * y[h + j*s]

    Nor where one step at most is walked, which no sum asks for, and some places meet none, or all.
    """
    place, step, slope = meeting.place, meeting.step, meeting.slope
    if not all(vanishes(e.arg, meeting.guard) for e in kernel.reduces if tap in e.bound):
        return None
    start = place.index * slope - slope * meeting.const
    first = -(start.hi // step)
    steps = (tap.size - 1 - start.lo) // step - first + 1
    if steps < 1:
        return None
    walked = Axis(tap.name, steps)
    moved = {tap: start + _at(walked) * step + first * step}
    inside = needed([Guard(moved[tap], 0, tap.size)])
    if walked.size < 2 and inside:
        return None
    wide = replace_axes(kernel, moved, {tap: (walked,) if walked.size > 1 else ()})
    guarded = _guarded(wide, walked, meeting.guard, inside, False)
    terms = [e.arg for e in guarded.reduces if walked in e.bound]
    return guarded if all(vanishes(term, guard) for term in terms for guard in inside) else None


def _by_remainder(kernel: Kernel, meeting: Meeting, tap: Axis) -> Kernel:
    """The kernel with the place, and a tap of which the step divides both ends, as quotients and one remainder."""
    place, step, slope = meeting.place, meeting.step, meeting.slope
    ends = sorted((0, slope * (step - 1)))
    back = -(-max(0, ends[1] - step + 1) // step) * step
    outer = Axis(place.name, -(-(place.size + back - ends[0]) // step))
    taps, remainder = Axis(tap.name, tap.size // step), Axis(f"{place.name}r", step)
    at = _at(outer) * step + remainder.index * slope - back
    become = {
        place: (outer, remainder) if outer.size > 1 else (remainder,),
        tap: (taps,) if taps.size > 1 else (),
    }
    split = replace_axes(kernel, {place: at, tap: _at(taps) * step + remainder.index}, become)
    inside = Guard(at, 0, place.size)
    return split if inside.always else _limited(split, inside)


def _limited(kernel: Kernel, inside: Guard) -> Kernel:
    """The kernel with nothing stored outside of a guard on stored axes, and nothing read there but in bounds."""
    made: dict[Expr, Expr] = {}
    for e in kernel.exprs:
        new = with_axes(e, tuple(made[x] for x in e.args), {}, made)
        if isinstance(new, Load) and not new.axes.isdisjoint(inside.index.axes) and not in_bounds(new):
            new = load(new.param, new.index, new.guards | {inside})
        made[e] = new
    kernel = with_exprs(kernel, made)
    stores = (
        replace(store, guards=needed(store.guards | {inside})) if inside.index.axes <= set(store.axes) else store
        for store in kernel.stores
    )
    return Kernel(kernel.name, kernel.params, tuple(stores))


def _apart(kernel: Kernel, place: Axis, step: int, before: int) -> Kernel:
    """The kernel with a place as quotient and remainder of what it is when something is added."""
    outer, remainder = Axis(place.name, -(-(place.size + before) // step)), Axis(f"{place.name}r", step)
    at = _at(outer) * step + remainder.index - before
    split = replace_axes(kernel, {place: at}, {place: (outer, remainder) if outer.size > 1 else (remainder,)})
    inside = Guard(at, 0, place.size)
    return split if inside.always else _limited(split, inside)


def _at(axis: Axis) -> Index:
    return axis.index if axis.size > 1 else constant(0)


def _guarded(kernel: Kernel, tap: Axis, meets: Guard, inside: Guards, every: bool) -> Kernel:
    """The kernel with the tap's range asked by conditions that ask whether it meets a place, and by loads it keeps in
    bounds; by every load that asks for the meeting when `every` is true.  A load that need not ask has an image."""
    made: dict[Expr, Expr] = {}
    for e in kernel.exprs:
        new = with_axes(e, tuple(made[x] for x in e.args), {}, made)
        if isinstance(new, Valid) and meets in new.guards:
            new = valid(new.guards | inside)
        elif isinstance(new, Load) and tap in new.axes and (not in_bounds(new) or (every and meets in new.guards)):
            new = load(new.param, new.index, new.guards | inside)
        made[e] = new
    return with_exprs(kernel, made)


def in_bounds(e: Load) -> bool:
    low, high = bounds(e.index, e.guards)
    return low >= 0 and high < e.param.size and assumed("always", low, e.param.size - 1 - high)


def vanishes(value: Expr, guard: Guard) -> bool:
    """True when a value is visibly 0 or false wherever a guard fails."""
    zero: dict[Expr, bool] = {}
    for e in walk((value,)):
        zero[e] = _is_zero(e, zero, guard)
    return zero[value]


def _is_zero(e: Expr, zero: Mapping[Expr, bool], guard: Guard) -> bool:
    """Whether one node is 0 where a guard fails, given its operands."""
    if isinstance(e, Load | Valid):
        return guard in e.guards
    if isinstance(e, Const):
        return not e.value
    args = [zero[x] for x in e.args]
    if isinstance(e, Reduce):
        return e.op.name == "add" and args[0]
    name = e.op.name if isinstance(e, Apply) else ""
    if name in ("mul", "and"):
        return any(args)
    if name == "where":
        return args[2] and (args[0] or args[1])
    return name in ("add", "sub", "neg", "cast") and all(args)
