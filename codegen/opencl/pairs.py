"""Stores of values side by side as OpenCL C: parts of numbers, pieces of an array, woven in registers into vectors of
memory.

Comes in: stores whose lanes are a few places apart, one after the other.  Goes out: those that fill these places
together, and the rest as they would be alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from codegen.index import Axis
from codegen.ir import Store
from codegen.opencl.runs import print_woven

if TYPE_CHECKING:
    from codegen.opencl.boxes import Coords
    from codegen.opencl.leaves import Leaves
    from codegen.opencl.masks import Conditions


SIDE_BY_SIDE: Final = (2, 4, 8, 16)  # stores that are woven into consecutive places


@dataclass(frozen=True)
class Waiting:
    """A vector that waits for those its places lie between; `alone` stores it by itself.

    count  how many vectors fill the places
    """

    store: Store
    coords: Coords
    when: Conditions
    value: str
    count: int
    alone: Callable[[], None]


def woven_with(leaves: Leaves, store: Store, when: Conditions, coords: Coords, lane: Axis) -> int:
    """How many vectors, this one among them, other stores may fill the places between two lanes with, where nothing but
    the ends of its loop says which lanes are inside; 0 for a vector stored alone."""
    plain = store.mode == "set" and store.before is None and store.param.dtype.kind != "b"
    if not plain or when.scalars or when.masks or store.param in leaves.replaced:
        return 0
    step = leaves.indices.stride(store.index, coords, lane) or 0
    if step not in SIDE_BY_SIDE or step > leaves.lanes:
        return 0
    others = sum(1 for other in leaves.kernel.stores if other.param.name == store.param.name)
    return step if others >= step else 0


def put_between(leaves: Leaves, part: Waiting) -> None:
    """Stores a vector together with those it belongs to, if all the others wait; else it waits."""
    leaves.waiting.append(part)
    found = {
        other.store.index: other
        for other in leaves.waiting
        if other.store.param == part.store.param and other.coords == part.coords and _alike(other.when, part.when)
    }
    first = last = part.store.index
    while first + -1 in found:
        first += -1
    while last + 1 in found:
        last += 1
    parts = [found[first + i] for i in range(part.count) if first + i in found]
    if len(parts) == part.count and first + (part.count - 1) == last:
        for other in parts:
            leaves.waiting.remove(other)
        store, values = parts[0].store, [other.value for other in parts]
        print_woven(leaves, store, [other.coords for other in parts], values, parts[0].when)


def put_rest(leaves: Leaves) -> None:
    """Stores what waits in vain."""
    waiting = list(leaves.waiting)
    leaves.waiting.clear()
    for part in waiting:
        part.alone()


def _alike(a: Conditions, b: Conditions) -> bool:
    return a.first == b.first and a.last == b.last
