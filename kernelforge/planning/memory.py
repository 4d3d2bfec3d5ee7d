"""Reuse of memory: which intermediate results may share a block, or lie side by side in one.

Comes in: how long each result is needed, in steps of a plan.  Goes out: a block for each, and the blocks' sizes.  Two
results share memory only if one is dead before the other is made, so a step never writes what it reads.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from operator import itemgetter
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
    host             for one that is a part of the memory of a plan's result, at the offset: that one's slot
    """

    nbytes: int
    device: str
    within: int = -1
    offset: int = 0
    host: int = -1


@dataclass(frozen=True)
class Host:
    """The memory of a plan's result, in which others may lie before the first step that touches it."""

    slot: int
    nbytes: int
    device: str
    first: int


EVER: Final = 1 << 60  # a step after all others
ALIGNMENT: Final = 1024  # bytes at whose multiples parts begin
SAVED: Final = 1 / 64  # of the bytes, for which blocks are made parts: that takes a little time in a run
LARGE: Final = 1 << 16  # bytes of a result worth it
CLOSE: Final = 1 / 256  # of what is alive at a time, that a layout may take beside it for no other to be tried
MOST_ORDERS: Final = 32  # tried,
MOST_PAIRS: Final = 200_000  # with so many results to be compared in all
MOST: Final = 512  # results that are parts, the largest: to place them takes time that grows with their square
LARGEST: Final = 1 << 30  # bytes of a whole: devices bound what they give at a time


def assign(lifetimes: Sequence[Lifetime], hosts: Sequence[Host] = ()) -> tuple[list[int], list[Block]]:
    """A block for each result, and the blocks; those of large results are parts of one, or of the memory of what the
    plan goes on to give its caller, where that saves enough."""
    plain = shared(lifetimes)
    ways = [way for way in (_beside(lifetimes, ()), _beside(lifetimes, hosts)) if way is not None]
    if not ways:
        return plain
    least = min(ways, key=lambda way: total(way[1]))
    return least if total(plain[1]) - total(least[1]) > SAVED * total(plain[1]) else plain


def around(
    kept: Sequence[Lifetime], lifetimes: Sequence[Lifetime], hosts: Sequence[Host] = ()
) -> tuple[list[int], list[Block]] | None:
    """`assign` with blocks for some that live for ever as well, behind the very first, of which they are parts.  None
    where that cannot be.

    Side by side they leave one piece to others when a run is over, the last of them first, so that what lies there
    before them finds one, too; where that takes more, they lie where they fit.
    """
    ways = [_beside(lifetimes, some, kept, is_apart) for is_apart in (True, False) for some in ((), hosts)]
    found = [way for way in ways if way is not None]
    least = min((total(way[1]) for way in found), default=0)
    return next((way for way in found if total(way[1]) <= least * (1 + CLOSE)), None)


def _beside(
    lifetimes: Sequence[Lifetime], hosts: Sequence[Host], kept: Sequence[Lifetime] = (), is_apart: bool = False
) -> tuple[list[int], list[Block]] | None:
    """`assign` where large results are parts of one block, and of hosts; None where there are none, or too many.

    kept      some that are parts of the block in any case, which then comes first, with them behind it
    is_apart  they lie side by side at its beginning
    """
    large = [i for i, x in enumerate(lifetimes) if x.nbytes >= LARGE and not x.alone]
    large = sorted(large, key=lambda i: -lifetimes[i].nbytes)[:MOST]
    inside = _inside([lifetimes[i] for i in large], hosts) if hosts else [None] * len(large)
    apart = [i for i, place in zip(large, inside) if place is None]
    fixed = list(zip(_side_by_side(kept), kept)) if is_apart else []
    places, sizes = packed([*([] if is_apart else kept), *(lifetimes[i] for i in apart)], fixed)
    if not is_apart:
        fixed, places = list(zip(places, kept)), places[len(kept) :]
    if not large or max(sizes.values(), default=0) > LARGEST:
        return None
    number = {device: i for i, device in enumerate(sizes)}
    own = [Block(nbytes, device) for device, nbytes in sizes.items()]
    own += [Block(x.nbytes, x.device, number[x.device], place) for place, x in fixed]
    rest = sorted(set(range(len(lifetimes))).difference(large))
    others, more = shared([lifetimes[i] for i in rest])
    chosen = [0] * len(lifetimes)
    for i, block in zip(rest, others):
        chosen[i] = len(own) + block
    own += more
    for i, place in zip(apart, places):
        chosen[i] = len(own)
        own.append(Block(lifetimes[i].nbytes, lifetimes[i].device, number[lifetimes[i].device], place))
    for i, found in zip(large, inside):
        if found is not None:
            chosen[i] = len(own)
            own.append(Block(lifetimes[i].nbytes, lifetimes[i].device, offset=found[1], host=found[0]))
    return chosen, own


def _side_by_side(kept: Sequence[Lifetime]) -> list[int]:
    """Where each begins, those written last first."""
    places, end = [0] * len(kept), 0
    for i in sorted(range(len(kept)), key=lambda i: -kept[i].first):
        places[i], end = end, -(-(end + kept[i].nbytes) // ALIGNMENT) * ALIGNMENT
    return places


def _inside(lifetimes: Sequence[Lifetime], hosts: Sequence[Host]) -> list[tuple[int, int] | None]:
    """For each result a host, by its slot, and where in it there is room as long as the result lives; None where there
    is none.  Hosts are filled from the smallest that fits."""
    found: list[tuple[int, int] | None] = []
    filled: dict[int, list[tuple[int, Lifetime]]] = {host.slot: [] for host in hosts}
    ordered = sorted(hosts, key=lambda host: host.nbytes)
    for need in lifetimes:
        best = None
        for host in ordered:
            if host.nbytes >= need.nbytes and host.device == need.device and host.first > need.last:
                place = _gap(need, filled[host.slot])
                if place + need.nbytes <= host.nbytes:
                    best = host.slot, place
                    filled[host.slot].append((place, need))
                    break
        found.append(best)
    return found


def total(blocks: Sequence[Block]) -> int:
    """The bytes that blocks take together, beside results."""
    return sum(block.nbytes for block in blocks if block.within < 0 and block.host < 0)


def packed(
    lifetimes: Sequence[Lifetime], kept: Sequence[tuple[int, Lifetime]] = ()
) -> tuple[list[int], dict[str, int]]:
    """Where each result begins in one piece of memory of its device, and the bytes of these; kept: others, with where
    they begin.

    Each takes the lowest gap between those that live at the same time: the largest ones first, or those that come
    first, or live longest, whichever leads to the least; then with those that end last a few times earlier.

    >>> packed([Lifetime(4096, "CPU", 0, 1), Lifetime(2048, "CPU", 1, 2), Lifetime(2048, "CPU", 2, 3)])
    ([0, 4096, 0], {'CPU': 6144})
    """
    largest = sorted(range(len(lifetimes)), key=lambda i: (-lifetimes[i].nbytes, lifetimes[i].first))
    earliest = sorted(largest, key=lambda i: lifetimes[i].first)
    longest = sorted(largest, key=lambda i: lifetimes[i].first - lifetimes[i].last)
    ways = [(order, _in_gaps(lifetimes, order, kept)) for order in (largest, earliest, longest)]
    order, best = min(ways, key=lambda way: sum(way[1][1].values()))
    least = _most_alive([*lifetimes, *(x for _, x in kept)])
    found = best
    for _ in range(min(MOST_ORDERS, MOST_PAIRS // max(1, len(lifetimes) ** 2))):
        if sum(best[1].values()) <= least * (1 + CLOSE):
            break
        order = _with_last_earlier(order, [place + x.nbytes for place, x in zip(found[0], lifetimes)])
        found = _in_gaps(lifetimes, order, kept)
        best = min(best, found, key=lambda way: sum(way[1].values()))
    return best


def _with_last_earlier(order: Sequence[int], ends: Sequence[int]) -> list[int]:
    """An order in which those that end last of all come in half the time."""
    found = list(order)
    for place, i in enumerate(order):
        if ends[i] == max(ends):
            found.remove(i)
            found.insert(place // 2, i)
    return found


def _most_alive(lifetimes: Sequence[Lifetime]) -> int:
    """The most bytes that are alive at a time."""
    changes = [(x.first, x.nbytes) for x in lifetimes] + [(x.last + 1, -x.nbytes) for x in lifetimes]
    return max(accumulate(change for _, change in sorted(changes)), default=0)


def _in_gaps(
    lifetimes: Sequence[Lifetime], order: Sequence[int], kept: Sequence[tuple[int, Lifetime]]
) -> tuple[list[int], dict[str, int]]:
    places = [0] * len(lifetimes)
    sizes: dict[str, int] = {}
    for place, other in kept:
        sizes[other.device] = max(sizes.get(other.device, 0), place + other.nbytes)
    for count, i in enumerate(order):
        need = lifetimes[i]
        places[i] = place = _gap(need, [*kept, *((places[j], lifetimes[j]) for j in order[:count])])
        sizes[need.device] = max(sizes.get(need.device, 0), place + need.nbytes)
    return places, sizes


def _gap(need: Lifetime, placed: Sequence[tuple[int, Lifetime]]) -> int:
    """The lowest place in a piece of memory that what is placed there leaves as long as a result lives."""
    start = 0
    for place, other in sorted([x for x in placed if _meets(x[1], need)], key=itemgetter(0)):
        if start + need.nbytes <= place:
            break
        start = max(start, -(-(place + other.nbytes) // ALIGNMENT) * ALIGNMENT)
    return start


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
