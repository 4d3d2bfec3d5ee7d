"""A plan that runs again and again, with as little done beside its kernels as can be.

Comes in: a compiled plan; at each run the buffers it reads.  Goes out: the buffers of its results.  The second run sets
up what later ones use: launches whose arguments stay, and one list of the memories they are on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final
from weakref import ref

from kernelforge.buffer import Buffer
from kernelforge.counters import GlobalCounters
from kernelforge.execution import running
from kernelforge.kernels import Device, Runtime
from kernelforge.kernels.opencl import OpenCLRuntime
from kernelforge.kernels.opencl_preset import Preset
from kernelforge.kernels.runtime import Parts
from kernelforge.planning.steps import Plan

LEAST: Final = 2  # launches that are worth it


class Repeated:
    """A plan to run again and again.

    apart  the same plan with no results in one block, for when somebody keeps some of them: the block would stay
    """

    __slots__ = ("_apart", "_last", "_place", "_preset", "_runs", "_runtime", "plan")

    def __init__(self, plan: Plan, apart: Repeated | None = None) -> None:
        self.plan, plan.is_captured = plan, True
        self._apart = apart
        self._last: Callable[[], Parts | None] = lambda: None
        self._preset: Preset | None = None
        self._runtime: OpenCLRuntime | None = None
        self._place: dict[int, int] = {}
        self._runs = 0

    def run(self, leaves: Sequence[Buffer]) -> list[Buffer]:
        """Runs the plan; the buffers of its results."""
        plan = self.plan
        if self._apart is not None:
            return self._run_together(self._apart, leaves)
        self._runs += 1
        if self._runs == 2 and self._fits():
            self._set_up()
        if self._preset is None or self._runtime is None or not running.plainly() or not all(map(_has_memory, leaves)):
            return running.rerun(plan, leaves)
        allocate = self._runtime.allocate
        memories = [buffer.memory for buffer in leaves]
        made = [(allocate(nbytes) if slot.takes < 0 else memories[slot.takes], slot) for _, slot, nbytes in plan.made]
        memories += [memory for memory, _ in made]
        results = {number: memory for (number, _, _), (memory, _) in zip(plan.made, made)}
        memories += running.allocated(plan.blocks, results)
        memories += running.divided(plan, [memories[self._place[whole]] for whole in plan.wholes])
        self._preset.run(memories)
        GlobalCounters.kernel_count += plan.kernels
        GlobalCounters.global_ops += plan.flops
        GlobalCounters.global_mem += plan.nbytes
        found = [
            Buffer(slot.size, slot.dtype, slot.device, None, memory) if slot.takes < 0 else leaves[slot.takes]
            for memory, slot in made
        ]
        made_at = {number: buffer for (number, _, _), buffer in zip(plan.made, found)}
        return [made_at[slot] if slot in made_at else leaves[slot] for slot in plan.results]

    def _run_together(self, apart: Repeated, leaves: Sequence[Buffer]) -> list[Buffer]:
        if self._last() is not None:
            return apart.run(leaves)
        found = running.rerun(self.plan, leaves)
        self._last = ref(running.lend(self.plan, found))
        return found

    def _fits(self) -> bool:
        """True where all there is to a run are launches on memory that leaves, results and blocks have."""
        plan = self.plan
        launches_alone = not plan.preparations and not plan.flags and not plan.given and len(plan.batch) >= LEAST
        return launches_alone and all(nbytes for _, _, nbytes in plan.made)

    def _set_up(self) -> None:
        plan = self.plan
        runtime: Runtime = Device[plan.place]
        if not isinstance(runtime, OpenCLRuntime) or runtime.is_native:  # then the plan is a function
            return
        leaves = sum(slot.role == "leaf" for slot in plan.slots)
        place = dict(enumerate(range(leaves)))
        place.update((number, leaves + i) for i, (number, _, _) in enumerate(plan.made))
        place.update((slot, leaves + len(plan.made) + block) for slot, block in plan.scratch)
        first = leaves + len(plan.made) + len(plan.blocks)
        place.update((number, first + i) for i, (number, *_) in enumerate(plan.parts))
        self._runtime, self._place = runtime, place
        self._preset = Preset(runtime, [(executable, [place[slot] for slot in at]) for executable, at in plan.batch])


def _has_memory(buffer: Buffer) -> bool:
    return buffer.memory is not None
