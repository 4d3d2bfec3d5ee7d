"""Loads across the lanes as OpenCL C: squares read along memory and transposed in registers.

Comes in: a load whose lanes lie far apart in memory, the printer of leaves it belongs to.  Goes out: the text of one
vector of a square that is loaded once for all of them, or nothing where a tile has no whole squares.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from codegen.access import SHORTEST
from codegen.index import Axis
from codegen.ir import Load

if TYPE_CHECKING:
    from codegen.opencl.boxes import Coords
    from codegen.opencl.leaves import Leaves


def square_load(leaves: Leaves, e: Load, coords: Coords, lane: Axis) -> str | None:
    """A vector along the lane out of lanes x lanes elements; None where they are not consecutive along another axis of
    vectors, some may lie outside, or their load is guarded."""
    found = _across(leaves, e, coords, lane)
    if found is None:
        return None
    across, count = found
    offset = coords.get(across, 0) % leaves.lanes
    base = {**coords, across: coords.get(across, 0) - offset}
    key = ("square", leaves.key(e, base, lane))
    if key not in leaves.memo:
        leaves.memo[key] = _print_square(leaves, e, base, lane, count), leaves.lanes
    name, _ = leaves.memo[key]
    return f"{name}[{offset}]"


def _across(leaves: Leaves, e: Load, coords: Coords, lane: Axis) -> tuple[Axis, int] | None:
    """The axis of vectors, other than the lane, along which the load reads consecutive elements, and how many of a
    vector's, the same in every tile, are inside."""
    place, lanes, masks = leaves.indices.place, leaves.lanes, leaves.masks
    if e.guards or not masks.inside(lane, coords.get(lane, 0), lanes):
        return None
    for axis in leaves.vector:
        offset = coords.get(axis, 0) // lanes * lanes
        if axis is not lane and axis in e.axes and e.index.stride(axis) == 1 and place.tile(axis) % lanes == 0:
            others = (a for a in e.axes if a is not lane and a is not axis)
            count = min(lanes, masks.left(axis, offset, lanes))
            whole = count >= SHORTEST and all(masks.inside(a, coords.get(a, 0), 1) for a in others)
            return (axis, count) if whole else None
    return None


def _print_square(leaves: Leaves, e: Load, base: Coords, lane: Axis, count: int) -> str:
    """Read the square along memory, turn it; the name of its vectors along the lane."""
    lanes, dtype, source = leaves.lanes, e.dtype, leaves.source(e.param)
    name, kind = leaves.fresh("square"), leaves.speller.type(dtype, lanes)
    leaves.speller.prelude.transpose(kind.removesuffix(str(lanes)), lanes)
    leaves.lines.add(f"{kind} {name}[{lanes}];")
    for i in range(lanes):
        index = leaves.indices.scalar(e.index, {**base, lane: base.get(lane, 0) + i})
        if count == lanes:
            text = leaves.speller.load(source, index, dtype, lanes)
        else:
            text = leaves.speller.first_load(source, index, count, dtype)
        leaves.requests.ask(leaves, e, base, lane, index)
        leaves.lines.add(f"{name}[{i}] = {text};")
    leaves.lines.add(f"kf_transpose({name});")
    return name
