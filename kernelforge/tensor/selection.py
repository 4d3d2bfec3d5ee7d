"""Index expressions taken apart, and kept for the next time.

Comes in: the parts of dimensions an index means.  Goes out: the steps that lead to the view it shows.  What an index
means is found by `index`; here is only what stays of it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

from codegen.dtypes import dtypes
from kernelforge import graph
from kernelforge.graph import Node
from kernelforge.tensor.aliases import Step

MOST_SELECTIONS: Final = 4096  # that are kept
Pads = tuple[tuple[int, int], ...]
View = tuple[tuple[int, ...], tuple[int, ...]]
"""Start, step and count for each dimension of a tensor, one after the other; the shape of what is viewed."""


@dataclass(frozen=True)
class Part:
    """The elements start, start + step, ... of one dimension, `count` of them; step may be negative."""

    start: int
    step: int
    count: int

    @property
    def bounds(self) -> tuple[int, int]:
        """The range that holds them."""
        if not self.count:
            return 0, 0
        last = self.start + (self.count - 1) * self.step
        return min(self.start, last), max(self.start, last) + 1


@dataclass(frozen=True)
class Selection:
    """An index expression taken apart.

    parts    for each dimension of the tensor, the part of it that is viewed
    shape    the view's shape once integers have dropped and None has added dimensions
    picks    dimension of the view -> the int32 or int64 indices that pick from it
    place    where the dimensions of the picks go in the result, counted without the picked ones
    whole    the tensor's shape
    """

    parts: tuple[Part, ...]
    shape: tuple[int, ...]
    picks: dict[int, Node]
    place: int
    whole: tuple[int, ...]

    @cached_property
    def view(self) -> View:
        """All that says which elements are viewed, in numbers."""
        return tuple([n for part in self.parts for n in (part.start, part.step, part.count)]), self.shape

    @cached_property
    def steps(self) -> tuple[Step, ...]:
        """What leads to the view."""
        steps: list[Step] = [("shrink", tuple([part.bounds for part in self.parts]))]
        if any(part.step != 1 for part in self.parts):
            turned = [i for i, part in enumerate(self.parts) if part.step < 0 and part.count]
            steps += [("flip", tuple(turned))] if turned else []
            steps += [("stride", (i, abs(p.step))) for i, p in enumerate(self.parts) if abs(p.step) > 1 and p.count > 1]
        if self.shape != tuple([part.count for part in self.parts]):
            steps.append(("reshape", self.shape))
        return tuple(steps)

    def put_back(self, node: Node) -> Node:
        """The elements of a view at the places of the tensor they came from, zeros elsewhere."""
        counts, apart, turned, pads = self._way_back
        node = graph.reshape(node, counts)
        for dim, size, step in apart:
            wide = graph.reshape(node, (*node.shape[: dim + 1], 1, *node.shape[dim + 1 :]))
            wide = graph.unwindow(wide, dim, size, step)
            node = graph.reshape(wide, (*node.shape[:dim], size, *node.shape[dim + 1 :]))
        return graph.pad(graph.flip(node, turned), pads)

    @cached_property
    def inside(self) -> Node:
        """True at the places of the tensor that are viewed."""
        return self.put_back(graph.full(self.shape, True, dtypes.bool))

    @cached_property
    def _way_back(self) -> tuple[tuple[int, ...], list[tuple[int, int, int]], tuple[int, ...], Pads]:
        """How many there are of each dimension; those with steps, what they span and the steps; those turned round;
        what is before and behind."""
        bounds = [part.bounds for part in self.parts]
        spans = [(dim, stop - start, abs(self.parts[dim].step)) for dim, (start, stop) in enumerate(bounds)]
        return (
            tuple([part.count for part in self.parts]),
            [(dim, span, step) for dim, span, step in spans if step > 1 and self.parts[dim].count > 1],
            tuple([dim for dim, part in enumerate(self.parts) if part.step < 0 and part.count]),
            tuple([(start, n - stop) for (start, stop), n in zip(bounds, self.whole)]),
        )


def of_view(parts: tuple[int, ...], shape: tuple[int, ...], whole: tuple[int, ...]) -> Selection:
    """The selection without picks of which a tensor's shape and a `Selection.view` tell."""
    places = range(0, len(parts), 3)
    return Selection(tuple([Part(*parts[i : i + 3]) for i in places]), shape, {}, 0, whole)


_selections: Final[dict[tuple[object, ...], Selection]] = {}


def kept(shape: tuple[int, ...], index: Any, take_apart: Callable[[], Selection]) -> Selection:
    """What an index means for a shape, taken apart once if numbers, slices, None and ... are all there is to it."""
    key = _plain_key(shape, index)
    if key is None:
        return take_apart()
    found = _selections.get(key)
    if found is None:
        if len(_selections) >= MOST_SELECTIONS:
            del _selections[next(iter(_selections))]
        found = _selections[key] = take_apart()
    return found


def _plain_key(shape: tuple[int, ...], index: Any) -> tuple[object, ...] | None:
    """What the meaning of an index of numbers, slices, None and ... depends on; None for one with anything else."""
    key: list[object] = [shape]
    for item in index if index.__class__ is tuple else (index,):
        if item.__class__ is slice:
            start, stop, step = bounds = item.start, item.stop, item.step
            if not ((start is None or start.__class__ is int) and (stop is None or stop.__class__ is int)):
                return None
            if step is not None and step.__class__ is not int:
                return None
            key.append(bounds)
        elif item.__class__ is int or item is None or item is Ellipsis:
            key.append(item)
        else:
            return None
    return tuple(key)
