"""Reuse of memory: which intermediate results may share a block, or lie side by side in one.

Comes in: how long each result is needed, in steps of a plan.  Goes out: a block for each, and the blocks' sizes.  Two
results share memory only if one is dead before the other is made, so a step never writes what it reads.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Lifetime:
    """An intermediate result: its size, the device it lives on, and the first and the last step that touch it.

    alone   the host touches it, so that what launches do to other results in the same memory must be known
    """

    nbytes: int
    device: str
    first: int
    last: int
    alone: bool = False


@dataclass(frozen=True)
class Block:
    """A piece of memory several results use one after the other.

    within, offset   for one that is a part of another: that one's number and where in it this one begins
    """

    nbytes: int
    device: str
    within: int = -1
    offset: int = 0


ALIGNMENT: Final = 1024  # bytes at whose multiples parts begin
SAVED: Final = 1 << 20  # bytes for which blocks are made parts of one: to make parts takes a little time in each run
LARGE: Final = 1 << 16  # bytes of a result worth it
MOST: Final = 512  # results that are parts, the largest: to place them takes time that grows with their square
LARGEST: Final = 1 << 30  # bytes of a whole: devices bound what they give at a time


def assign(lifetimes: Sequence[Lifetime]) -> tuple[list[int], list[Block]]:
    """A block for each result, and the blocks; those of large results are parts of one where that saves much."""
    chosen, blocks = shared(lifetimes)
    large = [i for i, x in enumerate(lifetimes) if x.nbytes >= LARGE and not x.alone]
    large = sorted(large, key=lambda i: -lifetimes[i].nbytes)[:MOST]
    places, sizes = packed([lifetimes[i] for i in large])
    rest = [i for i in range(len(lifetimes)) if i not in set(large)]
    others, own = shared([lifetimes[i] for i in rest])
    saved = total(blocks) - total(own) - sum(sizes.values())
    if not sizes or saved < SAVED or max(sizes.values()) > LARGEST:
        return chosen, blocks
    own += [Block(nbytes, device) for device, nbytes in sizes.items()]
    number = {whole.device: i for i, whole in enumerate(own[-len(sizes) :], len(own) - len(sizes))}
    for i, block in zip(rest, others):
        chosen[i] = block
    for i, place in zip(large, places):
        chosen[i] = len(own)
        own.append(Block(lifetimes[i].nbytes, lifetimes[i].device, number[lifetimes[i].device], place))
    return chosen, own


def total(blocks: Sequence[Block]) -> int:
    """The bytes that blocks take together."""
    return sum(block.nbytes for block in blocks if block.within < 0)


def packed(lifetimes: Sequence[Lifetime]) -> tuple[list[int], dict[str, int]]:
    """Where each result begins in one piece of memory of its device, and the bytes of these.

    Each takes the lowest gap between those that live at the same time: the largest ones first, or those that come
    first, or live longest, whichever leads to the least.

    >>> packed([Lifetime(4096, "CPU", 0, 1), Lifetime(2048, "CPU", 1, 2), Lifetime(2048, "CPU", 2, 3)])
    ([0, 4096, 0], {'CPU': 6144})
    """
    largest = sorted(range(len(lifetimes)), key=lambda i: (-lifetimes[i].nbytes, lifetimes[i].first))
    earliest = sorted(largest, key=lambda i: lifetimes[i].first)
    longest = sorted(largest, key=lambda i: lifetimes[i].first - lifetimes[i].last)
    found = [_in_gaps(lifetimes, order) for order in (largest, earliest, longest)]
    return min(found, key=lambda way: sum(way[1].values()))


def _in_gaps(lifetimes: Sequence[Lifetime], order: Sequence[int]) -> tuple[list[int], dict[str, int]]:
    places = [0] * len(lifetimes)
    sizes: dict[str, int] = {}
    for count, i in enumerate(order):
        need, place = lifetimes[i], 0
        met = (j for j in order[:count] if _meets(lifetimes[j], need))
        for j in sorted(met, key=places.__getitem__):
            if place + need.nbytes <= places[j]:
                break
            place = max(place, -(-(places[j] + lifetimes[j].nbytes) // ALIGNMENT) * ALIGNMENT)
        places[i] = place
        sizes[need.device] = max(sizes.get(need.device, 0), place + need.nbytes)
    return places, sizes


def _meets(a: Lifetime, b: Lifetime) -> bool:
    return a.device == b.device and a.first <= b.last and b.first <= a.last


def shared(lifetimes: Sequence[Lifetime]) -> tuple[list[int], list[Block]]:
    """A block for each result, and the blocks, each of them memory of its own.

    The largest results come first, so that a block is as large as its first one; each takes the smallest block that is
    free as long as it lives, else a new one.

    >>> shared([Lifetime(8, "CPU", 0, 1), Lifetime(8, "CPU", 1, 2), Lifetime(4, "CPU", 2, 3)])[0]
    [0, 1, 0]
    """
    chosen = [0] * len(lifetimes)
    blocks: list[Block] = []
    busy: list[list[tuple[int, int]]] = []  # per block the lifetimes of its results, in order
    for i in sorted(range(len(lifetimes)), key=lambda i: (-lifetimes[i].nbytes, lifetimes[i].first)):
        need = lifetimes[i]
        free = (b for b in reversed(range(len(blocks))) if blocks[b].device == need.device and _is_free(busy[b], need))
        block = next(free, len(blocks))
        if block == len(blocks):
            blocks.append(Block(need.nbytes, need.device))
            busy.append([])
        insort(busy[block], (need.first, need.last))
        chosen[i] = block
    return chosen, blocks


def _is_free(busy: Sequence[tuple[int, int]], need: Lifetime) -> bool:
    """True when no lifetime of a block meets another."""
    place = bisect_right(busy, (need.last, need.last))
    before = busy[place - 1] if place else None
    return (before is None or before[1] < need.first) and (place == len(busy) or busy[place][0] > need.last)
