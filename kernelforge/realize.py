"""Computing nodes: find or make the plan for a graph, and run it.

Comes in: nodes.  Goes out: nothing; each node's `realized` is its buffer.  A graph of a structure met before is run
without planning or compiling anything: its buffers take the places of the earlier ones.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Container, Mapping, Sequence
from time import perf_counter
from typing import TYPE_CHECKING, Final, NamedTuple, cast

from numpy.typing import NDArray

from codegen.dtypes import from_storage
from kernelforge import exclusive, foreseen, met
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
    prepared,
    run_called,
    run_one,
    run_plain,
    service_of,
)
from kernelforge.execution.running import contents as contents
from kernelforge.graph import Line, Node
from kernelforge.held import computed, held_among
from kernelforge.interning import let_go
from kernelforge.kernels import Device
from kernelforge.later import at_fork, later
from kernelforge.native import compiled
from kernelforge.node import is_stored, waiting
from kernelforge.planning.steps import Plan, Step
from kernelforge.recording import recorder
from kernelforge.settings import (
    DUMP,
    MEMORY_BUDGET,
    NAN,
    OPEN,
    TUNE,
    VERIFY,
    Context,
    epochs,
    overrides,
    prints_kernels,
    shows_kernels,
)
from kernelforge.structure import Structure, structure, structure_on

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

MOST_TIMES: Final = 100  # that a node is computed until somebody reads it
_carries: Final[dict[tuple[object, ...], tuple[int, ...]]] = {}  # places of what loops carry on, by graphs that tell


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
    plans: met.Plans | None
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
    early: int = 0,
) -> tuple[list[Node], Structure, Chosen]:
    """The nodes to compute, with what loops carry on and gradients will read; their structure, and the plan for them.

    early  how many of them, the first, are what gradients will read
    """
    device = _device(pending)
    key = (device, met.circumstances(), found.key)
    plans = met.plans_of.get(key)
    if not early and (later_read := _read_later(pending, found, device, plans)):
        foreseen.given(later_read)
        pending = [*later_read, *pending]
        return _chosen(nodes, pending, structure_on(pending, device), names, thorough, len(later_read))
    more = _carried(pending, found, key, plans)
    if more:
        unasked.update(dict.fromkeys(more, 0))
        pending += more
        return _chosen(nodes, pending, structure_on(pending, device), names, thorough, early)
    leaves = cast(list[Buffer], found.leaves)
    usual = plans.usual if plans is not None and not (thorough and plans.spares) else None
    if plans is not None and usual is not None and not met.outgrown(plans, usual):
        met.know(pending, usual, found, plans, early)
        return pending, found, Chosen(usual, key, plans)
    free: frozenset[int] = frozenset()
    if (plans is None or plans.counts or (thorough and plans.spares)) and (gone := names()):
        known = Counter((*nodes, *pending, *pending, *gone))  # two lists, itself, and the names
        known.update(gone)
        free = dying(found, known)
    if not thorough and met.nbytes_of(leaves, free) < met.LEAST_SPARED:
        free = frozenset()
    plan = None if plans is None else plans.made.get(free & plans.spares)
    closed = plans is not None and plan is not None and met.outgrown(plans, plan)
    if plan is None or closed:
        if plan is not None:  # of others of its kind there may be fewer now
            plan.closed[0] += 1
        foreseen.follows(found.nodes, device)
        plan = _planned(pending, found, device, free, opens=not closed)
        return pending, found, Chosen(plan, key, plans, free, closed, is_new=True)
    return pending, found, Chosen(plan, key, plans)


def _compile(chosen: Chosen, nodes: Sequence[Node], found: Structure) -> None:
    """Compiles a new plan, and has it found from now on."""
    plan, key, plans, free, closed, _ = chosen
    leaves = cast(list[Buffer], found.leaves)
    if plans is None:
        counts = bool(free & plan.spares) or met.nbytes_of(leaves, plan.spares) >= met.LEAST_SPARED
        plans = met.plans_of[key] = met.Plans(plan.spares, counts, {}, kinds=len(kinds))
        met.make_room(key, plan)
    compile_all(plan)
    plans.made[free & plans.spares] = plan
    met.let_go_of_kernels(key, plans, plan.own_kernels)
    debug.show_plan(plan)
    if not free & plans.spares:
        met.keep(plan, plans, closed, nodes[0], leaves)


def is_steady(ran: Ran) -> bool:
    """Whether the next graph like what ran will be run by the same plan, whatever else holds what it reads."""
    return not (
        ran.plan.takes or met.is_large(ran.plan) or met.nbytes_of(ran.leaves, ran.plan.spares) >= met.LEAST_SPARED
    )


def _carried(wanted: Sequence[Node], found: Structure, key: tuple[object, ...], known: met.Plans | None) -> list[Node]:
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
            if len(_carries) > met.MOST_PLANS:
                del _carries[next(iter(_carries))]
    apart = set(wanted) if places else set()
    return [node for place in places if (node := found.nodes[place]) not in apart and node.realized is None]


def _read_later(wanted: Sequence[Node], found: Structure, device: str, known: met.Plans | None) -> list[Node]:
    """What a gradient will read of a graph that is computed before it."""
    learned = foreseen.learned()
    if not learned or (known is not None and known.learned == learned):
        return []
    nodes = foreseen.read_later(wanted, found.nodes, device)
    if known is not None and not nodes:
        known.learned = learned
    return nodes


def in_place(nodes: Sequence[Node], spare: Container[Buffer]) -> Plan | None:
    """A compiled plan for nodes whose results take the memory of some of the buffers that can be spared.

    None where there is nothing to gain.  Its leaves and results are in the order of those of `realize`; nothing runs.
    """
    with exclusive.lock, exclusive.planning:
        pending = _pending(nodes)
        found = structure_on(pending, _device(pending))
        leaves = cast(list[Buffer], found.leaves)
        free = frozenset(number for number, leaf in enumerate(leaves) if leaf in spare)
        if not pending or met.nbytes_of(leaves, free) < met.LEAST_SPARED:
            return None
        plan = _planned(pending, found, _device(pending), free, opens=False)
    if all(slot.takes < 0 for slot in plan.slots):
        return None
    compile_all(plan)
    return plan


def realize_again(node: Node) -> Buffer | None:
    """Computes a node the like of which has run `met.again`, if it can be done in one launch: its buffer, or None where
    it is left to `realize`."""
    found = met.again(node)
    if found is None:
        return None
    plan, leaves = found
    if plan.guilty:
        faults.retell(plan, (node.line,) * len(plan.guilty))
    buffer = run_plain(plan, leaves)
    exclusive.give([node], [buffer])
    return buffer


def _planned(nodes: Sequence[Node], graph: Structure, device: str, free: frozenset[int], opens: bool = True) -> Plan:
    """The plan for a graph this process has not met, kept on disk by an earlier one or made."""
    closed = MEMORY_BUDGET.value or TUNE.value or prints_kernels() or edits.state()
    if opens and OPEN.value and not closed:
        plan = open_plans.open_plan(nodes, cast(list[Buffer], graph.leaves), device, met.circumstances())
        if plan is not None:
            faults.locate(plan, graph.nodes)
            GlobalCounters.plans += 1
            return plan
    passing = TUNE.value or shows_kernels()
    name = None if passing else saved.name_of(structure(nodes), device, met.circumstances(), sorted(free))
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
    for _ in range(MOST_TIMES):  # another thread's step may let go of what was computed ahead
        realize([node])
        with exclusive.lock:  # while others plan, buffers may be hidden
            found = node.realized
        if found is not None:
            return found
    raise InternalError(f"{node!r} has no buffer after it was realized")


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
    compiled.set_known(Buffer, recorder.get, NAN, overrides.get, epochs, met.simply, GlobalCounters)
at_fork(exclusive.lock)  # later than those of devices, which so are never waited for in the other order
