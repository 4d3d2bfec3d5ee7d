"""Plans for open sizes: graphs that differ in sizes share kernels from the second size on.

Comes in: a graph that is to be planned.  Goes out: a compiled plan for it, made from kernels whose sizes are arguments;
None where there is none.  The first graph of a kind is left to others.  When the second comes, the numbers of both tell
which sizes are open; the plan is made for a few choices of these, and where the texts of its kernels differ in numbers
alone, formulas take their places.  Sizes are bounded by the least choice, and what does not fit is planned as it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence, Set
from dataclasses import dataclass, field, replace
from math import exp, isfinite, log, prod
from typing import TYPE_CHECKING, Final

import numpy as np

from codegen.dtypes import to_storage
from codegen.fitting import Formula, Point
from codegen.target import Target
from kernelforge import graph
from kernelforge.buffer import Buffer
from kernelforge.calls import differentiates, is_stray, memory_forms
from kernelforge.counters import GlobalCounters
from kernelforge.errors import KernelForgeError
from kernelforge.graph import Line, Node, Value, toposort
from kernelforge.kernels import Device
from kernelforge.later import later
from kernelforge.planning.bounded import Bound
from kernelforge.planning.formulas import Formulas, formulas
from kernelforge.planning.kept import Preparation
from kernelforge.planning.layout import lay_out
from kernelforge.planning.numbered import PATTERN, Numbered, Record, TooShort, numbered, remade
from kernelforge.planning.of_one import as_pattern, longer_than, shapes_of_leaves, sizes_of_leaves, without_memory
from kernelforge.planning.open_launches import OpenLaunch, Points, Unfit, formula_of, grid_of, meant, scaled
from kernelforge.planning.open_steps import Opened, OpenRounds, launches, opened, sizes_of, with_sizes
from kernelforge.planning.ordered import orders
from kernelforge.planning.rounds import unrolled
from kernelforge.planning.steps import Check, Launch, Plan, Rounds, Slot, Step, in_words
from kernelforge.planning.varied import SAME, guesses, likely_places

if TYPE_CHECKING:
    from codegen import open_sizes, schedule
    from codegen.opencl import text as opencl_text
    from kernelforge.planning import plan as planner
else:
    later(
        globals(),
        open_sizes="codegen.open_sizes",
        opencl_text="codegen.opencl.text",
        planner="kernelforge.planning.plan",
        schedule="codegen.schedule",
    )

MOST_FAMILIES: Final = 1024
MOST_SEEN: Final = 3
MOST_TRIED: Final = 8  # families that a graph with sizes of 1 is compared with
MOST_OPEN: Final = 3  # sizes that change on their own: where more do, it is another layer or model, not other data
NARROW: Final = 2  # vectors along a size so short that long ones would be half empty,
LARGE: Final = 1 << 18  # and the elements that kernels along such read or write at least
MARKS: Final = frozenset(("contiguous", "detach", "flip", "scan"))  # which may be missing where sizes are 1
CLOSED: Final = frozenset(("while", "host", "copy"))  # operations of one size
LEAST_TYPICAL: Final = 4  # schedules are chosen for so much of a size at least: for more there are tiles
MOST_NODES: Final = 10_000  # of a graph that is planned several times over
CLOSE: Final = 1e-6  # to a whole number, where a number is one through it
MOST_ELEMENTS: Final = 1 << 31  # an index is an int


@dataclass
class OpenPlan:
    """A plan at one choice of sizes, and how what it holds follows from the sizes.

    parts     sizes that are the length of parts of another: for each the size cut, and the number of parts
    steps     what is open of them
    given     the constants that are arguments: for each its place among a graph's values
    points    the sizes it was made from
    orders    pairs of numbers of which the first is not above the second at the points, nor may be elsewhere
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
    orders: Sequence[tuple[Formula, Formula]] = ()

    def sized(self, sizes: dict[str, int] | None) -> dict[str, int] | None:
        """Sizes with the lengths of parts; None where arrays would be too large, or parts lie otherwise than they do at
        the points: where arrays are put together, kernels read those alone that a part reaches into there."""
        if sizes is None or any(low(sizes) > high(sizes) for low, high in self.orders):
            return None
        sizes = sizes | {name: -(-size(sizes) // number) for name, (size, number) in self.parts.items()}
        return None if any(slot(sizes) >= MOST_ELEMENTS for slot in self.slots) else sizes


@dataclass
class Family:
    """Graphs of one kind: numbers and constants of those met, and the plan that serves them, once there is one.

    kernels  of that plan
    uses     how often it was wanted, and seen: that, when somebody last looked at it
    """

    met: list[tuple[tuple[int, ...], tuple[object, ...]]] = field(default_factory=list)
    open: OpenPlan | None = None
    refused: bool = False
    kernels: int = 0
    uses: int = 0
    seen: int = 1


@dataclass
class Kind:
    """Families that may differ in where sizes are 1 alone: some with plans, and what shapes the leaves have of graphs
    with sizes of 1 that none serves."""

    families: list[Family] = field(default_factory=list)
    ones: list[dict[int, list[int]]] = field(default_factory=list)

    def note(self, family: Family) -> None:
        if not any(x is family for x in self.families):
            self.families = [*self.families[1 - MOST_TRIED :], family]


_bound: Final = Bound()  # of their kernels
_families: Final[dict[tuple[object, ...], Family]] = {}
_kinds: Final[dict[tuple[object, ...], Kind]] = {}


def forget() -> None:
    """Lets go of all that was learned: the next graph of any kind is the first."""
    _families.clear()
    _kinds.clear()


def open_plan(nodes: Sequence[Node], leaves: Sequence[Buffer], device: str, *circumstances: object) -> Plan | None:
    """A compiled plan for nodes computed from leaves, of kernels that serve other sizes too; None if there is none."""
    if not Device[device].opens or any(not leaf.size for leaf in leaves):
        return None
    simple = memory_forms(nodes)
    order = toposort(simple, into_realized=False)
    if len(order) > MOST_NODES or any(not node.size or _is_closed(node.op, node.attr) for node in order):
        return None
    if _reads_others(nodes, order, leaves):
        return None
    met = numbered(simple, leaves)
    key = device, circumstances, met.key
    kind = _kind(simple, order, leaves, device, circumstances)
    family = _families.get(key)
    if family is None:
        if len(_families) >= MOST_FAMILIES:
            _let_go_of(_families.pop(next(iter(_families)), Family()))
        family = _families[key] = Family()
    found = family.open  # looked at once: other threads, too, learn from the graphs they meet
    sizes = None if found is None else _fits(found, met)
    if sizes is None:
        family, found, sizes, met = _of_others(kind, simple, leaves, met) or (family, found, sizes, met)
    if sizes is None and not family.refused:
        _learn(family, met, leaves, device, kind)
        found = family.open
        sizes = None if found is None else _fits(found, met)
    if sizes is None or found is None:
        return None
    family.uses += 1
    try:
        new = _compile(found, sizes, device)
    except (Unfit, KernelForgeError):
        family.open, family.refused = None, len(family.met) >= MOST_SEEN
        return None
    if new:
        _let_go_of_kernels(key, family, new)
    plan = _instance(found, met, sizes, device)
    plan.narrow = _is_narrow(found, sizes, device)
    return plan


def _let_go_of_kernels(key: tuple[object, ...], family: Family, kernels: int) -> None:
    """Lets go of families not met lately, now that there are more kernels: the next graph of one is the first."""
    family.kernels += kernels
    for gone in _bound.added(_families, key, kernels):
        _let_go_of(gone)


def _let_go_of(family: Family) -> None:
    """Lets go of a family's plan: `_kinds` may still name the family."""
    family.open, family.met = None, []


def _kind(
    nodes: Sequence[Node], order: Sequence[Node], leaves: Sequence[Buffer], device: str, circumstances: object
) -> Kind:
    """What graphs have in common that differ in where sizes are 1."""
    key = (
        device,
        circumstances,
        tuple([x.dtype for x in nodes]),
        tuple([x.dtype for x in leaves]),
        frozenset([x.op for x in order if x.op in SAME and x.op not in MARKS]),
    )
    if key not in _kinds and len(_kinds) >= MOST_FAMILIES:
        _kinds.pop(next(iter(_kinds)), None)
    return _kinds.setdefault(key, Kind())


def _of_others(
    kind: Kind, nodes: Sequence[Node], leaves: Sequence[Buffer], met: Numbered
) -> tuple[Family, OpenPlan, dict[str, int], Numbered] | None:
    """The family whose plan serves a graph that is of another kind because some of its sizes are 1; that plan, the
    sizes, and the graph taken apart as one of that kind."""
    if not any(1 in shape for shape in shapes_of_leaves(met).values()):
        return None
    for family in kind.families[::-1]:
        found = family.open
        if found is None or found.pattern is None:
            continue
        sizes = found.sized(sizes_of_leaves(found.pattern, found.formulas, met))
        taken = None if sizes is None else as_pattern(found.pattern, found.formulas, sizes, found.given, nodes, leaves)
        if sizes is not None and taken is not None:
            return family, found, sizes, taken
    return None


def _is_closed(op: str, attr: object) -> bool:
    """True for an operation of one size, and for a loop with one in it, or one that reads what it is not given."""
    if op != "loop":
        return op in CLOSED
    recipes = [recipe for recipe in (attr.step, attr.value) if recipe is not None]  # type: ignore[attr-defined]
    return any(not recipe.is_sound or any(_is_closed(x[0], x[2]) for x in recipe.steps) for recipe in recipes)


def _reads_others(nodes: Sequence[Node], order: Sequence[Node], leaves: Sequence[Buffer]) -> bool:
    """True when the nodes that spell others out read memory that the structure of these does not tell of."""
    known, repeated = set(map(id, leaves)), not differentiates(toposort(nodes, into_realized=False))
    return any(is_stray(x, known, repeated) or (x.op == "buffer" and id(x.attr) not in known) for x in order)


def _is_narrow(found: OpenPlan, sizes: dict[str, int], device: str) -> bool:
    """True where a kernel has much to do along sizes that fill few of its vectors: one made for these very sizes would
    have vectors along others."""
    for step, launch, slots in launches(found.plan.steps, found.steps, found.slots):
        across, work = launch.across(sizes), sum(slots[i](sizes) for i in step.arguments)
        if 0 < across < NARROW * Device[device].target.lanes and work >= LARGE:
            return True
    return False


def _fits(found: OpenPlan, met: Numbered) -> dict[str, int] | None:
    """The sizes of a graph, if a plan serves it."""
    if any(repr(met.values[place]) != value for place, value in found.values.items()):
        return None
    return found.sized(found.formulas.sizes(met.numbers))


def _learn(family: Family, met: Numbered, leaves: Sequence[Buffer], device: str, kind: Kind) -> None:
    """Makes a plan for a family from the graphs met; one alone tells nothing, but beside one with sizes of 1."""
    one = tuple(met.numbers), tuple(map(repr, met.values))
    if one in family.met:
        return
    family.met.append(one)
    seen, own = [numbers for numbers, _ in family.met], shapes_of_leaves(met)
    if len(seen) < 2:
        wanted = next((places for places in (longer_than(own, ones) for ones in kind.ones) if places), {})
        if any(1 in shape for shape in own.values()):
            kind.ones = [*kind.ones[1 - MOST_TRIED :], own]
    else:
        wanted = likely_places(met, seen)
    family.open = None
    more, counts = guesses(met, wanted, MOST_OPEN - _changing(seen, formulas(seen)))
    for guessed in [(more, counts)] * bool(more) + [([], set())] * (len(seen) > 1):
        try:
            family.open = _made(family, met, *guessed, leaves, device)
            kind.note(family)
            return
        except (Unfit, schedule.ScheduleError, KernelForgeError):
            continue
    family.refused = len(family.met) >= MOST_SEEN


def _made(
    family: Family,
    met: Numbered,
    guessed: Sequence[Sequence[int]],
    counts: Set[int],
    leaves: Sequence[Buffer],
    device: str,
) -> OpenPlan:
    """The plan for all sizes that the graphs met suggest, and others that are likely to come.

    guessed  the numbers of these
    counts   numbers of elements that are others then: constants that are one of them are arguments, but for those that
             no argument could be
    raises Unfit, or what planning raises where a size cannot be open
    """
    columns = list(zip(*(values for _, values in family.met)))
    sized = {i for i, (value, _) in enumerate(met.values) if i not in met.told and _is_of(value, counts)}
    given = tuple([i for i, column in enumerate(columns) if len(set(column)) > 1 or i in sized])
    seen = [*(numbers for numbers, _ in family.met), *guessed]
    also: set[int] = set()
    for _ in range(4):
        found = formulas(seen, frozenset(also))
        if found is None or _changing(seen, found) > MOST_OPEN:
            raise Unfit
        try:
            made, points = _at_points(met, found, given, leaves, device)
        except TooShort as error:
            if error.size in also or error.size not in met.numbers:
                raise
            also.add(error.size)
            continue
        fixed = {place: column[0] for place, column in enumerate(columns) if place not in given}
        plan = _joined(made, points, found, fixed, given, _typical(family, found), Device[device].target)
        plan.name, plan.pattern = met.name, made[0][2]
        plan.orders = orders(met, found.numbers, [pattern for *_, pattern in made], points)
        return plan
    raise Unfit


def _is_of(value: Value, counts: Set[int]) -> bool:
    """True for a number of elements, one fewer, or one through these."""
    if isinstance(value, bool | complex) or not value:
        return False
    number = value if abs(value) >= 1 else 1 / value
    return isfinite(number) and abs(number - round(number)) <= CLOSE * number and not counts.isdisjoint(
        (round(number), round(number) + 1)
    )


def _changing(seen: Sequence[Sequence[int]], found: Formulas | None) -> int:
    """How many sizes changed on their own in the graphs met."""
    return 0 if found is None else sum(len({numbers[place] for numbers in seen}) > 1 for place in found.base.values())


def _typical(family: Family, found: Formulas) -> dict[str, int]:
    """About what the sizes were in the graphs met."""
    sums = {name: sum(log(max(1, numbers[place])) for numbers, _ in family.met) for name, place in found.base.items()}
    return {name: max(LEAST_TYPICAL, round(exp(total / len(family.met)))) for name, total in sums.items()}


Made = tuple[Plan, "open_sizes.Sizes", "Numbered | None"]


def _at_points(
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


def _planned(
    met: Numbered, found: Formulas, point: Point, given: Sequence[int], leaves: Sequence[Buffer], device: str
) -> Made:
    """The plan at one choice of sizes, and which sizes it cuts into how many parts."""
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
    if min(numbers) < 0:
        raise Unfit
    made = remade(met, numbers, leaf, constant_of)
    nodes = [made[i] for i in met.roots]
    found_sizes = {formula(point) for formula in found.numbers if not formula.is_constant}
    least = min(point.values()) // 2
    found_sizes |= {n for x in toposort(nodes) for n in x.shape if n > least and n not in met.numbers}
    places = [buffers.get(i) or Buffer(like.size, like.dtype, like.device) for i, like in enumerate(leaves)]
    fixed = {formula(point) for formula in found.numbers if formula.is_constant}
    sizes = open_sizes.Sizes(frozenset(found_sizes), frozenset({a * b for a in fixed for b in (1, *fixed)}))
    return planner.make_plan(nodes, [*places, *extra], device, sizes=sizes), sizes, without_memory(met, made)


# ------------------------------------------------------------------------------------------------- several plans, one


def _joined(
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
    plans = [plan for plan, *_ in made]
    first, parts = plans[0], _parts([sizes.parts for _, sizes, _ in made], points)
    if len({(len(p.steps), len(p.slots), p.results, *map(_places, p.preparations)) for p in plans}) > 1:
        raise Unfit
    typical |= {name: -(-size(typical) // number) for name, (size, number) in parts.items()}
    known = Points(points, [sizes for _, sizes, _ in made], typical, target)
    slots, steps = sizes_of([p.slots for p in plans], known), opened([p.steps for p in plans], known)
    kept = [p for p in first.preparations if all(slots[slot].is_constant for slot in (*p.leaves, *p.outputs))]
    return OpenPlan(first, found, parts, fixed, slots, steps, given, kept, points)


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


def _compile(found: OpenPlan, sizes: dict[str, int], device: str) -> int:
    """Sees to it that all launches of a plan have kernels that serve some sizes; how many it had not."""
    all_of = list(launches(found.plan.steps, found.steps, found.slots))
    if any(step.device != device for step, *_ in all_of):
        raise Unfit
    missing = [x for _, x, _ in all_of if x.divisible(sizes) not in x.executables]
    programs = [replace(launch.program, divisible=launch.divisible(sizes)) for launch in missing]
    new = list(dict.fromkeys(programs))
    compiled = dict(zip(new, Device[device].compile(new)))
    GlobalCounters.compiled += len(new)
    for launch, program in zip(missing, programs):
        launch.executables[program.divisible] = compiled[program]
    return len(new)


# --------------------------------------------------------------------------------------------- a plan for given sizes


def _checked(check: Check, size: int, name: str, met: Numbered) -> Check:
    """What a flag says of a graph: its node there, as the line of the pattern of that name tells."""
    lines = () if check.line is None else (check.line,)
    if check.line is None or check.line[0] != name:
        return replace(check, size=size, line=next(_lines(lines, name, met), None))
    node = met.records[check.line[1]].node
    return Check(size, node.line, in_words(node))


def _lines(lines: Iterable[Line], name: str, met: Numbered) -> Iterator[Line]:
    """The user's lines that those of the pattern of a name stand for; nodes of other patterns tell nothing."""
    for file, number in lines:
        line: Line | None = (file, number)
        if file.startswith(PATTERN):
            line = met.records[number].node.line if file == name else None
        if line is not None:
            yield line


def _sized(
    step: Step,
    opened: OpenLaunch | OpenRounds | None,
    slots: Sequence[Slot],
    found: OpenPlan,
    met: Numbered,
    sizes: dict[str, int],
) -> Step:
    """A step for the sizes of a graph; slots: as they are for these."""
    if isinstance(opened, OpenRounds) and isinstance(step, Rounds):
        own = with_sizes(step.body.slots, opened.slots, sizes)
        strides = iter([stride(sizes) for stride in opened.strides])
        return replace(
            step,
            body=replace(step.body, slots=own),
            steps=[_sized(x, opened.steps.get(i), own, found, met, sizes) for i, x in enumerate(step.steps)],
            count=opened.count(sizes),
            sequences=tuple([(slot, next(strides)) for slot, _ in step.sequences]),
            targets=tuple([(slot, next(strides)) for slot, _ in step.targets]),
        )
    if not isinstance(opened, OpenLaunch) or not isinstance(step, Launch):
        return step
    program = scaled(opened.program, sum(slots[i].nbytes for i in step.arguments))
    target = Device[step.device].target
    far = any(slots[i].nbytes >= target.l3 for i in step.writes)
    grid, numbers = grid_of(opened, program, {**sizes, opencl_text.FAR: int(far)}, target.cores)
    program = meant(opened, replace(program, grid=grid), found.points, sizes)
    checks = tuple([_checked(check, size(sizes), found.name, met) for check, size in zip(step.checks, opened.checks)])
    executable = opened.executables[opened.divisible(sizes)].sized(program, numbers)
    origins = {e: frozenset(_lines(told, found.name, met)) for e, told in step.origins.items()}
    lines = tuple(dict.fromkeys(_lines(step.lines, found.name, met)))
    return replace(step, program=program, executable=executable, checks=checks, lines=lines, origins=origins)


def _instance(found: OpenPlan, met: Numbered, sizes: dict[str, int], device: str) -> Plan:
    """The plan for the sizes of a graph: kernels with these as arguments, and memory for them."""
    slots = with_sizes(found.plan.slots, found.slots, sizes)
    steps: list[Step] = []
    begins: list[int] = []
    for position, step in enumerate(found.plan.steps):
        begins.append(len(steps))
        step = _sized(step, found.steps.get(position), slots, found, met, sizes)
        steps += unrolled(step, slots) if isinstance(step, Rounds) else [step]
    plan = Plan(slots=slots, steps=steps, results=found.plan.results, sizes=sizes, closed=found.plan.closed)
    first = sum(slot.role == "leaf" for slot in slots) - len(found.given)
    for i, place in enumerate(found.given):
        slots[first + i].role = "given"
        value, dtype = met.values[place]
        memory = Device[device].allocate(dtype.itemsize)
        Device[device].copy_in(memory, to_storage(np.asarray([value]), dtype))
        plan.given[first + i] = memory
    plan.preparations = [replace(p, steps=tuple([begins[i] for i in p.steps])) for p in found.preparations]
    lay_out(plan)
    plan.sum_up()
    return plan
