"""Which tile of the grid a program does: each grid loop's start from the number of the tile.

Comes in: a nest.  Goes out: lines, the number of tiles and that of the programs that do them.  How many tiles there are
along an axis of open size is an argument of the kernel.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import prod

from codegen.nodes import Loop, Nest
from codegen.open_sizes import Sizes
from codegen.triton.scope import Names, Scope


class Grid:
    """The grid loops of a nest, outermost first.

    variables  the text of each loop variable
    spread     for open sizes, how each loop is spread; numbers: the int arguments it takes
    tiles      in all; programs: that do them
    """

    def __init__(self, nest: Nest, variables: Mapping[str, str], names: Names, sizes: Sizes) -> None:
        self.loops, self.variables, self.names = nest.grid, variables, names
        self.group = int(nest.schedule.options.get("group", 1))
        self.spread = sizes.counted(nest)
        self.numbers = tuple(spread.tiles for spread in self.spread if spread.tiles)
        counts = list(map(_count, self.loops))
        self.counts: list[int | str] = [*counts]
        for position, spread in enumerate(self.spread):
            self.counts[position] = spread.tiles or counts[position]
        self.tiles = prod(counts)
        stay = self.tiles if sizes.open else int(nest.schedule.options.get("programs", self.tiles))
        self.programs = min(self.tiles, stay)

    def print(self, number: str, scope: Scope) -> None:
        """Each loop's variable from the number of the tile, the innermost loop running fastest."""
        if not self.loops:
            return
        wide = any(_count(loop) * loop.tile >= 1 << 31 for loop in self.loops)
        program = number + (".to(tl.int64)" if wide else "")
        if len(self.loops) > 1:
            name = self.names.own("program")
            scope.line(f"{name} = {program}")
            program = name
        for loop, place in zip(self.loops, self._places(program, scope)):
            before = loop.place.var(loop.axis)
            base = "" if before is None else f"{self.variables[before]} + "
            step = "" if loop.tile == 1 else f" * {loop.tile}"
            scope.define(self.variables[loop.var], f"{base}{place}{step}")

    def _places(self, program: str, scope: Scope) -> list[str]:
        """The text of each loop's step number.

        With the option `group` the last two loops walk bands of that many rows, column by column, so that programs that
        run together read the same rows and columns.
        """
        counts, group = self.counts, self.group
        places = []
        for position, count in enumerate(counts):
            inner = _times(counts[position + 1 :])
            text = program if inner == "1" else f"{program} // {inner}"
            places.append(text if position == 0 else f"{text} % {count}")
        if group > 1 and len(counts) >= 2 and counts[-2] != 1 and counts[-1] != 1:
            rows, columns = counts[-2:]
            tile = program
            if len(counts) > 2:
                tile = self.names.own("tile")
                scope.line(f"{tile} = {program} % {_times([rows, columns])}")
            band, high = self.names.own("band"), self.names.own("high")
            across = _times([group, columns])
            scope.line(f"{band} = {tile} // {across} * {group}")
            scope.line(f"{high} = tl.minimum({rows} - {band}, {group})")
            places[-2] = f"({band} + {tile} % {across} % {high})"
            places[-1] = f"{tile} % {across} // {high}"
        return places


def _count(loop: Loop) -> int:
    """The number of steps a loop takes."""
    return -(-loop.place.tile(loop.axis) // loop.tile)


def _times(factors: Iterable[int | str]) -> str:
    """The product of numbers and names, as an operand.

    >>> _times([2, 3]), _times(["n", 1]), _times([8, "n"])
    ('6', 'n', '(n * 8)')
    """
    known = list(factors)
    names = [x for x in known if isinstance(x, str)]
    number = prod(x for x in known if isinstance(x, int))
    parts = [*names, *([str(number)] if number != 1 or not names else [])]
    return parts[0] if len(parts) == 1 else f"({' * '.join(parts)})"
