"""Reuse of memory: which intermediate results may share a block.

Comes in: how long each result is needed, in steps of a plan.  Goes out: a block for each, and the blocks' sizes.  Two
results share a block only if one is dead before the other is made, so a step never writes what it reads.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Lifetime:
    """An intermediate result: its size, the device it lives on, and the first and the last step that touch it."""

    nbytes: int
    device: str
    first: int
    last: int


@dataclass(frozen=True)
class Block:
    """A piece of memory several results use one after the other."""

    nbytes: int
    device: str


def assign(lifetimes: Sequence[Lifetime]) -> tuple[list[int], list[Block]]:
    """A block for each result, and the blocks.

    The largest results come first, so that a block is as large as its first one; each takes the smallest block that is
    free as long as it lives, else a new one.

    >>> assign([Lifetime(8, "CPU", 0, 1), Lifetime(8, "CPU", 1, 2), Lifetime(4, "CPU", 2, 3)])
    ([0, 1, 0], [Block(nbytes=8, device='CPU'), Block(nbytes=8, device='CPU')])
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
