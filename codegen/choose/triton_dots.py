"""Default Triton schedules for contractions: tiles for the matrix unit.

Comes in: a kernel, the axes that may be spread over programs, the target's facts.  Goes out: schedules, best first.
One contraction alone becomes the classic grid of tiles with a loop over k.  When a later contraction reduces over an
axis of an earlier one (attention and its gradients), that axis is walked in blocks and all between stays in registers.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import prod
from typing import Final, NamedTuple

from codegen.access import cost, loads_of, main_stores
from codegen.choose.picks import Pick, either, first
from codegen.choose.rounds import WORTH, effort
from codegen.choose.staged import Form, form_of
from codegen.dtypes import DType, dtypes
from codegen.index import Axis
from codegen.ir import Apply, Expr, Kernel, Load, Reduce, walk
from codegen.rewrites.contract import Contraction, contractions
from codegen.schedule import Schedule, Step
from codegen.streaming import find_streams
from codegen.target import Target
from codegen.triton.tiles import block_size

LEAST: Final = 16  # the least extent of a tile of the matrix unit
SIDE: Final = 64  # and the least that it is busy with
GROUP: Final = 8  # rows of tiles that run together, so that they share operands in the second-level cache


class Tile(NamedTuple):
    """Rows, columns and depth of one step, the warps that share it, and the steps loaded ahead."""

    m: int
    n: int
    k: int
    warps: int
    stages: int


# Largest first; those that give every processor a tile are compared, small ones if they occupy a quarter of them.
NARROW: Final = (  # 16-bit operands
    Tile(128, 256, 64, 8, 3), Tile(128, 128, 64, 8, 3), Tile(64, 128, 64, 4, 4), Tile(64, 64, 64, 4, 4),
    Tile(32, 64, 64, 4, 4), Tile(16, 64, 128, 4, 4),
)  # fmt: skip
FURTHER: Final = (
    Tile(256, 128, 64, 8, 3), Tile(128, 256, 64, 8, 4), Tile(128, 128, 64, 4, 4), Tile(128, 128, 128, 8, 3),
    Tile(64, 256, 64, 4, 4), Tile(128, 64, 64, 4, 4),
)  # fmt: skip
SINGLE: Final = (Tile(128, 128, 32, 8, 3), Tile(64, 128, 32, 8, 3), Tile(64, 64, 32, 4, 3), Tile(32, 64, 32, 4, 3))
DOUBLE: Final = (Tile(64, 64, 16, 8, 2), Tile(32, 32, 16, 4, 2))
SINGLE_OLDER: Final = (Tile(64, 128, 32, 8, 3), *SINGLE[2:])  # operands of the matrix unit in registers
HALVED: Final = Tile(128, 64, 64, 8, 3)
REGISTERS: Final = 65_536  # of a multiprocessor
LONG: Final = 36  # cost above which so many values at a time would spill
WIDEST: Final = 128  # bits of the widest access of a thread
MOST_SINGLE: Final = 32  # elements a thread loads one by one in a step, each by an address of its own
EPILOGUE: Final = 12  # cost above which, or with operands of its own, the largest tile would spill


class Block(NamedTuple):
    """Rows of a block, steps of the walked axis, warps, steps loaded ahead."""

    rows: int
    columns: int
    warps: int
    stages: int


_SMALL: Final = Block(16, 16, 4, 1)
TILES_OF_SUMS: Final = {  # by 32-bit operands
    False: (Block(128, 64, 8, 2), Block(64, 64, 8, 2), Block(64, 32, 4, 2), Block(32, 32, 4, 2), _SMALL),
    True: (Block(64, 32, 8, 1), Block(32, 32, 4, 1), _SMALL),
}
FURTHER_BLOCKS: Final = (Block(128, 128, 8, 2), Block(128, 64, 4, 3), Block(64, 128, 8, 2), Block(64, 128, 4, 2))
# By warp-group matrix unit and 32-bit operands: up to which extent of the other axes, the blocks to try.
WALKS: Final[dict[tuple[bool, bool], tuple[tuple[int, tuple[Block, ...]], ...]]] = {
    (True, False): (
        (64, (Block(128, 128, 8, 3), Block(128, 64, 8, 3), Block(64, 64, 4, 3), Block(64, 32, 4, 2), _SMALL)),
        (128, (Block(128, 64, 8, 3), Block(128, 32, 8, 2), Block(64, 64, 8, 2), Block(64, 64, 4, 3), _SMALL)),
        (256, (Block(128, 32, 8, 2), Block(64, 32, 8, 2), Block(64, 16, 8, 2), Block(64, 32, 4, 2), Block(32, 32, 4, 2),
               _SMALL)),
    ),
    (True, True): (
        (64, (Block(128, 64, 8, 2), Block(64, 32, 4, 1), _SMALL)),
        (128, (Block(128, 32, 8, 2), Block(64, 32, 8, 2), Block(64, 16, 8, 1), Block(32, 32, 8, 1), _SMALL)),
    ),
    (False, False): (
        (64, (Block(128, 64, 8, 3), Block(64, 64, 4, 3), Block(64, 32, 4, 2), _SMALL)),
        (128, (Block(128, 64, 8, 2), Block(128, 32, 8, 2), Block(64, 64, 4, 2), Block(64, 32, 8, 2),
               Block(64, 32, 4, 2), _SMALL)),
    ),
    (False, True): (
        (64, (Block(128, 32, 8, 2), Block(64, 32, 8, 2), Block(32, 32, 4, 2), _SMALL)),
        (128, (Block(32, 32, 8, 1), _SMALL)),
    ),
}
# The same of float32 where a step has several products (gradients): what it holds in parts of fewer bits leaves so few
# registers that rows are better too few for groups of warps than spilled.
TWICE: Final[dict[bool, tuple[tuple[int, tuple[Block, ...]], ...]]] = {
    True: ((64, (Block(64, 32, 8, 1), _SMALL)), (128, (Block(16, 32, 8, 1), _SMALL))),
    False: ((64, (Block(32, 32, 4, 1), _SMALL)), (128, (Block(16, 32, 4, 1), _SMALL))),
}
TWICE_AMD: Final = (64, (Block(64, 32, 8, 2), Block(64, 32, 4, 2), _SMALL))  # whose 16-bit operands pass registers


@dataclass(frozen=True)
class Roles:
    """The tiled axis of each role; `rest` are the other free axes, `deep` the other summed ones."""

    m: Axis
    n: Axis
    k: Axis
    rest: tuple[Axis, ...]
    deep: tuple[Axis, ...]


def contracted(
    kernel: Kernel, free: Sequence[Axis], target: Target, pick: Pick = first
) -> Iterator[Schedule]:
    """Schedules for a kernel with contractions; nothing when it has none, or none fit for the matrix unit."""
    found = {c.reduce: c for c in contractions(kernel) if suits(c, target)}
    if len(found) == 1 and len(kernel.reduces) == 1:
        yield from single(kernel, next(iter(found.values())), free, target, pick)
    elif len(found) > 1:
        yield from staged(kernel, found, free, target, pick)


def suits(c: Contraction, target: Target) -> bool:
    """True when the matrix unit takes the operands' type and every role has an axis long enough."""
    longest = (max(a.size for a in axes) for axes in (c.m, c.n, c.k))
    if c.reduce.dtype.bits == 64 and not target.doubles:
        return False
    return all(block_size(size) >= LEAST for size in longest) and (c.reduce.dtype.is_float or _is_bytes(c))


def _is_bytes(c: Contraction) -> bool:
    return c.reduce.dtype is dtypes.int32 and all(_stored_type(e) is dtypes.int8 for e in (c.left, c.right))


def _stored_type(e: Expr) -> DType:
    """The type an operand has before it is widened."""
    return e.args[0].dtype if isinstance(e, Apply) and e.op.name == "cast" else e.dtype


def roles_of(kernel: Kernel, c: Contraction) -> Roles:
    """The longest axis of m and n; of k the one an operand has unit stride along, if it is long enough."""
    order = {a: i for i, a in enumerate(kernel.axes)}
    m, n = (max(axes, key=lambda a: (a.size, order[a])) for axes in (c.m, c.n))
    loads = [e for operand in (c.left, c.right) for e in loads_of(operand)]
    k = max(c.k, key=lambda a: (a.size >= LEAST, any(e.index.stride(a) == 1 for e in loads), a.size))
    if order[m] > order[n]:
        m, n = n, m
    rest = tuple(a for a in (*c.batch, *c.m, *c.n) if a is not m and a is not n)
    return Roles(m, n, k, rest, tuple(a for a in c.k if a is not k))


def single(kernel: Kernel, c: Contraction, free: Sequence[Axis], target: Target, pick: Pick) -> Iterator[Schedule]:
    """The grid of tiles with a loop over k, and smaller tiles in case the first is too large."""
    roles = roles_of(kernel, c)
    if not {roles.m, roles.n, *roles.rest} <= set(free):
        return
    outer = [Step(a, 1) for a in free if a is not roles.m and a is not roles.n]
    others = prod(a.size for a in free if a is not roles.m and a is not roles.n)
    preferred = _preferred(kernel, c, roles, others, target)
    every = (_clamped(tile, roles) for tile in (*_tiles(c, target), *_further(c, target)))
    single = tuple(any(_is_ragged(e, roles) for e in loads_of(operand)) for operand in (c.left, c.right))
    width = max(_loaded_bits(c.left), _loaded_bits(c.right)) // 8 or 1
    fitting = [fit for tile in (*preferred, *every)
               if (fit := _fitting(_eased(tile, single), width, target)) is not None]  # fmt: skip
    for tile in (pick("tile", dict.fromkeys(fitting)), *fitting[1 : len(preferred)]):
        grid = [*outer, Step(roles.m, tile.m), Step(roles.n, tile.n)]
        loops = [Step(a, 1) for a in roles.deep] + [Step(roles.k, tile.k)]
        count = others * -(-roles.m.size // tile.m) * -(-roles.n.size // tile.n)
        options: dict[str, int | str] = {
            "num_warps": tile.warps,
            "num_stages": pick("stages", either(tile.stages, (2, 3, 4, 5))),
            "group": pick("group", (GROUP, 4, 16, 1)),
        }
        again = bool(roles.rest) and not roles.deep and roles.k.size <= tile.k
        options |= pick("operands", _ways(c, tile, count, again, target))
        yield Schedule((*grid, *loops), len(grid), options=options | _rounding(kernel))


def _ways(c: Contraction, tile: Tile, count: int, again: bool, target: Target) -> tuple[dict[str, int | str], ...]:
    """How operands come: loaded by the threads, or by the copy engine of newer GPUs.

    That costs each program a descriptor per operand, made once, so programs stay for several tiles.  It spares the
    addresses, 28 registers and a third of the instructions of a large tile: preferred where each program has at least
    two tiles of the largest kind.

    again  True where descriptors would be made for each tile, of which each is one step: Triton would make them ahead
           of their time, which before 3.9 it refuses
    """
    loaded: dict[str, int | str] = {}
    if not target.copies or _is_wide(c) or c.reduce.dtype is not dtypes.float32:
        return (loaded,)
    if count <= target.cores or again:
        return (loaded, {"tma": 1})
    staying: dict[str, int | str] = {"tma": 1, "programs": target.cores}
    ways: tuple[dict[str, int | str], ...] = (loaded, staying, {"tma": 1}, {"programs": target.cores})
    is_large = tile.m * tile.n >= 128 * 256 and count >= 2 * target.cores
    return (staying, loaded, *ways[2:]) if is_large else ways


def _further(c: Contraction, target: Target) -> tuple[Tile, ...]:
    """Tiles that only measuring finds."""
    return FURTHER if target.has_warpgroups and not _is_wide(c) and c.reduce.dtype.bits == 32 else ()


def _preferred(kernel: Kernel, c: Contraction, roles: Roles, others: int, target: Target) -> list[Tile]:
    """The tiles to try: of those that occupy the machine the one with least effort first, then the smaller ones."""
    tiles = [_clamped(tile, roles) for tile in _tiles(c, target)]
    if _is_heavy(kernel, roles):
        tiles = [t for t in tiles if t.m * t.n <= 128 * 128] or tiles
    if c.reduce.dtype.bits == 32 and any(cost(s.value) > LONG for s in main_stores(kernel)):
        tiles = [_clamped(HALVED, roles), *(t for t in tiles if t.m * t.n <= 64 * 64)]
    counts = [others * -(-roles.m.size // tile.m) * -(-roles.n.size // tile.n) for tile in tiles]
    enough = [at for at, (tile, count) in enumerate(zip(tiles, counts))
              if count >= target.cores or (tile.m <= 64 and count >= target.cores // 4)]  # fmt: skip
    if not enough:
        return tiles[::-1]
    areas = [max(t.m, SIDE) * max(t.n, SIDE) for t in tiles]  # less is no faster
    efforts = {at: effort(areas[at], counts[at], target.cores) for at in enough}
    best = min(enough, key=efforts.__getitem__)
    return tiles[best if efforts[best] < WORTH * efforts[enough[0]] else enough[0] :]


def _tiles(c: Contraction, target: Target) -> tuple[Tile, ...]:
    if c.reduce.dtype.bits == 64:
        return DOUBLE
    if not _is_wide(c):
        is_largest = all(_loaded_bits(e) <= 16 for e in (c.left, c.right))
        if _is_bytes(c) and not target.has_warpgroups:  # which need registers to be put in order
            return NARROW[2:]
        return NARROW if is_largest else NARROW[1:]
    return SINGLE if target.has_warpgroups else SINGLE_OLDER


def _is_wide(c: Contraction) -> bool:
    """True when an operand reaches the matrix unit as float32."""
    return any(not _stored_type(e).is_narrow_float and _loaded_bits(e) > 16 for e in (c.left, c.right))


def _is_mixed(c: Contraction) -> bool:
    """True when one operand alone has a 16-bit float for a factor: the other may be rounded to it."""
    return _is_narrow_product(c.left) != _is_narrow_product(c.right)


def _is_narrow_product(e: Expr) -> bool:
    """True when a 16-bit float is multiplied by whatever else there is."""
    pending = [e]
    while pending:
        x = pending.pop()
        if _stored_type(x).is_narrow_float:
            return True
        if isinstance(x, Apply) and x.op.name in ("mul", "div"):
            pending.extend(x.args if x.op.name == "mul" else x.args[:1])
    return False


def _loaded_bits(e: Expr) -> int:
    """The width in memory of what an operand is made of."""
    return max((x.param.dtype.bits for x in walk([e]) if isinstance(x, Load)), default=e.dtype.bits)


def _clamped(tile: Tile, roles: Roles) -> Tile:
    """No tile reaches further than the next power of two of its axis; warps shrink with it."""
    m, n = (min(t, max(LEAST, block_size(a.size))) for t, a in ((tile.m, roles.m), (tile.n, roles.n)))
    k = min(tile.k, max(LEAST, block_size(roles.k.size)))
    warps = tile.warps if m * n * 2 >= tile.m * tile.n else min(tile.warps, 4)
    return Tile(m, n, k, warps, tile.stages)


def _is_ragged(e: Load, roles: Roles) -> bool:
    """True when threads load elements one by one: nothing of a tile lies side by side, or its lines begin anywhere."""
    strides = {a: e.index.stride(a) for a in e.axes}
    unit = [a for a in (roles.m, roles.n, roles.k) if strides.get(a) == 1]
    line = max(1, WIDEST // e.param.dtype.bits)
    return not unit or any((k or 1) % line for a, k in strides.items() if a is not unit[0])


def _eased(tile: Tile, single: Sequence[bool]) -> Tile:
    """A tile whose operands leave registers for the addresses of what each thread loads one by one (left, right)."""

    def loads(t: Tile) -> int:
        return (t.m * single[0] + t.n * single[1]) * t.k // (32 * t.warps)

    while loads(tile) > MOST_SINGLE and tile.k > 2 * LEAST:
        tile = tile._replace(k=tile.k // 2)
    return tile._replace(warps=8) if loads(tile) > MOST_SINGLE and tile.m >= SIDE and tile.warps < 8 else tile


def _fitting(tile: Tile, width: int, target: Target) -> Tile | None:
    """The tile with as many steps loaded ahead as shared memory has room for; None when it has none for two.

    Of AMD's GPUs the threads hold the last of them in registers.
    """
    room = target.scratch // ((tile.m + tile.n) * tile.k * width) + target.is_amd
    return tile._replace(stages=min(tile.stages, room)) if room >= 2 else None


def _is_heavy(kernel: Kernel, roles: Roles) -> bool:
    """True when what follows the contraction needs many registers: operands over the whole tile, or much arithmetic."""
    values = [s.value for s in main_stores(kernel)]
    tiled = any(roles.m in e.axes and roles.n in e.axes for value in values for e in loads_of(value))
    return tiled or any(cost(value) > EPILOGUE for value in values)


def _rounding(kernel: Kernel) -> dict[str, int | str]:
    """When the results are 16-bit floats, an operand computed in float32 may be rounded to the other's 16 bits.

    Sums over the rows or columns of these results may be stored in float32.
    """
    stores = main_stores(kernel)
    most = max(len(s.axes) for s in stores)
    return {"narrow": "round"} if all(s.param.dtype.is_narrow_float for s in stores if len(s.axes) == most) else {}


# ------------------------------------------------------------------------------------------------------ several


def staged(
    kernel: Kernel, found: dict[Reduce, Contraction], free: Sequence[Axis], target: Target, pick: Pick
) -> Iterator[Schedule]:
    """Rows over programs, the axis the later contractions sum over in blocks, all other axes whole."""
    form = form_of(kernel, found)
    if form is None or form.rows not in free or len(form.around) + (form.walk is not None) > 1:
        return
    if not form.late and form.walk is None:
        yield from _tiled(form, found, free, target, pick)
        return
    if form.walk is None:
        return
    across = {a for c in found.values() for a in (*c.m, *c.n)}
    others = [a for a in free if a not in across]
    whole = [a for a in kernel.axes if a is not form.rows and a is not form.walk and a not in others]
    depth = max((block_size(a.size) for a in whole), default=LEAST)
    rounding = _rounding(kernel)
    wide = any(_is_wide(c) and not (rounding and _is_mixed(c)) for c in found.values())
    programs = prod(a.size for a in others)
    loads = _operands(kernel, found.values(), form, frozenset(whole))
    tried = (_eased_block(form, b, depth, loads, wide, target) for b in _blocks(form, target, wide, depth))
    blocks = [b for b in tried if b is not None] or [_SMALL]
    for rows, columns, warps, stages in (pick("block", (*blocks, *FURTHER_BLOCKS)), *blocks[1:]):
        if rows > 64 and programs * -(-form.rows.size // rows) < target.cores:
            continue
        grid = [*(Step(a, 1) for a in others), Step(form.rows, min(rows, max(LEAST, block_size(form.rows.size))))]
        loops = [Step(form.walk, min(columns, max(LEAST, block_size(form.walk.size))))]
        options: dict[str, int | str] = {"num_warps": warps, "num_stages": pick("stages", either(stages, (2, 3, 4)))}
        if target.copies and not wide:
            options |= pick("operands", ({}, {"tma": 1}))
        for streams in (find_streams(kernel), ()):
            yield Schedule(
                (*grid, *loops), len(grid), partial=frozenset(), streams=streams, options=options | rounding
            )


def _tiled(
    form: Form, found: dict[Reduce, Contraction], free: Sequence[Axis], target: Target, pick: Pick
) -> Iterator[Schedule]:
    """What is computed from products of one shape, or its sum over batches, as the gradient of a bias that attention's
    scores share: tiles of the results over programs, one batch after the other, what the products sum over whole."""
    columns = {a for c in found.values() for a in (c.n if form.rows in c.m else c.m)}
    sides = [a for a in columns if a in free and a is not form.rows]
    if len(columns) != 1 or len(sides) != 1:
        return
    others = [a for a in free if a is not form.rows and a is not sides[0]]
    depth = max(block_size(prod(a.size for a in c.k)) for c in found.values())
    wide = any(map(_is_wide, found.values()))
    width = max(_loaded_bits(operand) for c in found.values() for operand in (c.left, c.right)) // 8
    blocks = TILES_OF_SUMS[wide][0 if target.has_warpgroups or wide else 1 :]
    for block in (pick("block", blocks), *blocks[1:]):
        rows, across = (min(n, max(LEAST, block_size(a.size))) for n, a in zip(block, (form.rows, sides[0])))
        if block.stages * len(found) * (rows + across) * depth * width > target.scratch:
            continue
        grid = [*(Step(a, 1) for a in others), Step(form.rows, rows), Step(sides[0], across)]
        options: dict[str, int | str] = {"num_warps": block.warps, "num_stages": block.stages}
        loops = [Step(a, 1) for a in form.around]
        yield Schedule((*grid, *loops), len(grid), partial=frozenset(), options=options)


class Held(NamedTuple):
    """Bytes in shared memory: of a place along the axes held whole in all operands kept for the rows, and in all of a
    step; of a row and a step in all that is put to the results of products."""

    kept: int
    walked: int
    beside: int


def _operands(kernel: Kernel, found: Iterable[Contraction], form: Form, whole: frozenset[Axis]) -> Held:
    """What a kernel holds; an array that lies along one product's sums and across another's is there twice a step."""
    loads = {(e, form.walk in c.k) for c in found for operand in (c.left, c.right) for e in loads_of(operand)}
    tiles = [(e, e.param.dtype.itemsize) for e, _ in loads if e.axes & whole]
    kept = {e: size for e, size in tiles if form.rows in e.axes and form.walk not in e.axes}
    walked = [size for e, size in tiles if form.walk in e.axes and form.rows not in e.axes]
    every = {e for r in kernel.reduces for e in loads_of(r.arg)}
    besides = [e for e in every if {form.rows, form.walk} <= e.axes and not e.axes & whole]
    return Held(sum(kept.values()), sum(walked), sum(e.param.dtype.itemsize for e in besides))


def _eased_block(form: Form, block: Block, depth: int, held: Held, wide: bool, target: Target) -> Block | None:
    """The block with as many steps loaded ahead as shared memory has room for, if there is any."""
    for stages in range(block.stages, min(block.stages, 2) - 1, -1):
        if _fits(form, block._replace(stages=stages), depth, held, wide, target):
            return block._replace(stages=stages)
    return None


def _fits(form: Form, block: Block, depth: int, held: Held, wide: bool, target: Target) -> bool:
    """True when a block's results leave registers for operands and addresses, and its operands fit shared memory.

    Where float32 operands are cut into parts of fewer bits, what a step computes is there three times, and operands
    take three quarters more.  What is put to results waits one step less than operands.
    """
    sums, steps = len(form.late) * depth, len(form.early) * block.columns * (3 if wide else 1)
    threads = 32 * block.warps
    most = min(256, REGISTERS // threads) * _share(form, depth, wide, target) // 32
    if block.rows * (sums + steps) // threads > most:
        return False
    shared = depth * (block.rows * held.kept + block.columns * block.stages * held.walked)
    beside = block.rows * block.columns * (block.stages - 1) * held.beside
    return shared * (7 if wide else 4) // 4 + beside <= target.scratch


def _share(form: Form, depth: int, wide: bool, target: Target) -> int:
    """The 32nds of a thread's registers that results may take, so that the rest is enough for all else.

    Where the matrix unit has memory of its own, what is done with its results needs them in registers a second time;
    older ones have their operands there, which are more where a step has several products.
    """
    several = len(form.early) > 1
    if target.has_tensor_memory:
        return 12 if wide else 20 if not several else 16 if depth <= 128 else 18
    if target.has_warpgroups:
        return 17 if several and depth > 128 else 20
    return 15 if several and not target.is_amd else 20


def _blocks(form: Form, target: Target, wide: bool, depth: int) -> tuple[Block, ...]:
    """The blocks to try, by the operands' type and the extent of the axes held whole."""
    is_split = wide and len(form.early) > 1 and not target.is_amd  # whose matrix unit takes float32 as it is
    table = TWICE[target.has_warpgroups] if is_split else WALKS[target.has_warpgroups, wide]
    if target.is_amd and not wide and len(form.early) > 1:
        table = (TWICE_AMD, *table[1:])
    return next((blocks for most, blocks in table if depth <= most), table[-1][1])
