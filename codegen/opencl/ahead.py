"""Loads asked for ahead, as OpenCL C: the cache is told what the next step of a loop will read.

Comes in: a schedule, and each load where it is printed.  Goes out: lines of text.  A load from a place that is looked
up is asked for where the next step's place says; where every lane looks up its own, the window all of them fall into
is asked for, piece by piece along the lanes.

What goes on evenly is asked for by the pass that writes around the caches, if one does: memory reads while it writes,
and copies faster than it would do either by turns.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from codegen.access import has_whole_lines
from codegen.dots import bits_of
from codegen.goals import dynamic_exprs
from codegen.index import Axis, Index, combination
from codegen.ir import Kernel, Load, Reduce, Scan, Store, walk
from codegen.nodes import Environment, Leaf
from codegen.schedule import Schedule

if TYPE_CHECKING:
    from codegen.opencl.boxes import Coords
    from codegen.opencl.leaves import Leaves

PAGE = 4096  # bytes at whose multiples processors lose track of what is read in a line


class Requests:
    """Which pass asks.

    The first one that meets a load does; where a step goes so far that processors do not foresee the next, later ones
    ask again, for requests get lost while many are under way.  `leaf` is what is printed just now, `memo` the values
    of the next step that its block has already.
    """

    def __init__(self, kernel: Kernel, schedule: Schedule) -> None:
        self.written = written_beside(kernel, schedule)
        self.asked = {x for e in self.written for x in (e, bits_of(e))}
        self.ahead = {e: axis for load, axis in schedule.ahead for e in (load, bits_of(load))}
        inside = schedule.loops[schedule.grid :]
        self.steps = dict(reversed(inside))  # how far the outermost of an axis' loops inside a group goes at once
        self.first: dict[Load, Leaf | None] = {}
        self.leaf: Leaf | None = None
        self.memo: dict[object, tuple[str, int]] = {}

    def ask(self, leaves: Leaves, e: Load, coords: Coords, lane: Axis, start: str) -> None:
        """Print the request that goes with a load that begins at `start`, if there is one."""
        if e not in self.ahead or e in self.asked:
            return
        axis = self.ahead[e]
        step = self.steps[axis]
        distance = (e.index.stride(axis) or 0) * step
        far = abs(distance) * e.dtype.itemsize > PAGE
        if self.first.setdefault(e, self.leaf) is not self.leaf and not far:
            return
        if not e.index.is_dynamic:
            place = f"{start} + {distance}"
        elif any(lane in atom.axes for atom in e.index.atoms() if atom.kind == "dynamic"):
            place = leaves.indices.scalar(swept(e.index, lane), _later(coords, axis, step))
        elif _is_simple(e.index, leaves.env):
            place = self.looked_up(leaves, e.index, _later(coords, axis, step), axis)
        else:
            return
        leaves.lines.add(f"__builtin_prefetch({leaves.params[e.param.name]} + {place});")

    def ask_beside(self, leaves: Leaves, store: Store, coords: Coords, lane: Axis) -> None:
        """Print the requests that go with a vector that is written around the caches."""
        for e, beside in self.written.items():
            axis = self.ahead[e]
            if beside is store and e.index.stride(lane) == 1:
                place = leaves.indices.scalar(e.index, coords)
                distance = (e.index.stride(axis) or 0) * self.steps[axis]
                leaves.lines.add(f"__builtin_prefetch({leaves.params[e.param.name]} + {place} + {distance});")

    def looked_up(self, leaves: Leaves, index: Index, coords: Coords, axis: Axis) -> str:
        """The index a step later; what it is made of is not read beyond the axis' end."""
        masks = leaves.masks
        clear, beyond, memo = masks.clear, masks.beyond, leaves.memo
        masks.clear, masks.beyond, leaves.memo = clear - {axis}, beyond | {axis}, self.memo
        place = leaves.indices.scalar(index, coords)
        masks.clear, masks.beyond, leaves.memo = clear, beyond, memo
        return place


def written_beside(kernel: Kernel, schedule: Schedule) -> dict[Load, Store]:
    """Per load that is asked for ahead, and goes on evenly, a store around the caches that has a vector for each of its
    vectors.  Loads take turns among such stores: passes that write share the requests.

    A single load that cheap passes read again, the one that writes among them, is asked for by each."""
    least = schedule.options.get("bypass")
    found: dict[Load, Store] = {}
    if not isinstance(least, int):
        return found
    for number, (e, _) in enumerate(schedule.ahead):
        stores = [store for store in kernel.stores if store.param.nbytes >= least and _goes_beside(e, store)]
        if stores:
            found[e] = stores[number % len(stores)]
    kept = [stage.value for stage in schedule.stages if stage.layout is None]
    reads_again = not any(e.axes <= value.axes for value in kept for e in found)
    return {} if len(found) == 1 and reads_again and not kernel.scans else found


def _goes_beside(e: Load, store: Store) -> bool:
    """True when both go on in lines along one axis."""
    if e.index.is_dynamic or store.index.is_dynamic or not e.axes.issubset(store.axes):
        return False
    return has_whole_lines(store) and any(store.index.stride(a) == 1 == e.index.stride(a) for a in store.axes)


def swept(index: Index, lane: Axis) -> Index:
    """The index with the position along the lane for what is looked up.

    >>> from codegen.ir import Param, load
    >>> from codegen.dtypes import dtypes
    >>> from codegen.index import dynamic
    >>> i, j, p = Axis("i", 4), Axis("j", 8), Param("p", dtypes.int32, 32)
    >>> swept(i.index * 8 + dynamic(load(p, i.index * 8 + j.index), 8), j)
    i*8+j
    """
    terms = ((lane.index if not isinstance(atom, Axis) else atom.index, k) for atom, k in index.terms)
    return combination(terms, index.const)


def _is_simple(index: Index, env: Environment) -> bool:
    """True when what the index is made of can be computed for any step: boxes hold that of the current one."""
    return not any(e in env or isinstance(e, Reduce | Scan) for e in walk(dynamic_exprs(index)))


def _later(coords: Coords, axis: Axis, step: int) -> dict[Axis, int]:
    return {**coords, axis: coords.get(axis, 0) + step}
