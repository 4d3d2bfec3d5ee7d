"""What is certain about an index where its guards hold: outer bounds, by intervals or by trying all points.

Comes in: an index and guards.  Goes out: (lowest, highest), never too tight.  A value of an expression inside an index
is known only as far as a guard or the expression itself bounds it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import prod
from typing import Final, cast
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from codegen.assumed import is_one_quotient, largest, smallest
from codegen.clamped import clamped
from codegen.index import Atom, Axis, Guards, Index, Term, in_order
from codegen.interpret import index_values
from codegen.ir import Apply, Const, Coord, Expr, walk

Interval = tuple[int, int]
_ranges: Final[WeakKeyDictionary[Expr, Interval]] = WeakKeyDictionary()
FEW: Final = 1 << 14  # points that may be tried one by one: a fraction of a millisecond


class TooManyPointsError(Exception):
    """Trying all points would take too long."""


def bounds(index: Index, guards: Guards) -> Interval:
    """Outer bounds of the index over all points where the guards hold.

    Intervals of axes, narrowed by guards; then each guard's own expression taken out of the index as a whole:

        h*8 + w + r*8 - 8, guarded by 0 <= h+r-1 < 8   ->   8 * (0..7) + w
    """
    known = _narrowed(guards)
    low, high = _interval(index, known)
    rest, taken_low, taken_high = index, 0, 0
    for guard in in_order(guards):
        factor = _common_multiple(rest, guard.index)
        if factor:
            rest = rest - guard.index * factor
            least, most = _interval(guard.index, known)
            ends = (factor * max(guard.lo, least), factor * min(guard.hi - 1, most))
            taken_low, taken_high = taken_low + min(ends), taken_high + max(ends)
            rest_low, rest_high = _interval(rest, known)
            low, high = max(low, taken_low + rest_low), min(high, taken_high + rest_high)
    return low, high


def tried_bounds(index: Index, guards: Guards) -> Interval | None:
    """Exact bounds by evaluating every point of the axes that guards or divisions tie together.

    (0, 0) where the guards hold nowhere; None where they leave a value that depends on data unbounded.

    raises TooManyPointsError
    """
    static = [atom.inner for atom in index.atoms() if atom.kind != "dynamic"]
    tied = frozenset().union(*(_own_axes(i) for i in (*static, *(guard.index for guard in guards))))
    values = dict.fromkeys(
        atom for i in (index, *(g.index for g in in_order(guards))) for atom in i.atoms() if atom.kind == "dynamic"
    )
    known = _narrowed(guards)
    if any(atom not in known or known[atom][0] < 0 or known[atom][1] >= atom.by for atom in values):
        return None
    stand_ins = {cast(Expr, atom.of): Axis("value", atom.by) for atom in values}
    space = [*sorted(tied, key=lambda a: a.id), *stand_ins.values()]
    if prod(a.size for a in space) > FEW:
        raise TooManyPointsError
    points, holds = _points(index, guards, space, stand_ins)
    inside = np.broadcast_to(points, holds.shape)[holds]
    if not inside.size:
        return 0, 0
    loose = [(k * axis.lo, k * axis.hi) for axis, k in index.terms if isinstance(axis, Axis) and axis not in tied]
    return int(inside.min()) + sum(map(min, loose)), int(inside.max()) + sum(map(max, loose))


def _own_axes(index: Index) -> frozenset[Axis]:
    """The axes in the sum and in its divisions and remainders, not those in expressions."""
    direct = frozenset(atom for atom, _ in index.terms if isinstance(atom, Axis))
    divided = (_own_axes(atom.inner) for atom, _ in index.terms if isinstance(atom, Atom) and atom.kind != "dynamic")
    return direct.union(*divided)


def _points(
    index: Index, guards: Guards, space: Sequence[Axis], stand_ins: dict[Expr, Axis]
) -> tuple[NDArray, NDArray]:
    """The index at every point of the space, other axes 0, and where the guards hold."""
    places: dict[Axis, NDArray] = {a: np.zeros((1,) * len(space), np.int64) for a in index.axes}
    for position, axis in enumerate(space):
        places[axis] = np.arange(axis.size).reshape([-1 if p == position else 1 for p in range(len(space))])

    def value(e: Expr, _: Sequence[Axis]) -> NDArray:
        return places[stand_ins[e]]

    holds: NDArray = np.ones([a.size for a in space], np.bool_)
    for guard in guards:
        values = index_values(guard.index, space, places, value)
        holds = holds & (guard.lo <= values) & (values < guard.hi)
    return index_values(index, space, places, value), holds


# --------------------------------------------------------------------------------------------------- intervals


def _narrowed(guards: Guards) -> dict[Term, Interval]:
    """The bounds guards give the terms of their indices, the other terms at their widest."""
    known: dict[Term, Interval] = {}
    for _ in range(2):  # a second round lets guards narrow each other
        for guard in in_order(guards):
            low, high = _interval(guard.index, known)
            for term, k in guard.index.terms:
                own = _term_interval(term, known)
                own_low, own_high = min(k * own[0], k * own[1]), max(k * own[0], k * own[1])
                least, most = guard.lo - (high - own_high), guard.hi - 1 - (low - own_low)
                limits = (-(-least // k), most // k) if k > 0 else (-(most // -k), -least // -k)
                known[term] = (max(own[0], limits[0]), min(own[1], limits[1]))
    return known


def _interval(index: Index, known: dict[Term, Interval]) -> Interval:
    low = high = index.const
    for term, k in index.terms:
        ends = [k * end for end in _term_interval(term, known)]
        low, high = low + min(ends), high + max(ends)
    return low, high


def _term_interval(term: Term, known: dict[Term, Interval]) -> Interval:
    if term in known:
        return known[term]
    if isinstance(term, Axis):
        return term.lo, term.hi
    if term.kind == "dynamic":
        return value_range(cast(Expr, term.of))
    low, high = _interval(term.inner, known)
    if term.kind == "div":
        return low // term.by, high // term.by
    if is_one_quotient(low, high, term.by):
        return low % term.by, high % term.by
    return 0, term.by - 1


def _common_multiple(index: Index, part: Index) -> int:
    """The factor with which taking part out of index cancels most terms; 0 if none cancels."""
    terms = dict(index.terms)
    factors = [terms[t] // k for t, k in part.terms if t in terms and terms[t] % k == 0]
    return max(factors, key=factors.count, default=0)


# ------------------------------------------------------------------------------------------- integer expressions


def value_range(e: Expr) -> Interval:
    """Bounds of an integer expression's value, from constants, positions, min, max, mod, and, shifts, where; those of
    a float that was put between bounds."""
    if e not in _ranges:
        for x in walk([e]):
            if x not in _ranges:
                _ranges[x] = _range(x, _ranges)
    return _ranges[e]


def _range(e: Expr, found: Mapping[Expr, Interval]) -> Interval:
    if e.dtype.is_float:
        return 0, 0
    widest = int(e.dtype.min), int(e.dtype.max)
    if isinstance(e, Const):
        return int(e.value), int(e.value)
    result = widest
    if isinstance(e, Coord) and not e.index.is_dynamic:
        result = e.index.lo, e.index.hi
    if isinstance(e, Apply) and not any(x.dtype.is_float for x in e.args):
        result = _apply_range(e, [found[x] for x in e.args]) or widest
    if isinstance(e, Apply) and e.op.name == "cast" and e.args[0].dtype.is_float and e.dtype.is_int:
        result = clamped(e.args[0]) or widest
    return result if widest[0] <= result[0] and result[1] <= widest[1] else widest


def _apply_range(e: Apply, ranges: Sequence[Interval]) -> Interval | None:
    name = e.op.name
    if name == "max":
        return max(r[0] for r in ranges), largest(*[r[1] for r in ranges])
    if name == "min":
        return smallest(*[r[0] for r in ranges]), min(r[1] for r in ranges)
    if name in ("add", "sub", "mul"):
        return _arithmetic_range(name, *ranges)
    if name == "where":
        return _hull(ranges[1:])
    if name == "cast":
        return ranges[0]
    if name == "mod" and ranges[1][0] > 0:
        return 0, ranges[1][1] - 1
    if name == "and" and max(low for low, _ in ranges) >= 0:
        return 0, min(high for low, high in ranges if low >= 0)
    if name == "shr" and min(low for low, _ in ranges) >= 0:
        return ranges[0][0] >> ranges[1][1], ranges[0][1] >> ranges[1][0]
    return None


def _arithmetic_range(name: str, a: Interval, b: Interval) -> Interval:
    if name == "mul":
        ends = [x * y for x in a for y in b]
        return smallest(*ends), largest(*ends)
    return (a[0] + b[0], a[1] + b[1]) if name == "add" else (a[0] - b[1], a[1] - b[0])


def _hull(ranges: Iterable[Interval]) -> Interval:
    lows, highs = zip(*ranges)
    return smallest(*lows), largest(*highs)
