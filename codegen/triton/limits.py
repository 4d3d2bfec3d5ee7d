"""What Triton can hold: the laws a placed nest must keep to be printed for it.

Comes in: a nest.  Goes out: nothing, or ScheduleError with the reason.  Blocks are values in registers: they cannot be
sliced, their lengths are powers of two, and what a program holds at a time must fit into its threads' registers.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import prod
from typing import Final

from codegen.dtypes import DType
from codegen.index import separated
from codegen.ir import Expr, Reduce, Store, children
from codegen.nodes import Advance, Environment, Keep, Nest, Out, Place, Settle, Update, nodes
from codegen.ops import REDUCE_OPS, ReduceOp
from codegen.schedule import ScheduleError
from codegen.triton.dot import find_dot
from codegen.triton.tiles import Blocks, block_size

DEFAULT_WARPS: Final = 4
MOST_ELEMENTS: Final = 1 << 16  # of one block
MOST_HELD: Final = 128  # 32-bit registers of a thread that accumulators may take
_INTEGER_ATOMICS: Final = ("add", "max", "min", "and", "or", "xor")


def check_blocks(nest: Nest) -> None:
    """Raise ScheduleError unless the nest can be printed in Triton."""
    for box in nest.boxes:
        if box.array:
            raise ScheduleError(f"{box.name} would have to be an array: a loop over an axis of it lies inside its life")
    _check_held(nest)
    rank = {axis: position for position, axis in enumerate(nest.kernel.axes)}
    for node in nodes(nest.body):
        if isinstance(node, Update):
            _check_leaf(Blocks(rank, node.place), (node.reduce,), node.env)
        elif isinstance(node, Keep):
            _check_leaf(Blocks(rank, node.place), (node.box.of,), node.env)
        elif isinstance(node, Advance):
            _check_size(prod(Blocks(rank, node.place).shape(node.scan.axes)), node.box.name)
            _check_leaf(Blocks(rank, node.place), node.scan.args, node.env)
        elif isinstance(node, Settle):
            _check_leaf(Blocks(rank, node.place), (node.shift,), node.env)
        elif isinstance(node, Out):
            blocks = Blocks(rank, node.place)
            _check_size(prod(blocks.shape(node.store.axes)), node.store.param.name)
            _check_leaf(blocks, node.store.roots, node.env)
            _check_store(node.store, blocks, nest)


def _check_held(nest: Nest) -> None:
    """The accumulators' share of the registers."""
    threads = nest.target.warp * int(nest.schedule.options.get("num_warps", DEFAULT_WARPS))
    held = 0
    for box in nest.boxes:
        if box.kind in ("acc", "keep", "scan", "carry"):
            held += prod(map(block_size, box.tile.values())) * max(32, box.of.dtype.arithmetic.bits) // 32
    if held > MOST_HELD * threads:
        raise ScheduleError(f"the boxes take {held // threads} registers of a thread, more than {MOST_HELD}")


def _check_leaf(blocks: Blocks, roots: Iterable[Expr], env: Environment) -> None:
    """Every tile is a power of two, and no block is larger than Triton and its registers allow."""
    _check_tiles(blocks.place)
    stack, seen = list(roots), set[Expr]()
    while stack:
        e = stack.pop()
        if e in seen or e in env:
            continue
        seen.add(e)
        dot = find_dot(e, blocks, env) if isinstance(e, Reduce) else None
        _check_size(prod(blocks.shape(e.axes)), repr(e))
        stack.extend(children(e) if dot is None else (x for x, _ in dot.operands))


def _check_tiles(place: Place) -> None:
    for axis, tile in place.taken:
        if tile & (tile - 1):
            raise ScheduleError(f"loop over {axis} by {tile}, which is no power of two")


def _check_size(elements: int, of: str) -> None:
    if elements > MOST_ELEMENTS:
        raise ScheduleError(f"a block of {elements} elements for {of}, more than {MOST_ELEMENTS}")


def _check_store(store: Store, blocks: Blocks, nest: Nest) -> None:
    dtype = store.param.dtype
    if store.before is not None:
        raise ScheduleError(f"a store to {store.param} tells what was before, but the lanes of a program have no order")
    if store.mode not in REDUCE_OPS or atomic_name(REDUCE_OPS[store.mode], dtype) is not None:
        return
    if not is_exclusive(store, blocks, nest):
        raise ScheduleError(f"{store.mode} into {dtype} {store.param} has no atomic operation, and its points may meet")


def is_exclusive(store: Store, blocks: Blocks, nest: Nest) -> bool:
    """True when different threads of the launch never touch one place of the store's parameter.

    A place then belongs to one position of the tiles and one program: what a later step of a loop adds is added by the
    thread that came before.
    """
    if sum(other.param is store.param for other in nest.kernel.stores) > 1:
        return False
    spread = {a for a in store.axes if blocks.block(a) > 1} | {loop.axis for loop in nest.grid}
    return spread.intersection(store.axes) <= separated(store.index)


def atomic_name(op: ReduceOp, dtype: DType) -> str | None:
    """The function that combines atomically with memory, or None where the hardware has none."""
    if dtype.is_int and dtype.bits >= 32 and op.name in _INTEGER_ATOMICS:
        return f"tl.atomic_{op.name}"
    if dtype.is_float and op.name == "add":
        return "tl.atomic_add"
    if dtype.is_float and dtype.bits >= 32 and op.name in ("max", "min"):
        return f"kf_atomic_{op.name}_float"
    return None
