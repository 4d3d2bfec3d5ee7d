"""Reuse of memory: which intermediate results may share a block.

Comes in: how long each result is needed, in steps of a plan.  Goes out: a block for each, and the blocks' sizes.  Two
results share a block only if one is dead before the other is made, so a step never writes what it reads.
"""

from __future__ import annotations

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

    A result takes the free block that fits best, else enlarges the largest free one, else gets a new one.

    >>> assign([Lifetime(8, "CPU", 0, 1), Lifetime(8, "CPU", 1, 2), Lifetime(4, "CPU", 2, 3)])
    ([0, 1, 0], [Block(nbytes=8, device='CPU'), Block(nbytes=8, device='CPU')])
    """
    order = sorted(range(len(lifetimes)), key=lambda i: lifetimes[i].first)
    chosen = [0] * len(lifetimes)
    sizes: list[int] = []
    devices: list[str] = []
    busy_until: list[int] = []
    for i in order:
        need = lifetimes[i]
        free = [b for b, last in enumerate(busy_until) if last < need.first and devices[b] == need.device]
        fitting = [b for b in free if sizes[b] >= need.nbytes]
        if fitting:
            block = min(fitting, key=lambda b: sizes[b])
        elif free:
            block = max(free, key=lambda b: sizes[b])
            sizes[block] = need.nbytes
        else:
            block = len(sizes)
            sizes.append(need.nbytes)
            devices.append(need.device)
            busy_until.append(need.last)
        busy_until[block] = need.last
        chosen[i] = block
    return chosen, [Block(nbytes, device) for nbytes, device in zip(sizes, devices)]
