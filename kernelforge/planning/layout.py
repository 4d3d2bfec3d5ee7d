"""Memory of a plan: blocks for its intermediate results.

Comes in: a plan with its steps.  Goes out: the same, with a block for every scratch slot.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from operator import itemgetter
from typing import Final

from kernelforge.kernels.pool import size_class
from kernelforge.planning.memory import ALIGNMENT, EVER, SAVED, Block, Host, Lifetime, around, assign, total
from kernelforge.planning.steps import Launch, Layout, Plan

LEAST_KEPT: Final = 1 << 14  # bytes of a result worth it
LEAST_WHOLE: Final = 1 << 20  # bytes of a block with results in it
Lives = dict[int, tuple[int, int]]
"""The first and the last step that touch each slot."""


def lay_out(plan: Plan) -> None:
    """Gives a plan blocks for every scratch slot."""
    where = lives(plan)
    scratch = [slot for slot in where if plan.slots[slot].role == "scratch"]
    _lie(plan, (), scratch, *assign(_needs(plan, where, scratch), _hosts(plan, where)))


def gathered(plan: Plan, slots: Sequence[int]) -> Plan:
    """A plan that does the same, with the large ones of some results in one block with its intermediate results, if
    that saves memory: these lie there before them, and beside them.

    slots   of results that are gone when the plan runs again
    """
    where = lives(plan)
    large = [slot for slot in dict.fromkeys(slots) if slot in where and _is_worth_it(plan, slot)]
    scratch = [slot for slot in where if plan.slots[slot].role == "scratch"]
    if len({plan.slots[slot].device for slot in (*large, *scratch)}) != 1:
        return plan
    kept = [Lifetime(plan.slots[slot].nbytes, plan.slots[slot].device, where[slot][0], EVER) for slot in large]
    found = around(kept, _needs(plan, where, scratch), _hosts(plan, where, large)) if large else None
    if found is None or found[1][0].nbytes < LEAST_WHOLE:
        return plan
    own = replace(plan, runs=0, single=None, has_tables=False, known_since=-1)
    own.batch, own.shared = [*plan.batch], [*plan.shared]
    _lie(own, large, scratch, *found)
    return own if _taken(plan) - _taken(own) > SAVED * _taken(plan) / 4 else plan


def _taken(plan: Plan) -> int:
    """`held`, as a pool counts it."""
    new = [nbytes for number, slot, nbytes in plan.made if slot.takes < 0 and number not in plan.together]
    own = [block.nbytes for block in plan.blocks if block.within < 0 and block.host < 0]
    return sum(map(size_class, (*new, *own)))


def rest(plan: Plan) -> tuple[int, int]:
    """The longest piece of the block with results in it that nobody needs after a run: where it begins, and bytes."""
    start, found = 0, (0, 0)
    whole, *others = plan.blocks[: 1 + len(plan.together)]
    for block in sorted(others, key=lambda block: block.offset):
        found = max(found, (start, block.offset - start), key=itemgetter(1))
        start = -(-(block.offset + block.nbytes) // ALIGNMENT) * ALIGNMENT
    return max(found, (start, whole.nbytes - start), key=itemgetter(1))


def _is_worth_it(plan: Plan, slot: int) -> bool:
    here = plan.slots[slot]
    return here.role == "result" and here.takes < 0 and here.nbytes >= LEAST_KEPT


def lives(plan: Plan) -> Lives:
    """The first and the last step of a plan that touch each slot, those of its parts included."""
    found: Lives = {}
    for number, step in enumerate(plan.steps):
        for argument in step.arguments:
            slot = argument if (whole := plan.slots[argument].whole) < 0 else whole
            found[slot] = found.get(slot, (number, number))[0], number
    return found


def _needs(plan: Plan, where: Lives, scratch: Sequence[int]) -> list[Lifetime]:
    alone = _touched(plan)
    return [Lifetime(plan.slots[s].nbytes, plan.slots[s].device, *where[s], s in alone) for s in scratch]


def _hosts(plan: Plan, where: Lives, others: Sequence[int] = ()) -> list[Host]:
    """The results in whose memory others may lie."""
    alone = _touched(plan).union(others)
    return [
        Host(number, slot.nbytes, slot.device, where[number][0])
        for number, slot in enumerate(plan.slots)
        if slot.role == "result" and slot.takes < 0 and number in where and number not in alone
    ]


def _touched(plan: Plan) -> set[int]:
    """The slots that the host touches, or that have parts."""
    found = {slot for step in plan.steps if not isinstance(step, Launch) for slot in step.arguments}
    return found | {slot.whole for slot in plan.slots}


def _lie(
    plan: Plan, together: Sequence[int], scratch: Sequence[int], chosen: Sequence[int], blocks: list[Block]
) -> None:
    plan.together, plan.blocks = tuple(together), blocks
    plan.scratch = list(zip(scratch, chosen))
    plan.lean = _lean(plan)


def held(plan: Plan) -> int:
    """The bytes a run of a plan takes beside its leaves: its blocks, and the results that are in none of these."""
    new = [nbytes for number, slot, nbytes in plan.made if slot.takes < 0 and number not in plan.together]
    return total(plan.blocks) + sum(new)


def alive(plan: Plan) -> list[int]:
    """The bytes at each step of what a run of a plan made and needs, its results included: no layout takes less than
    the most of these."""
    change = [0] * (len(plan.steps) + 1)
    for slot, (first, last) in lives(plan).items():
        here = plan.slots[slot]
        if here.role in ("scratch", "result") and here.takes < 0:
            change[first] += here.nbytes
            change[last + 1 if here.role == "scratch" else len(plan.steps)] -= here.nbytes
    return [sum(change[: number + 1]) for number in range(len(plan.steps))]


def _lean(plan: Plan) -> Layout:
    """The blocks that are left without the slots that preparations write: in a pool they are the same pieces of
    memory."""
    kept = {slot for p in plan.preparations for step in p.steps for slot in plan.steps[step].writes}
    scratch = [(slot, block) for slot, block in plan.scratch if slot not in kept]
    used = {block for _, block in scratch} | set(range(len(plan.together) + 1 if plan.together else 0))
    used |= {plan.blocks[block].within for block in used} - {-1}
    number = {block: i for i, block in enumerate(sorted(used))} | {-1: -1}
    blocks = [plan.blocks[block] for block in sorted(used)]
    blocks = [replace(block, within=number[block.within]) for block in blocks]
    return blocks, [(slot, number[block]) for slot, block in scratch]
