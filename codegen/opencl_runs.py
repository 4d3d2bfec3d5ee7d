"""Stores across the lanes as OpenCL C: vectors turned in registers into runs along memory.

Comes in: a store whose lanes go to places far apart, the points of its tile.  Goes out: the points stored so.  What may
lie outside, or is too little for a run, is left to the caller.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from codegen.index import Axis
from codegen.ir import Store

if TYPE_CHECKING:
    from codegen.nodes import Place
    from codegen.opencl_boxes import Coords
    from codegen.opencl_leaves import Leaves

SHORTEST = 4  # elements of a run worth turning vectors for


def run_axis(leaves: Leaves, store: Store, place: Place, lane: Axis | None) -> Axis | None:
    """The axis of a tile along which a store writes consecutive places, where that is not the lane."""
    dtype = store.param.dtype
    if lane is None or store.mode != "set" or dtype.kind == "b" or dtype.arithmetic is not dtype:
        return None
    if leaves.indices.stride(store.index, {}, lane) in (0, 1, -1):
        return None
    return next(
        (a for a in store.axes if a is not lane and place.tile(a) >= SHORTEST and store.index.stride(a) == 1), None
    )


def blocks_of(count: int, lanes: int) -> list[range]:
    """The blocks of vectors, a power of two each, that are turned together; the last one may overlap.

    >>> blocks_of(7, 16), blocks_of(3, 16)
    ([range(0, 4), range(3, 7)], [])
    """
    if count < SHORTEST:
        return []
    size = min(lanes, 1 << count.bit_length() - 1)
    starts = dict.fromkeys([*range(0, count - size, size), count - size])
    return [range(start, start + size) for start in starts]


def print_run(leaves: Leaves, store: Store, points: Sequence[Coords], values: Sequence[str], lane: Axis) -> None:
    """Store the vectors along the lane of consecutive points, as many as a block has, in runs of one lane each."""
    lanes, size, dtype = leaves.lanes, len(points), store.param.dtype
    kind, name = leaves.speller.type(dtype, lanes), leaves.fresh("run")
    leaves.lines.add(f"{kind} {name}[{size}];")
    for i, value in enumerate(values):
        leaves.lines.add(f"{name}[{i}] = {value};")
    turn = leaves.speller.prelude.transpose(kind.removesuffix(str(lanes)), size)
    leaves.lines.add(f"{turn}({name});")
    step = leaves.indices.stride(store.index, points[0], lane)
    for i, index in enumerate(leaves.lane_indices(store.index, step, points[0], lane)):
        vector, first = divmod(i * size, lanes)
        part = "" if size == lanes else ".s" + "".join(f"{first + j:x}" for j in range(size))
        text = leaves.speller.store(leaves.params[store.param.name], index, f"{name}[{vector}]{part}", dtype, size)
        leaves.lines.add(text)
