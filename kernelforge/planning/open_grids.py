"""How kernels whose sizes are arguments are shared out among groups.

Comes in: lengths of axes that are spread, how tiles may be, what a program has to do.  Goes out: a tile for each axis.
It knows no kernel.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import pairwise
from math import prod
from typing import Final

from codegen.program import Program, Spread

FLOPS: Final = 2e5  # operations and bytes of a core in a microsecond, about
BYTES: Final = 2e4
START: Final = 0.5  # microseconds a group takes to begin,
PACKED: Final = 1e4  # and bytes of what all groups read that it puts in order in one
ALONE: Final = 2.0  # microseconds of work that no other core need wake up for
LATE: Final = 0.08  # of a group's time for which cores wait in the end
MOST: Final = 4  # groups for a core, unless tiles are bounded
TRIED: Final = 16  # numbers of groups along an axis


def tiles_of(
    program: Program, lengths: Sequence[int], bounds: Sequence[int], shared: int, cores: int
) -> tuple[int, ...]:
    """The tile of each axis that is spread, those that are as they stand among them: with these the longest share of a
    core takes least time, what each group begins with included.

    bounds  of tiles
    shared  bytes that all groups read

    >>> from codegen.program import Param, Program, Spread
    >>> spread = (Spread(100, 40, 4, "kf_tile0"),)
    >>> program = Program("opencl", "f", "", (1,), (), (), None, flops=1 << 30, spread=spread)
    >>> tiles_of(program, [100], [40], 0, 2), tiles_of(program, [7], [40], 0, 2)
    ((16,), (4,))
    """
    spread, time = program.spread, max(program.flops / FLOPS, program.nbytes / BYTES)
    tiles = [_whole(s, length, bound) for s, length, bound in zip(spread, lengths, bounds)]
    if time < ALONE:
        return tuple(tiles)
    each = (START + shared / PACKED) / time

    def cost(i: int, tile: int) -> float:
        found = [*tiles[:i], tile, *tiles[i + 1 :]]
        groups = prod([-(-length // tile) for length, tile in zip(lengths, found)])
        return _longest(lengths, found, cores) + LATE * cores / groups + groups * each

    for i in reversed(range(len(tiles))):  # outer axes first: along inner ones operands are packed again
        others = prod([-(-lengths[j] // tiles[j]) for j in range(len(tiles)) if j != i])
        if spread[i].name and (others < cores or i == len(tiles) - 1):
            least = -(-lengths[i] // tiles[i])
            last = max(least, MOST * cores // others)
            numbers = range(least, last + 1, max(1, (last - least) // TRIED))
            unit, length = spread[i].unit, lengths[i]
            tiles[i] = min(dict.fromkeys([-(-length // (n * unit)) * unit for n in numbers]), key=partial(cost, i))
    return tuple(tiles)


def _whole(spread: Spread, length: int, bound: int) -> int:
    """The largest tile of an axis."""
    return -(-length // (-(-length // bound) * spread.unit)) * spread.unit if spread.name else spread.tile


def _longest(lengths: Sequence[int], tiles: Sequence[int], cores: int) -> float:
    """How long the core with most to do takes, where groups in a row are shared out evenly among the cores; 1 where all
    have as much to do."""
    groups = prod([-(-length // tile) for length, tile in zip(lengths, tiles)])
    if groups > MOST * cores:
        return -(-groups // cores) * cores / groups
    sizes = [1]
    for length, tile in zip(reversed(lengths), reversed(tiles)):
        whole, rest = divmod(length, tile)
        parts = [tile] * whole + [rest] * (rest > 0)
        sizes = [size * part for size in sizes for part in parts]
    ends = [groups * i // cores for i in range(cores + 1)]
    return max([sum(sizes[i:j]) for i, j in pairwise(ends)]) * cores / sum(sizes)
