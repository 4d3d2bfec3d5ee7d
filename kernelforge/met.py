"""Plans by the structure of the graphs they were made for, so that a graph that was met before is known again.

Comes in: plans, and the structures of their graphs.  Goes out: the plan for a structure, and those that were let go of
as others came.  Plans of one launch are found by the kind of their one node, in less time; what C can find and run by
itself it is told.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from sys import getrefcount
from typing import Final, cast

from kernelforge.buffer import Buffer
from kernelforge.execution import edits, faults
from kernelforge.execution.running import plainly
from kernelforge.graph import VIEWS, Node, uniform
from kernelforge.native import compiled
from kernelforge.planning.bounded import Bound
from kernelforge.planning.steps import Plan
from kernelforge.settings import (
    DEVICE,
    DUMP,
    DUMP_LANGUAGE,
    MEMORY_BUDGET,
    OPEN,
    VERIFY,
    WINOGRAD,
    remembered,
    shows_kernels,
)
from kernelforge.structure import Structure
from kernelforge.tune import state as tuned

MOST_PLANS: Final = 4096
_UNHELD: Final = 3  # references to a node from one other, from a list and from the call that counts them
MOST_SIZED: Final = 256  # of those made of kernels for open sizes, which are made anew in a millisecond
LARGE: Final = 1 << 16  # operations and bytes of a plan for open sizes that may be made again for its very sizes,
OFTEN: Final = 6  # once it ran so often,
SOON: Final = 1  # or where vectors are half empty,
FEW: Final = 3  # and others of its kind were; from then on twice as often for each, so ever new sizes compile no more
LEAST_SPARED: Final = 1 << 20  # bytes of operands in whose places results are written: to find them takes microseconds


@dataclass(slots=True)
class Plans:
    """The plans of one structure.

    spares  leaves whose memory results could take
    counts  whether they are looked for: there is much to save, or the first plan took some
    made    by those of them that nothing else needed
    usual   the plan where none of them is looked for
    runs    of large plans for open sizes
    kinds   how many were known of values that loops carry on when the graph was looked at
    learned the same of what was learned of values that gradients will read, where this reads none
    kernels of all plans; seen: the `uses` when somebody last looked at them
    """

    spares: frozenset[int]
    counts: bool
    made: dict[frozenset[int], Plan]
    usual: Plan | None = None
    runs: int = 0
    kinds: int = 0
    learned: int = 0
    kernels: int = 0
    seen: int = 1

    @property
    def uses(self) -> int:
        """How often plans ran."""
        return sum(plan.uses for plan in self.made.values())


plans_of: Final[dict[tuple[object, ...], Plans]] = {}
_bound: Final = Bound()  # of the kernels of these
_sized: Final[deque[tuple[object, ...]]] = deque()
single: Final[dict[tuple[object, ...], tuple[Plan, frozenset[int]]]] = {}  # plans of one launch, and their spares
_single_under: Final[list[object]] = [None]  # the circumstances they were made under


def forget() -> None:
    """Knows no graph any more."""
    plans_of.clear()
    single.clear()


@remembered
def circumstances() -> tuple[object, ...]:
    """What plans depend on besides the graph and the device, and whether they are written to files."""
    switches = WINOGRAD.value, DUMP.value, DUMP_LANGUAGE.value, OPEN.value, MEMORY_BUDGET.value
    return shows_kernels(), tuned(), *switches, edits.state()


@remembered
def simply() -> tuple[object, ...] | None:
    """The `circumstances`, with what names the default device, where launches are made `plainly`; else None."""
    return (DEVICE.value, *circumstances()) if plainly() else None


def keep(plan: Plan, plans: Plans, closed: bool, node: Node, leaves: Sequence[Buffer]) -> None:
    """Has a plan that takes no operand's memory found again in less time."""
    if (plans.usual is None or closed) and not plans.counts:
        plans.usual = plan
    if plan.is_one_launch and not is_large(plan) and not VERIFY.value:
        _remember(node, leaves, plan, plans.spares if plans.counts else frozenset())


def is_large(plan: Plan) -> bool:
    """True for a plan for open sizes that takes long enough for one of its very sizes to pay."""
    return bool(plan.sizes) and plan.nbytes + plan.flops >= LARGE


def outgrown(plans: Plans, plan: Plan) -> bool:
    """True when a large plan for open sizes ran so often with the same ones that it is worth a plan of its own."""
    if not is_large(plan):
        return False
    plans.runs += 1
    return plans.runs > _limit(plan)


def _ends(plans: Plans, runs: int) -> None:
    """Notes that plans ran so often."""
    plans.runs = max(plans.runs, runs)


def _limit(plan: Plan) -> int:
    """How often a large plan for open sizes may run before it is made for its very sizes."""
    return (SOON if plan.narrow else OFTEN) << max(0, plan.closed[0] - FEW)


def make_room(key: tuple[object, ...], plan: Plan) -> None:
    """Lets go of old plans now that there is a new one."""
    if len(plans_of) > MOST_PLANS and (oldest := plans_of.pop(next(iter(plans_of)), None)) is not None:
        _unknow(oldest)
    if plan.sizes:
        _sized.append(key)
        if len(_sized) > MOST_SIZED:
            old = plans_of.pop(_sized.popleft(), None)
            if old is not None:
                _unknow(old)


def let_go_of_kernels(key: tuple[object, ...], plans: Plans, kernels: int) -> None:
    """Lets go of plans not used lately, now that there are more kernels."""
    plans.kernels += kernels
    gone = _bound.added(plans_of, key, kernels)
    if gone:
        others = {id(plan) for known in gone for plan in known.made.values()}
        for kind in [kind for kind, (plan, _) in list(single.items()) if id(plan) in others]:
            single.pop(kind, None)
        for known in gone:
            _unknow(known)


def _unknow(plans: Plans) -> None:
    """Has plans that were let go of found no more."""
    if compiled is not None:
        for plan in plans.made.values():
            if isinstance(plan.single, compiled.Function):
                compiled.unknow(plan.single)


def again(node: Node) -> tuple[Plan, list[Buffer]] | None:
    """The plan for a node that is one operation on stored values or views of them, and one launch, and the like of
    which has run before, and the buffers it reads; None where it is left to `realize`."""
    found = _kind(node)
    if found is None:
        return None
    key, leaves, nodes = found
    known = single.get(key)
    if known is None or _single_under[0] is not simply():
        return None
    plan, spares = known
    if spares and not all(getrefcount(nodes[number]) > _UNHELD for number in spares):
        return None  # what nothing else holds may take the result
    if plan.single is not None and not spares:
        know([node], plan, Structure(key, [*leaves], [node]))
    return plan, leaves


def know(nodes: Sequence[Node], plan: Plan, graph: Structure, plans: Plans | None = None, early: int = 0) -> None:
    """Has a plan found by its nodes from now on, and run in one call, where it is a function and nothing else, or gives
    what it reads as it is; one for open sizes as often as it may run before it has outgrown them.  Not one of loops
    whose states are computed together: which of them still have to be, the graph does not say.

    early  how many of the nodes, the first, it is not found by: they are part of the others' graph
    """
    if compiled is None or not (isinstance(plan.single, compiled.Function) or not (plan.steps or plan.made)):
        return
    now, forgotten = simply(), compiled.forgotten()
    if now is None or (plan.known_since == forgotten and plan.known_under == now):
        return
    left = _limit(plan) - plans.runs if plans is not None and is_large(plan) else 0
    prepares = bool(plan.preparations) and not plan.has_tables
    others = plan.takes or prepares or (left < 1 and is_large(plan)) or any(map(_is_one_state, graph.nodes))
    places = {number: -1 - number for number, slot in enumerate(plan.slots) if slot.role == "leaf"}
    places |= {number: place for place, (number, _, _) in enumerate(plan.made)}
    if not others and len(nodes) == len(plan.results) and places.keys() >= set(plan.results):
        made = [(plan.slots[number], places[number]) for number in plan.results]
        facts = tuple([(slot.size, slot.dtype, slot.device, place) for slot, place in made])
        counts, blame = plan.counts, faults.blame(plan) if plan.flags else None
        over = partial(_ends, plans, _limit(plan)) if left and plans is not None else None
        leaves = cast(list[Buffer], graph.leaves)
        compiled.know(tuple(nodes), leaves, plan.single, facts, counts, plan.guilty, blame, left, over, early)
    plan.known_under, plan.known_since = now, compiled.forgotten()


def _is_one_state(node: Node) -> bool:
    """True for one state of a loop that has others."""
    return node.op == "while" and len(node.attr.loop.body) > 1


def _remember(node: Node, leaves: Sequence[Buffer], plan: Plan, spares: frozenset[int]) -> None:
    now = simply()
    if now is None:
        return
    if _single_under[0] is not now:
        single.clear()
        _single_under[0] = now
    found = _kind(node)
    if found is not None and found[1] == leaves:
        if len(single) >= MOST_PLANS:
            del single[next(iter(single))]
        single[found[0]] = plan, spares


def _kind(node: Node) -> tuple[tuple[object, ...], list[Buffer], list[Node]] | None:
    """What the structure of one operation on buffers, or on views of them, comes to, the buffers, and their nodes;
    None for any other graph."""
    op, src = node.op, node.src
    if len(src) == 1 and (x := src[0]).op == "buffer":
        return (op, node.attr, x.shape, x.dtype, x.device), [x.attr], [x]
    if len(src) == 2 and (x := src[0]).op == "buffer":
        y = src[1]
        if y is x:
            return (op, node.attr, x.shape, x.dtype, x.device, 0), [x.attr], [x]
        if y.op == "buffer" and y.attr is not x.attr:
            key = (op, node.attr, x.shape, x.dtype, x.device, y.shape, y.dtype)
            return key, [y.attr, x.attr], [y, x]
        if uniform(y) is not None:
            return (op, node.attr, x.shape, x.dtype, x.device, y), [x.attr], [x]
    return None if op == "gradient" else _any_kind(node)


def _any_kind(node: Node) -> tuple[tuple[object, ...], list[Buffer], list[Node]] | None:
    """`_kind` of nodes that are not among the most frequent."""
    key: list[object] = [node.op, node.attr]
    leaves: list[Buffer] = []
    nodes: list[Node] = []
    for x in reversed(node.src):  # `structure` meets them so
        while x.op in VIEWS and x.realized is None:
            key += (x.op, x.attr)
            (x,) = x.src
        buffer = x.attr if x.op == "buffer" else x.realized
        if buffer is not None:
            if x.device is None and buffer.device != node.device:  # a constant, computed on another device
                return None
            if buffer in leaves:
                key.append(leaves.index(buffer))
            else:
                leaves.append(buffer)
                nodes.append(x)
            key += (x.device, x.shape, x.dtype)
        elif uniform(x) is not None:
            key.append(x)
        else:
            return None
    return (tuple(key), leaves, nodes) if leaves else None


def nbytes_of(leaves: Sequence[Buffer], numbers: Iterable[int]) -> int:
    return sum(leaves[number].nbytes for number in numbers)
