"""Default CPU schedules for many short rows of which nothing but a combination is left: lanes lie across the rows.

Comes in: a kernel and the target's facts.  Goes out: a schedule, or nothing where rows are long, or groups share them.
A function of what a row comes to, a logarithm for one, is then computed for a vector of rows at a time, and no row ends
in half a vector.  A block of rows is turned while it is packed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import prod

from codegen.access import parallel_axes, walked_rows
from codegen.choose.picks import Pick
from codegen.index import Axis
from codegen.ir import Apply, Kernel, Load
from codegen.schedule import Schedule, Stage, Step
from codegen.target import Target

FUNCTION = 8  # cost of an operation from which on it is a function, and no instruction
LONGEST = 4  # vectors of a row: in longer ones little is left to gain
BLOCKS = (64, 128, 32)  # rows that are packed together
VECTORS = (2, 1, 4)  # of rows that are walked together: one hides what the other waits for


def across(kernel: Kernel, target: Target, pick: Pick) -> Iterator[Schedule]:
    """The schedule, when one program walks many rows, each reduced along the few places it has in memory."""
    found = form_of(kernel, target)
    if found is None:
        return
    row, lane = found
    block, together = pick("block", BLOCKS), target.lanes * pick("rows", VECTORS)
    outer = [a for a in kernel.axes if a is not row and a is not lane]
    before = [Step(a, 1) for a in outer if not _is_within(kernel, a, row)]
    within = [Step(a, 1) for a in outer if _is_within(kernel, a, row)]
    common = (*before, Step(row, block), Step(row, together), *within, Step(lane, 1))
    depth = len(before) + 1
    packed = [e for e in kernel.loads if _lies_across(e, row, lane) and _fits(e, row, before, block, target)]
    stages = [Stage(e, depth, (*((a, 1) for a in _order(e, row, before)), (row, 1))) for e in packed]
    yield Schedule(common, 0, (row,), tuple(stages))


def form_of(kernel: Kernel, target: Target) -> tuple[Axis, Axis] | None:
    """The axis of the rows, and the one along them; None where there are no such rows, something is stored along them,
    or no function is taken of what they come to."""
    if kernel.scans or not kernel.reduces or parallel_axes(kernel):
        return None
    stored = {a for store in kernel.stores for a in store.axes}
    near = {a for e in kernel.loads for a in e.axes if e.index.stride(a) == 1}
    bound = [a for r in kernel.reduces for a in r.bound if a in near - stored and a.size < LONGEST * target.lanes]
    for lane in dict.fromkeys(bound):
        rows = [a for a in walked_rows(kernel, (), lane) if a.size >= 2 * target.lanes]
        row = max(rows, key=lambda a: a.size, default=None)
        if row is not None and _takes_functions(kernel, row, lane):
            return row, lane
    return None


def _takes_functions(kernel: Kernel, row: Axis, lane: Axis) -> bool:
    """True where a function is taken of a value that each row has one of."""
    taken = (e for e in kernel.exprs if isinstance(e, Apply) and e.op.cost >= FUNCTION)
    return any(row in e.axes and lane not in e.axes for e in taken)


def _is_within(kernel: Kernel, axis: Axis, row: Axis) -> bool:
    """True for an axis that is reduced for each row."""
    return any(axis in r.bound and row in r.axes for r in kernel.reduces)


def _lies_across(e: Load, row: Axis, lane: Axis) -> bool:
    """True for what is read along the rows."""
    step = e.index.stride(row)
    return {row, lane} <= e.axes and not e.guards and e.index.stride(lane) == 1 and step not in (0, 1, None)


def _order(e: Load, row: Axis, before: Sequence[Step]) -> list[Axis]:
    """The other axes of a block, in the order they have in memory."""
    walked = {step.axis for step in before}
    axes = [a for a in e.axes if a is not row and a not in walked]
    return sorted(axes, key=lambda a: (-abs(e.index.coefficient(a)), a.id))


def _fits(e: Load, row: Axis, before: Sequence[Step], block: int, target: Target) -> bool:
    """True where a block stays in a near cache."""
    return block * prod(a.size for a in _order(e, row, before)) * e.dtype.itemsize <= target.l2 // 8
