"""Images of values: a value that depends on some of its axes through their sums alone, as a window does.

    x[m*64 + (h+r-1)*8 + (w+s-1) | 0 <= h+r-1 < 8, 0 <= w+s-1 < 8]  =  source[m, u, v]  at  u = h + r, v = w + s

Comes in: an expression.  Goes out: an `Image`: the expression over fewer and longer axes, and where each point of the
old ones lies among the new.  An image holds every element once that a window reads many times.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from math import gcd, prod
from typing import Final
from weakref import WeakKeyDictionary

from codegen.index import Axis, Index, combination, constant, in_order
from codegen.ir import Coord, Expr, Load, Reduce, Scan, Valid, walk, with_axes
from codegen.origins import follow

_images: Final[WeakKeyDictionary[Expr, Image | None]] = WeakKeyDictionary()


@dataclass(frozen=True, eq=False)
class Image:
    """A value seen through the sums its axes come in.

    source  the value over the remaining axes and the new ones
    at      per new axis where it is: a sum of multiples of the axes it stands for, from 0 to its size - 1
    """

    source: Expr
    at: Mapping[Axis, Index]

    def holds(self, value: Expr) -> bool:
        """True when the source read at `at` is the value."""
        return _moved(self.source, self.at) is value

    def extents(self, tile: Mapping[Axis, int]) -> dict[Axis, int]:
        """Per axis of the source how much of it a tile of the value reads."""
        found = {axis: extent for axis, extent in tile.items() if axis in self.source.axes}
        for new, index in self.at.items():
            found[new] = 1 + sum(abs(index.coefficient(a)) * (tile[a] - 1) for a in index.axes)
        return found


def image_of(value: Expr) -> Image | None:
    """The image of a value without reduces, scans and gathers; None when no two of its axes come in overlapping sums.

    Axes are summed when every index and guard has them in one proportion.  The same value has the same image.
    """
    if value not in _images:
        _images.setdefault(value, _made(value))
    return _images[value]


def _made(value: Expr) -> Image | None:
    """The image of a value, with new axes."""
    indices = indices_of(value)
    if indices is None:
        return None
    at: dict[Axis, Index] = {}
    replacement: dict[Axis, Index] = {}
    for weights in _sums(_forms(indices)):
        offset = -sum(k * (axis.size - 1) for axis, k in weights.items() if k < 0)
        unit = next((axis for axis, k in weights.items() if abs(k) == 1), None)
        size = 1 + sum(abs(k) * (axis.size - 1) for axis, k in weights.items())
        if unit is None or size >= prod(axis.size for axis in weights):
            continue
        new = Axis("", size)
        at[new] = combination([(axis.index, k) for axis, k in weights.items()], offset)
        replacement.update(dict.fromkeys(weights, constant(0)))
        replacement[unit] = (new.index - offset) * weights[unit]
    if not at:
        return None
    found = Image(_moved(value, replacement), at)
    return found if found.holds(value) else None


def _moved(root: Expr, replacement: Mapping[Axis, Index]) -> Expr:
    """The expression with axes replaced in its indices and guards."""
    replaced = dict(replacement)
    made: dict[Expr, Expr] = {}
    for e in walk((root,)):
        made[e] = with_axes(e, tuple(made[x] for x in e.args), replaced, {})
    follow(made)
    return made[root]


def indices_of(value: Expr) -> list[Index] | None:
    """Every index and guard of a value; None when it holds a reduce or a scan, or an index holds an expression."""
    found: list[Index] = []
    for e in walk((value,)):
        if isinstance(e, Reduce | Scan):
            return None
        if isinstance(e, Load | Coord):
            found.append(e.index)
        if isinstance(e, Load | Valid):
            found += [guard.index for guard in in_order(e.guards)]
    return None if any(index.is_dynamic for index in found) else found


def _forms(indices: Iterable[Index]) -> Iterator[dict[Axis, int]]:
    """The factors of the axes in every sum, those inside divisions and remainders included."""
    for index in indices:
        for part in (index, *(atom.inner for atom in index.atoms())):
            yield {axis: k for axis, k in part.terms if isinstance(axis, Axis)}


def _sums(forms: Iterable[dict[Axis, int]]) -> list[dict[Axis, int]]:
    """Axes with their weights, grouped where all forms have them in one proportion and their steps overlap."""
    factors: dict[Axis, list[int]] = {}
    for number, form in enumerate(forms):
        for axis, k in form.items():
            row = factors.setdefault(axis, [])
            row += [0] * (number - len(row)) + [k]
    directions: dict[tuple[int, ...], dict[Axis, int]] = {}
    for axis, row in factors.items():
        scale = gcd(*row) * (1 if next(k for k in row if k) > 0 else -1)
        directions.setdefault(tuple(k // scale for k in row), {})[axis] = scale
    return [group for weights in directions.values() for group in _overlapping(weights)]


def _overlapping(weights: Mapping[Axis, int]) -> Iterator[dict[Axis, int]]:
    """The axes of one direction, cut where a step is longer than all smaller ones together; two axes at least."""
    groups: list[dict[Axis, int]] = []
    reach = -1
    for axis, k in sorted(weights.items(), key=lambda item: (abs(item[1]), item[0].id)):
        if abs(k) > reach:
            groups.append({})
            reach = 0
        groups[-1][axis] = k
        reach += abs(k) * (axis.size - 1)
    for group in groups:
        if len(group) > 1:
            common = gcd(*group.values())
            yield {axis: k // common for axis, k in group.items()}
