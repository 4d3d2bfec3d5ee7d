"""Index algebra: integer expressions over bounded axes, simplified when they are built.

    Index = const | axis | Index + Index | Index * const | Index // const | Index % const | dynamic(Expr)

Comes in: axes (a name and a size) and arithmetic.  Goes out: `Index` values in one normal form, so that equal indices
of the everyday kind are the same object.  An index is a sum of terms `coefficient * atom` and a constant; an atom is an
axis, a floor division, a remainder, or the integer value of a kernel expression (a gather).  Division and remainder
follow Python: they round down, also for negative values.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from math import gcd
from typing import TYPE_CHECKING, Final, NamedTuple
from weakref import WeakValueDictionary

from codegen.assumed import assumed, is_one_quotient

if TYPE_CHECKING:
    from codegen.ir import Expr

_numbers = itertools.count()
_LAST: Final = 1 << 62
_interned: Final[WeakValueDictionary[tuple[object, ...], Atom | Index]] = WeakValueDictionary()


class Axis:
    """A named range 0 <= value < size.  Two axes are the same only if they are one object."""

    __slots__ = ("__weakref__", "hi", "id", "lo", "name", "size")

    def __init__(self, name: str, size: int) -> None:
        if size < 1:
            raise ValueError(f"axis {name} must have a size of at least 1, got {size}")
        self.name, self.size, self.id = name, size, next(_numbers)
        self.lo, self.hi = 0, size - 1

    @property
    def index(self) -> Index:
        """The index that is this axis.  It is not kept: an axis that refers to what refers to it would never die."""
        return _intern_index(((self, 1),), 0)

    @property
    def axes(self) -> frozenset[Axis]:
        """Itself, as every part of an index has its axes."""
        return frozenset((self,))

    def __repr__(self) -> str:
        return self.name


class Atom:
    """An indivisible non-axis term: `index // divisor`, `index % divisor`, or the value of an expression in [0, size).

    kind  "div", "mod" or "dynamic"
    of    the index divided, or the expression
    by    the divisor, or the size
    """

    __slots__ = ("__weakref__", "axes", "by", "hi", "id", "kind", "lo", "of")

    def __init__(self, kind: str, of: Index | Expr, by: int) -> None:
        self.kind, self.of, self.by, self.id = kind, of, by, next(_numbers)
        self.axes: frozenset[Axis] = of.axes
        self.lo, self.hi = 0, by - 1
        if isinstance(of, Index) and kind == "div":
            self.lo, self.hi = of.lo // by, of.hi // by

    @property
    def inner(self) -> Index:
        """The index under a division or remainder."""
        assert isinstance(self.of, Index)
        return self.of

    def __repr__(self) -> str:
        if self.kind == "dynamic":
            return f"[{self.of!r}]"
        text = repr(self.of)
        text = text if self.inner.is_single_axis else f"({text})"
        return f"{text}{'//' if self.kind == 'div' else '%'}{self.by}"


Term = Axis | Atom
NO_AXES: Final[frozenset[Axis]] = frozenset()


class Index:
    """A sum of coefficient * atom and a constant, with the exact bounds that follow from its parts.

    >>> i, j = Axis("i", 4), Axis("j", 6)
    >>> flat = i.index * 6 + j.index
    >>> flat, flat // 6, flat % 6, (flat.lo, flat.hi)
    (i*6+j, i, j, (0, 23))
    """

    __slots__ = ("__weakref__", "axes", "const", "hi", "id", "lo", "terms")

    def __init__(self, terms: tuple[tuple[Term, int], ...], const: int) -> None:
        self.terms, self.const, self.id = terms, const, next(_numbers)
        self.axes = union([atom.axes for atom, _ in terms])
        self.lo, self.hi = _bounds(terms, const)

    def __add__(self, other: Index | int) -> Index:
        if isinstance(other, int):
            return _intern_index(self.terms, self.const + other)
        if not other.terms or not self.terms:
            return _intern_index(self.terms or other.terms, self.const + other.const)
        total = dict(self.terms)
        for atom, k in other.terms:
            total[atom] = total.get(atom, 0) + k
        return _linear(total, self.const + other.const)

    def __sub__(self, other: Index | int) -> Index:
        return self + (other * -1 if isinstance(other, Index) else -other)

    def __mul__(self, factor: int) -> Index:
        if factor == 1:
            return self
        terms = tuple([(atom, k * factor) for atom, k in self.terms]) if factor else ()
        return _intern_index(terms, self.const * factor)

    def __floordiv__(self, divisor: int) -> Index:
        return _divide(self, divisor)

    def __mod__(self, divisor: int) -> Index:
        return _remainder(self, divisor)

    @property
    def is_constant(self) -> bool:
        return not self.terms

    @property
    def is_single_axis(self) -> bool:
        """True when the index is exactly one axis."""
        return not self.const and len(self.terms) == 1 and self.terms[0][1] == 1 and isinstance(self.terms[0][0], Axis)

    def coefficient(self, axis: Axis) -> int:
        """The factor of axis in the sum; occurrences inside divisions, remainders and expressions do not count."""
        return next((k for atom, k in self.terms if atom is axis), 0)

    def is_affine_in(self, axis: Axis) -> bool:
        """True when axis occurs in no division, remainder or expression."""
        return all(atom is axis or axis not in atom.axes for atom, _ in self.terms)

    def stride(self, axis: Axis) -> int | None:
        """The change of the index when axis grows by one, or None when that is not a constant."""
        return self.coefficient(axis) if self.is_affine_in(axis) else None

    def atoms(self) -> Iterable[Atom]:
        """All divisions, remainders and expressions, outer ones before those inside them."""
        for atom, _ in self.terms:
            if isinstance(atom, Atom):
                yield atom
                if atom.kind != "dynamic":
                    yield from atom.inner.atoms()

    @property
    def is_dynamic(self) -> bool:
        """True when the value of an expression occurs in it."""
        return any(atom.kind == "dynamic" for atom in self.atoms())

    def node_count(self) -> int:
        """The number of terms and multiplications, also inside divisions: a measure of the index's cost."""
        static = (atom for atom, _ in self.terms if isinstance(atom, Atom) and atom.kind != "dynamic")
        return 1 + len(self.terms) + sum(k != 1 for _, k in self.terms) + sum(a.inner.node_count() for a in static)

    def __repr__(self) -> str:
        parts = []
        for atom, k in self.terms:
            text = repr(atom)
            parts.append(text if k == 1 else f"{text}*{k}" if isinstance(atom, Axis) else f"({text})*{k}")
        if self.const or not parts:
            parts.append(str(self.const))
        return "+".join(parts).replace("+-", "-")


def constant(value: int) -> Index:
    """The index that is always value."""
    return _intern_index((), value)


def dynamic(expr: Expr, size: int) -> Index:
    """The index whose value is an integer expression's.

    Its bounds 0 <= value < size are promised, not derived: every place it is used at has the guard that says so.
    """
    return _linear({_atom("dynamic", expr, size): 1}, 0)


def combination(parts: Iterable[tuple[Index, int]], const: int = 0) -> Index:
    """const + the sum of index * factor.

    >>> i, j = Axis("i", 4), Axis("j", 6)
    >>> combination([(i.index + 1, 6), (j.index, 1)], 2)
    i*6+j+8
    """
    total: dict[Term, int] = {}
    for index, factor in parts:
        const += index.const * factor
        for atom, k in index.terms:
            total[atom] = total.get(atom, 0) + k * factor
    return _linear(total, const)


def substitute(index: Index, replacement: Mapping[Axis, Index], expr: Callable[[Expr], Expr] | None = None) -> Index:
    """The index with axes replaced, simplified again; expr is applied to the expressions inside it."""
    if index.axes.isdisjoint(replacement) and (expr is None or not index.is_dynamic):
        return index
    parts: list[tuple[Index, int]] = []
    for atom, k in index.terms:
        if isinstance(atom, Axis):
            part = replacement.get(atom) or atom.index
        elif atom.kind == "div":
            part = _divide(substitute(atom.inner, replacement, expr), atom.by)
        elif atom.kind == "mod":
            part = _remainder(substitute(atom.inner, replacement, expr), atom.by)
        else:
            if expr is None:
                raise TypeError("substitution into a dynamic index needs a function for its expression")
            part = dynamic(expr(atom.of), atom.by)  # type: ignore[arg-type]
        parts.append((part, k))
    return parts[0][0] * parts[0][1] + index.const if len(parts) == 1 else combination(parts, index.const)


class Guard(NamedTuple):
    """The condition lo <= index < hi under which a place is read or written."""

    index: Index  # type: ignore[assignment]
    lo: int
    hi: int

    @property
    def always(self) -> bool:
        """True when no point fails; one on an expression's value always can, since only guards keep that in bounds."""
        index, lo, hi = self
        if index.lo < lo or index.hi >= hi or index.is_dynamic:
            return False
        return assumed("always", index.lo - lo, hi - 1 - index.hi)

    @property
    def never(self) -> bool:
        index, lo, hi = self
        if index.hi < lo:
            return assumed("never", lo - 1 - index.hi)
        return index.lo >= hi and assumed("never", index.lo - hi)

    def __repr__(self) -> str:
        return f"{self.lo}<={self.index!r}<{self.hi}"


Guards = frozenset[Guard]
NO_GUARDS: Final[Guards] = frozenset()


def needed(guards: Iterable[Guard]) -> Guards:
    """The guards that can fail, on as few axes as they need."""
    return frozenset([_on_fewer_axes(guard) for guard in guards if not guard.always])


def _on_fewer_axes(guard: Guard) -> Guard:
    """lo <= g*y + z < hi  ->  lo/g <= y < hi/g, for 0 <= z < g where g divides the bounds that can fail."""
    index, lo, hi = guard
    if len(index.terms) < 2 or index.is_dynamic:
        return guard
    common = gcd(lo if index.lo < lo else 0, hi if index.hi >= hi else 0)
    split = _common_factor(index, common)
    if split is None or not split[2].terms:
        return guard
    assumed("always", *([] if index.lo < lo else [index.lo - lo]), *([] if index.hi >= hi else [hi - 1 - index.hi]))
    return Guard(split[1], lo // split[0], -(-hi // split[0]))


def in_order(guards: Guards) -> list[Guard]:
    """The guards in an order that depends on their structure and the age of their axes alone."""
    if len(guards) < 2:
        return list(guards)
    return sorted(guards, key=lambda guard: (_structure(guard.index), guard.lo, guard.hi))


def _structure(index: Index) -> tuple[object, ...]:
    """A sort key: equal for equal indices, reproducible between runs that make their axes in one order."""
    parts: list[tuple[object, ...]] = []
    for atom, k in index.terms:
        if isinstance(atom, Axis):
            parts.append((0, atom.id, (), k))
        elif atom.kind == "dynamic":
            parts.append((1, atom.of.id, (), k))
        else:
            parts.append((2 if atom.kind == "div" else 3, atom.by, _structure(atom.inner), k))
    return tuple(parts), index.const


def guard_axes(guards: Guards) -> frozenset[Axis]:
    """The axes a set of guards depends on."""
    return union([guard.index.axes for guard in guards]) if guards else NO_AXES


def union(sets: Sequence[frozenset[Axis]]) -> frozenset[Axis]:
    """The union of sets of axes; one of them where it holds the others, so that few sets are made."""
    whole = max(sets, key=len, default=NO_AXES)
    return whole if all(axes <= whole for axes in sets) else whole.union(*sets)


# ---------------------------------------------------------------------------------------------- normal form


def _intern_index(terms: tuple[tuple[Term, int], ...], const: int) -> Index:
    key = ("index", terms, const)
    found = _interned.get(key)
    if found is None:
        found = _interned[key] = Index(terms, const)
    return found  # type: ignore[return-value]


def _atom(kind: str, of: Index | Expr, by: int) -> Atom:
    key = (kind, of, by)
    found = _interned.get(key)
    if found is None:
        found = _interned[key] = Atom(kind, of, by)
    return found  # type: ignore[return-value]


def _linear(total: dict[Term, int], const: int) -> Index:
    """The index with these terms, which need not be in normal form."""
    if len(total) > 1:
        for atom in total:
            if isinstance(atom, Atom) and atom.kind == "mod":
                const = _join_quotients(total, const)
                break
    kept = [(atom, k) for atom, k in total.items() if k]
    if len(kept) > 1:
        kept.sort(key=_by_age)
    return _intern_index(tuple(kept), const)


def _bounds(terms: Iterable[tuple[Term, int]], const: int) -> tuple[int, int]:
    """The least and the largest value of a sum."""
    lo = hi = const
    for atom, k in terms:
        if k > 0:
            lo, hi = lo + k * atom.lo, hi + k * atom.hi
        else:
            lo, hi = lo + k * atom.hi, hi + k * atom.lo
    return lo, hi


def _by_age(term: tuple[Term, int]) -> int:
    """Age orders axes and what is made of them; expressions come last, since one without axes may be of any age."""
    atom = term[0]
    return atom.id + _LAST if isinstance(atom, Atom) and atom.kind == "dynamic" else atom.id


def _join_quotients(total: dict[Term, int], const: int) -> int:
    """k*(e % c) + k*c*(e // c) -> k*e, in place, wherever both are present; returns the new constant."""
    changed = True
    while changed:
        changed = False
        for atom, k in list(total.items()):
            if not k or not isinstance(atom, Atom) or atom.kind != "mod":
                continue
            quotient = _divide(atom.inner, atom.by)
            if quotient.terms and all(total.get(part, 0) == k * atom.by * factor for part, factor in quotient.terms):
                del total[atom]
                for part, _ in quotient.terms:
                    del total[part]
                const += k * atom.inner.const - k * atom.by * quotient.const
                for part, factor in atom.inner.terms:
                    total[part] = total.get(part, 0) + k * factor
                changed = True
                break
    return const


def _common_factor(e: Index, c: int) -> tuple[int, Index, Index] | None:
    """(g, y, z) with e = g*y + z, 0 <= z < g, g > 1 a divisor of c: the largest such g, or None."""
    factors = {gcd(k, c) for _, k in e.terms}
    if e.const:
        factors.add(gcd(e.const, c))
    for g in sorted(factors, reverse=True):
        if g <= 1:
            break
        rest = tuple([term for term in e.terms if term[1] % g])
        lo, hi = _bounds(rest, e.const % g)
        if len(rest) < len(e.terms) and lo >= 0 and hi < g and assumed("quotient", lo, g - 1 - hi):
            return g, _quotient(e, g), _intern_index(rest, e.const % g)
    return None


def _quotient(e: Index, c: int) -> Index:
    """What is left of e // c when the terms that c does not divide are left out.

    Like every part of a normal form, divided by a number or not, it is in normal form.
    """
    return _intern_index(tuple([(atom, k // c) for atom, k in e.terms if k % c == 0]), e.const // c)


def _parted(e: Index, c: int) -> tuple[Index, Index]:
    """(y, z) with e = c*y + z: what multiples of c leave of each factor, whose sign stays."""
    whole = {term: k // c if k > 0 else -(-k // c) for term, k in e.terms}
    rest = {term: k - c * whole[term] for term, k in e.terms}
    return _linear(whole, e.const // c), _linear(rest, e.const % c)


def _divide(e: Index, c: int) -> Index:
    """e // c: multiples of c leave, bounds decide, common factors cancel, nested divisions and remainders merge."""
    if c == 1:
        return e
    whole = _quotient(e, c)
    rest = _intern_index(tuple([term for term in e.terms if term[1] % c]), e.const % c)
    if is_one_quotient(rest.lo, rest.hi, c):
        return whole + rest.lo // c
    if any(abs(k) > c for _, k in rest.terms):
        part, small = _parted(rest, c)
        if is_one_quotient(small.lo, small.hi, c):
            return whole + part + small.lo // c
    if (split := _common_factor(rest, c)) is not None:
        g, y, _ = split
        return whole + _divide(y, c // g)
    if len(rest.terms) == 1 and rest.terms[0][1] == 1 and not rest.const:
        atom = rest.terms[0][0]
        if isinstance(atom, Atom) and atom.kind == "div":  # (e // a) // b = e // (a*b)
            return whole + _divide(atom.inner, atom.by * c)
        if isinstance(atom, Atom) and atom.kind == "mod" and atom.by % c == 0:  # (e % ab) // a = (e // a) % b
            return whole + _remainder(_divide(atom.inner, c), atom.by // c)
    return whole + _linear({_atom("div", rest, c): 1}, 0)


def _remainder(e: Index, c: int) -> Index:
    """e % c: multiples of c vanish, inner remainders by multiples of c open, bounds decide, common factors leave."""
    if c == 1:
        return constant(0)
    total, const = {atom: k for atom, k in e.terms if k % c}, e.const
    for atom, k in list(total.items()):
        if isinstance(atom, Atom) and atom.kind == "mod" and k * atom.by % c == 0:
            del total[atom]
            const += k * atom.inner.const
            for part, factor in atom.inner.terms:
                total[part] = total.get(part, 0) + k * factor
    rest = _linear({atom: k for atom, k in total.items() if k % c}, const % c)
    if is_one_quotient(rest.lo, rest.hi, c):
        return rest - (rest.lo // c) * c
    if any(abs(k) > c for _, k in rest.terms):
        _, small = _parted(rest, c)
        if is_one_quotient(small.lo, small.hi, c):
            return small - (small.lo // c) * c
    if (split := _common_factor(rest, c)) is not None:
        g, y, z = split
        return _remainder(y, c // g) * g + z
    return _linear({_atom("mod", rest, c): 1}, 0)


def separated(index: Index) -> frozenset[Axis]:
    """The axes whose value follows from the index' value, whatever the others are.

    Holds when the terms form a mixed radix: each coefficient exceeds what all smaller ones can add up to.  A term that
    is an axis then tells its value, even when other terms depend on it too.

    >>> i, j, r = Axis("i", 4), Axis("j", 6), Axis("r", 3)
    >>> sorted(a.name for a in separated(i.index * 6 + j.index)), separated(i.index + r.index)
    (['i', 'j'], frozenset())
    """
    reach, more = 0, []
    for atom, k in sorted(index.terms, key=lambda term: abs(term[1])):
        if abs(k) <= reach:
            return frozenset()
        more.append(abs(k) - reach - 1)
        reach += abs(k) * (atom.hi - atom.lo)
    assumed("apart", *more)
    return frozenset(a for a, _ in index.terms if isinstance(a, Axis))
