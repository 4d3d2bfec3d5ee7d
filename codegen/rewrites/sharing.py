"""Axes that may be one become one, so that a value read twice is one value.

Comes in: a kernel whose reduces may each have axes of their own.  Goes out: the same kernel with fewer axes and fewer
loads.  Renaming a bound axis is renaming a bound variable: two axes of one size may become one unless they clash.  The
pass is register coalescing: loads that would become equal pull their axes together, the largest first.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from math import prod
from typing import Final, NamedTuple

from codegen.index import Atom, Axis, Guard, Guards, Index, Term, in_order
from codegen.ir import Coord, Expr, Kernel, Load, Valid
from codegen.rewrites.rebuild import rename

_PARTNERS: Final = 32  # each load is compared with at most this many others of its form, to stay linear in the kernel
Pairs = dict[Axis, Axis]


def clashes(kernel: Kernel) -> set[tuple[Axis, Axis]]:
    """The pairs of axes that may not become one, in both orders.

    Each axis a reduce binds clashes with the free axes of its result and with the other axes it binds; the axis a scan
    walks clashes with the others of its result; axes of one store clash with each other.  Axes of a value include those
    of its guards.
    """
    found: set[tuple[Axis, Axis]] = set()
    for store in kernel.stores:
        found.update(itertools.permutations(store.axes, 2))
    for e in kernel.reduces:
        found.update(itertools.permutations(e.bound, 2))
        for bound, free in itertools.product(e.bound, e.axes):
            found.add((bound, free))
            found.add((free, bound))
    for scan in kernel.scans:
        for other in scan.carried:
            found.update(((scan.axis, other), (other, scan.axis)))
    return found


def share(kernel: Kernel) -> Kernel:
    """The kernel with axes united wherever that makes two loads, coordinates or conditions one.

    exp(x[i,j] - max_r x[i,r])  ->  exp(x[i,j] - max_j x[i,j])
    """
    while candidates := sorted(_candidates(kernel)):
        classes = _Classes(kernel)
        for candidate in candidates:
            classes.unite(candidate.pairs)
        names = classes.names()
        if not names:
            break
        kernel = rename(kernel, names)
    return kernel


class _Candidate(NamedTuple):
    """Pairs of axes whose union makes two expressions one; sorts by what is gained, most first."""

    gain: int
    renamings: int
    number: int
    pairs: tuple[tuple[Axis, Axis], ...]


def _candidates(kernel: Kernel) -> Iterator[_Candidate]:
    """Every set of unions that would make two expressions of one form equal."""
    groups: dict[tuple[object, ...], list[Expr]] = {}
    for e in kernel.exprs:
        if isinstance(e, Load | Coord | Valid):
            groups.setdefault(_form(e), []).append(e)
    numbers = itertools.count()
    for group in groups.values():
        for position, e in enumerate(group):
            for other in group[: min(position, _PARTNERS)]:
                if pairs := _unifier(e, other):
                    gain = prod(a.size for a in e.axes) if isinstance(e, Load) else 0
                    yield _Candidate(-gain, len(pairs), next(numbers), tuple(pairs.items()))


# ------------------------------------------------------------------------------------------------- unification


def _form(e: Load | Coord | Valid) -> tuple[object, ...]:
    """What two expressions have in common if a renaming of axes can make them equal."""
    if isinstance(e, Coord):
        return (e.dtype, _index_form(e.index))
    guards = tuple(sorted(_guard_form(guard) for guard in e.guards))
    return (e.param, _index_form(e.index), guards) if isinstance(e, Load) else guards


def _index_form(index: Index) -> tuple[object, ...]:
    return (index.const, *sorted((k, *_term_form(atom)) for atom, k in index.terms))


def _term_form(atom: Term) -> tuple[str, int]:
    if isinstance(atom, Axis):
        return ("axis", atom.size)
    return (atom.kind, atom.of.id if atom.kind == "dynamic" else atom.by)


def _guard_form(guard: Guard) -> tuple[object, ...]:
    return (guard.lo, guard.hi, _index_form(guard.index))


def _unifier(a: Expr, b: Expr) -> Pairs | None:
    """The renaming of a's axes, without those that keep their name, that makes a equal b."""
    pairs: Pairs | None = {}
    if isinstance(a, Load | Coord) and isinstance(b, Load | Coord):
        pairs = _unify(a.index, b.index, {})
    if pairs is not None and isinstance(a, Load | Valid) and isinstance(b, Load | Valid):
        pairs = _unify_guards(a.guards, b.guards, pairs)
    if pairs is None or len(set(pairs.values())) < len(pairs):
        return None
    return {x: y for x, y in pairs.items() if x is not y}


def _unify(a: Index, b: Index, pairs: Pairs) -> Pairs | None:
    """The pairs extended so that they turn index a into index b, term by term, or None."""
    if a.const != b.const or len(a.terms) != len(b.terms):
        return None
    left = dict(b.terms)
    unmatched = []
    for atom, k in a.terms:
        if left.get(atom) == k and all(pairs.get(axis, axis) is axis for axis in atom.axes):
            del left[atom]
            pairs = {**pairs, **{axis: axis for axis in atom.axes}}
        else:
            unmatched.append((atom, k))
    for atom, k in unmatched:
        match = next((y for y, ky in left.items() if ky == k and _alike(atom, y, pairs)), None)
        if match is None:
            return None
        del left[match]
        if isinstance(atom, Axis) and isinstance(match, Axis):
            pairs = {**pairs, atom: match}
        elif isinstance(atom, Atom) and isinstance(match, Atom):
            inner = _unify(atom.inner, match.inner, pairs)
            if inner is None:
                return None
            pairs = inner
    return pairs


def _alike(x: Term, y: Term, pairs: Pairs) -> bool:
    """Whether two terms can be equal after a renaming that contains pairs; expressions only if they are the same."""
    if isinstance(x, Axis):
        return isinstance(y, Axis) and x.size == y.size and pairs.get(x, y) is y
    return isinstance(y, Atom) and x.kind == y.kind != "dynamic" and x.by == y.by


def _unify_guards(a: Guards, b: Guards, pairs: Pairs) -> Pairs | None:
    left = in_order(b)
    for guard in in_order(a):
        for other in left:
            if (guard.lo, guard.hi) == (other.lo, other.hi):
                extended = _unify(guard.index, other.index, pairs)
                if extended is not None:
                    pairs = extended
                    left.remove(other)
                    break
        else:
            return None
    return pairs if not left else None


# ------------------------------------------------------------------------------------------------- coalescing


class _Classes:
    """Classes of axes that became one, and which classes clash."""

    def __init__(self, kernel: Kernel) -> None:
        self.stored = frozenset(axis for store in kernel.stores for axis in store.axes)
        self.leader: dict[Axis, Axis] = {axis: axis for axis in kernel.axes}
        self.members: dict[Axis, list[Axis]] = {axis: [axis] for axis in kernel.axes}
        self.hostile: dict[Axis, set[Axis]] = {axis: set() for axis in kernel.axes}
        for a, b in clashes(kernel):
            self.hostile[a].add(b)

    def unite(self, pairs: Iterable[tuple[Axis, Axis]]) -> bool:
        """Make each pair one, all pairs or none; False if some classes clash."""
        groups: list[set[Axis]] = []
        for pair in pairs:
            joined = {self.leader[axis] for axis in pair}
            apart = []
            for group in groups:
                if group & joined:
                    joined |= group
                else:
                    apart.append(group)
            groups = [*apart, joined]
        if any(b in self.hostile[a] for group in groups for a, b in itertools.combinations(group, 2)):
            return False
        for group in groups:
            self._merge(sorted(group, key=self._rank))
        return True

    def names(self) -> dict[Axis, Axis]:
        """What each axis that lost its name is called now."""
        return {axis: leader for axis, leader in self.leader.items() if axis is not leader}

    def _rank(self, axis: Axis) -> tuple[bool, int]:
        """Store axes keep their names, then older axes."""
        return (axis not in self.stored, axis.id)

    def _merge(self, group: list[Axis]) -> None:
        first = group[0]
        for other in group[1:]:
            for axis in self.members.pop(other):
                self.leader[axis] = first
                self.members[first].append(axis)
            for enemy in self.hostile.pop(other):
                self.hostile[enemy].discard(other)
                self.hostile[enemy].add(first)
                self.hostile[first].add(enemy)
