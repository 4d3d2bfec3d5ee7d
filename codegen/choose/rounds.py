"""How long a GPU works on the tiles of a product: whole rounds of them, since the slowest processor counts.

Comes in: a tile's area, the number of tiles.  Goes out: effort, in results times terms of one processor at the speed
of tiles of 128 x 128.  The speeds follow from what the matrix unit reads from shared memory and what is written there
per operation; they are no measurements.
"""

from __future__ import annotations

from typing import Final

MIDDLE: Final = 128 * 128  # results of a tile, of which a processor runs two at a time
SPEEDS: Final = ((2 * MIDDLE, 1.1), (MIDDLE, 1.0), (MIDDLE // 2, 0.83), (0, 0.55))
WORTH: Final = 0.95  # of an effort, which another must stay below to be preferred
ALONE: Final = 1.15  # by which a processor takes longer for a tile when no other hides what that waits for


def speed(area: int) -> float:
    """Of a tile with so many results, next to one of 128 x 128."""
    return next(found for least, found in SPEEDS if area >= least)


def effort(area: int, tiles: int, cores: int) -> float:
    """Of the processor that has most of the tiles, for each term of the sums."""
    rounds = -(-tiles // cores)
    return rounds * area / speed(area) * (ALONE if rounds == 1 and area <= MIDDLE else 1)
