"""Loads asked for ahead, as OpenCL C: the cache is told what the next step of a loop will read.

Comes in: a schedule, and each load where it is printed.  Goes out: lines of text.  A load from a place that is looked
up is asked for where the next step's place says; where every lane looks up its own, the window all of them fall into
is asked for, piece by piece along the lanes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from codegen.dots import bits_of
from codegen.goals import dynamic_exprs
from codegen.index import Axis, Index, combination
from codegen.ir import Load, Reduce, Scan, walk
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

    def __init__(self, schedule: Schedule) -> None:
        self.ahead = {e: axis for load, axis in schedule.ahead for e in (load, bits_of(load))}
        inside = schedule.loops[schedule.grid :]
        self.steps = dict(reversed(inside))  # how far the outermost of an axis' loops inside a group goes at once
        self.first: dict[Load, Leaf | None] = {}
        self.leaf: Leaf | None = None
        self.memo: dict[object, tuple[str, int]] = {}

    def ask(self, leaves: Leaves, e: Load, coords: Coords, lane: Axis, start: str) -> None:
        """Print the request that goes with a load that begins at `start`, if there is one."""
        if e not in self.ahead:
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

    def looked_up(self, leaves: Leaves, index: Index, coords: Coords, axis: Axis) -> str:
        """The index a step later; what it is made of is not read beyond the axis' end."""
        masks = leaves.masks
        clear, beyond, memo = masks.clear, masks.beyond, leaves.memo
        masks.clear, masks.beyond, leaves.memo = clear - {axis}, beyond | {axis}, self.memo
        place = leaves.indices.scalar(index, coords)
        masks.clear, masks.beyond, leaves.memo = clear, beyond, memo
        return place


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
