"""Default CPU schedules for products of few rows whose operands both lie along the sum: lanes run along it.

Comes in: a kernel, its contraction and the target's facts.  Goes out: a schedule, or nothing where an operand lies
otherwise or there are many rows.  Both operands are then read as they lie.  To pack the larger one across the lanes
takes a transposition of each of its elements, which only many rows are worth.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import ceil, prod

from codegen.access import is_plain_load, loads_of, parallel_axes
from codegen.choose.contraction import even
from codegen.choose.picks import Pick, either
from codegen.dots import Dot, dot_of
from codegen.index import Axis
from codegen.ir import Apply, Expr, Kernel, Store, walk
from codegen.rewrites.contract import Contraction
from codegen.schedule import Inner, Schedule, Stage, Step
from codegen.target import Target

ROWS = 24  # of which a transposition costs as much as it saves
ROWS_OF_GROUPS = 28  # the same where one instruction takes several steps
TILES = ((6, 4), (8, 3), (5, 4), (4, 6), (3, 8), (2, 8), (4, 4), (8, 2))  # rows and columns of accumulators
FEWER = ((8, 2), (4, 4), (5, 3), (6, 2), (3, 4), (2, 4))  # the same where columns need corrections
LEAST = 8  # vectors of the sum: at its end lanes are added up
STRIPE = 256  # columns of a group at most
GROUPS_PER_CORE = 4
EPILOGUE = 2  # operations on a sum from which on they are done for vectors of them


def along(kernel: Kernel, c: Contraction, target: Target, pick: Pick) -> Iterator[Schedule]:
    """The schedule, when there are few rows and both operands are contiguous along a long summed axis."""
    dot = dot_of(c.reduce, target)
    sides = sorted((c.m, c.n), key=lambda axes: prod(a.size for a in axes))
    k = _summed(c)
    parallel = parallel_axes(kernel)
    if k is None or len(sides[0]) > 1 or not {*c.m, *c.n} <= set(parallel):
        return
    (m,), n = sides[0], max(sides[1], key=lambda a: a.size)
    group = 1 if dot is None else dot.group
    if m.size > (ROWS if dot is None else ROWS_OF_GROUPS) or k.size < LEAST * target.lanes * group:
        return
    rows, columns = pick("tile", either(_tile(m, dot), FEWER if dot is not None and dot.alike else TILES))
    rows, columns = min(rows, m.size), min(columns, n.size)
    outer = [a for a in parallel if a is not m and a is not n]
    share = n.size * prod(a.size for a in outer) // (GROUPS_PER_CORE * target.cores)
    stripe = even(n.size, max(columns, min(STRIPE, share)), columns)
    grid = [*(Step(a, 1) for a in outer), Step(n, pick("stripe", either(stripe, (4 * columns, 16 * columns))))]
    deep = [Step(a, 1) for a in kernel.axes if a in c.k and a is not k]
    loops = (*grid, Step(n, columns), Step(m, rows), *deep, Step(k, target.lanes * group))
    stages: tuple[Stage, ...] = ()
    inner: dict[Expr | Store, Inner] = {}
    if pick("epilogue", either(_is_long(kernel, c), (True, False))):
        stages = (Stage(c.reduce, len(grid)),)
        inner = {s: Inner(len(grid), (Step(m, 1), Step(n, target.lanes))) for s in kernel.stores if n in s.axes}
    yield Schedule(loops, len(grid), (k, n) if inner else (k,), stages, inner)


def _summed(c: Contraction) -> Axis | None:
    """The summed axis along which both operands are contiguous in memory, if they are loads."""
    operands = c.reduce.arg.args
    if set(operands) != {c.left, c.right} or not all(map(is_plain_load, operands)):
        return None
    loads = [e for operand in operands for e in loads_of(operand)]
    found = (a for a in c.k if all(e.index.stride(a) == 1 and not e.guards for e in loads))
    return next(found, None) if len(loads) == len(operands) else None


def _tile(m: Axis, dot: Dot | None) -> tuple[int, int]:
    """The tile that does least for nothing at the last rows, and reads least."""
    tiles = FEWER if dot is not None and dot.alike else TILES

    def cost(tile: tuple[int, int]) -> float:
        rows = min(tile[0], m.size)
        return ceil(m.size / rows) * rows * (1 + 1 / rows + 1 / tile[1])

    return min(tiles, key=cost)


def _is_long(kernel: Kernel, c: Contraction) -> bool:
    """True when what is computed from the sums is better done for vectors of them."""
    before = set(walk((c.reduce,)))
    after = [e for e in walk(tuple(s.value for s in kernel.stores)) if isinstance(e, Apply) and e not in before]
    return len(after) >= EPILOGUE
