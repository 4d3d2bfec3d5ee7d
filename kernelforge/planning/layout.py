"""Memory of a plan: blocks for its intermediate results.

Comes in: a plan with its steps.  Goes out: the same, with a block for every scratch slot.
"""

from __future__ import annotations

from dataclasses import replace

from kernelforge.planning.memory import Host, Lifetime, assign, total
from kernelforge.planning.steps import Launch, Layout, Plan


def lay_out(plan: Plan) -> None:
    """Gives a plan blocks for every scratch slot."""
    first: dict[int, int] = {}
    last: dict[int, int] = {}
    touched = {slot for step in plan.steps if not isinstance(step, Launch) for slot in step.arguments}
    touched |= {slot.whole for slot in plan.slots}
    for number, step in enumerate(plan.steps):
        for argument in step.arguments:
            slot = argument if (whole := plan.slots[argument].whole) < 0 else whole
            first.setdefault(slot, number)
            last[slot] = number
    scratch = [slot for slot in first if plan.slots[slot].role == "scratch"]
    needs = [(plan.slots[s].nbytes, plan.slots[s].device, first[s], last[s], s in touched) for s in scratch]
    hosts = [
        Host(number, slot.nbytes, slot.device, first[number])
        for number, slot in enumerate(plan.slots)
        if slot.role == "result" and slot.takes < 0 and number in first and number not in touched
    ]
    chosen, plan.blocks = assign([Lifetime(*need) for need in needs], hosts)
    plan.scratch = list(zip(scratch, chosen))
    plan.lean = _lean(plan)


def held(plan: Plan) -> int:
    """The bytes a run of a plan takes beside its leaves: its blocks, and the results that are in none of the leaves."""
    return total(plan.blocks) + sum(nbytes for _, slot, nbytes in plan.made if slot.takes < 0)


def _lean(plan: Plan) -> Layout:
    """The blocks that are left without the slots that preparations write: in a pool they are the same pieces of
    memory."""
    kept = {slot for p in plan.preparations for step in p.steps for slot in plan.steps[step].writes}
    scratch = [(slot, block) for slot, block in plan.scratch if slot not in kept]
    used = {block for _, block in scratch}
    used |= {plan.blocks[block].within for block in used} - {-1}
    number = {block: i for i, block in enumerate(sorted(used))} | {-1: -1}
    blocks = [plan.blocks[block] for block in sorted(used)]
    blocks = [replace(block, within=number[block.within]) for block in blocks]
    return blocks, [(slot, number[block]) for slot, block in scratch]
