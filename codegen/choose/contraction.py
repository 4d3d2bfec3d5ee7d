"""Default CPU schedules for kernels whose work is one contraction: a register tile, cache blocks, packed operands.

Comes in: a kernel, its heaviest contraction and the target's facts.  Goes out: a schedule.  The form is the
classic one: blocks of m and n over groups, k in blocks whose operands are packed into scratch, a tile of 8 x 32
accumulators inside.  Axes of a role that are not tiled are looped by one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from math import ceil, prod

from codegen.access import is_plain_load, loads_of, main_stores, parallel_axes
from codegen.choose.picks import Pick, either
from codegen.dots import dot_of
from codegen.index import Axis
from codegen.ir import Apply, Expr, Kernel, Load, Reduce, Store, walk
from codegen.rewrites.contract import Contraction
from codegen.schedule import Inner, Schedule, Stage, Step
from codegen.target import Target

TILE = (8, 2)  # rows and vectors of the register tile: 16 accumulators, half the registers
WIDE_TILE = (6, 4)  # the same where columns are read in place: longer pieces of memory, fewer reads
TILES = (TILE, WIDE_TILE, (8, 3), (12, 2), (4, 4), (14, 2), (8, 1), (16, 1), (4, 2), (4, 1), (2, 4), (1, 8))
BLOCKS = (256, 128, 64)  # rows and columns of a group's block
LARGE = ((512, 512), (256, 512), (512, 256))  # others, where there are many: operands are packed less often
TURNED = 8  # products for which an element is put where lanes need it
FULL = 0.75  # of the rows of tiles that should be there
RESULTS = 4  # times as long for results, which are written far apart
FEW_TILES = 3  # of rows in a block, which all stay in the nearest cache
BETWEEN = (192, 96)  # others that may give every core as much
FETCHING = 4  # products for which an operand's element comes from far away
PACKING = 16  # the same where it is packed
SHORT = (1 << 19, 1 << 22)  # products that are shared out evenly: more groups take longer to start than they save
LATE = 0.08  # of a group's time for which cores wait in the end
DEPTHS = (512, 256, 1024, 128, 4096)  # steps of k whose operands are packed together
SHALLOW = 256  # the same where blocks are large
ROW_PADS = (16, 0)  # elements added to packed rows: breaks strides that are powers of two
CLOSE = 1 << 17  # bytes a block of rows may span and still be read in place
EPILOGUE = 8  # operations on the sums from which on they get loops of their own
PAGE = 4096  # bytes within which a processor foresees what is read next
LEAST_GROUPS = 4  # of steps of k one instruction takes, for packing them to pay
LONG = 6  # vectors of groups from which on a sum may end in one that is not full
ALIKE = 4  # groups done together where each costs a correction
LEFT_OVER = 1.05  # times the work of the plain tile from which on the wide one is not worth it
UNROLL = 9  # steps of the smaller summed axes written out inside the loop over the largest


@dataclass(frozen=True)
class Roles:
    """The contraction seen from the store: n holds the lanes.

    m, n, k  the tiled axis of each role
    rest     the other axes of m and n, deep: the other axes of k
    left, right  the operands over m k and over k n; the narrow ones where products are taken in groups
    group  steps of k one instruction takes
    step   steps of k done together
    """

    m: Axis
    n: Axis
    k: Axis
    rest: tuple[Axis, ...]
    deep: tuple[Axis, ...]
    left: Expr
    right: Expr
    group: int = 1
    step: int = 1


def unit_weight(kernel: Kernel, axis: Axis, operand: Expr, lanes: int) -> float:
    """How well an axis serves as lanes: unit stride in the store counts most, then in the operand, then its size."""
    filled = axis.size / (-(-axis.size // lanes) * lanes)
    stored = sum(s.index.stride(axis) == 1 for s in main_stores(kernel))
    loaded = any(e.index.stride(axis) == 1 for e in loads_of(operand))
    return filled * (1 + 2 * bool(stored) + loaded) + min(axis.size, 64) / 1024


def lane_cost(kernel: Kernel, c: Contraction, across: Iterable[Axis], axis: Axis, operand: Expr, lanes: int) -> float:
    """About how long the products take with lanes along an axis of an operand, as a multiple of the least possible.

    Lanes that are not filled work for nothing.  An operand that lies otherwise is turned once for all rows across, and
    so are results, and what is combined with them, once for all steps of the sum.
    """
    filled = axis.size / (-(-axis.size // lanes) * lanes)
    stores, inside = main_stores(kernel), set(walk((c.reduce,)))
    met = [e.index for s in stores for e in loads_of(s.value) if axis in e.axes and e not in inside]
    met += [s.index for s in stores]
    turned = RESULTS * sum(index.stride(axis) not in (0, 1) for index in met) / prod(a.size for a in c.k)
    if not any(e.index.stride(axis) == 1 for e in loads_of(operand)):
        turned += 1 / prod(a.size for a in across)
    return (1 + TURNED * turned) / filled - min(axis.size, 64) / (1 << 16)


def roles_of(kernel: Kernel, c: Contraction, lanes: int, pick: Pick) -> Roles:
    """Which side of the contraction holds the lanes, and the axis of each role to tile."""
    sides = ((c.m, c.left, c.n, c.right), (c.n, c.right, c.m, c.left))
    ways = [(*side, n) for side in sides for n in side[2]]
    ways.sort(key=lambda way: lane_cost(kernel, c, way[0], way[4], way[3], lanes))
    m_axes, left, n_axes, right, n = pick("lanes", ways)
    rows = TILE[0]
    m = max(m_axes, key=lambda a: (min(a.size, rows), a.size >= FULL * ceil(a.size / rows) * rows, -_jump(left, a)))
    k = max(c.k, key=lambda a: (a.size, -a.id))
    order = {a: i for i, a in enumerate(kernel.axes)}
    rest = tuple(sorted((a for a in (*m_axes, *n_axes) if a is not m and a is not n), key=order.__getitem__))
    deep = tuple(sorted((a for a in c.k if a is not k), key=order.__getitem__))
    return Roles(m, n, k, rest, deep, left, right)


def grouped(roles: Roles, c: Contraction, target: Target, pick: Pick) -> Roles:
    """The roles with narrow operands, where the target multiplies such in groups and k has a few."""
    dot = dot_of(c.reduce, target)
    if dot is None or roles.k.size < LEAST_GROUPS * dot.group or not pick("groups of k", (True, False)):
        return roles
    left, right = (dot.left, dot.right) if roles.m in dot.left.axes else (dot.right, dot.left)
    step = dot.group * (ALIKE if dot.alike and roles.k.size >= LEAST_GROUPS * ALIKE * dot.group else 1)
    return replace(roles, left=left, right=right, group=dot.group, step=step)


def _jump(operand: Expr, axis: Axis) -> int:
    """The stride of an operand along an axis: rows close together are read with fewer address computations."""
    return min((abs(e.index.stride(axis) or 1 << 30) for e in loads_of(operand) if axis in e.index.axes), default=0)


def even(size: int, most: int, unit: int) -> int:
    """The block size, a multiple of unit and at most `most`, that cuts size evenly into the fewest pieces.

    >>> even(1000, 256, 8), even(300, 256, 32)
    (256, 160)
    """
    pieces = ceil(size / most)
    return ceil(ceil(size / pieces) / unit) * unit


def blocks(roles: Roles, others: int, tile: tuple[int, int], target: Target, pick: Pick) -> tuple[int, int]:
    """Block sizes of m and n: those that take least time where there are two groups a core, otherwise the smallest.

    Short products have a group for each core.
    """
    (rows, columns), cores = tile, target.cores
    slow = _is_scattered(roles, rows), not _in_place(roles, columns, target)
    left, right = (PACKING if is_slow else FETCHING for is_slow in slow)

    def block(m: int, n: int) -> tuple[int, int]:
        return even(roles.m.size, m, rows), even(roles.n.size, max(n, columns), columns)

    def groups(block: tuple[int, int]) -> int:
        return others * ceil(roles.m.size / block[0]) * ceil(roles.n.size / block[1])

    def seconds(block: tuple[int, int]) -> float:
        """In units of all products at the cores' full speed: some wait for the last ones, and operands are packed."""
        rounds = ceil(groups(block) / cores) * cores / groups(block)
        return rounds * (1 + roles.group * (right / block[0] + left / block[1])) + LATE * cores / groups(block)

    sides = [block(most, most) for most in BLOCKS]
    large = [found for most in LARGE if _fits(roles, tile, found := block(*most), SHALLOW, target)]
    among = [*sides, *(block(most, most) for most in BETWEEN), *large]
    model = min((block for block in among if groups(block) >= 2 * cores), key=seconds, default=sides[-1])
    m, n = roles.m.size, roles.n.size
    if SHORT[0] <= others * m * n * prod(a.size for a in (roles.k, *roles.deep)) <= SHORT[1]:
        shares = [share for share in (block(ceil(m / cores), n), block(m, ceil(n / cores))) if groups(share) == cores]
        model = min(shares, key=lambda share: min(share[0], m) * min(share[1], n), default=model)
    mixed = [(mc, nc) for mc, _ in sides for _, nc in sides]
    return pick("block", either(model, (*sides, *mixed, *large)))


def _in_place(roles: Roles, columns: int, target: Target) -> bool:
    """True when the right operand will be read as it lies, also where blocks are large."""
    return columns == WIDE_TILE[1] * target.lanes and roles.group == 1 and is_straight(roles.right, roles.n)


def _is_scattered(roles: Roles, rows: int) -> bool:
    """True for a left operand that is computed, or of which even the rows of a tile are spread over memory."""
    return not isinstance(roles.left, Load) or _is_spread(roles.left, roles.m, roles.k, rows)


def _packs_left(roles: Roles, block: tuple[int, int], columns: int) -> bool:
    """True for a left operand that is computed, spread over memory and read again, or whose groups lie apart."""
    if not isinstance(roles.left, Load) or (roles.group > 1 and not is_straight(roles.left, roles.k)):
        return True
    return block[1] > columns and _is_spread(roles.left, roles.m, roles.k, block[0])


def _fits(roles: Roles, tile: tuple[int, int], block: tuple[int, int], depth: int, target: Target) -> bool:
    """True when the sums of a block and what is packed for so many steps stay in the scratch, and leave a quarter of it
    where rows are packed only for being far apart."""
    sums, right = prod(block), depth * block[1] * (not _in_place(roles, tile[1], target))
    scattered, packed = (
        depth * block[0] * left for left in (_is_scattered(roles, tile[0]), _packs_left(roles, block, tile[1]))
    )
    kept = sums if prod(a.size for a in (roles.k, *roles.deep)) > depth * roles.group else 0
    room = target.scratch // _word(roles)
    return sums + right + scattered <= room * 3 // 4 and kept + right + packed <= room


def _word(roles: Roles) -> int:
    """Bytes of a step of k, or of those one instruction takes."""
    return roles.left.dtype.itemsize * roles.group


def single(kernel: Kernel, c: Contraction, target: Target, pick: Pick) -> Schedule:
    """The schedule of a kernel with one contraction, an elementwise epilogue and elementwise operands."""
    roles = grouped(roles_of(kernel, c, target.lanes, pick), c, target, pick)
    rows, vectors = pick("tile", either(_tile(roles, c, target), TILES))
    columns = target.lanes * vectors
    parallel = parallel_axes(kernel)
    outer = [a for a in parallel if a is not roles.m and a is not roles.n]
    mc, nc = blocks(roles, prod(a.size for a in outer), (rows, columns), target, pick)
    grid = [Step(a, 1) for a in outer]
    grid += [Step(a, tile) for a, tile in ((roles.m, mc), (roles.n, nc)) if a in parallel]
    known = {*parallel, *c.k, roles.n, roles.m}
    outside = [*grid, *(Step(a, 1) for a in kernel.axes if a not in known)]
    ahead = k_blocks(roles, prod(a.size for a in c.k), (rows, columns), (mc, nc), target, pick)
    register = [Step(roles.m, rows), Step(roles.n, columns)]  # a row of tiles keeps its rows in the nearest cache
    deep = ahead[0].tile if ahead else prod(a.size for a in c.k)
    if mc <= FEW_TILES * rows or (mc + nc) * deep * _word(roles) // roles.group > _most_held(target):
        register.reverse()  # those of all tiles stay there anyway, or columns stay in the next cache
    deepest = [Step(a, roles.step if a is roles.k else 1) for a in looped(roles)]
    tile = [*pick("order", (register, register[::-1])), *deepest]
    fixed = {step.axis for step in outside if step.tile == 1}
    walked = {a: a.size for a in c.k} | dict(ahead)
    near = roles.group == 1 and (vectors == WIDE_TILE[1] or _is_near(roles.right, walked, target.l2))
    shares: dict[Axis, int] = {}
    stages = packs(kernel, roles, len(outside) + len(ahead), (mc, nc, rows, columns), fixed, near, pick)
    if not ahead and [stage.value for stage in stages] == [roles.right] and pick("share", (True, False)):
        shares = _shares(roles, grid, target)
        outside = [Step(a, shares.get(a, size)) for a, size in outside]
        fixed -= set(shares)
        tile = [*(Step(a, 1) for a in shares), *tile]
    inner: dict[Expr | Store, Inner] = {}
    if {roles.m, roles.n} <= set(parallel) and pick("epilogue", either(_is_long(kernel, c), (True, False))):
        stages.insert(0, Stage(c.reduce, len(outside)))
        loops = (*(Step(a, 1) for a in shares), Step(roles.m, 1), Step(roles.n, columns))
        inner = {store: Inner(len(outside), loops) for store in kernel.stores if roles.n in store.axes}
    lanes = {roles.n: None}
    for r in kernel.reduces:  # sums of an operand alone
        if r is not c.reduce:
            lane, loops = _alone(kernel, r, roles, fixed, columns, target)
            lanes[lane] = None
            together = lane is roles.n and bool(ahead)  # blocks of k are packed for all sums
            stages += [] if together else [Stage(r, len(outside))]
            inner[r] = Inner(len(outside) + len(ahead) * together, loops)
    return Schedule((*outside, *ahead, *tile), len(grid), tuple(lanes), tuple(stages), inner)


def _alone(
    kernel: Kernel, r: Reduce, roles: Roles, fixed: set[Axis], columns: int, target: Target
) -> tuple[Axis, tuple[Step, ...]]:
    """The lanes and the loops of a sum of one operand: along n where that is packed, otherwise along k."""
    k, n = roles.k, roles.n
    rest = [Step(a, 1) for a in kernel.axes if a in r.arg.axes and a not in fixed and a not in (k, n)]
    if n in r.arg.axes:
        return n, (*rest, Step(n, columns), Step(k, roles.group))
    dot = dot_of(r, target)
    many = dot is not None and k.size >= LONG * target.lanes * dot.group
    return k, (*rest, Step(k, target.lanes * (dot.group if dot is not None and many else 1)))


def _shares(roles: Roles, grid: list[Step], target: Target) -> dict[Axis, int]:
    """How much a group takes of axes that the packed right operand does not have, where that leaves two groups a core.

    Then it is packed once for all of it.
    """
    pieces = {a: ceil(a.size / size) for a, size in grid}
    found = {}
    for axis in reversed([a for a in roles.rest if a in pieces and a not in roles.right.axes and a.size > 1]):
        others = prod(pieces.values()) // pieces[axis]
        size = ceil(axis.size / min(axis.size, ceil(2 * target.cores / others)))
        if size > 1:
            found[axis], pieces[axis] = size, ceil(axis.size / size)
    return found


def _is_long(kernel: Kernel, c: Contraction) -> bool:
    """True when so much is computed from the sums that writing it out for every vector of a tile is too much text."""
    before = set(walk((c.reduce,)))
    after = [e for e in walk(tuple(s.value for s in kernel.stores)) if isinstance(e, Apply) and e not in before]
    return len(after) >= EPILOGUE


def _is_narrow(roles: Roles, c: Contraction, target: Target) -> bool:
    """True when a tile should have one vector: the lanes do not fill two, or each takes two registers anyway."""
    return roles.n.size <= target.lanes or c.reduce.dtype.bits > 32


def _tile(roles: Roles, c: Contraction, target: Target) -> tuple[int, int]:
    """The register tile: the wide one where the right operand can be read in place and little is left over.

    Not where one such tile has all columns and rows are pages apart: they would be read once, and nothing foresees
    where the next ones lie.
    """
    if _is_narrow(roles, c, target):
        return TILE[0], 1
    if roles.step > roles.group:  # corrections take registers too
        return TILE
    if roles.n.size <= WIDE_TILE[1] * target.lanes and _jump(roles.left, roles.m) * roles.left.dtype.itemsize >= PAGE:
        return TILE
    sizes = [
        ceil(roles.m.size / rows) * rows * ceil(roles.n.size / (vectors * target.lanes)) * vectors
        for rows, vectors in (TILE, WIDE_TILE)
    ]
    straight = roles.group > 1 or (isinstance(roles.right, Load) and is_straight(roles.right, roles.n))
    return WIDE_TILE if straight and sizes[1] <= LEFT_OVER * sizes[0] else TILE


def _most_held(target: Target) -> int:
    """Bytes of operands that stay in the second cache, with room for what comes and goes."""
    return target.l2 * 3 // 4


def k_blocks(
    roles: Roles, steps: int, tile: tuple[int, int], block: tuple[int, int], target: Target, pick: Pick
) -> list[Step]:
    """The loop over blocks of k, when its steps are too many to pack at once: whole vectors, if they are long.

    The left operand of a block and the columns of a tile stay in the second cache.  Where one block of k is enough that
    is no matter: sums stay in registers.
    """

    def size_of(depth: int) -> int | None:
        whole = depth * roles.group
        most = max(1, whole * roles.k.size // steps)
        unit = target.lanes if most >= 4 * target.lanes else roles.step
        return even(roles.k.size, most, unit) if steps > whole else None

    held = DEPTHS[0] * (block[0] + tile[1]) * _word(roles)
    near = held <= _most_held(target) or steps <= DEPTHS[0] * roles.group
    is_deep = near and _fits(roles, tile, block, DEPTHS[0], target)
    size = pick("depth", dict.fromkeys(map(size_of, either(DEPTHS[0] if is_deep else SHALLOW, DEPTHS))))
    return [] if size is None else [Step(roles.k, size)]


def looped(roles: Roles) -> list[Axis]:
    """The summed axes walked one by one inside the register tile; small ones are written out instead."""
    written: list[Axis] = []
    for axis in sorted(roles.deep, key=lambda a: a.size):
        if prod(a.size for a in written) * axis.size <= UNROLL:
            written.append(axis)
    return [*(a for a in roles.deep if a not in written), roles.k]


def packs(
    kernel: Kernel,
    roles: Roles,
    depth: int,
    tile: tuple[int, int, int, int],
    fixed: set[Axis],
    near: bool,
    pick: Pick,
) -> list[Stage]:
    """The operands worth packing: those read again often enough, or whose lanes are not contiguous.

    left   rows as they lie (the k row or the m row, whichever has unit stride), reused for every column panel
    right  panels of the tile's columns, reused for every block of rows; not when it lies near enough as it is
    """
    mc, nc, rows, columns = tile
    found = []
    poor = _packs_left(roles, (mc, nc), columns)
    if pick("pack left", (poor, not poor)):
        along_m = any(e.index.stride(roles.m) == 1 for e in loads_of(roles.left))
        inner = [(a, 1) for a in kernel.axes if a in roles.left.axes - fixed - {roles.m, roles.k}]
        if along_m and roles.group > 1:
            found.append(Stage(roles.left, depth, (*inner, (roles.k, roles.group), (roles.m, 1), (roles.k, 1))))
        else:
            layout = (*inner, (roles.k, 1), (roles.m, 1)) if along_m else ((roles.m, 1), *inner, (roles.k, 1))
            found.append(Stage(roles.left, depth, layout, pick("row pad", ROW_PADS)))
    again = (mc > rows and not near) or not is_straight(roles.right, roles.n)
    if pick("pack right", (again, not again)):
        found.append(Stage(roles.right, depth, panels(kernel, roles, fixed, columns)))
    return found


def panels(kernel: Kernel, roles: Roles, fixed: set[Axis], columns: int) -> tuple[tuple[Axis, int], ...]:
    """The layout of the right operand: panels of the tile's columns, rows of k in each, or groups of them."""
    deep = [(a, 1) for a in kernel.axes if a in roles.right.axes - fixed - {roles.n}]
    if roles.group == 1:
        return ((roles.n, columns), *deep, (roles.n, 1))
    others = [(a, step) for a, step in deep if a is not roles.k]
    return ((roles.n, columns), *others, (roles.k, roles.group), (roles.n, 1), (roles.k, 1))


def _is_spread(operand: Expr, m: Axis, k: Axis, mc: int) -> bool:
    """True when the rows of a block are neither lines of memory nor close together: guarded or irregular ones."""
    for e in loads_of(operand):
        strides = (e.index.stride(m), e.index.stride(k))
        if e.guards or None in strides:
            return True
        if strides[1] != 1 and max(abs(s or 0) for s in strides) * mc * e.dtype.itemsize > CLOSE:
            return True
    return False


def _is_near(operand: Expr, extents: Mapping[Axis, int], cache: int) -> bool:
    """True for a load, not converted, whose rows along some axes span no more than the cache holds.

    Then packing gains nothing: products of 100 to 640 a side are 2 to 25 % faster without.
    """
    if not isinstance(operand, Load):
        return False
    strides = [(operand.index.stride(a), extent) for a, extent in extents.items()]
    span = sum(abs(stride) * extent for stride, extent in strides if stride is not None)
    return all(stride is not None for stride, _ in strides) and span * operand.dtype.itemsize <= cache


def is_straight(operand: Expr, n: Axis) -> bool:
    """True when the lanes of the operand can be loaded as they lie."""
    return is_plain_load(operand) and all(e.index.stride(n) in (0, 1) and not e.guards for e in loads_of(operand))
