"""A plan that runs again and again as one function, where the device makes one of its launches.

Comes in: a plan that ran, with its programs compiled.  Goes out: the plan, with the function.  It runs nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Final

from kernelforge.planning.memory import Block
from kernelforge.planning.steps import Plan

TRIED: Final = 16  # launches after which a kernel is known to be short, or not to be
BOUNDARY: Final = 128  # bytes at whose multiples what lies in one memory begins
TABLES: Final = 1 << 16  # bytes of values that depend on nothing, at most, for a function to have them
AGAIN: Final = 4  # runs after which there will be more: the function takes as long to make as it saves in many


def make_function(
    plan: Plan,
    runtime: Any,
    memory_of_flags: Callable[[int], Any],
    memories: Sequence[Any] = (),
    skipped: Collection[int] = (),
) -> None:
    """Makes a plan a function once it ran often enough, where it is launches on leaves, new and fixed memory, and parts
    of these.  The function is for runs in which all that may be kept is, and is given its memory; but for small values
    that depend on nothing, where there are no others: these it has.

    memories, skipped   of the slots in the last run, and the steps that it left out
    """
    if not hasattr(runtime, "single") or plan.runs != (AGAIN if runtime.is_native else TRIED):
        return
    if not all(nbytes for _, _, nbytes in plan.made):
        return
    kept = [slot for preparation in plan.preparations for slot in preparation.outputs]
    prepared = plan.prepared
    batch = [pair for position, pair in enumerate(plan.batch) if position not in prepared]
    needed, scratch = plan.lean if kept else (plan.blocks, plan.scratch)
    leaves = sum(slot.role == "leaf" for slot in plan.slots)
    where = {number: (number, 0) for number in range(leaves)}
    new = [(number, nbytes) for number, slot, nbytes in plan.made if slot.takes < 0 and number not in plan.together]
    where |= {number: (leaves + i, 0) for i, (number, _) in enumerate(new)}
    where |= {number: (slot.takes, 0) for number, slot, _ in plan.made if slot.takes >= 0}
    sizes = [nbytes for _, nbytes in new]
    if plan.together:
        sizes.append(needed[0].nbytes)
    results = len(sizes)
    places, beside = _beside(needed, leaves + results, where, apart=leaves + len(new) if plan.together else -1)
    where |= {number: places[block] for number, block in scratch}
    where |= {number: places[1 + i] for i, number in enumerate(plan.together)}
    sizes += [beside] if beside else []
    fixed = {number: memory_of_flags(number) for number in plan.flags} | plan.given
    sums = sum(size for preparation in plan.preparations for size in preparation.sizes)
    from_nothing = not any(preparation.leaves for preparation in plan.preparations)
    if kept and from_nothing and sums <= TABLES and prepared <= set(skipped):
        fixed, kept, plan.has_tables = fixed | {number: memories[number] for number in kept}, [], True
    where |= {number: (leaves + len(sizes) + i, 0) for i, number in enumerate(fixed)}
    where |= {number: (leaves + len(sizes) + len(fixed) + i, 0) for i, number in enumerate(kept)}
    parts = [(number, start, where[whole]) for number, whole, start, _ in plan.parts if whole in where]
    where |= {number: (whole, offset + start) for number, start, (whole, offset) in parts}
    if batch and all(slot in where for _, places in batch for slot in places):
        launches = [(executable, [where[slot] for slot in places]) for executable, places in batch]
        fixed_memories, flagged = list(fixed.values()), len(plan.flags)
        plan.single = runtime.single(launches, sizes, leaves, results, fixed_memories, flagged, not plan.takes)


def _beside(
    blocks: Sequence[Block], whole: int, where: Mapping[int, tuple[int, int]], apart: int = -1
) -> tuple[list[tuple[int, int]], int]:
    """Where blocks lie side by side in one memory, the one of the number `whole`, and its bytes; those that are parts
    of results lie in these, of which `where` tells.

    apart   the number of the memory of the first one, if it has its own
    """
    places: list[tuple[int, int]] = []
    end = 0
    for block in blocks:
        if block.host >= 0:
            memory, start = where[block.host]
            places.append((memory, start + block.offset))
        elif block.within >= 0:
            memory, start = places[block.within]
            places.append((memory, start + block.offset))
        elif apart >= 0 and not places:
            places.append((apart, 0))
        else:
            places.append((whole, end))
            end += -(-block.nbytes // BOUNDARY) * BOUNDARY
    return places, end
