"""Plans for open sizes, made from plans at a few choices of sizes.

Comes in: a graph taken apart, and formulas of its numbers.  Goes out: `OpenPlan`, kernels whose sizes are arguments,
with what follows from the sizes, and what must hold of them: all that was taken for granted where the plans were made.
Where constants alone are open, one plan is enough.

raises Unfit where the plans differ in more than numbers
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Final, NamedTuple

from codegen.assumed import Noted, noting
from codegen.fitting import Formula, Point, constant
from codegen.target import Target
from kernelforge import graph
from kernelforge.buffer import Buffer
from kernelforge.graph import Node, toposort
from kernelforge.later import later
from kernelforge.planning.formulas import Formulas
from kernelforge.planning.kept import Preparation
from kernelforge.planning.numbered import Numbered, Record, remade
from kernelforge.planning.of_one import without_memory
from kernelforge.planning.open_launches import Points, Unfit, assumptions, formula_of
from kernelforge.planning.open_steps import Opened, launches, opened, sizes_of
from kernelforge.planning.steps import Plan

if TYPE_CHECKING:
    from codegen import open_sizes
    from kernelforge.planning import plan as planner
else:
    later(globals(), open_sizes="codegen.open_sizes", planner="kernelforge.planning.plan")

MOST_ELEMENTS: Final = 1 << 31  # an index is an int
GIVEN: Final = "kf_given"  # in the place of a size, of plans where constants alone are open


@dataclass
class OpenPlan:
    """A plan at one choice of sizes, and how what it holds follows from the sizes.

    parts     sizes that are the length of parts of another: for each the size cut, and the number of parts
    steps     what is open of them
    given     the constants that are arguments: for each its place among a graph's values
    points    the sizes it was made from
    assumed   what was not below 0 where the kernels were made, nor may be elsewhere; see `codegen/assumed.py`
    pattern   what its nodes were made after, where that says how others are made; name: that of the pattern
    """

    plan: Plan
    formulas: Formulas
    parts: dict[str, tuple[Formula, int]]
    values: dict[int, object]
    slots: list[Formula]
    steps: Opened
    given: tuple[int, ...]
    preparations: list[Preparation]
    points: Sequence[Point]
    name: str = ""
    pattern: Numbered | None = None
    assumed: Sequence[Formula] = ()

    def sized(self, sizes: dict[str, int] | None) -> dict[str, int] | None:
        """Sizes with the lengths of parts; None where arrays would be too large, or something does not hold that was
        taken for granted: of arrays put together, say, kernels read those alone that a part reaches into."""
        if sizes is None:
            return None
        if not self.formulas.base:
            return {GIVEN: len(self.given)}
        sizes = sizes | {name: -(-size(sizes) // number) for name, (size, number) in self.parts.items()}
        if any(slot(sizes) >= MOST_ELEMENTS for slot in self.slots):
            return None
        return None if any(formula(sizes) < 0 for formula in self.assumed) else sizes


class Made(NamedTuple):
    """A plan at one choice of sizes; which of them are open, and which were cut into how many parts; what it was made
    after; what was taken for granted on the way."""

    plan: Plan
    sizes: open_sizes.Sizes
    pattern: Numbered | None
    noted: Noted


def at_points(
    met: Numbered, found: Formulas, given: Sequence[int], leaves: Sequence[Buffer], device: str
) -> tuple[list[Made], list[dict[str, int]]]:
    """The plans at some choices of sizes.

    raises Unfit as soon as they differ too much
    """
    points, made = found.points(), list[Made]()
    for point in points:
        made.append(_planned(met, found, point, given, leaves, device))
        if len({(len(plan.steps), len(plan.slots)) for plan, *_ in made}) > 1:
            raise Unfit
    return made, points


def of_constants(
    met: Numbered, fixed: dict[int, object], given: tuple[int, ...], leaves: Sequence[Buffer], device: str
) -> OpenPlan:
    """The plan for all graphs of the sizes of this one in which some constants are others: kernels read these."""
    found = Formulas(tuple([constant(number) for number in met.numbers]), {}, {})
    plan = _planned(met, found, {}, given, leaves, device).plan
    slots = [constant(slot.size) for slot in plan.slots]
    return _sound(OpenPlan(plan, found, {}, fixed, slots, {}, given, plan.preparations, [{}], name=met.name))


def _sound(found: OpenPlan) -> OpenPlan:
    """The plan, without what would be kept of constants that are arguments: they have no buffers.

    raises Unfit where one is a result, which must have one
    """
    last = sum(slot.role == "leaf" for slot in found.plan.slots)
    given = range(last - len(found.given), last)
    if any(result in given for result in found.plan.results):
        raise Unfit
    found.preparations = [p for p in found.preparations if not any(leaf in given for leaf in p.leaves)]
    return found


def _planned(
    met: Numbered, found: Formulas, point: Point, given: Sequence[int], leaves: Sequence[Buffer], device: str
) -> Made:
    """The plan at one choice of sizes."""
    buffers: dict[int, Buffer] = {}
    extra = [Buffer(1, met.values[place][1], device) for place in given]

    def leaf(record: Record, shape: tuple[int, ...]) -> Node:
        like = leaves[record.leaf]
        buffer = buffers.setdefault(record.leaf, Buffer(prod(shape), like.dtype, like.device))
        if buffer.size != prod(shape):
            raise Unfit
        return graph.buffer(buffer, shape)

    def constant_of(record: Record) -> Node:
        if record.value in given:
            return graph.buffer(extra[given.index(record.value)], ())
        return record.node

    numbers = [formula(point) for formula in found.numbers]
    if any(number < 0 for number in numbers):
        raise Unfit
    made = remade(met, numbers, leaf, constant_of)
    nodes = [made[i] for i in met.roots]
    found_sizes = {formula(point) for formula in found.numbers if not formula.is_constant}
    places = [buffers.get(i) or Buffer(like.size, like.dtype, like.device) for i, like in enumerate(leaves)]
    sizes = open_sizes.STATIC
    if point:
        least = min(point.values()) // 2
        found_sizes |= {n for x in toposort(nodes) for n in x.shape if n > least and n not in met.numbers}
        fixed = {formula(point) for formula in found.numbers if formula.is_constant}
        sizes = open_sizes.Sizes(frozenset(found_sizes), frozenset({a * b for a in fixed for b in (1, *fixed)}))
    with noting() as noted:
        plan = planner.make_plan(nodes, [*places, *extra], device, sizes=sizes)
    return Made(plan, sizes, without_memory(met, made), noted)


def joined_plan(
    made: Sequence[Made],
    points: Sequence[dict[str, int]],
    found: Formulas,
    fixed: dict[int, object],
    given: tuple[int, ...],
    typical: dict[str, int],
    target: Target,
) -> OpenPlan:
    """One plan for all sizes, of kernels that suit typical ones.

    raises Unfit where the plans differ in more than numbers
    """
    plans = [one.plan for one in made]
    first, parts = plans[0], _parts([one.sizes.parts for one in made], points)
    if len({(len(p.steps), len(p.slots), p.results, *map(_places, p.preparations)) for p in plans}) > 1:
        raise Unfit
    typical |= {name: -(-size(typical) // number) for name, (size, number) in parts.items()}
    known = Points(points, [one.sizes for one in made], typical, target)
    slots, steps = sizes_of([p.slots for p in plans], known), opened([p.steps for p in plans], known)
    kept = [p for p in first.preparations if all(slots[slot].is_constant for slot in (*p.leaves, *p.outputs))]
    granted = [*assumptions([one.noted for one in made], points)]
    granted += [formula for _, launch, _ in launches(first.steps, steps, slots) for formula in launch.assumed]
    may_fail = [formula for formula in dict.fromkeys(granted) if any(factor < 0 for factor, _ in formula.terms)]
    return _sound(OpenPlan(first, found, parts, fixed, slots, steps, given, kept, points, assumed=may_fail))


def _parts(
    made: Sequence[Sequence[tuple[int, int, int]]], points: Sequence[dict[str, int]]
) -> dict[str, tuple[Formula, int]]:
    """Names for the lengths of parts, which go into the points.

    raises Unfit where a length tells too little of what it is elsewhere
    """
    if len({tuple(number for _, number, _ in parts) for parts in made}) > 1:
        raise Unfit
    found = {}
    for i, cuts in enumerate(zip(*made)):
        found[f"kf_part{i}"] = formula_of([size for size, *_ in cuts], points), cuts[0][1]
    for name, cuts in zip(found, zip(*made)):
        if len({length for *_, length in cuts}) == 1:
            raise Unfit
        for point, (*_, length) in zip(points, cuts):
            point[name] = length
    return found


def _places(preparation: Preparation) -> tuple[tuple[int, ...], ...]:
    return preparation.steps, preparation.leaves, preparation.outputs
