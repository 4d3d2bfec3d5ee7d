"""Where masks leave the values of a kernel idle: where a value is a known constant, and where nothing asks for it.

Comes in: a kernel.  Goes out: per value guards outside of which it is idle.  Conditions on positions alone count, such
as those of triangles and bands.  It knows no schedules; skipping what is idle is a matter of the nest.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from itertools import product
from math import inf, prod
from typing import Final
from weakref import WeakKeyDictionary

from codegen.index import NO_GUARDS, Axis, Guard, Guards, Index, constant
from codegen.ir import Apply, Const, Coord, Expr, Kernel, Load, Reduce, Scan, Valid, const, index_exprs
from codegen.rewrites.scalar_rules import simplified

FEW = 256  # positions that may be tried one by one
_COMPARISONS = frozenset(("lt", "le", "eq", "ne"))
_necessary: Final[WeakKeyDictionary[Expr, dict[bool, Guards]]] = WeakKeyDictionary()


@dataclass(frozen=True, eq=False)
class Masked:
    """A value that equals a constant wherever one of the guards fails."""

    constant: Const
    guards: Guards


def masked_values(exprs: Sequence[Expr]) -> dict[Expr, Masked]:
    """Those of some expressions, operands before users, that masks make a constant.

        where(r <= i, x, -inf)             -inf outside r <= i, and so its sum with anything
        exp(where(r <= i, x, -inf) - y)    0 outside r <= i, and so its product with anything
        x[i + r | i + r < n]               0 outside i + r < n, and so its product with anything

    Numbers that are not finite count as any others: what a mask hides stays hidden even from a nan.
    """
    found: dict[Expr, Masked] = {}
    if not any(map(_is_mask, exprs)):
        return found
    for e in exprs:
        masked = None
        if isinstance(e, Valid):
            masked = _masked(const(False, e.dtype), necessary(e, True))
        elif isinstance(e, Load):
            masked = _masked(const(0, e.dtype), _static(e.guards))
        elif isinstance(e, Apply):
            masked = _chosen(e, found) if e.op.name == "where" else _absorbed(e, found) or _folded(e, found)
        elif isinstance(e, Reduce) and e.arg in found:
            masked = _combined(e, found[e.arg])
        if masked is not None:
            found[e] = masked
    return found


def demanded(kernel: Kernel) -> dict[Expr, Guards]:
    """Per value of a kernel guards without which no result depends on it: it is chosen where they hold alone.

    What stands in its place elsewhere may be anything.  A guard on an axis that a reduce binds, or a scan walks, is not
    about the positions of its operand: any of them may count where the result does.
    """
    found: dict[Expr, Guards] = dict.fromkeys(kernel.roots, NO_GUARDS)
    for e in reversed(kernel.exprs):
        uses = [(x, _unbound(found[e], e)) for x in e.args]
        if isinstance(e, Apply) and e.op.name == "where":
            condition = e.args[0]
            uses[1] = (e.args[1], found[e] | necessary(condition, True))
            uses[2] = (e.args[2], found[e] | necessary(condition, False))
        # what indices hold decides where memory is read
        for x, guards in (*uses, *((x, NO_GUARDS) for x in index_exprs(e))):
            found[x] = found[x] & guards if x in found else guards
    return found


def _unbound(guards: Guards, e: Expr) -> Guards:
    """The guards on a value's places that are about its operands' places as well."""
    if not guards or not isinstance(e, Reduce | Scan):
        return guards
    walked = e.bound if isinstance(e, Reduce) else {e.axis}
    return frozenset(g for g in guards if g.index.axes.isdisjoint(walked))


def remaining(guard: Guard, axis: Axis, single: AbstractSet[Axis]) -> float:
    """The share of an axis' positions that a guard leaves on average, at least one, for each position of single axes.

    1 where it is not known, other axes having all their positions at a time.
    """
    index, lo, hi = guard if guard.index.coefficient(axis) > 0 else _turned(guard)
    k = index.coefficient(axis)
    rest = index - axis.index * k
    fixed = [a for a in rest.axes if a in single]
    if not k or not all(isinstance(term, Axis) for term, _ in rest.terms) or prod(a.size for a in fixed) > FEW:
        return 1.0
    ends = [sorted((0, rest.coefficient(a) * (a.size - 1))) for a in rest.axes if a not in single]
    low, high = (sum(end[side] for end in ends) for side in (0, 1))
    counts = []
    for at in product(*(range(a.size) for a in fixed)):
        place = rest.const + sum(rest.coefficient(a) * x for a, x in zip(fixed, at))
        first, last = -((place + high - lo) // k), -((place + low - hi) // k)
        counts.append(max(1, min(last, axis.size) - max(first, 0)))
    return sum(counts) / len(counts) / axis.size


def necessary(condition: Expr, truth: bool) -> Guards:
    """Guards that hold wherever a condition on positions has the given truth."""
    known = _necessary.get(condition)
    if known is None:
        known = _necessary[condition] = {}
    if truth not in known:
        known[truth] = _implied(condition, truth)
    return known[truth]


def _implied(condition: Expr, truth: bool) -> Guards:
    """The same, found anew."""
    found: set[Guard] = set()
    pending = [(condition, truth)]
    while pending:
        e, wanted = pending.pop()
        if isinstance(e, Valid) and wanted:
            found |= _static(e.guards)
        elif isinstance(e, Apply) and e.op.name == "not":
            pending.append((e.args[0], not wanted))
        elif isinstance(e, Apply) and e.op.name == ("and" if wanted else "or"):
            pending += [(x, wanted) for x in e.args]
        elif isinstance(e, Apply) and e.op.name in _COMPARISONS:
            found.update(_compared(e, wanted))
    return frozenset(guard for guard in found if not guard.always)


def _static(guards: Guards) -> Guards:
    """The guards on positions alone, in their normal form."""
    return frozenset(_normal(*guard) for guard in guards if not guard.index.is_dynamic)


def _is_mask(e: Expr) -> bool:
    if isinstance(e, Load):
        return bool(e.guards)
    if not isinstance(e, Apply) or e.op.name != "where":
        return isinstance(e, Valid)
    return bool(necessary(e.args[0], True) or necessary(e.args[0], False))


# -------------------------------------------------------------------------------------------------- comparisons


def _compared(e: Apply, truth: bool) -> Iterable[Guard]:
    """The guard a comparison of positions amounts to."""
    a, b = (_position(x) for x in e.args)
    if a is None or b is None:
        return ()
    name, rise = e.op.name, b - a
    low, high = rise.lo, rise.hi + 1
    if name in ("lt", "le"):
        edge = 1 if name == "lt" else 0
        return (_normal(rise, edge, high) if truth else _normal(rise, low, edge),)
    return (_normal(rise, 0, 1),) if truth == (name == "eq") else ()


def _normal(index: Index, lo: int, hi: int) -> Guard:
    """The guard without a constant, its first coefficient positive: equal conditions are equal guards."""
    index, lo, hi = index - index.const, lo - index.const, hi - index.const
    if index.terms and index.terms[0][1] < 0:
        index, lo, hi = _turned(Guard(index, lo, hi))
    return Guard(index, max(lo, index.lo), min(hi, index.hi + 1))


def _turned(guard: Guard) -> Guard:
    """The same condition with all signs changed."""
    return Guard(guard.index * -1, 1 - guard.hi, 1 - guard.lo)


def _position(e: Expr, depth: int = 8) -> Index | None:
    """The index an integer expression of a few operations is, if nothing in it wraps round."""
    found: Index | None = None
    if not e.dtype.is_int or not depth:
        return None
    if isinstance(e, Coord):
        found = e.index
    elif isinstance(e, Const):
        found = constant(int(e.value))
    elif isinstance(e, Apply) and e.op.name in ("add", "sub", "cast"):
        parts = [_position(x, depth - 1) for x in e.args]
        first, last = parts[0], parts[-1]
        if first is not None and last is not None:
            found = first if len(parts) == 1 else first + last if e.op.name == "add" else first - last
    if found is None or found.is_dynamic or found.lo < int(e.dtype.min) or found.hi > int(e.dtype.max):
        return None
    return found


# ------------------------------------------------------------------------------------------- constants by masks


def _masked(constant: Expr, guards: Guards) -> Masked | None:
    return Masked(constant, guards) if guards and isinstance(constant, Const) else None


def _chosen(e: Apply, found: Mapping[Expr, Masked]) -> Masked | None:
    """where(condition, x, y): one branch is the constant, outside the condition or by a mask of its own."""
    condition, x, y = e.args
    for other, value, guards in ((y, x, necessary(condition, True)), (x, y, necessary(condition, False))):
        own = found.get(value)
        if isinstance(other, Const):
            if own is not None and _same(own.constant, other):
                guards = guards | own.guards
            if guards:
                return Masked(other, guards)
    first, second = found.get(x), found.get(y)
    if first is not None and second is not None and _same(first.constant, second.constant):
        return _masked(first.constant, first.guards & second.guards)
    return None


def _absorbed(e: Apply, found: Mapping[Expr, Masked]) -> Masked | None:
    """An operand is a constant that decides the result alone."""
    results = [
        (result, found[x].guards)
        for place, x in enumerate(e.args)
        if x in found and (result := _decides(e, place, found[x].constant.value)) is not None
    ]
    if not results or any(result != results[0][0] for result, _ in results):
        return None
    return _masked(const(results[0][0], e.dtype), frozenset().union(*(guards for _, guards in results)))


def _decides(e: Apply, place: int, value: float) -> float | None:
    """What e is when the operand at a place has this value, whatever the other operand is."""
    name = e.op.name
    if (name == "mul" and value == 0) or (name == "div" and value == 0 and place == 0):
        return 0
    if name in ("add", "sub") and value in (inf, -inf):
        return -value if name == "sub" and place == 1 else value
    if e.dtype.kind == "b" and ((name == "and" and not value) or (name == "or" and value)):
        return value
    return None


def _folded(e: Apply, found: Mapping[Expr, Masked]) -> Masked | None:
    """All operands are constants where a guard fails that they have in common."""
    own = [found[x] for x in e.args if x in found]
    if not own or any(x not in found and not isinstance(x, Const) for x in e.args):
        return None
    values = tuple(found[x].constant if x in found else x for x in e.args)
    return _masked(simplified(e.op, values, e.dtype), frozenset.intersection(*(x.guards for x in own)))


def _combined(e: Reduce, masked: Masked) -> Masked | None:
    """A reduce of a constant that repeating does not change, by guards on the axes that remain."""
    if e.op.name not in ("max", "min", "and", "or") and masked.constant.value != e.op.identity(e.dtype):
        return None
    return _masked(masked.constant, frozenset(g for g in masked.guards if g.index.axes.isdisjoint(e.bound)))


def _same(a: Const, b: Const) -> bool:
    return a.value == b.value and a.dtype is b.dtype
