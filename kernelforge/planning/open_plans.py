"""Plans for open sizes: graphs that differ in sizes share kernels from the second size on.

Comes in: a graph that is to be planned.  Goes out: a compiled plan for it, made from kernels whose sizes are arguments;
None where there is none.  The first graph of a kind is left to others.  When the second comes, the numbers of both tell
which sizes are open; the plan is made for a few choices of these, and where the texts of its kernels differ in numbers
alone, formulas take their places.  Sizes are bounded by the least choice, and what does not fit is planned as it is.
Graphs of equal sizes that differ in constants share kernels that read these, once there were a few.
"""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import dataclass, field
from math import exp, isfinite, log
from typing import TYPE_CHECKING, Final

from kernelforge.buffer import Buffer
from kernelforge.calls import differentiates, is_stray, memory_forms
from kernelforge.errors import KernelForgeError
from kernelforge.graph import Node, Value, toposort
from kernelforge.kernels import Device
from kernelforge.later import later
from kernelforge.planning.bounded import Bound
from kernelforge.planning.formulas import Formulas, formulas
from kernelforge.planning.numbered import Numbered, TooShort, beside_data, numbered
from kernelforge.planning.of_one import as_pattern, longer_than, shapes_of_leaves, sizes_of_leaves
from kernelforge.planning.open_launches import Unfit
from kernelforge.planning.open_making import OpenPlan, at_points, joined_plan, of_constants
from kernelforge.planning.open_sized import compiled, instance, is_narrow
from kernelforge.planning.steps import Plan
from kernelforge.planning.varied import SAME, guesses, likely_places

if TYPE_CHECKING:
    from codegen import schedule
else:
    later(globals(), schedule="codegen.schedule")

MOST_FAMILIES: Final = 1024
MOST_SEEN: Final = 3
MOST_ALIKE: Final = 3  # graphs that differ in constants alone, each with kernels of its own
MOST_LEARNT: Final = 8  # graphs of a family, after which a constant that never changed stays what it is
MOST_TRIED: Final = 8  # families that a graph with sizes of 1 is compared with
MOST_OPEN: Final = 3  # sizes that change on their own: where more do, it is another layer or model, not other data
MARKS: Final = frozenset(("contiguous", "detach", "flip", "scan"))  # which may be missing where sizes are 1
CLOSED: Final = frozenset(("while", "host", "copy"))  # operations of one size
LEAST_TYPICAL: Final = 4  # schedules are chosen for so much of a size at least: for more there are tiles
MOST_NODES: Final = 10_000  # of a graph that is planned several times over
CLOSE: Final = 1e-6  # to a whole number, where a number is one through it


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
    if sizes is None and not family.refused and not _is_known(found, met, family):
        _learn(family, met, leaves, device, kind)
        found = family.open
        sizes = None if found is None else _fits(found, met)
    if sizes is None or found is None:
        return None
    family.uses += 1
    try:
        new = compiled(found, sizes, device)
    except (Unfit, KernelForgeError):
        family.open, family.refused = None, len(family.met) >= MOST_SEEN
        return None
    if new:
        _let_go_of_kernels(key, family, new)
    plan = instance(found, met, sizes, device)
    plan.narrow = is_narrow(found, sizes, device)
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


def _fits(found: OpenPlan, met: Numbered) -> dict[str, int] | None:
    """The sizes of a graph, if a plan serves it."""
    if any(repr(met.values[place]) != value for place, value in found.values.items()):
        return None
    return found.sized(found.formulas.sizes(met.numbers))


def _is_known(found: OpenPlan | None, met: Numbered, family: Family) -> bool:
    """True for a graph of sizes a plan was made for that does not hold for them: to learn it would change nothing, but
    where a constant is another for the first time."""
    if found is None or len(family.met) < MOST_SEEN or found.formulas.sizes(met.numbers) is None:
        return False
    is_other = any(repr(met.values[place]) != value for place, value in found.values.items())
    return not is_other or len(family.met) >= MOST_LEARNT


def _learn(family: Family, met: Numbered, leaves: Sequence[Buffer], device: str, kind: Kind) -> None:
    """Makes a plan for a family from the graphs met; one alone tells nothing, but beside one with sizes of 1."""
    one = tuple(met.numbers), tuple(map(repr, met.values))
    if one in family.met:
        return
    family.met.append(one)
    seen, own = [numbers for numbers, _ in family.met], shapes_of_leaves(met)
    if len(seen) > 1 and len(set(seen)) == 1:
        _learn_constants(family, met, leaves, device)
        return
    if len(seen) < 2:
        wanted = next((places for places in (longer_than(own, ones) for ones in kind.ones) if places), {})
        if any(1 in shape for shape in own.values()):
            kind.ones = [*kind.ones[1 - MOST_TRIED :], own]
    else:
        wanted = likely_places(met, seen)
    family.open = None
    more, counts = guesses(met, wanted, MOST_OPEN - _changing(seen, formulas(seen)))
    ways = [(more, counts)] * bool(more) + [([], set())] * (len(seen) > 1)
    for number, guessed in enumerate(ways):
        try:
            found = _made(family, met, *guessed, leaves, device)
        except (Unfit, schedule.ScheduleError, KernelForgeError):
            continue
        if number == len(ways) - 1 or _fits(found, met) is not None:
            family.open = found
            kind.note(family)
            return
    family.refused = len(family.met) >= MOST_SEEN


def _learn_constants(family: Family, met: Numbered, leaves: Sequence[Buffer], device: str) -> None:
    """Makes a plan for graphs that differ in constants alone, beside data each, once there were more than a few."""
    if len(family.met) <= MOST_ALIKE:
        return
    columns = list(zip(*(values for _, values in family.met)))
    given = tuple([place for place, column in enumerate(columns) if len(set(column)) > 1])
    fixed: dict[int, object] = {place: column[0] for place, column in enumerate(columns) if place not in given}
    family.open, family.refused = None, not beside_data(met).issuperset(given)
    if not family.refused:
        try:
            family.open = of_constants(met, fixed, given, leaves, device)
        except (Unfit, schedule.ScheduleError, KernelForgeError):
            family.refused = True


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
            made, points = at_points(met, found, given, leaves, device)
        except TooShort as error:
            if error.size in also or error.size not in met.numbers:
                raise
            also.add(error.size)
            continue
        fixed = {place: column[0] for place, column in enumerate(columns) if place not in given}
        plan = joined_plan(made, points, found, fixed, given, _typical(family, found), Device[device].target)
        plan.name, plan.pattern = met.name, made[0].pattern
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
