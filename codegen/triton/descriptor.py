"""Tiles that the copy engine of newer GPUs brings into shared memory by itself: when, and their text.

Comes in: a load at some place of a nest.  Goes out: a `Described` tile, or None; lines that make a descriptor of the
array, once for all tiles, and the text that reads a tile by it.  What lies beyond the array's sizes is read as zero.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from codegen.index import Axis, Index
from codegen.ir import Load
from codegen.triton.scope import Axes
from codegen.triton.tiles import Tiles

ALIGNMENT: Final = 8  # elements of 16 bits: what the engine wants rows and their first element to be multiples of
LEAST, MOST = 16, 256  # elements of a tile along an axis


@dataclass(frozen=True)
class Described:
    """A tile of rows.

    axes    the axis from row to row, the axis along a row
    stride  elements from row to row
    base    where the first row begins, by other axes
    """

    load: Load
    axes: Axes
    stride: int
    base: Index


def described(e: Load, tiles: Tiles, grid: Collection[str]) -> Described | None:
    """The tile of a load of 16-bit values, if it is one of aligned rows.

    grid  the variables that do not change inside a tile of the grid: only these may move the first row
    """
    index, axes = e.index, tiles.order(e.index.axes)
    if e.guards or e.param.dtype.bits != 16 or len(axes) != 2 or not all(isinstance(t, Axis) for t, _ in index.terms):
        return None
    down, along = sorted(axes, key=lambda a: index.stride(a) == 1)
    stride = index.coefficient(down)
    base = index - along.index - down.index * stride
    steps = (stride, base.const, *(k for _, k in base.terms))
    if index.coefficient(along) != 1 or any(step % ALIGNMENT for step in steps) or min(stride, base.lo) < 0:
        return None
    fits = all(LEAST <= tiles.block(a) <= MOST for a in axes)
    still = all(start == "0" or start in grid for start in map(tiles.start, base.axes))
    return Described(e, (down, along), stride, base) if fits and still and stride >= along.size else None


def copied(tile: Described, tiles: Tiles) -> str:
    """The text of the tile; its array's descriptor gets a line before everything that moves over it."""
    shape = tuple(a.size for a in tile.axes)
    block = tuple(map(tiles.block, tile.axes))
    key = ("descriptor", tile.load.param, tile.base, tile.stride, shape, block)
    name = tiles.scope.known.get(key)
    if name is None:
        value = tiles.index(tile.base, tiles.rank, tiles.is_wide(tile.base))
        start = tile.load.param.name + ("" if value.text == "0" else f" + {value.text}")
        sizes = f"shape={list(shape)}, strides=[{tile.stride}, 1], block_shape={list(block)}"
        home = tiles.home(tile.base.axes, ())
        name = home.name(key, f"{tile.load.param.name}_tiles", f"tl.make_tensor_descriptor({start}, {sizes})", ())
    return f"{name.text}.load([{', '.join(map(tiles.start, tile.axes))}])"
