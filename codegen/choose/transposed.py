"""Default CPU schedules for elementwise kernels that read across the lanes: transposed copies and what goes with them.

Comes in: a kernel, its lane axis, the loads that lie along another one and the target's facts.  Goes out: schedules.
Where results are short rows that are read across, lanes go along what is read, and rows are turned in registers.  Else
squares of lanes x lanes are transposed in registers, in blocks of several: results the caches hold are written in long
runs, others, which go around the caches, in blocks of several rows, which are then read in runs too.  Loads that need
guards are packed instead.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from codegen.access import SHORTEST, main_stores, parallel_axes
from codegen.choose.contraction import even
from codegen.choose.picks import Pick, either
from codegen.index import Axis
from codegen.ir import Kernel, Load
from codegen.schedule import Ahead, Schedule, Stage, Step
from codegen.target import Target

SQUARES = (64, 32, 128, 16)  # side of a packed block
BLOCKS = ((16, 512), (64, 256), (64, 64), (128, 128), (16, 4096), (256, 32))  # read across lanes, written along them
AREA = 1 << 13  # elements of a block where it cannot be as long along the lanes


def transposed(kernel: Kernel, lane: Axis | None, lanes: int) -> dict[Load, Axis]:
    """Loads whose unit stride lies along another axis than the lanes, with that axis, both long enough to
    transpose."""
    if lane is None or lane.size < lanes:
        return {}
    found = {}
    for e in kernel.loads:
        if lane in e.axes and e.index.stride(lane) not in (0, 1, None):
            unit = next((a for a in e.axes if e.index.stride(a) == 1 and a.size >= SHORTEST), None)
            if unit is not None:
                found[e] = unit
    return found


def crossed(kernel: Kernel, lanes: int) -> tuple[Axis, Axis] | None:
    """The axis along which all results are written, in rows too short for vectors, and the one along which consecutive
    elements are read, across these rows."""
    parallel, stores = parallel_axes(kernel), main_stores(kernel)
    short = [a for a in parallel if SHORTEST <= a.size < lanes and not any(s.param.dtype.kind == "b" for s in stores)]
    row = next((a for a in short if all(s.index.stride(a) == 1 and s.mode == "set" for s in stores)), None)
    units = {a for e in kernel.loads for a in e.axes if e.index.stride(a) == 1 and a.size >= lanes}
    if row is None or len(units) != 1 or not units.issubset(parallel):
        return None
    (unit,) = units
    rowwise = [e for e in kernel.loads if row in e.axes]
    across = all(e.index.stride(row) not in (1, None) or e.index.stride(unit) == 1 for e in rowwise)
    return (row, unit) if across and not any(e.guards for e in kernel.loads) else None


def crossing(
    kernel: Kernel, target: Target, row: Axis, unit: Axis, groups: int, pick: Pick
) -> Schedule:
    """Some vectors along what is read, then the axes outside of the rows, so that rows that follow each other in memory
    are written one after the other."""
    lanes, store = target.lanes, main_stores(kernel)[0]
    others = sorted((a for a in store.axes if a not in (row, unit)), key=lambda a: -abs(store.index.coefficient(a)))
    stripe = lanes * pick("stripe", (4, 1, 16)) if others else -(-unit.size // groups)
    grid = [Step(unit, even(unit.size, stripe, lanes))]
    if others:
        grid.append(Step(others[0], max(1, -(-others[0].size // groups))))
    return Schedule((*grid, *(Step(a, 1) for a in others), Step(unit, lanes), Step(row, row.size)), len(grid), (unit,))


def transposing(
    kernel: Kernel, target: Target, lane: Axis, turned: dict[Load, Axis], outer: Sequence[Axis], pick: Pick
) -> Iterator[Schedule]:
    """Squares transposed where they are loaded, else packed blocks."""
    unit = next(iter(turned.values()))
    others = [Step(a, 1) for a in outer if a is not unit]
    if not any(e.guards for e, along in turned.items() if along is unit):
        yield _in_registers(kernel, target, lane, turned, others, pick)
    block = pick("square", SQUARES)
    grid = [*others, Step(unit, block), Step(lane, block)]
    stages = tuple(
        Stage(e, len(grid), ((unit, 1), (lane, 1))) for e, along in turned.items() if along is unit and len(e.axes) >= 2
    )
    yield Schedule((*grid, Step(unit, 1), Step(lane, target.lanes)), len(grid), (lane,), stages)


def _in_registers(
    kernel: Kernel, target: Target, lane: Axis, turned: dict[Load, Axis], others: Sequence[Step], pick: Pick
) -> Schedule:
    """Squares along the axis the first of the loads lies along."""
    unit = next(iter(turned.values()))
    lanes = target.lanes
    aligned = lane.size % lanes == 0  # only whole lines go around the caches
    cached = not aligned or all(s.param.nbytes < target.l3 for s in main_stores(kernel))
    across, longest = BLOCKS[not cached]
    along = min(longest, -(-lane.size // lanes) * lanes)
    across = max(across, AREA // along // lanes * lanes) if cached else across
    across, along = pick("block", either((across, along), BLOCKS))
    grid = [*others, Step(unit, even(unit.size, across, lanes)), Step(lane, even(lane.size, along, lanes))]
    early = () if cached else tuple(Ahead(e, lane) for e, along in turned.items() if along is unit)
    asks = bool(early) and pick("ahead", (True, False))
    loops = (*grid, Step(lane, lanes), Step(unit, lanes))
    return Schedule(loops, len(grid), (lane, unit), ahead=early if asks else ())
