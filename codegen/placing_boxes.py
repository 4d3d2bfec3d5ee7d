"""Boxes while a nest is being placed: their extents, their partial axes, whether they are registers or memory.

Comes in: requests of the placer.  Goes out: boxes.  It knows loop lists and places, not goals.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from codegen.dots import WORD
from codegen.goals import Goal, Order, axis_names, place_at
from codegen.image import Image
from codegen.index import Axis
from codegen.ir import Expr, Kernel, Load, Reduce
from codegen.nodes import Box, Place
from codegen.rewrites.contract import contraction
from codegen.schedule import Schedule, Stage, Step
from codegen.target import Target


class PlacedBoxes:
    """The boxes of one nest; `orders` are all loop lists of its schedule."""

    def __init__(self, kernel: Kernel, schedule: Schedule, target: Target, orders: Iterable[Order]) -> None:
        self.schedule, self.target, self.orders = schedule, target, tuple(orders)
        self.axes, self.names = kernel.axes, axis_names(kernel)
        self.places: dict[tuple[Order, int], Place] = {}
        self.all: list[Box] = []
        self.pairs: list[tuple[Box, Box]] = []  # when the first is an array, the second is one

    def together(self, boxes: Sequence[Box]) -> None:
        """Note boxes that are combined elementwise: all are registers or all are arrays."""
        self.pairs += itertools.permutations(boxes, 2)

    def place(self, depth: int, loops: Order) -> Place:
        found = self.places.get((loops, depth))
        if found is None:
            found = self.places[loops, depth] = place_at(loops, depth, self.names)
        return found

    def make(
        self,
        kind: str,
        of: Expr,
        depth: int,
        loops: Order,
        axes: frozenset[Axis],
        *,
        partial: tuple[Axis, ...] = (),
        sink_loops: Order | None = None,
        stage: Stage | None = None,
        like: Box | None = None,
    ) -> Box:
        """A new box at a depth of a loop list.

        sink_loops  whose innermost tiles its partial axes have
        stage       whose layout it has
        like        a box that it will be combined with elementwise: the extents of axes they share are equal
        """
        place = self.place(depth, loops)
        layout, pad, image = (stage.layout, stage.pad, stage.image) if stage is not None else (None, 0, None)
        tile: dict[Axis, int] = {}
        for a in self.axes:
            if a in partial:
                tile[a] = self.place(depth, sink_loops or loops).innermost(a)
            elif a in axes:
                tile[a] = self.extent(a, depth, loops, of) if like is None else like.tile[a]
        name, covers = f"{kind}{len(self.all)}", tile
        if stage is not None and image is not None:
            tile = self.seen(stage, image, covers)
            place = _windows(place, name, {new: tile[new] for new in image.at})
        box = Box(name, kind, of, place, tile, partial, layout, pad, image, covers, array=layout is not None)
        self.all.append(box)
        return box

    def seen(self, stage: Stage, image: Image, covers: Mapping[Axis, int]) -> dict[Axis, int]:
        """The extents of an image's box; rows of whole vectors are copied fastest."""
        tile = image.extents(covers)
        last = next((a for a, _ in reversed(stage.layout or ()) if tile[a] > 1), None)
        if last is not None and last in image.at and tile[last] > self.target.lanes // 2:
            tile[last] = -(-tile[last] // self.target.lanes) * self.target.lanes
        return tile

    def extent(self, axis: Axis, depth: int, loops: Order, of: Expr) -> int:
        """The current tile of axis; without a step yet, what the last of the tiles reaches that a list which may still
        follow puts into the box."""
        place = self.place(depth, loops)
        if axis in place.tiles:
            return place.tile(axis)
        before = loops.steps[:depth], loops.real[:depth]
        follow = (other for other in self.orders if (other.steps[:depth], other.real[:depth]) == before)
        return max(-(-axis.size // tile) * tile for other in follow for tile in self.put(axis, depth, other, of))

    def put(self, axis: Axis, depth: int, loops: Order, of: Expr) -> Iterator[int]:
        """The extents along axis in which a list fills a box made at a depth of it: those of its innermost tile and of
        the accumulators that are narrower where it reduces."""
        yield self.place(depth, loops).innermost(axis)
        tile = 1
        for step, real in zip(loops.steps[depth:], loops.real[depth:]):
            if step.axis is axis and real:
                tile = step.tile
            elif isinstance(of, Reduce) and step.axis in of.bound:
                yield tile

    def partial(self, r: Reduce, depth: int, loops: Order) -> tuple[Axis, ...]:
        """The bound axes of r that stay in its accumulator.

        On CPUs only the lanes: the first vector axis of the operand with whole vectors.  Elsewhere every tiled bound
        axis, except in a contraction or when no loop over a bound axis remains.
        """
        chosen = self.schedule.partial
        if chosen is not None and r not in chosen:
            return ()
        place = self.place(depth, loops)
        if self.target.language == "opencl":
            lanes = (a for a in self.schedule.vector if a in r.arg.axes and place.innermost(a) % self.target.lanes == 0)
            lane = next(lanes, None)
            return (lane,) if lane in r.bound else ()
        if chosen is None and (contraction(r) or not any(step.axis in r.bound for step in place.todo)):
            return ()
        return tuple(a for a in r.bound if place.innermost(a) > 1)

    def serves(self, stage: Stage, goal: Goal, loops: Order) -> bool:
        """False when a reduce does better without a pack: its lanes lie otherwise there, but one by one in the memory
        the pack is copied from."""
        value = stage.value
        if stage.layout is None or stage.image is not None or not isinstance(value, Load) or goal.kind != "acc":
            return True
        tile, lanes = self.place(0, loops).innermost, self.target.lanes
        operand = goal.roots[0].axes
        lane = next((a for a in self.schedule.vector if a in operand and tile(a) % lanes == 0), None)
        return lane is None or _lies_along(stage) is lane or value.index.stride(lane) != 1 or bool(value.guards)

    def use(self, box: Box, depth: int, loops: Order) -> None:
        """Note a use of a box: it can be registers only if every use sees exactly the whole tile."""
        here = self.place(depth, loops)
        between = {step.axis for step in here.taken[len(box.place.taken) :]}
        if any(a in between or here.tile(a) != box.tile[a] for a in box.free):
            box.array = True

    def align(self, carry: Box, values: Box) -> None:
        """Make a carry whose own lanes differ from those of the scan's values memory, where any lanes can be read."""
        lanes = [
            next((a for a in self.schedule.vector if box.tile.get(a, 1) % self.target.lanes == 0), None)
            for box in (carry, values)
        ]
        if self.target.language == "opencl" and lanes[0] is not None and lanes[0] is not lanes[1]:
            carry.array = True

    def settle_memory(self) -> None:
        """Carry over that boxes are arrays to those that must be when they are."""
        changed = True
        while changed:
            changed = False
            for source, other in self.pairs:
                if source.array and not other.array:
                    other.array = changed = True


def _lies_along(stage: Stage) -> Axis:
    """The axis along which the vectors of a packed box lie: the innermost, or the one around groups that fill words."""
    *outer, (last, _) = stage.layout or ()
    group = next((block for axis, block in outer if axis is last and block * stage.value.dtype.bits == WORD), None)
    return last if group is None else outer[-1][0]


def _windows(place: Place, box: str, extents: Mapping[Axis, int]) -> Place:
    """The place with a step into the part of each of an image's axes that a box holds."""
    names = {**place.names, **{axis: f"{box}_u{number}_" for number, axis in enumerate(extents)}}
    steps = tuple(Step(axis, extent) for axis, extent in extents.items())
    return replace(place, taken=(*place.taken, *steps), names=names, loose=place.loose | extents.keys())
