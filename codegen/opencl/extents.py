"""How much of a box is in use where sizes are open: its tiles may be far larger than what there is.

Comes in: boxes, and where they stand.  Goes out: where what is read of a box ends along an axis, as text.  Values are
read in whole tiles of the leaves that read them, so it ends with one of these; what lies beyond is never looked at.
"""

from __future__ import annotations

from collections.abc import Callable
from math import lcm

from codegen.index import Axis
from codegen.ir import walk
from codegen.nodes import Box, Leaf, Loop, Nest, Out, Pack, Place, leaf_roots, nodes


class Extents:
    """Where boxes of a nest end along open axes.

    open    axes of whose size nothing may be derived
    extent  the text of the extent of an axis' current tile at a place
    """

    def __init__(
        self, nest: Nest, open_axes: frozenset[Axis] = frozenset(), extent: Callable[[Place, Axis], str] | None = None
    ) -> None:
        self.open, self.extent = open_axes, extent or (lambda place, axis: str(place.tile(axis)))
        self.packed: set[Box] = set()
        self.tiles: dict[Axis, set[int]] = {axis: set() for axis in open_axes}
        found = list(nodes(nest.body)) if open_axes else []
        for node in found:
            if isinstance(node, Pack):
                self.packed.update(node.env[e] for e in walk((node.value,)) if e in node.env)
            elif isinstance(node, Leaf):
                axes = {axis for root in leaf_roots(node) for axis in root.axes}
                axes |= set(node.store.axes) if isinstance(node, Out) else set()
                for axis in open_axes & axes:
                    self.tiles[axis].add(node.place.tile(axis))
            elif isinstance(node, Loop) and node.axis in open_axes and not node.grid:
                self.tiles[node.axis].add(node.tile)

    def unit(self, box: Box, axis: Axis) -> int:
        """The tile in whose multiples a box is read along an open axis; 0 where it is the whole box, or not known."""
        extent = box.tile.get(axis, 0)
        if axis not in self.open or axis in box.partial or axis in box.place.loose or box in self.packed:
            return 0
        found = lcm(*(tile for tile in self.tiles[axis] if tile < extent))
        return found if found < extent and extent % found == 0 and min(self.tiles[axis], default=0) else 0

    def end(self, box: Box, axis: Axis) -> str | None:
        """The number of places of a box along an axis that are in use; None for all of them."""
        unit = self.unit(box, axis)
        if not unit:
            return None
        start, extent = box.place.var(axis), self.extent(box.place, axis)
        there = f"({axis.size})" if start is None else f"{axis.size} - {start}"
        text = f"min({extent}, {there})"
        return text if unit == 1 else f"({text} + {unit - 1}) / {unit} * {unit}"
