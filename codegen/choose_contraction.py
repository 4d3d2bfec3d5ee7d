"""Default CPU schedules for kernels whose work is one contraction: a register tile, cache blocks, packed operands.

Comes in: a kernel, its heaviest contraction and the target's facts.  Goes out: a schedule.  The form is the
classic one: blocks of m and n over groups, k in blocks whose operands are packed into scratch, a tile of 8 x 32
accumulators inside.  Axes of a role that are not tiled are looped by one.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, prod

from codegen.access import is_plain_load, loads_of, main_stores, parallel_axes
from codegen.contract import Contraction
from codegen.index import Axis
from codegen.ir import Expr, Kernel
from codegen.schedule import Schedule, Stage, Step
from codegen.target import Target

ROWS = 8  # rows of the register tile
COLUMNS = 2  # vectors of the register tile: with 8 rows 16 accumulators, half the registers
BLOCK = 256  # rows and columns of a group's block
DEPTH = 512  # steps of k whose operands are packed together
ROW_PAD = 16  # elements added to packed rows: breaks strides that are powers of two
CLOSE = 1 << 17  # bytes a block of rows may span and still be read in place
UNROLL = 9  # steps of the smaller summed axes written out inside the loop over the largest


@dataclass(frozen=True)
class Roles:
    """The contraction seen from the store: n holds the lanes.

    m, n, k  the tiled axis of each role
    rest     the other axes of m and n, deep: the other axes of k
    left, right  the operands over m k and over k n
    """

    m: Axis
    n: Axis
    k: Axis
    rest: tuple[Axis, ...]
    deep: tuple[Axis, ...]
    left: Expr
    right: Expr


def unit_weight(kernel: Kernel, axis: Axis, operand: Expr, lanes: int) -> float:
    """How well an axis serves as lanes: unit stride in the store counts most, then in the operand, then its size."""
    filled = axis.size / (-(-axis.size // lanes) * lanes)
    stored = sum(s.index.stride(axis) == 1 for s in main_stores(kernel))
    loaded = any(e.index.stride(axis) == 1 for e in loads_of(operand))
    return filled * (1 + 2 * bool(stored) + loaded) + min(axis.size, 64) / 1024


def roles_of(kernel: Kernel, c: Contraction, lanes: int) -> Roles:
    """Which side of the contraction holds the lanes, and the axis of each role to tile."""
    sides = [(c.m, c.left, c.n, c.right), (c.n, c.right, c.m, c.left)]
    best = None
    for m_axes, left, n_axes, right in sides:
        for n in n_axes:
            weight = unit_weight(kernel, n, right, lanes)
            if best is None or weight > best[0]:
                best = (weight, m_axes, left, n, n_axes, right)
    assert best is not None
    _, m_axes, left, n, n_axes, right = best
    m = max(m_axes, key=lambda a: (min(a.size, ROWS), -_jump(left, a)))
    k = max(c.k, key=lambda a: (a.size, -a.id))
    order = {a: i for i, a in enumerate(kernel.axes)}
    rest = tuple(sorted((a for a in (*m_axes, *n_axes) if a is not m and a is not n), key=order.__getitem__))
    deep = tuple(sorted((a for a in c.k if a is not k), key=order.__getitem__))
    return Roles(m, n, k, rest, deep, left, right)


def _jump(operand: Expr, axis: Axis) -> int:
    """The stride of an operand along an axis: rows close together are read with fewer address computations."""
    return min((abs(e.index.stride(axis) or 1 << 30) for e in loads_of(operand) if axis in e.axes), default=0)


def even(size: int, most: int, unit: int) -> int:
    """The block size, a multiple of unit and at most `most`, that cuts size evenly into the fewest pieces.

    >>> even(1000, 256, 8), even(300, 256, 32)
    (256, 160)
    """
    pieces = ceil(size / most)
    return ceil(ceil(size / pieces) / unit) * unit


def blocks(roles: Roles, others: int, columns: int, cores: int) -> tuple[int, int]:
    """Block sizes of m and n: 256 when that gives two groups a core, otherwise 128, otherwise 64."""
    for most in (BLOCK, BLOCK // 2, BLOCK // 4):
        mc, nc = even(roles.m.size, most, ROWS), even(roles.n.size, max(most, columns), columns)
        if others * ceil(roles.m.size / mc) * ceil(roles.n.size / nc) >= 2 * cores:
            break
    return mc, nc


def single(kernel: Kernel, c: Contraction, target: Target) -> Schedule:
    """The schedule of a kernel with one contraction, an elementwise epilogue and elementwise operands."""
    roles = roles_of(kernel, c, target.lanes)
    columns = target.lanes * (1 if roles.n.size <= target.lanes or c.reduce.dtype.bits > 32 else COLUMNS)
    parallel = parallel_axes(kernel)
    outer = [a for a in parallel if a is not roles.m and a is not roles.n]
    mc, nc = blocks(roles, prod(a.size for a in outer), columns, target.cores)
    grid = [Step(a, 1) for a in outer]
    grid += [Step(a, tile) for a, tile in ((roles.m, mc), (roles.n, nc)) if a in parallel]
    known = {*parallel, *c.k, roles.n, roles.m}
    outside = [*grid, *(Step(a, 1) for a in kernel.axes if a not in known)]
    ahead = k_blocks(roles, prod(a.size for a in c.k))
    tile = [Step(roles.n, columns), Step(roles.m, ROWS), *(Step(a, 1) for a in looped(roles))]
    fixed = {step.axis for step in outside if step.tile == 1}
    stages = packs(kernel, roles, len(outside) + len(ahead), (mc, nc, columns), fixed)
    return Schedule((*outside, *ahead, *tile), len(grid), (roles.n,), tuple(stages))


def k_blocks(roles: Roles, steps: int) -> list[Step]:
    """The loop over blocks of k, when its steps are too many to pack at once."""
    if steps <= DEPTH:
        return []
    return [Step(roles.k, even(roles.k.size, max(1, DEPTH * roles.k.size // steps), 1))]


def looped(roles: Roles) -> list[Axis]:
    """The summed axes walked one by one inside the register tile; small ones are written out instead."""
    written: list[Axis] = []
    for axis in sorted(roles.deep, key=lambda a: a.size):
        if prod(a.size for a in written) * axis.size <= UNROLL:
            written.append(axis)
    return [*(a for a in roles.deep if a not in written), roles.k]


def packs(kernel: Kernel, roles: Roles, depth: int, tile: tuple[int, int, int], fixed: set[Axis]) -> list[Stage]:
    """The operands worth packing: those read again often enough, or whose lanes are not contiguous.

    left   rows as they lie (the k row or the m row, whichever has unit stride), reused for every column panel
    right  panels of the tile's columns, reused for every block of rows
    """
    mc, nc, columns = tile
    found = []
    if not is_plain_load(roles.left) or (nc > columns and _is_spread(roles.left, roles.m, roles.k, mc)):
        along_m = any(e.index.stride(roles.m) == 1 for e in loads_of(roles.left))
        rows = [a for a in kernel.axes if a in roles.left.axes and a not in fixed and a not in (roles.m, roles.k)]
        axes = (*rows, roles.k, roles.m) if along_m else (roles.m, *rows, roles.k)
        found.append(Stage(roles.left, depth, tuple((a, 1) for a in axes), ROW_PAD))
    if mc > ROWS or not _is_straight(roles.right, roles.n):
        deep = [(a, 1) for a in kernel.axes if a in roles.right.axes and a not in fixed and a is not roles.n]
        found.append(Stage(roles.right, depth, ((roles.n, columns), *deep, (roles.n, 1))))
    return found


def _is_spread(operand: Expr, m: Axis, k: Axis, mc: int) -> bool:
    """True when a block of the operand does not lie close together: guarded, irregular, or rows far apart."""
    for e in loads_of(operand):
        strides = (e.index.stride(m), e.index.stride(k))
        if e.guards or None in strides or max(abs(s or 0) for s in strides) * mc * e.dtype.itemsize > CLOSE:
            return True
    return False


def _is_straight(operand: Expr, n: Axis) -> bool:
    """True when the lanes of the operand can be loaded as they lie."""
    return is_plain_load(operand) and all(e.index.stride(n) in (0, 1) and not e.guards for e in loads_of(operand))
