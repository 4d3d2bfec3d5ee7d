"""Open sizes: axes whose size a kernel's text must not rely on, since the same text is to serve others.

Comes in: the sizes that stand for open ones.  Goes out: which axes are open, and how their loops are spread over
groups.  It knows no text.  A kernel is printed for several sizes; where only numbers differ, `fitted` finds how they
follow from the sizes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import count, islice
from math import isqrt
from typing import Final

from codegen.index import Axis
from codegen.ir import Kernel
from codegen.nodes import Leaf, Loop, Nest, Out, leaf_roots, nodes
from codegen.program import Spread
from codegen.schedule import ScheduleError

SKIPPED: Final = 3  # primes that may be, so that a few sizes nearby have not all the same
SCATTERED: Final = 61  # sizes nearby, for which rooms are so different,
GAP: Final = 16  # most of them: about as far as primes are apart


@dataclass(frozen=True)
class Sizes:
    """The open sizes of a kernel: what dimensions of open size have as theirs while it is made.

    parts  the sizes that were cut into parts of equal length, the number of parts, and the length, an open size, too
    fixed  sizes that are the same whatever the open ones are, and products of two: a length may divide them by chance
    """

    open: frozenset[int] = frozenset()
    fixed: frozenset[int] = frozenset()
    parts: list[tuple[int, int, int]] = field(default_factory=list, compare=False)

    def has(self, size: int) -> bool:
        """True for an open size, a product with one in it, or the length of parts."""
        if any(size % one == 0 for one in self.open):
            return True
        return size not in self.fixed and any(size % length == 0 for *_, length in self.parts)

    def cut(self, size: int, parts: int) -> int:
        """The length of parts of an open size: what stands for it, rounded up."""
        return self._length(size, parts, -(-size // parts), size % SKIPPED)

    def room(self, size: int, unit: int) -> int:
        """At least as many places as an open size, in units.

        Here it is a number of these that no size divides, for that would tell nothing of others, and that is far from
        the one for any size nearby.

        >>> Sizes(frozenset({1009})).room(1009, 8)
        5272
        """
        return self._length(size, unit, -(-size // unit) + size % SCATTERED * GAP) * unit

    def _length(self, size: int, parts: int, least: int, skipped: int = 0) -> int:
        """The length that stands for that of such parts: a prime that is nothing else's length."""
        for *cut, known in self.parts:
            if cut == [size, parts]:
                return known
        taken = {length for *_, length in self.parts} | self.fixed
        free = (number for number in count(least) if number not in taken and _is_prime(number))
        length = next(islice(free, skipped, None))
        self.parts.append((size, parts, length))
        return length

    def is_open(self, axis: Axis) -> bool:
        """True when an axis runs along an open dimension, or several merged."""
        return self.has(axis.size)

    def spreads(self, nest: Nest) -> tuple[Spread, ...]:
        """How the grid loops of a nest are spread, in the order of the program's grid; empty when no size is open."""
        if not self.open:
            return ()
        loops, found = tuple(reversed(nest.grid)), []
        for number, loop in enumerate(loops):
            inner = [n.tile for n in nodes(loop.body) if isinstance(n, Loop) and n.axis is loop.axis]
            free = self.is_open(loop.axis) and bool(inner)
            held = not free or _relies(nest, loop.axis, max(inner))
            found.append(Spread(
                loop.place.tile(loop.axis),
                loop.tile if held else loop.place.tile(loop.axis),
                max(inner) if free else loop.tile,
                f"kf_tile{number}" if free else "",
                f"kf_count{number}" if len(loops) > 3 else "",
            ))  # fmt: skip
        return tuple(found)

    def counted(self, nest: Nest) -> tuple[Spread, ...]:
        """How grid loops are spread in tiles as they stand, the outermost first; empty when no size is open."""
        if not self.open:
            return ()
        whole = [loop.place.tile(loop.axis) for loop in nest.grid]
        return tuple([
            Spread(size, loop.tile, loop.tile, tiles=f"kf_count{number}" if self.has(size) else "")
            for number, (loop, size) in enumerate(zip(nest.grid, whole))
        ])  # fmt: skip

    def lengths(self, kernel: Kernel) -> tuple[int, ...]:
        """The open numbers that decide whether accesses along rows are wide: the rows' lengths, and from row to row."""
        found: dict[int, None] = {}
        for index in [*(e.index for e in kernel.loads), *(store.index for store in kernel.stores)]:
            along = [axis for axis in index.axes if index.stride(axis) == 1]
            numbers = [*(axis.size for axis in along), *(abs(k) for _, k in index.terms if abs(k) > 1)]
            found.update((number, None) for number in numbers if along and self.has(number))
        return tuple(found)


STATIC: Final = Sizes()


def _is_prime(number: int) -> bool:
    return number > 1 and all(number % x for x in range(2, isqrt(number) + 1))


def _relies(nest: Nest, axis: Axis, tile: int) -> bool:
    """True where a box holds more of an axis than a tile, or loops end where a group's part of it does."""
    held = any(max(box.tile.get(axis, 0), box.covers.get(axis, 0)) > tile for box in nest.boxes)
    loops = (node for node in nodes(nest.body) if isinstance(node, Loop))
    return held or any(axis in guard.index.axes for loop in loops for guard in loop.within)


def check_open(nest: Nest, sizes: Sizes) -> None:
    """Raise ScheduleError where a tile holds an open axis whole: it would be expanded into one size's statements."""
    for node in nodes(nest.body):
        if isinstance(node, Leaf):
            axes = {axis for root in leaf_roots(node) for axis in root.axes}
            axes |= set(node.store.axes) if isinstance(node, Out) else set()
            for axis in axes:
                if sizes.is_open(axis) and node.place.var(axis) is None:
                    raise ScheduleError(f"a tile holds axis {axis} whole, whose size is open")
