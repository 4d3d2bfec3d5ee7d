"""Matching of indices: which renaming of fresh axes makes one index equal to another.

Comes in: tuples of indices.  Goes out: a renaming, or None.  It knows nothing of nodes.
"""

from __future__ import annotations

from codegen.index import Atom, Axis, Index

Renaming = dict[Axis, Axis]


def matches(pattern: tuple[Index, ...], known: tuple[Index, ...], fresh: frozenset[Axis]) -> Renaming | None:
    """The renaming of fresh axes, one to one and onto axes of equal size, that turns pattern into known, or None.

    >>> i, j, r = Axis("i", 2), Axis("j", 3), Axis("r", 3)
    >>> matches((i.index * 3 + r.index,), (i.index * 3 + j.index,), frozenset([r]))
    {r: j}
    """
    found: Renaming = {}
    for a, b in zip(pattern, known):
        if not _match(a, b, fresh, found):
            return None
    return found if len(set(found.values())) == len(found) else None


def _match(a: Index, b: Index, fresh: frozenset[Axis], found: Renaming) -> bool:
    if a is b:
        return True
    if a.const != b.const or len(a.terms) != len(b.terms) or fresh.isdisjoint(a.axes):
        return False
    rest = dict(b.terms)
    open_terms = []
    for atom, k in a.terms:
        if rest.get(atom) == k and fresh.isdisjoint(atom.axes):
            del rest[atom]
        else:
            open_terms.append((atom, k))
    for atom, k in open_terms:
        partner = [other for other, factor in rest.items() if factor == k and _alike(atom, other)]
        if len(partner) != 1 or not _match_atom(atom, partner[0], fresh, found):
            return False
        del rest[partner[0]]
    return True


def _alike(a: Axis | Atom, b: Axis | Atom) -> bool:
    if isinstance(a, Axis) or isinstance(b, Axis):
        return isinstance(a, Axis) and isinstance(b, Axis) and a.size == b.size
    return a.kind == b.kind != "dynamic" and a.by == b.by


def _match_atom(a: Axis | Atom, b: Axis | Atom, fresh: frozenset[Axis], found: Renaming) -> bool:
    if isinstance(a, Axis):
        assert isinstance(b, Axis)
        return a in fresh and found.setdefault(a, b) is b
    assert isinstance(b, Atom)
    return _match(a.inner, b.inner, fresh, found)
