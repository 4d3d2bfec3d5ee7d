"""Computing nodes: find or make the plan for a graph, and run it.

Comes in: nodes.  Goes out: nothing; each node's `realized` is its buffer.  A graph of a structure met before is run
without planning or compiling anything: its buffers take the places of the earlier ones.
"""

from __future__ import annotations

import os
from collections import Counter, deque
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from sys import getrefcount
from time import perf_counter
from typing import TYPE_CHECKING, Final, NamedTuple, cast

from numpy.typing import NDArray

from codegen.dtypes import from_storage
from kernelforge import exclusive
from kernelforge.buffer import Buffer
from kernelforge.carried import carried, kinds, of_known_kinds, unasked
from kernelforge.counters import GlobalCounters
from kernelforge.errors import InternalError
from kernelforge.execution import debug, edits, faults, saved
from kernelforge.execution.ownership import dying
from kernelforge.execution.running import (
    compile_all,
    launch,
    moved,
    moved_back,
    plainly,
    prepared,
    run_called,
    run_one,
    run_plain,
    service_of,
)
from kernelforge.execution.running import contents as contents
from kernelforge.graph import VIEWS, Line, Node, uniform
from kernelforge.held import computed, held_among
from kernelforge.interning import let_go
from kernelforge.kernels import Device
from kernelforge.later import later
from kernelforge.native import compiled
from kernelforge.node import is_stored, waiting
from kernelforge.planning.bounded import Bound
from kernelforge.planning.steps import Plan, Step
from kernelforge.recording import recorder
from kernelforge.settings import (
    DEVICE,
    DUMP,
    DUMP_LANGUAGE,
    MEMORY_BUDGET,
    NAN,
    OPEN,
    TUNE,
    VERIFY,
    WINOGRAD,
    Context,
    epochs,
    overrides,
    prints_kernels,
    remembered,
    shows_kernels,
)
from kernelforge.structure import Structure, structure, structure_on
from kernelforge.tune import state as tuned

if TYPE_CHECKING:
    from kernelforge import dumping, whiles
    from kernelforge.checking import confirming
    from kernelforge.execution import tried
    from kernelforge.fusion import story
    from kernelforge.planning import open_plans
    from kernelforge.planning import plan as planner
else:
    later(
        globals(),
        confirming="kernelforge.checking.confirming",
        dumping="kernelforge.dumping",
        open_plans="kernelforge.planning.open_plans",
        planner="kernelforge.planning.plan",
        story="kernelforge.fusion.story",
        tried="kernelforge.execution.tried",
        whiles="kernelforge.whiles",
    )

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
    kernels of all plans; seen: the `uses` when somebody last looked at them
    """

    spares: frozenset[int]
    counts: bool
    made: dict[frozenset[int], Plan]
    usual: Plan | None = None
    runs: int = 0
    kinds: int = 0
    kernels: int = 0
    seen: int = 1

    @property
    def uses(self) -> int:
        """How often plans ran."""
        return sum(plan.uses for plan in self.made.values())


_plans: Final[dict[tuple[object, ...], Plans]] = {}
_bound: Final = Bound()  # of the kernels of these
_sized: Final[deque[tuple[object, ...]]] = deque()
_single: Final[dict[tuple[object, ...], tuple[Plan, frozenset[int]]]] = {}  # plans of one launch, and their spares
_carries: Final[dict[tuple[object, ...], tuple[int, ...]]] = {}  # places of what loops carry on, by graphs that tell
_single_under: Final[list[object]] = [None]  # the circumstances they were made under


class Ran(NamedTuple):
    """A plan that ran on leaves; the buffers of its results; what it was told, and of which nodes."""

    plan: Plan
    leaves: list[Buffer]
    buffers: list[Buffer]
    told: tuple[Line | None, ...] = ()
    guilty: tuple[Node, ...] = ()


class Chosen(NamedTuple):
    """A plan, and what it is among: those of a structure, named by a key.

    free    the leaves whose memory its results may take; closed: made for sizes that others of its kind are open for
    is_new  whether it is yet to be compiled
    """

    plan: Plan
    key: tuple[object, ...]
    plans: Plans | None
    free: frozenset[int] = frozenset()
    closed: bool = False
    is_new: bool = False


def realize(
    nodes: Sequence[Node], names: Callable[[], Mapping[Node, int]] = dict, thorough: bool = False
) -> Ran | None:
    """Computes nodes, all that share work together; afterwards each has its buffer in `realized`.

    The result tells what ran, None if every node had its buffer before.

    names     tells, for nodes that are let go of afterwards, how many references that will be.  What was computed from
              nothing else will be gone then: its memory may take results
    thorough  also where there is little memory to save
    """
    while _pending(nodes):
        with exclusive.lock:
            with exclusive.planning:
                pending = _pending(nodes)
                if not pending:
                    return None  # another thread has computed it
                if waiting:
                    pending = whiles.together(pending)
                found = structure_on(pending, _device(pending))
                first = held_among(found.nodes, pending)
                if not first:
                    pending, found, chosen = _chosen(nodes, pending, found, names, thorough)
            if not first and chosen.is_new:
                _compile(chosen, pending, found)
        if not first:
            faults.tell(chosen.plan, found.nodes)
            return _ran_for(pending, chosen.plan, found)
        _compute_first(first)
    return None


def _compute_first(nodes: Sequence[Node]) -> None:
    """Computes nodes that are to stay, before what reads them."""
    for place in dict.fromkeys(node.device for node in nodes):
        realize([node for node in nodes if node.device == place])
    computed(nodes)
    for node in nodes:
        if node.op == "detach":  # a parameter: those of the round before may go
            let_go(node)


def _chosen(
    nodes: Sequence[Node],
    pending: list[Node],
    found: Structure,
    names: Callable[[], Mapping[Node, int]],
    thorough: bool,
) -> tuple[list[Node], Structure, Chosen]:
    """The nodes to compute, with what loops carry on; their structure, and the plan for them."""
    device = _device(pending)
    key = (device, circumstances(), found.key)
    plans = _plans.get(key)
    more = _carried(pending, found, key, plans)
    if more:
        unasked.update(dict.fromkeys(more, 0))
        pending += more
        return _chosen(nodes, pending, structure_on(pending, device), names, thorough)
    leaves = cast(list[Buffer], found.leaves)
    usual = plans.usual if plans is not None and not (thorough and plans.spares) else None
    if plans is not None and usual is not None and not _outgrown(plans, usual):
        _know(pending, usual, found, plans)
        return pending, found, Chosen(usual, key, plans)
    free: frozenset[int] = frozenset()
    if (plans is None or plans.counts or (thorough and plans.spares)) and (gone := names()):
        known = Counter((*nodes, *pending, *pending, *gone))  # two lists, itself, and the names
        known.update(gone)
        free = dying(found, known)
    if not thorough and _nbytes(leaves, free) < LEAST_SPARED:
        free = frozenset()
    plan = None if plans is None else plans.made.get(free & plans.spares)
    closed = plans is not None and plan is not None and _outgrown(plans, plan)
    if plan is None or closed:
        if plan is not None:  # of others of its kind there may be fewer now
            plan.closed[0] += 1
        plan = _planned(pending, found, device, free, opens=not closed)
        return pending, found, Chosen(plan, key, plans, free, closed, is_new=True)
    return pending, found, Chosen(plan, key, plans)


def _compile(chosen: Chosen, nodes: Sequence[Node], found: Structure) -> None:
    """Compiles a new plan, and has it found from now on."""
    plan, key, plans, free, closed, _ = chosen
    leaves = cast(list[Buffer], found.leaves)
    if plans is None:
        counts = bool(free & plan.spares) or _nbytes(leaves, plan.spares) >= LEAST_SPARED
        plans = _plans[key] = Plans(plan.spares, counts, {}, kinds=len(kinds))
        _make_room(key, plan)
    compile_all(plan)
    plans.made[free & plans.spares] = plan
    _let_go_of_kernels(key, plans, plan.own_kernels)
    debug.show_plan(plan)
    if not free & plans.spares:
        _keep(plan, plans, closed, nodes[0], leaves)


def is_steady(ran: Ran) -> bool:
    """Whether the next graph like what ran will be run by the same plan, whatever else holds what it reads."""
    return not (ran.plan.takes or _is_large(ran.plan) or _nbytes(ran.leaves, ran.plan.spares) >= LEAST_SPARED)


def _keep(plan: Plan, plans: Plans, closed: bool, node: Node, leaves: Sequence[Buffer]) -> None:
    """Has a plan that takes no operand's memory found again in less time."""
    if (plans.usual is None or closed) and not plans.counts:
        plans.usual = plan
    if plan.is_one_launch and not _is_large(plan) and not VERIFY.value:
        _remember(node, leaves, plan, plans.spares if plans.counts else frozenset())


def _carried(wanted: Sequence[Node], found: Structure, key: tuple[object, ...], known: Plans | None) -> list[Node]:
    """The nodes of a graph that a loop carries on, and that are not wanted anyway.

    None while a function is recorded, whose results are computed together.
    """
    if recorder.get() is not None:
        return []
    places = _carries.get(key) if _carries else None
    if places is None:
        if known is not None and known.kinds == len(kinds):
            return []
        places = carried(found.nodes) if known is None else of_known_kinds(found.nodes)
        if known is not None:
            known.kinds = len(kinds)
        if places:
            _carries[key] = places
            if len(_carries) > MOST_PLANS:
                del _carries[next(iter(_carries))]
    apart = set(wanted) if places else set()
    return [node for place in places if (node := found.nodes[place]) not in apart and node.realized is None]


def _is_large(plan: Plan) -> bool:
    """True for a plan for open sizes that takes long enough for one of its very sizes to pay."""
    return bool(plan.sizes) and plan.nbytes + plan.flops >= LARGE


def _outgrown(plans: Plans, plan: Plan) -> bool:
    """True when a large plan for open sizes ran so often with the same ones that it is worth a plan of its own."""
    if not _is_large(plan):
        return False
    plans.runs += 1
    return plans.runs > _limit(plan)


def _ends(plans: Plans, runs: int) -> None:
    """Notes that plans ran so often."""
    plans.runs = max(plans.runs, runs)


def _limit(plan: Plan) -> int:
    """How often a large plan for open sizes may run before it is made for its very sizes."""
    return (SOON if plan.narrow else OFTEN) << max(0, plan.closed[0] - FEW)


def _make_room(key: tuple[object, ...], plan: Plan) -> None:
    """Lets go of old plans now that there is a new one."""
    if len(_plans) > MOST_PLANS and (oldest := _plans.pop(next(iter(_plans)), None)) is not None:
        _unknow(oldest)
    if plan.sizes:
        _sized.append(key)
        if len(_sized) > MOST_SIZED:
            old = _plans.pop(_sized.popleft(), None)
            if old is not None:
                _unknow(old)


def _let_go_of_kernels(key: tuple[object, ...], plans: Plans, kernels: int) -> None:
    """Lets go of plans not used lately, now that there are more kernels."""
    plans.kernels += kernels
    gone = _bound.added(_plans, key, kernels)
    if gone:
        others = {id(plan) for known in gone for plan in known.made.values()}
        for kind in [kind for kind, (plan, _) in list(_single.items()) if id(plan) in others]:
            _single.pop(kind, None)
        for known in gone:
            _unknow(known)


def _unknow(plans: Plans) -> None:
    """Has plans that were let go of found no more."""
    if compiled is not None:
        for plan in plans.made.values():
            if isinstance(plan.single, compiled.Function):
                compiled.unknow(plan.single)


def in_place(nodes: Sequence[Node], spare: Container[Buffer]) -> Plan | None:
    """A compiled plan for nodes whose results take the memory of some of the buffers that can be spared.

    None where there is nothing to gain.  Its leaves and results are in the order of those of `realize`; nothing runs.
    """
    with exclusive.lock, exclusive.planning:
        pending = _pending(nodes)
        found = structure_on(pending, _device(pending))
        leaves = cast(list[Buffer], found.leaves)
        free = frozenset(number for number, leaf in enumerate(leaves) if leaf in spare)
        if not pending or _nbytes(leaves, free) < LEAST_SPARED:
            return None
        plan = _planned(pending, found, _device(pending), free, opens=False)
    if all(slot.takes < 0 for slot in plan.slots):
        return None
    compile_all(plan)
    return plan


def realize_again(node: Node) -> Buffer | None:
    """Computes a node if it is one operation on stored values or views of them, and one launch, and the like has run
    before: its buffer, or None where it is left to `realize`."""
    found = _kind(node)
    if found is None:
        return None
    key, leaves, nodes = found
    known = _single.get(key)
    if known is None or _single_under[0] is not simply():
        return None
    plan, spares = known
    if spares and not all(getrefcount(nodes[number]) > _UNHELD for number in spares):
        return None  # what nothing else holds may take the result
    if plan.single is not None and not spares:
        _know([node], plan, Structure(key, [*leaves], [node]))
    if plan.guilty:
        faults.retell(plan, (node.line,) * len(plan.guilty))
    buffer = run_plain(plan, leaves)
    exclusive.give([node], [buffer])
    return buffer


def _know(nodes: Sequence[Node], plan: Plan, graph: Structure, plans: Plans | None = None) -> None:
    """Has a plan found by its nodes from now on, and run in one call, where it is a function and nothing else, or gives
    what it reads as it is; one for open sizes as often as it may run before it has outgrown them.  Not one of loops
    whose states are computed together: which of them still have to be, the graph does not say."""
    if compiled is None or not (isinstance(plan.single, compiled.Function) or not (plan.steps or plan.made)):
        return
    now, forgotten = simply(), compiled.forgotten()
    if now is None or (plan.known_since == forgotten and plan.known_under == now):
        return
    left = _limit(plan) - plans.runs if plans is not None and _is_large(plan) else 0
    others = plan.takes or plan.preparations or (left < 1 and _is_large(plan)) or any(map(_is_one_state, graph.nodes))
    places = {number: -1 - number for number, slot in enumerate(plan.slots) if slot.role == "leaf"}
    places |= {number: place for place, (number, _, _) in enumerate(plan.made)}
    if not others and len(nodes) == len(plan.results) and places.keys() >= set(plan.results):
        made = [(plan.slots[number], places[number]) for number in plan.results]
        facts = tuple([(slot.size, slot.dtype, slot.device, place) for slot, place in made])
        counts, blame = (plan.kernels, plan.flops, plan.nbytes), faults.blame(plan) if plan.flags else None
        over = partial(_ends, plans, _limit(plan)) if left and plans is not None else None
        leaves = cast(list[Buffer], graph.leaves)
        compiled.know(tuple(nodes), leaves, plan.single, facts, counts, plan.guilty, blame, left, over)
    plan.known_under, plan.known_since = now, compiled.forgotten()


def _is_one_state(node: Node) -> bool:
    """True for one state of a loop that has others."""
    return node.op == "while" and len(node.attr.loop.body) > 1


def _remember(node: Node, leaves: Sequence[Buffer], plan: Plan, spares: frozenset[int]) -> None:
    now = simply()
    if now is None:
        return
    if _single_under[0] is not now:
        _single.clear()
        _single_under[0] = now
    found = _kind(node)
    if found is not None and found[1] == leaves:
        if len(_single) >= MOST_PLANS:
            del _single[next(iter(_single))]
        _single[found[0]] = plan, spares


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


def _nbytes(leaves: Sequence[Buffer], numbers: Iterable[int]) -> int:
    return sum(leaves[number].nbytes for number in numbers)


def _planned(
    nodes: Sequence[Node], graph: Structure, device: str, free: frozenset[int], opens: bool = True
) -> Plan:
    """The plan for a graph this process has not met, kept on disk by an earlier one or made."""
    closed = MEMORY_BUDGET.value or TUNE.value or prints_kernels() or edits.state()
    if opens and OPEN.value and not closed:
        plan = open_plans.open_plan(nodes, cast(list[Buffer], graph.leaves), device, circumstances())
        if plan is not None:
            faults.locate(plan, graph.nodes)
            GlobalCounters.plans += 1
            return plan
    passing = TUNE.value or shows_kernels()
    name = None if passing else saved.name_of(structure(nodes), device, circumstances(), sorted(free))
    plan = saved.recall(name) if name is not None else None
    if plan is None:
        start = perf_counter()
        if DUMP.value:
            return _told(nodes, graph, device, free)
        plan = planner.make_plan(nodes, cast(list[Buffer], graph.leaves), device, free, tried.choice(device))
        faults.locate(plan, graph.nodes)
        if name is not None and perf_counter() - start > saved.WORTHWHILE:
            saved.save(name, plan)
    GlobalCounters.plans += 1
    return plan


def _told(nodes: Sequence[Node], graph: Structure, device: str, free: frozenset[int]) -> Plan:
    """A new plan, of which the dump is told."""
    start = perf_counter()
    with story.told() as found:
        plan = planner.make_plan(nodes, cast(list[Buffer], graph.leaves), device, free, tried.choice(device))
    faults.locate(plan, graph.nodes)
    dumping.planned(plan, found, perf_counter() - start)
    GlobalCounters.plans += 1
    return plan


def _pending(nodes: Sequence[Node]) -> list[Node]:
    """The nodes that are still to be computed, each once."""
    pending = [node for node in nodes if not is_stored(node)]
    return pending if len(pending) < 2 else list(dict.fromkeys(pending))


def _device(nodes: Sequence[Node]) -> str:
    """The device the first node that names one is computed on, or the default device."""
    for node in nodes:
        if node.device is not None:
            return node.device
    return Device.DEFAULT


@remembered
def circumstances() -> tuple[object, ...]:
    """What plans depend on besides the graph and the device, and whether they are written to files."""
    switches = WINOGRAD.value, DUMP.value, DUMP_LANGUAGE.value, OPEN.value, MEMORY_BUDGET.value
    return shows_kernels(), tuned(), *switches, edits.state()


@remembered
def simply() -> tuple[object, ...] | None:
    """The `circumstances`, with what names the default device, where launches are made `plainly`; else None."""
    return (DEVICE.value, *circumstances()) if plainly() else None


def _ran_for(nodes: Sequence[Node], plan: Plan, found: Structure) -> Ran:
    """Runs a plan for nodes of a structure, and tells it."""
    leaves = cast(list[Buffer], found.leaves)
    guilty = tuple([found.nodes[place] for place in plan.guilty])
    return Ran(plan, leaves, _run_for(nodes, plan, leaves), plan.told, guilty)


def _run_for(nodes: Sequence[Node], plan: Plan, leaves: Sequence[Buffer]) -> list[Buffer]:
    """Runs a plan and gives nodes their buffers.

    Where something interrupts, what was to be written in the place of an operand is there already or still that: the
    node has it in any case, for it cannot be computed again.
    """
    if VERIFY.value:
        return confirming.confirmed(nodes, plan, _device(nodes), lambda: _ran(nodes, plan, leaves))
    return _ran(nodes, plan, leaves)


def _ran(nodes: Sequence[Node], plan: Plan, leaves: Sequence[Buffer]) -> list[Buffer]:
    if plan.is_one_launch:
        exclusive.give(nodes, [buffer := run_one(plan, leaves)])
        return [buffer]
    service = service_of(plan, leaves)
    taken = moved(plan, leaves) if plan.takes else {}
    memories = None
    try:
        buffers = run_called(plan, leaves, service, taken)
        if buffers is None:
            memories, buffers = prepared(plan, leaves, service, taken)
            launch(plan, memories, service.skipped)
            service.done()
    except BaseException as error:
        if isinstance(error, MemoryError) and memories is None:  # nothing was launched
            moved_back(plan, leaves, taken)
            raise
        for node, slot in zip(nodes, plan.results):
            if slot in taken:
                node.realized = taken[slot]
        raise
    exclusive.give(nodes, buffers)
    return buffers


def explain(nodes: Sequence[Node]) -> str:
    """What computing nodes would run: launches, boundary reasons, sources; nothing is compiled or run."""
    pending = _pending(nodes)
    if not pending:
        return "0 kernels: every value is in memory"
    with Context(TUNE=0):
        return debug.describe(_fresh(pending))


def planned(nodes: Sequence[Node]) -> list[Step]:
    """The steps that computing nodes would take; nothing is compiled or run."""
    pending = _pending(nodes)
    return list(_fresh(pending).steps) if pending else []


def _fresh(pending: Sequence[Node]) -> Plan:
    """A plan for nodes, whether or not there is one."""
    device = _device(pending)
    with exclusive.lock, exclusive.planning:
        leaves = cast(list[Buffer], structure_on(pending, device).leaves)
        return planner.make_plan(pending, leaves, device, choice=tried.choice(device))


def stored(node: Node) -> Buffer:
    """The buffer of a node, computed if need be."""
    if node.op == "buffer":
        buffer: Buffer = node.attr
        return buffer
    realize([node])
    with exclusive.lock:  # while others plan, buffers may be hidden
        found = node.realized
    if found is None:
        raise InternalError(f"{node!r} has no buffer after it was realized")
    return found


def read(node: Node) -> NDArray:
    """The elements of a node on the host, in its shape; float32 for bfloat16.

    raises IndexError for an index out of range in anything computed since the last synchronisation
    """
    buffer = stored(node)
    flat = contents(buffer)
    return from_storage(flat, node.dtype).reshape(node.shape)


def synchronize(device: str | None = None) -> None:
    """Waits until all launches on a device, by default all devices in use, are done.

    raises IndexError for an index out of range in anything computed since the last synchronisation
    """
    for name in [device] if device is not None else Device.opened():
        Device[name].synchronize()
    faults.raise_pending()


if compiled is not None:
    compiled.set_known(Buffer, recorder.get, NAN, overrides.get, epochs, simply, GlobalCounters)
os.register_at_fork(  # later than those of devices, which so are never waited for in the other order
    before=exclusive.lock.acquire, after_in_parent=exclusive.lock.release, after_in_child=exclusive.lock.release
)
