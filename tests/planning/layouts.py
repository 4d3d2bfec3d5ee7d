"""Whether what is alive at a time lies apart in a plan's memory."""

from __future__ import annotations

from kernelforge.planning.layout import lives
from kernelforge.planning.steps import Plan


def overlapping(plan: Plan) -> list[tuple[int, int]]:
    """Pairs of slots that are alive at one step of a plan and share bytes.

    A result lives from the step that first touches it to the end, a scratch slot to the last one that touches it; a
    result that takes a leaf's memory is left to whoever says that the leaf may be overwritten.
    """
    found = lives(plan)
    here = {slot: plan.blocks[block] for slot, block in plan.scratch}
    here |= {slot: plan.blocks[1 + i] for i, slot in enumerate(plan.together)}
    places: dict[int, tuple[object, int]] = {}
    for slot in found:
        role = plan.slots[slot]
        if role.role == "result" and role.takes < 0 and slot not in plan.together:
            places[slot] = ("result", slot), 0
        elif slot in here:
            block = here[slot]
            if block.host >= 0:
                places[slot] = ("result", block.host), block.offset
            elif block.within >= 0:
                places[slot] = ("block", block.within), block.offset
            else:
                places[slot] = ("block", next(n for n, other in enumerate(plan.blocks) if other is block)), 0
    ends = {slot: found[slot][1] if plan.slots[slot].role == "scratch" else len(plan.steps) for slot in places}
    clashes = []
    for a, (whole, start) in places.items():
        for b, (other, at) in places.items():
            apart = start + plan.slots[a].nbytes <= at or at + plan.slots[b].nbytes <= start
            if a < b and whole == other and not apart and found[a][0] <= ends[b] and found[b][0] <= ends[a]:
                clashes.append((a, b))
    return clashes
