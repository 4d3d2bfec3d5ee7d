"""Default CPU schedules for products of few rows with a matrix that lies along the sum: lanes run along it.

Comes in: a kernel, its contraction and the target's facts.  Goes out: a schedule, or nothing where the larger operand
lies otherwise or there are many rows.  It is then read as it lies.  To pack it across the lanes takes a transposition
of each of its elements, which only many rows are worth; where the few rows lie across the sum, they are turned instead.
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
TURNED = 512  # columns of a group at most where it turns the rows
LEAST_TURNED = 64  # columns that are worth it
TILES = ((6, 4), (8, 3), (5, 4), (4, 6), (3, 8), (2, 8), (4, 4), (8, 2))  # rows and columns of accumulators
FEWER = ((8, 2), (4, 4), (5, 3), (6, 2), (3, 4), (2, 4))  # the same where columns need corrections
LEAST = 8  # vectors of the sum: at its end lanes are added up
STRIPE = 256  # columns of a group at most
GROUPS_PER_CORE = 4
EPILOGUE = 2  # operations on a sum from which on they are done for vectors of them


def along(kernel: Kernel, c: Contraction, target: Target, pick: Pick) -> Iterator[Schedule]:
    """The schedule, when there are few rows and the matrix they meet is contiguous along a long summed axis."""
    sides = sorted(((c.m, c.left), (c.n, c.right)), key=lambda side: prod(a.size for a in side[0]))
    (m_axes, few), (n_axes, matrix) = sides
    k = _summed(c, few, matrix)
    parallel = parallel_axes(kernel)
    if k is None or len(m_axes) > 1 or not {*c.m, *c.n} <= set(parallel):
        return
    (m,), n = m_axes, max(n_axes, key=lambda a: a.size)
    turns = not _lies_along(few, k)
    dot = None if turns else dot_of(c.reduce, target)
    group = 1 if dot is None else dot.group
    if m.size > (ROWS if dot is None else ROWS_OF_GROUPS) or k.size < LEAST * target.lanes * group:
        return
    if turns and not _is_worth_turning(c, few, matrix, n, target):
        return
    rows, columns = pick("tile", either(_tile(m, dot), FEWER if dot is not None and dot.alike else TILES))
    rows, columns = min(rows, m.size), min(columns, n.size)
    outer = [a for a in parallel if a is not m and a is not n]
    share = n.size * prod(a.size for a in outer) // ((1 if turns else GROUPS_PER_CORE) * target.cores)
    stripe = even(n.size, max(columns, min(TURNED if turns else STRIPE, share)), columns)
    grid = [*(Step(a, 1) for a in outer), Step(n, pick("stripe", either(stripe, (4 * columns, 16 * columns))))]
    deep = [Step(a, 1) for a in kernel.axes if a in c.k and a is not k]
    loops = (*grid, Step(n, columns), Step(m, rows), *deep, Step(k, target.lanes * group))
    stages: list[Stage] = []
    inner: dict[Expr | Store, Inner] = {}
    if pick("epilogue", either(_is_long(kernel, c), (True, False))):
        stages.append(Stage(c.reduce, len(grid)))
        inner = {s: Inner(len(grid), (Step(m, 1), Step(n, target.lanes))) for s in kernel.stores if n in s.axes}
    if turns:
        layout = ((m, 1), *((step.axis, 1) for step in deep), (k, 1))
        stages.append(Stage(few, len(grid), layout))
    yield Schedule(loops, len(grid), (k, n) if inner else (k,), tuple(stages), inner)


def _summed(c: Contraction, few: Expr, matrix: Expr) -> Axis | None:
    """The summed axis along which the matrix is contiguous in memory, if both operands are loads: one of both first."""
    if set(c.reduce.arg.args) != {few, matrix} or not all(map(is_plain_load, (few, matrix))):
        return None
    found = [a for a in c.k if _lies_along(matrix, a)]
    return min(found, key=lambda a: not _lies_along(few, a), default=None)


def _lies_along(operand: Expr, axis: Axis) -> bool:
    """True for an array that is contiguous along an axis, and read without conditions."""
    loads = list(loads_of(operand))
    return bool(loads) and all(e.index.stride(axis) == 1 and not e.guards for e in loads)


def _is_worth_turning(c: Contraction, few: Expr, matrix: Expr, n: Axis, target: Target) -> bool:
    """True where many columns meet the rows, and these stay in the second cache.

    Fewer rows are worth it where lanes along results take several steps at once, or are half as many; none of bytes.
    """
    dot, rows = dot_of(c.reduce, target), prod(a.size for a in few.axes - matrix.axes)
    if dot is not None and dot.kind == "int8":
        return False
    if rows > (ROWS if dot is None and c.reduce.dtype.bits <= 32 else ROWS // 4):
        return False
    nbytes = prod(a.size for a in few.axes - set(c.batch)) * few.dtype.itemsize
    return n.size >= LEAST_TURNED and nbytes <= target.l2 // 2


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
