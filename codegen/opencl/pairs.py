"""Stores of two values side by side as OpenCL C: parts of numbers, woven in registers into vectors of memory.

Comes in: stores whose lanes are two places apart, one after the other.  Goes out: those of a pair together, and the
rest as they would be alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from codegen.index import Axis
from codegen.ir import Store
from codegen.opencl.runs import print_woven

if TYPE_CHECKING:
    from codegen.opencl.boxes import Coords
    from codegen.opencl.leaves import Leaves
    from codegen.opencl.masks import Conditions


@dataclass(frozen=True)
class Half:
    """A vector that waits for the one its places lie between; `alone` stores it by itself."""

    store: Store
    coords: Coords
    when: Conditions
    value: str
    alone: Callable[[], None]


def may_pair(leaves: Leaves, store: Store, when: Conditions, coords: Coords, lane: Axis) -> bool:
    """Whether another store may fill the places between those of a vector: it leaves out every other one, and nothing
    but the ends of its loop says which lanes are inside."""
    plain = store.mode == "set" and store.before is None and store.param.dtype.kind != "b"
    plain = plain and not when.scalars and not when.masks and store.param not in leaves.replaced
    others = (other for other in leaves.kernel.stores if other.param.name == store.param.name)
    return plain and sum(1 for _ in others) > 1 and leaves.indices.stride(store.index, coords, lane) == 2


def put_half(leaves: Leaves, half: Half) -> None:
    """Stores a vector together with the one it belongs to, if that waits; else it waits."""
    for other in leaves.waiting:
        if other.store.param == half.store.param and other.coords == half.coords and _alike(other.when, half.when):
            low, high = (other, half) if other.store.index + 1 == half.store.index else (half, other)
            if low.store.index + 1 == high.store.index:
                leaves.waiting.remove(other)
                print_woven(leaves, low.store, [low.coords, high.coords], [low.value, high.value], low.when)
                return
    leaves.waiting.append(half)


def put_rest(leaves: Leaves) -> None:
    """Stores what waits in vain."""
    waiting = list(leaves.waiting)
    leaves.waiting.clear()
    for half in waiting:
        half.alone()


def _alike(a: Conditions, b: Conditions) -> bool:
    return a.first == b.first and a.last == b.last
