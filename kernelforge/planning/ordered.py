"""What lies before what along dimensions that change, in the graphs a plan for open sizes is made from.

Comes in: a graph taken apart, and the graphs of the same kind at some points.  Goes out: pairs of numbers of which the
first is not above the second there.  Where arrays are put together, and parts are taken of the result, kernels read
those arrays alone that a part reaches into; for sizes at which it reaches into others, they would be wrong.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from codegen.fitting import Formula, Point
from kernelforge.planning.numbered import Numbered, Record
from kernelforge.planning.open_launches import formula_of

Place = tuple[int, int]
"""A dimension: the place of a record, and the axis."""


class Lineage:
    """Which dimensions lie along each other: of operands and results, but where one is put together from several."""

    def __init__(self, records: Sequence[Record]) -> None:
        self._of: dict[Place, Place] = {}
        for place, record in enumerate(records):
            for source in record.sources if record.leaf < 0 else ():
                for axis, before in _along(record, records[source]):
                    own, other = self.first((place, axis)), self.first((source, before))
                    if own != other:
                        self._of[own] = other

    def first(self, place: Place) -> Place:
        """The same place for all that lie along each other."""
        while place in self._of:
            place = self._of[place]
        return place


def _along(record: Record, source: Record) -> Iterable[Place]:
    """Axes of a record, each with the one of a source that lies along it."""
    node, shape = record.node, source.node.shape
    if node.op == "permute":
        return list(enumerate(node.attr))
    if node.op == "reduce":
        return list(enumerate(i for i in range(len(shape)) if i not in node.attr[1]))
    if node.op == "reshape":
        both = [(i, j) for i, n in enumerate(node.shape) for j, m in enumerate(shape) if n == m != 1]
        return [(i, j) for i, j in both if sum(i == x for x, _ in both) == sum(j == y for _, y in both) == 1]
    return [(i, i) for i in range(len(shape))] if len(shape) == len(node.shape) else ()


def orders(
    met: Numbered, numbers: Sequence[Formula], made: Sequence[Numbered | None], points: Sequence[Point]
) -> list[tuple[Formula, Formula]]:
    """Where parts begin and end in dimensions that change: all pairs along one another of which one is not above the
    other at any of the points.

    raises Unfit where a size does not follow from those that are open
    """
    lineage, found = Lineage(met.records), dict[Place, dict[Formula, list[int]]]()
    for place, record in enumerate(met.records):
        if record.node.op not in ("shrink", "pad") or record.leaf >= 0:
            continue
        whole = place if record.node.op == "pad" else record.sources[0]
        for axis in range(len(record.numbers) // 2):
            own = [numbers[at] for at in record.numbers[2 * axis : 2 * axis + 2]]
            sizes = [p.records[whole].node.shape[axis] for p in made if p is not None]
            ends = [[formula(point) for point in points] for formula in own]
            if record.node.op == "pad":
                ends[1] = [size - end for size, end in zip(sizes, ends[1])]
            if len(sizes) == len(points) and any(len(set(values)) > 1 for values in (sizes, *ends)):
                group = found.setdefault(lineage.first((place, axis)), {})
                group |= {formula_of(values, points): list(values) for values in (sizes, *ends)}
    return [
        (low, high)
        for group in found.values()
        for low, a in group.items()
        for high, b in group.items()
        if low is not high and not (low.is_constant and high.is_constant) and all(x <= y for x, y in zip(a, b))
    ]
