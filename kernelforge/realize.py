"""Computing nodes: find or make the plan for a graph, and run it.

Comes in: nodes.  Goes out: nothing; each node's `realized` is its buffer.  A graph of a structure met before is run
without planning or compiling anything: its buffers take the places of the earlier ones.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from time import perf_counter
from typing import Any, Final, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from codegen.dtypes import from_storage
from kernelforge import debug, dump, faults, graphs, saved, tune
from kernelforge.buffer import Buffer
from kernelforge.counters import GlobalCounters
from kernelforge.errors import InternalError
from kernelforge.graph import Node
from kernelforge.joint import Step
from kernelforge.kept import NO_SERVICE, Service
from kernelforge.kernels import Device
from kernelforge.ownership import dying
from kernelforge.plan import is_stored, make_plan, shows_kernels
from kernelforge.settings import DEBUG, DUMP, DUMP_LANGUAGE, GRAPHS, TUNE, WINOGRAD, Context, remembered
from kernelforge.steps import HostCall, Launch, Plan, Transfer
from kernelforge.structure import Structure, structure

MOST_PLANS: Final = 4096
LEAST_SPARED: Final = 1 << 20  # bytes of operands in whose places results are written: to find them takes microseconds


class Plans(NamedTuple):
    """The plans of one structure.

    spares  leaves whose memory results could take
    counts  whether they are looked for: there is much to save, or the first plan took some
    made    by those of them that nothing else needed
    """

    spares: frozenset[int]
    counts: bool
    made: dict[frozenset[int], Plan]


_plans: Final[dict[tuple[object, ...], Plans]] = {}


class Ran(NamedTuple):
    """A plan that ran on leaves; the buffers of its results."""

    plan: Plan
    leaves: list[Buffer]
    buffers: list[Buffer]


def realize(
    nodes: Sequence[Node], names: Callable[[], Mapping[Node, int]] = dict, thorough: bool = False
) -> Ran | None:
    """Computes nodes, all that share work together; afterwards each has its buffer in `realized`.

    The result tells what ran, None if every node had its buffer before.

    names     tells, for nodes that are let go of afterwards, how many references that will be.  What was computed from
              nothing else will be gone then: its memory may take results
    thorough  also where there is little memory to save
    """
    pending = _pending(nodes)
    if not pending:
        return None
    found = structure(pending)
    device = _device(pending)
    key = (device, circumstances(), found.key)
    plans = _plans.get(key)
    free: frozenset[int] = frozenset()
    if (plans is None or plans.counts or (thorough and plans.spares)) and (gone := names()):
        known = Counter((*nodes, *pending, *pending, *gone))  # two lists, itself, and the names
        known.update(gone)
        free = dying(found, known)
    leaves = cast(list[Buffer], found.leaves)
    if not thorough and _nbytes(leaves, free) < LEAST_SPARED:
        free = frozenset()
    plan = None if plans is None else plans.made.get(free & plans.spares)
    if plan is None:
        plan = _planned(pending, found, device, free)
        if plans is None:
            counts = bool(free & plan.spares) or _nbytes(leaves, plan.spares) >= LEAST_SPARED
            if len(_plans) >= MOST_PLANS:
                del _plans[next(iter(_plans))]
            plans = _plans[key] = Plans(plan.spares, counts, {})
        compile_all(plan)
        plans.made[free & plans.spares] = plan
        debug.show_plan(plan)
        dump.dump_plan(plan)
    return Ran(plan, leaves, _run_for(pending, plan, leaves))


def _nbytes(leaves: Sequence[Buffer], numbers: Iterable[int]) -> int:
    return sum(leaves[number].nbytes for number in numbers)


def _planned(nodes: Sequence[Node], graph: Structure, device: str, free: frozenset[int]) -> Plan:
    """The plan for a graph this process has not met, kept on disk by an earlier one or made."""
    name = None if TUNE.value or shows_kernels() else saved.name_of(graph, device, circumstances(), sorted(free))
    plan = saved.recall(name) if name is not None else None
    if plan is None:
        start = perf_counter()
        plan = make_plan(nodes, cast(list[Buffer], graph.leaves), device, free)
        if name is not None and perf_counter() - start > saved.WORTHWHILE:
            saved.save(name, plan)
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
    return shows_kernels(), tune.state(), WINOGRAD.value, DUMP.value, DUMP_LANGUAGE.value


def rerun(plan: Plan, leaves: Sequence[Buffer]) -> list[Buffer]:
    """Runs a plan on other leaves; the buffers of its results, which are the leaves themselves where they take their
    memory."""
    service = _service(plan, leaves)
    memories, buffers = prepared(plan, leaves, service, keeps=True)
    launch(plan, memories, service.skipped)
    service.done()
    return buffers


def _run_for(nodes: Sequence[Node], plan: Plan, leaves: Sequence[Buffer]) -> list[Buffer]:
    """Runs a plan and gives nodes their buffers.

    Where something interrupts, what was to be written in the place of an operand is there already or still that: the
    node has it in any case, for it cannot be computed again.
    """
    service = _service(plan, leaves)
    memories, buffers = prepared(plan, leaves, service)
    try:
        launch(plan, memories, service.skipped)
        service.done()
    except BaseException:
        for node, slot, buffer in zip(nodes, plan.results, buffers):
            if plan.slots[slot].takes >= 0:
                node.realized = buffer
        raise
    for node, buffer in zip(nodes, buffers):
        node.realized = buffer
    return buffers


def _service(plan: Plan, leaves: Sequence[Buffer]) -> Service:
    """What of a plan's preparations of the given buffers is kept, or will be."""
    if not plan.preparations:
        return NO_SERVICE
    return Service(plan.preparations, leaves, lambda slot, nbytes: Device[plan.slots[slot].device].allocate(nbytes))


def explain(nodes: Sequence[Node]) -> str:
    """What computing nodes would run: launches, boundary reasons, sources; nothing is compiled or run."""
    pending = _pending(nodes)
    if not pending:
        return "0 kernels: every value is in memory"
    leaves = cast(list[Buffer], structure(pending).leaves)
    with Context(TUNE=0):
        return debug.describe(make_plan(pending, leaves, _device(pending)))


def stored(node: Node) -> Buffer:
    """The buffer of a node, computed if need be."""
    if node.op == "buffer":
        buffer: Buffer = node.attr
        return buffer
    realize([node])
    if node.realized is None:
        raise InternalError(f"{node!r} has no buffer after it was realized")
    return node.realized


def read(node: Node) -> NDArray:
    """The elements of a node on the host, in its shape; float32 for bfloat16.

    raises IndexError for an index out of range in anything computed since the last synchronisation
    """
    buffer = stored(node)
    flat = contents(buffer)
    return from_storage(flat, buffer.dtype).reshape(node.shape)


def contents(buffer: Buffer) -> NDArray:
    """A copy of a buffer's elements in storage form."""
    faults.raise_pending()
    if buffer.host is not None:
        return buffer.host.copy()
    flat = np.empty(buffer.size, buffer.dtype.numpy)
    if buffer.size:
        Device[buffer.device].copy_out(resident(buffer), flat)
    return flat


def synchronize(device: str | None = None) -> None:
    """Waits until all launches on a device, by default all devices in use, are done.

    raises IndexError for an index out of range in anything computed since the last synchronisation
    """
    for name in [device] if device is not None else Device.opened():
        Device[name].synchronize()
    faults.raise_pending()


def compile_all(plan: Plan) -> None:
    """Compiles the programs of a plan that are not compiled yet, all of one device together."""
    for device in dict.fromkeys(step.device for step in plan.launches):
        steps = [step for step in plan.launches if step.device == device]
        programs = list(dict.fromkeys(step.program for step in steps))
        compiled = dict(zip(programs, Device[device].compile(programs)))
        GlobalCounters.compiled += len(programs)
        for step in steps:
            step.executable = compiled[step.program]


def prepared(
    plan: Plan, leaves: Sequence[Buffer], service: Service, keeps: bool = False
) -> tuple[list[Any], list[Buffer]]:
    """The memory of every slot of a plan that is to run on the given buffers, and the buffer of each result.

    keeps   a result that takes a leaf's memory has the leaf's buffer as well, else a new one
    """
    memories, made = _memories(plan, leaves, service, keeps)
    return memories, [made[slot] if slot in made else leaves[slot] for slot in plan.results]


def launch(plan: Plan, memories: Sequence[Any], skipped: Collection[int] = ()) -> None:
    """Runs a plan's steps but those at the positions skipped."""
    timed = DEBUG.value >= 2
    steps: Sequence[Step] = plan.steps
    if skipped:
        steps = [step for i, step in enumerate(plan.steps) if i not in skipped]
    elif GRAPHS.value and not timed and graphs.replayed(plan, memories):
        steps = ()
        for launched in plan.launches:
            if launched.fault >= 0:
                faults.expect(plan.faults[launched.fault])
    for step in steps:
        arguments = [memories[slot] for slot in step.arguments]
        if isinstance(step, Transfer):
            _transfer(plan, step, arguments)
            continue
        if isinstance(step, HostCall):
            _call(plan, step, arguments)
            continue
        seconds = Device[step.device].launch(step.executable, arguments, timed)
        if seconds is not None:
            GlobalCounters.time_sum_s += seconds
            debug.show_launch(step, seconds)
        if step.fault >= 0:
            faults.expect(plan.faults[step.fault])
    GlobalCounters.kernel_count += plan.kernels
    GlobalCounters.global_ops += plan.flops
    GlobalCounters.global_mem += plan.nbytes
    for step in [plan.steps[i] for i in skipped]:
        if isinstance(step, Launch):
            GlobalCounters.kernel_count -= 1
            GlobalCounters.global_ops -= step.program.flops
            GlobalCounters.global_mem -= step.program.nbytes


def resident(buffer: Buffer) -> Any:
    """The device memory of a buffer, which takes its elements from the host the first time."""
    if buffer.memory is None:
        buffer.memory = Device[buffer.device].allocate(buffer.nbytes)
        if buffer.host is not None:
            Device[buffer.device].copy_in(buffer.memory, buffer.host)
            buffer.host = None
    return buffer.memory


def _memories(
    plan: Plan, leaves: Sequence[Buffer], service: Service, keeps: bool
) -> tuple[list[Any], dict[int, Buffer]]:
    """The memory of every slot, None for those without elements; and the new buffers among them."""
    memories: list[Any] = [buffer.memory or (resident(buffer) if buffer.size else None) for buffer in leaves]
    memories += [None] * (len(plan.slots) - len(memories))
    needed, scratch = plan.lean if service.serves_all else (plan.blocks, plan.scratch)
    if needed:
        blocks = [Device[block.device].allocate(block.nbytes) for block in needed]
        for number, block in scratch:
            memories[number] = blocks[block]
    for number, memory in service.memories.items():
        memories[number] = memory
    made: dict[int, Buffer] = {}
    for number, slot, nbytes in plan.made:
        if slot.takes >= 0:
            memory = memories[slot.takes]
            if keeps:
                memories[number], made[number] = memory, leaves[slot.takes]
                continue
            leaves[slot.takes].memory = None
        else:
            memory = Device[slot.device].allocate(nbytes) if nbytes else None
        memories[number] = memory
        made[number] = Buffer(slot.size, slot.dtype, slot.device, None, memory)
    for number in plan.flags:
        memories[number] = _fault(plan, number).memory
    return memories, made


def _fault(plan: Plan, slot: int) -> faults.Fault:
    """The fault flags behind a slot; they live as long as the plan."""
    if slot not in plan.faults:
        step = next(step for step in plan.launches if step.fault == slot)
        sizes, lines = [check.size for check in step.checks], [check.line for check in step.checks]
        plan.faults[slot] = faults.Fault(step.device, sizes, lines)
    return plan.faults[slot]


def _call(plan: Plan, step: HostCall, memories: Sequence[Any]) -> None:
    """Computes a step on the host, by way of copies of its arguments.

    raises LinAlgError, with the user's line
    """
    arrays = []
    for number, shape, memory in zip(step.sources, step.shapes, memories):
        slot = plan.slots[number]
        arrays.append(np.empty(shape, slot.dtype.numpy))
        if memory is not None:
            Device[slot.device].copy_out(memory, arrays[-1].reshape(-1))
    target = plan.slots[step.target]
    found = step.function.computed(arrays, step.line)
    Device[target.device].copy_in(memories[-1], np.ascontiguousarray(found, target.dtype.numpy).reshape(-1))


def _transfer(plan: Plan, step: Transfer, memories: Sequence[Any]) -> None:
    """Copies an array between devices, by way of the host."""
    source, target = plan.slots[step.source], plan.slots[step.target]
    flat = np.empty(source.size, source.dtype.numpy)
    Device[source.device].copy_out(memories[0], flat)
    Device[target.device].copy_in(memories[1], flat)
