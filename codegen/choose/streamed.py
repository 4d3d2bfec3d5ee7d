"""Default CPU schedules for products with few rows, whose large operand is read once, straight from memory.

Comes in: a kernel, its contraction and the target's facts.  Goes out: a schedule, or nothing where the operand is
small, used again or not straight.  Memory gives most when long pieces of few rows are read: a group walks a wide stripe
of columns a few rows at a time, its accumulators staying in the nearest cache.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import ceil, prod

from codegen.access import is_plain_load, loads_of, parallel_axes
from codegen.choose.contraction import TILE, WIDE_TILE, Roles, even, grouped, panels, roles_of
from codegen.choose.picks import Pick, either
from codegen.ir import Kernel
from codegen.rewrites.contract import Contraction
from codegen.schedule import Ahead, Schedule, Stage, Step
from codegen.target import Target

ROWS = 32  # of which arithmetic takes as long as reading the other operand from memory
CACHED = 8  # what takes up more than such a part of the last cache is not expected to be in it
STRIPES = (512, 1024, 256)  # columns of a group
PIECE = 1024  # bytes of a row that are packed at a time: of shorter pieces each page is met more often
DEPTHS = (8, 4, 16, 32)  # rows read together
WORDS = (16, 32, 8, 64)  # groups of rows packed together
LINE = 64  # bytes of a line of memory
SUMS = 16  # vectors of sums where corrections take registers as well
TILES = ((8, 2), (8, 3), (4, 4))  # rows and vectors of other register tiles


def streamed(kernel: Kernel, c: Contraction, target: Target, pick: Pick) -> Iterator[Schedule]:
    """The schedule, when there are few rows and the right operand does not fit the caches."""
    roles = grouped(roles_of(kernel, c, target.lanes, pick), c, target, pick)
    parallel = parallel_axes(kernel)
    if set(c.reduce.arg.args) != {c.left, c.right}:
        return
    if not (1 < roles.m.size <= ROWS and not roles.deep and {roles.m, roles.n} <= set(parallel)):
        return
    if not _is_stream(roles, target):
        return
    rows, vectors = pick("tile", either(_tile(roles, target), TILES))
    columns, packs = vectors * target.lanes, roles.group > 1 and roles.m.size > rows
    outer = [a for a in parallel if a is not roles.m and a is not roles.n]
    wanted = 2 * target.cores / prod(a.size for a in outer)
    stripes = either(PIECE // roles.right.dtype.itemsize, sorted(STRIPES)) if packs else STRIPES
    ways = [even(roles.n.size, most, columns) for most in stripes]
    ways.sort(key=lambda stripe: ceil(roles.n.size / stripe) < wanted)
    grid = [*(Step(a, 1) for a in outer), Step(roles.n, pick("stripe", dict.fromkeys(ways)))]
    depth = pick("depth", [steps * roles.step for steps in DEPTHS] if not packs else _deep(roles))
    tile = (Step(roles.m, min(roles.m.size, rows)), Step(roles.k, roles.step))
    loops = (Step(roles.k, depth), Step(roles.n, columns), *tile)
    others = [Step(a, 1) for a in kernel.axes if a not in {*parallel, *c.k}]
    stages: tuple[Stage, ...] = ()
    if packs:  # groups are put together once for all tiles
        layout = panels(kernel, roles, set(outer), columns)
        stages = (Stage(roles.right, len(grid) + len(others) + 2, layout),)
    asks = target.name == "cpu" and pick("ahead", (not packs, packs))
    asked = [e for e in loads_of(roles.right) if asks and e.index.stride(roles.k)]
    ahead = tuple(Ahead(e, roles.k) for e in asked)
    yield Schedule((*grid, *others, *loops), len(grid), (roles.n,), stages, ahead=ahead)


def _tile(roles: Roles, target: Target) -> tuple[int, int]:
    """The register tile: where groups are put together for several tiles of rows, no wider than a line of memory asks
    for, and with registers left for corrections."""
    wide = even(roles.m.size, WIDE_TILE[0], 1), WIDE_TILE[1]
    if roles.group == 1 or roles.m.size <= TILE[0]:
        return wide
    vectors = max(TILE[1], LINE // (target.lanes * roles.right.dtype.itemsize))
    most = WIDE_TILE[0] if vectors > TILE[1] else TILE[0]
    return even(roles.m.size, SUMS // vectors if roles.step > roles.group else most, 1), vectors


def _deep(roles: Roles) -> list[int]:
    """Rows packed together: so many that to read and write the sums takes little beside the products."""
    return [ceil(words * roles.group / roles.step) * roles.step for words in WORDS]


def _is_stream(roles: Roles, target: Target) -> bool:
    """True when the right operand is a plain array with contiguous lanes, too large for the caches."""
    loads = list(loads_of(roles.right))
    straight = all(e.index.stride(roles.n) == 1 and not e.guards for e in loads)
    nbytes = sum(prod(a.size for a in e.axes) * e.dtype.itemsize for e in loads)
    return bool(loads) and is_plain_load(roles.right) and straight and nbytes > target.l3 // CACHED
