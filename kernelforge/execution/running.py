"""Running plans: memory for their arrays, launches in order, and what waits to be reported.

Comes in: plans whose programs are compiled, and the buffers they read.  Goes out: the buffers of their results.  It
knows no graph node.  Every step of a training loop goes through here, so it is written for speed.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final, cast

import numpy as np
from numpy.typing import NDArray

from kernelforge.buffer import Buffer
from kernelforge.counters import GlobalCounters
from kernelforge.errors import InternalError
from kernelforge.execution import debug, faults, graphs
from kernelforge.execution.edits import edited
from kernelforge.execution.observing import watching
from kernelforge.execution.plan_function import make_function
from kernelforge.kernels import Device
from kernelforge.kernels.device import runtime_of
from kernelforge.kernels.pool import Pool
from kernelforge.kernels.runtime import Parts
from kernelforge.later import later
from kernelforge.native import compiled as native
from kernelforge.planning.kept import NO_SERVICE, Service
from kernelforge.planning.layout import rest
from kernelforge.planning.memory import Block
from kernelforge.planning.steps import Driven, HostCall, Launch, Plan, Rounds, Step, Transfer
from kernelforge.settings import DEBUG, GRAPHS, VERIFY, remembered

if TYPE_CHECKING:
    from kernelforge.execution import verifying
else:
    later(globals(), verifying="kernelforge.execution.verifying")

AT_ONCE: Final = 8  # executables made in one run


def compile_all(plan: Plan) -> None:
    """Compiles the programs of a plan that are not compiled yet, all of one device together."""
    for step in plan.steps:
        if isinstance(step, Driven):
            compile_all(step.begin)
            compile_all(step.each)
    start, before = perf_counter(), GlobalCounters.compiled
    for device in dict.fromkeys(step.device for step in plan.launches):
        steps = [step for step in plan.launches if step.device == device and step.executable is None]
        programs = list(dict.fromkeys(step.program for step in steps))
        if not programs:
            continue
        compiled = dict(zip(programs, Device[device].compile([edited(program) for program in programs])))
        GlobalCounters.compiled += len(programs)
        for step in steps:
            step.executable = compiled[step.program]
    for observer in watching():
        observer.compiled(GlobalCounters.compiled - before, perf_counter() - start)
    launches = plan.launches
    if len({step.device for step in launches}) == 1 and len(launches) == len(plan.steps):
        plan.place, plan.batch = launches[0].device, [(step.executable, step.arguments) for step in launches]
        met = set()
        for position, step in enumerate(launches):
            if id(step.executable) in met:
                plan.shared.append(position)
            met.add(id(step.executable))


def _set_apart(plan: Plan) -> None:
    """Gives a few of the launches that share an executable their own: its arguments then stay as they are from run to
    run.  It takes time, so no run does it for many, the first for none, and none for what is called as a function."""
    if plan.runs:
        for position in plan.shared[-AT_ONCE:]:
            executable, places = plan.batch[position]
            if getattr(executable, "direct", None) is None and getattr(executable, "native", None) is None:
                plan.batch[position] = Device[plan.place].another(executable), places
        del plan.shared[-AT_ONCE:]


def rerun(plan: Plan, leaves: Sequence[Buffer]) -> list[Buffer]:
    """Runs a plan on other leaves; the buffers of its results, which are the leaves themselves where they take their
    memory."""
    service = service_of(plan, leaves)
    stay = {number: leaves[slot.takes] for number, slot, _ in plan.made if slot.takes >= 0} if plan.takes else {}
    called = run_called(plan, leaves, service, stay)
    if called is not None:
        return called
    memories, buffers = prepared(plan, leaves, service, stay)
    launch(plan, memories, service.skipped)
    service.done()
    return buffers


def run_one(plan: Plan, leaves: Sequence[Buffer]) -> Buffer:
    """Runs a plan that is one launch; the buffer of its result."""
    if not plainly():
        memories, (buffer,) = prepared(plan, leaves, NO_SERVICE, {})
        launch(plan, memories)
        return buffer
    return run_plain(plan, leaves)


def run_plain(plan: Plan, leaves: Sequence[Buffer]) -> Buffer:
    """`run_one` where launches are `plainly` made."""
    ((_, slot, nbytes),) = plan.made
    memory = None if plan.single is None else plan.single(leaves)
    if memory is None:
        memory = _launch_one(plan, leaves, nbytes)
    elif plan.flags:
        faults.look(plan)
    counters = GlobalCounters
    counters.kernel_count += 1
    counters.global_ops += plan.flops
    counters.global_mem += plan.nbytes
    return Buffer(slot.size, slot.dtype, slot.device, None, memory)


def moved(plan: Plan, leaves: Sequence[Buffer]) -> dict[int, Buffer]:
    """The buffers of a plan's results that take the memory of leaves, by their slots; these leaves have none from now
    on.  What a run goes on to write there is in memory nothing else shows, whatever interrupts it."""
    found = {}
    for number, slot, _ in plan.made:
        if slot.takes >= 0:
            leaf = leaves[slot.takes]
            found[number] = Buffer(slot.size, slot.dtype, slot.device, None, resident(leaf))
            leaf.memory = None
    return found


def moved_back(plan: Plan, leaves: Sequence[Buffer], taken: Mapping[int, Buffer]) -> None:
    """Undoes `moved` where nothing ran."""
    for number, buffer in taken.items():
        leaves[plan.slots[number].takes].memory = buffer.memory


def _with_taken(plan: Plan, leaves: Sequence[Buffer], taken: Mapping[int, Buffer]) -> list[Buffer]:
    """The leaves, with the buffers that are in the memory of some in their places."""
    given = list(leaves)
    for number, buffer in taken.items():
        given[plan.slots[number].takes] = buffer
    return given


def run_called(
    plan: Plan, leaves: Sequence[Buffer], service: Service, taken: Mapping[int, Buffer]
) -> list[Buffer] | None:
    """Runs a plan that is a function by now: the buffers of its results; None where it is to be launched.

    taken   the buffers of results that are in the memory of leaves, by their slots
    """
    if plan.single is None or not (plan.has_tables or service.serves_all) or not plainly():
        return None
    kept = [] if plan.has_tables else list(service.memories.values())
    given = _with_taken(plan, leaves, taken) if taken else leaves
    memories = plan.single(given, kept)
    if memories is None and _brought(given):
        memories = plan.single(given, kept)
    if memories is None:
        return None
    if plan.flags:
        faults.look(plan)
    _count(plan, plan.prepared if plan.has_tables else service.skipped)
    new = [row for row in plan.made if row[1].takes < 0] if plan.takes else plan.made
    if plan.together:
        new = [row for row in new if row[0] not in plan.together]
    if len(new) + bool(plan.together) == 1:
        memories = (memories,)
    found = {n: Buffer(x.size, x.dtype, x.device, None, memory) for (n, x, _), memory in zip(new, memories)}
    found |= taken
    if plan.together:
        found |= _gathered(plan, allocated(plan.blocks[1 : 1 + len(plan.together)], (), memories[-1:]))
    return [found[slot] if slot in found else leaves[slot] for slot in plan.results]


def _gathered(plan: Plan, memories: Sequence[Any]) -> dict[int, Buffer]:
    """The buffers of results that lie in one block, given their memory."""
    slots = [plan.slots[number] for number in plan.together]
    buffers = [Buffer(slot.size, slot.dtype, slot.device, None, memory) for slot, memory in zip(slots, memories)]
    return dict(zip(plan.together, buffers))


def lend(plan: Plan, buffers: Sequence[Buffer]) -> Parts:
    """Lets others use what a plan that ran has left over of the block in which results lie, for as long as these need
    the block; the parts of it that they are.  buffers: its results."""
    memory = next(buffer.memory for buffer, slot in zip(buffers, plan.results) if slot == plan.together[0])
    assert memory is not None
    parts = cast(Parts, memory.owner)
    cast(Pool, parts.whole.owner).lend(parts, *rest(plan))
    return parts


def _launch_one(plan: Plan, leaves: Sequence[Buffer], nbytes: int) -> Any:
    """The memory that a plan's one launch writes, once it is started."""
    runtime = runtime_of(plan.place)
    plan.runs += 1
    make_function(plan, runtime, lambda flag: _fault(plan, flag).memory)
    memory = runtime.allocate(nbytes)
    memories = [buffer.memory or resident(buffer) for buffer in leaves]
    memories.append(memory)
    for flag in plan.flags:
        memories.insert(flag, _fault(plan, flag).memory)
        faults.expect(plan.faults[flag], plan.told)
    runtime.launch_all(plan.batch, memories)
    return memory


def service_of(plan: Plan, leaves: Sequence[Buffer]) -> Service:
    """What of a plan's preparations of the given buffers is kept, or will be."""
    if not plan.preparations:
        return NO_SERVICE
    return Service(plan.preparations, leaves, lambda slot, nbytes: Device[plan.slots[slot].device].allocate(nbytes))


def prepared(
    plan: Plan, leaves: Sequence[Buffer], service: Service, taken: Mapping[int, Buffer]
) -> tuple[list[Any], list[Buffer]]:
    """The memory of every slot of a plan that is to run on the given buffers, and the buffer of each result.

    taken   those of results that are in the memory of leaves, by their slots
    """
    memories, made = _memories(plan, leaves, service, taken)
    if VERIFY.value:
        spoil(plan, memories, service.memories)
    return memories, [made[slot] if slot in made else leaves[slot] for slot in plan.results]


def spoil(plan: Plan, memories: Sequence[Any], kept: Collection[int] = ()) -> None:
    """Overwrites what a plan is to write, so that right values from earlier do not stand in for what it leaves out.

    kept   slots that hold what was prepared before
    """
    for number, (slot, memory) in enumerate(zip(plan.slots, memories)):
        if slot.role in ("scratch", "result") and slot.takes < 0 and memory is not None and number not in kept:
            values = np.full(slot.nbytes, verifying.SPOILED, np.uint8).view(slot.dtype.numpy)
            Device[slot.device].copy_in(memory, values)


def launch(plan: Plan, memories: Sequence[Any], skipped: Collection[int] = ()) -> None:
    """Runs a plan's steps but those at the positions skipped."""
    if not (plan.batch and plainly()):
        _launch_each(plan, memories, skipped)
    else:
        if plan.shared:
            _set_apart(plan)
        batch = [pair for i, pair in enumerate(plan.batch) if i not in skipped] if skipped else plan.batch
        runtime = runtime_of(plan.place)
        runtime.launch_all(batch, memories)
        plan.runs += 1
        make_function(plan, runtime, lambda flag: _fault(plan, flag).memory, memories, skipped)
        for number in plan.flags:
            faults.expect(plan.faults[number], plan.told)
    _count(plan, skipped)


def _count(plan: Plan, skipped: Collection[int]) -> None:
    """Counts what was launched."""
    GlobalCounters.kernel_count += plan.kernels
    GlobalCounters.global_ops += plan.flops
    GlobalCounters.global_mem += plan.nbytes
    for step in [plan.steps[i] for i in skipped]:
        if isinstance(step, Launch):
            GlobalCounters.kernel_count -= 1
            GlobalCounters.global_ops -= step.program.flops
            GlobalCounters.global_mem -= step.program.nbytes


@remembered
def plainly() -> bool:
    """True when launches are neither timed, watched, checked nor captured."""
    return DEBUG.value < 2 and not GRAPHS.value and not VERIFY.value and not watching()


def _launch_each(plan: Plan, memories: Sequence[Any], skipped: Collection[int]) -> None:
    """Runs a plan's steps one by one."""
    watched = watching()
    timed = DEBUG.value >= 2 or bool(watched)
    steps: Sequence[Step] = plan.steps
    if skipped:
        steps = [step for i, step in enumerate(plan.steps) if i not in skipped]
    elif GRAPHS.value and not timed and not VERIFY.value and graphs.replayed(plan, memories):
        steps = ()
        for launched in plan.launches:
            if launched.fault >= 0:
                faults.expect(plan.faults[launched.fault], plan.told)
    for step in steps:
        arguments = [memories[slot] for slot in step.arguments]
        if not isinstance(step, Launch):
            _done_here(plan, step, arguments)
            continue
        with verifying.checked(step, arguments):
            seconds = Device[step.device].launch(step.executable, arguments, timed)
        if seconds is not None:
            GlobalCounters.time_sum_s += seconds
            debug.show_launch(step, seconds)
            for observer in watched:
                observer.launched(step, seconds)
        if step.fault >= 0:
            faults.expect(plan.faults[step.fault], plan.told)


def _done_here(plan: Plan, step: Transfer | HostCall | Driven | Rounds, arguments: list[Any]) -> None:
    """Does what is no launch."""
    if isinstance(step, Transfer):
        _transfer(plan, step, arguments)
    elif isinstance(step, HostCall):
        _call(plan, step, arguments)
    elif isinstance(step, Driven):
        _drive(plan, step, arguments)
    else:
        raise InternalError("a loop of a plan for open sizes ran before its sizes were known")


def resident(buffer: Buffer) -> Any:
    """The device memory of a buffer, which takes its elements from the host the first time."""
    host = buffer.host  # looked at first: once it is gone there is memory
    if buffer.memory is None:
        runtime = runtime_of(buffer.device)
        memory = runtime.allocate(buffer.nbytes if host is None else host.nbytes)
        if host is not None:
            runtime.copy_in(memory, host)
        if buffer.memory is None:  # else another thread was faster, and uses its own
            buffer.memory, buffer.host = memory, None
    return buffer.memory


def _brought(buffers: Sequence[Buffer]) -> bool:
    """Whether any of the buffers had its elements on the host; now all are in device memory."""
    away = [buffer for buffer in buffers if buffer.memory is None and buffer.size]
    for buffer in away:
        resident(buffer)
    return bool(away)


def _reserve(device: str, nbytes: int) -> Any:
    """Room for two memories of a device that may be used again, or None."""
    runtime: Any = runtime_of(device)  # one whose kernels C calls
    return runtime.pool.reserve(nbytes)


if native is not None:
    native.set_functions(resident, _reserve)


def contents(buffer: Buffer) -> NDArray:
    """A copy of a buffer's elements in storage form."""
    faults.raise_pending()
    host = buffer.host  # another thread may take it away
    if host is not None:
        return host.copy()
    flat = np.empty(buffer.size, buffer.dtype.numpy)
    if buffer.size:
        Device[buffer.device].copy_out(resident(buffer), flat)
    return flat


def _memories(
    plan: Plan, leaves: Sequence[Buffer], service: Service, taken: Mapping[int, Buffer]
) -> tuple[list[Any], dict[int, Buffer]]:
    """The memory of every slot, None for those without elements; and the buffers of results among them."""
    given = _with_taken(plan, leaves, taken) if taken else leaves
    memories: list[Any] = [buffer.memory or (resident(buffer) if buffer.size else None) for buffer in given]
    memories += [None] * (len(plan.slots) - len(memories))
    made: dict[int, Buffer] = {}
    for number, slot, nbytes in plan.made:
        if slot.takes >= 0:
            memories[number], made[number] = taken[number].memory, taken[number]
            continue
        if number in plan.together:
            continue
        memory = runtime_of(slot.device).allocate(nbytes) if nbytes else None
        memories[number] = memory
        made[number] = Buffer(slot.size, slot.dtype, slot.device, None, memory)
    needed, scratch = plan.lean if service.serves_all else (plan.blocks, plan.scratch)
    if needed:
        blocks = allocated(needed, memories)
        for number, block in scratch:
            memories[number] = blocks[block]
        gathered = _gathered(plan, blocks[1:]) if plan.together else {}
        made |= gathered
        for number, buffer in gathered.items():
            memories[number] = buffer.memory
    for number, memory in service.memories.items():
        memories[number] = memory
    for number in plan.flags:
        memories[number] = _fault(plan, number).memory
    if plan.parts:
        parts = divided(plan, [memories[whole] for whole in plan.wholes])
        for (number, *_), memory in zip(plan.parts, parts):
            memories[number] = memory
    for number, memory in plan.given.items():
        memories[number] = memory
    return memories, made


def allocated(
    blocks: Sequence[Block], results: Sequence[Any] | Mapping[int, Any], before: Sequence[Any] = ()
) -> list[Any]:
    """Memory for blocks; a whole comes before its parts.

    results  the memory of results by their slots
    before   that of the blocks before these
    """
    found: list[Any] = list(before)
    parts: dict[tuple[int, int], Parts] = {}
    for block in blocks:
        if block.within < 0 and block.host < 0:
            found.append(runtime_of(block.device).allocate(block.nbytes))
            continue
        key = block.within, block.host
        if key not in parts:
            whole = results[block.host] if block.within < 0 else found[block.within]
            parts[key] = runtime_of(block.device).parts(whole)
        found.append(parts[key].part(block.offset, block.nbytes))
    return found[len(before) :]


def divided(plan: Plan, wholes: Sequence[Any]) -> list[Any]:
    """The memory of a plan's parts, given that of what they are parts of."""
    found = {
        slot: runtime_of(plan.slots[slot].device).parts(memory) for slot, memory in zip(plan.wholes, wholes)
    }
    return [found[whole].part(start, nbytes) for _, whole, start, nbytes in plan.parts]


def _fault(plan: Plan, slot: int) -> faults.Fault:
    """The fault flags behind a slot; they live as long as the plan."""
    if slot not in plan.faults:
        step = next(step for step in plan.launches if step.fault == slot)
        plan.faults[slot] = faults.Fault(step.device, step.checks)
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
    found = step.function.computed(arrays, faults.line_of(step, plan.told))
    Device[target.device].copy_in(memories[-1], np.ascontiguousarray(found, target.dtype.numpy).reshape(-1))


def _drive(plan: Plan, step: Driven, memories: Sequence[Any]) -> None:
    """Runs a loop: its rounds on new memory each, what comes out copied to where it belongs."""
    slots = [plan.slots[number] for number in step.sources]
    given = [Buffer(slot.size, slot.dtype, slot.device, None, memory) for slot, memory in zip(slots, memories)]
    states, same = given[: len(step.targets)], given[len(step.targets) :]
    (holds,) = rerun(step.begin, given)
    while _is_true(holds):
        *states, holds = rerun(step.each, [*states, *same])
    found = [state for state, target in zip(states, step.targets) if target >= 0]
    for state, memory in zip(found, memories[len(given) :]):
        flat = np.empty(state.size, state.dtype.numpy)
        Device[state.device].copy_out(state.memory, flat)
        Device[state.device].copy_in(memory, flat)


def _is_true(buffer: Buffer) -> bool:
    flag = np.empty(1, buffer.dtype.numpy)
    Device[buffer.device].copy_out(resident(buffer), flag)
    return bool(flag[0])


def _transfer(plan: Plan, step: Transfer, memories: Sequence[Any]) -> None:
    """Copies an array between devices, by way of the host."""
    source, target = plan.slots[step.source], plan.slots[step.target]
    flat = np.empty(source.size, source.dtype.numpy)
    Device[source.device].copy_out(memories[0], flat)
    Device[target.device].copy_in(memories[1], flat)
