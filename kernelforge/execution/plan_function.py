"""A plan that runs again and again as one function, where the device makes one of its launches.

Comes in: a plan that ran, with its programs compiled.  Goes out: the plan, with the function.  It runs nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from kernelforge.planning.steps import Plan

TRIED: Final = 16  # launches after which a kernel is known to be short, or not to be
AGAIN: Final = 4  # runs after which there will be more: the function takes as long to make as it saves in many


def make_function(plan: Plan, runtime: Any, memory_of_flags: Callable[[int], Any]) -> None:
    """Makes a plan a function once it ran often enough, where it is launches on leaves, new and fixed memory, and parts
    of these.  The function is for runs in which all that may be kept is, and is given its memory."""
    if not hasattr(runtime, "single") or plan.runs != (AGAIN if runtime.is_native else TRIED):
        return
    if not all(nbytes for _, _, nbytes in plan.made):
        return
    kept = [slot for preparation in plan.preparations for slot in preparation.outputs]
    skipped = {position for preparation in plan.preparations for position in preparation.steps}
    batch = [pair for position, pair in enumerate(plan.batch) if position not in skipped]
    needed, scratch = plan.lean if kept else (plan.blocks, plan.scratch)
    leaves = sum(slot.role == "leaf" for slot in plan.slots)
    where = {number: (number, 0) for number in range(leaves)}
    new = [(number, nbytes) for number, slot, nbytes in plan.made if slot.takes < 0]
    where |= {number: (leaves + i, 0) for i, (number, _) in enumerate(new)}
    where |= {number: (slot.takes, 0) for number, slot, _ in plan.made if slot.takes >= 0}
    sizes = [nbytes for _, nbytes in new]
    blocks: list[tuple[int, int]] = []
    for block in needed:
        if block.within < 0:
            blocks.append((leaves + len(sizes), 0))
            sizes.append(block.nbytes)
        else:
            blocks.append((blocks[block.within][0], block.offset))
    where |= {number: blocks[block] for number, block in scratch}
    fixed = {number: memory_of_flags(number) for number in plan.flags} | plan.given
    where |= {number: (leaves + len(sizes) + i, 0) for i, number in enumerate(fixed)}
    where |= {number: (leaves + len(sizes) + len(fixed) + i, 0) for i, number in enumerate(kept)}
    parts = [(number, start, where[whole]) for number, whole, start, _ in plan.parts if whole in where]
    where |= {number: (whole, offset + start) for number, start, (whole, offset) in parts}
    if batch and all(slot in where for _, places in batch for slot in places):
        launches = [(executable, [where[slot] for slot in places]) for executable, places in batch]
        plan.single = runtime.single(launches, sizes, leaves, len(new), list(fixed.values()), len(plan.flags))
