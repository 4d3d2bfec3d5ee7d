"""Which numbers of a graph are sizes of their own, and which follow from others.

Comes in: the numbers of a graph, met with several sizes.  Goes out: `Formulas`: a name for every size that changes on
its own, and each number as a formula of these.  What was met a few times only suggests formulas; every later graph is
compared with them number by number before they are used.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations, combinations_with_replacement, permutations
from math import prod
from typing import Final

from codegen.fitting import Formula, constant

MOST_ADDED: Final = 64  # to a size
SPREAD: Final = (1, 5, 10, 13)  # what is added to a size's bound to have it at several points
ORDERS: Final = ((0, 1, 2, 3), (1, 3, 0, 2), (0, 1, 3, 2), (0, 2, 3, 1), (0, 3, 1, 2), (0, 3, 2, 1))  # one for a name
LEAST_BOUND: Final = 1024
UP: Final = 16  # the points of a size lie in as many numbers that end at a power of two


@dataclass(frozen=True)
class Formulas:
    """numbers   a formula for each; base: for each name the place of the number that it is
    bounds    the largest value of each name
    """

    numbers: tuple[Formula, ...]
    base: dict[str, int]
    bounds: dict[str, int]

    def sizes(self, numbers: Sequence[int]) -> dict[str, int] | None:
        """The value of each name in a graph with these numbers; None where they are no case of the formulas."""
        found = {name: numbers[place] for name, place in self.base.items()}
        if any(found[name] > bound or found[name] < 0 for name, bound in self.bounds.items()):
            return None
        fixed, moving = self._parts
        if any(numbers[place] != number for place, number in fixed):
            return None
        return found if all(formula(found) == numbers[place] for place, formula in moving) else None

    @cached_property
    def _parts(self) -> tuple[list[tuple[int, int]], list[tuple[int, Formula]]]:
        """The numbers that never change, and the formulas of the others, each with its place."""
        places = list(enumerate(self.numbers))
        fixed = [(place, formula({})) for place, formula in places if formula.is_constant]
        return fixed, [(place, formula) for place, formula in places if not formula.is_constant]

    def points(self) -> list[dict[str, int]]:
        """Values to make a plan for, so that from it follows what it is for others: near the bounds, with no common
        divisors, however a small number is added to all, and no two names' product the same as some sum of them."""
        names = list(self.bounds)
        return [
            {name: self.bounds[name] + SPREAD[order[i]] for name, order in zip(names, ORDERS)}
            for i in range(len(SPREAD))
        ]


def formulas(seen: Sequence[Sequence[int]], also: frozenset[int] = frozenset()) -> Formulas | None:
    """Formulas for numbers that were met in several graphs of one kind; None where too many change on their own.

    also  numbers that never changed and are to have names nevertheless
    """
    columns = list(zip(*seen))
    also |= _wholes(columns)
    fixed = frozenset(column[0] for column in columns if len(set(column)) == 1)
    changing = {column: place for place, column in reversed(list(enumerate(columns))) if _changes(column, also)}
    base: dict[str, int] = {}
    found: dict[tuple[int, ...], Formula] = {}
    for column, place in sorted(changing.items(), key=lambda item: (len(set(item[0])) > 1, item)):
        known = {name: columns[at] for name, at in base.items()}
        formula = _of_others(column, known, fixed)
        if formula is None:
            if len(base) == len(ORDERS):
                return None
            name = f"kf_n{len(base)}"
            base[name], formula = place, Formula(((1, (name,)),))
        found[column] = formula
    numbers = tuple([found.get(column) or constant(column[0]) for column in columns])
    return Formulas(numbers, base, _bounds({name: columns[at] for name, at in base.items()})) if base else None


def _changes(column: tuple[int, ...], also: frozenset[int]) -> bool:
    return len(set(column)) > 1 or column[0] in also


def _wholes(columns: Sequence[tuple[int, ...]]) -> frozenset[int]:
    """Numbers that never change and are, but for a little, the sum of two that do: of a part's two margins."""
    fixed = sorted({column[0] for column in columns if len(set(column)) == 1})
    changing = dict.fromkeys(column for column in columns if len(set(column)) > 1)
    sums = {a[0] + b[0] for a, b in combinations(changing, 2) if len({x + y for x, y in zip(a, b)}) == 1}
    found = {next((whole for whole in fixed if total <= whole <= total + MOST_ADDED), None) for total in sums}
    return frozenset(whole for whole in found if whole is not None)


def _of_others(
    column: tuple[int, ...], known: dict[str, tuple[int, ...]], fixed: frozenset[int] = frozenset()
) -> Formula | None:
    """A name and a number, a small or a fixed one, a multiple of a product of names, or the little less than the
    difference of two names, that is the column everywhere."""
    for degree in (1, 2, 3):
        for names in combinations_with_replacement(known, degree):
            values = tuple([prod(parts) for parts in zip(*(known[name] for name in names))])
            if any(y < 1 for y in values):
                continue
            factor, left = divmod(column[0], values[0])
            if not left and factor and all(x == factor * y for x, y in zip(column, values)):
                return Formula(((factor, tuple(sorted(names))),))
    for name, values in known.items():
        more = column[0] - values[0]
        if (0 < more <= MOST_ADDED or more in fixed) and all(x == y + more for x, y in zip(column, values)):
            return Formula(((1, (name,)), (more, ())))
    for (whole, all_of), (part, some) in permutations(known.items(), 2):
        less = all_of[0] - some[0] - column[0]
        if 0 <= less <= MOST_ADDED and all(x - y - z == less for x, y, z in zip(all_of, some, column)):
            return Formula(((1, (whole,)), (-1, (part,)), (-less, ())))
    return None


def _bounds(met: dict[str, tuple[int, ...]]) -> dict[str, int]:
    """A bound of each name, well above what was met, all of them far from each other."""
    bound, found = LEAST_BOUND, {}
    for name in sorted(met, key=lambda name: max(met[name])):
        while bound < 2 * max(met[name]):
            bound *= 2
        found[name] = bound - UP
        bound *= 2
    return found
