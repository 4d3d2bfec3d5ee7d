"""Loads whose lanes lie apart as OpenCL C: every other element of two vectors, else lane by lane.

Comes in: a load with a step from lane to lane, the printer of leaves it belongs to, what is known of its lanes.  Goes
out: its text; nothing is read but elements of the array.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from codegen.index import Axis, Index
from codegen.ir import Load
from codegen.opencl_text import literal
from codegen.ops import SCALAR_OPS

if TYPE_CHECKING:
    from codegen.opencl_boxes import Coords
    from codegen.opencl_leaves import Leaves
    from codegen.opencl_masks import Conditions


def gathered(leaves: Leaves, e: Load, when: Conditions, mask: str | None, coords: Coords, lane: Axis) -> str:
    """The text of a load.

    mask  a variable that holds the conditions on lanes, if there are any
    """
    step = leaves.indices.stride(e.index, coords, lane)
    if step != 2 or when.masks:
        return _lane_by_lane(leaves, e, mask, step, coords, lane)
    text = _every_other(leaves, e, coords)
    if mask is None:
        return text
    first, last = leaves.masks.bounds(when)
    inside = [f"{first} <= 0"] if first != "0" else []
    inside += [f"{last} >= {leaves.lanes}"] if last != str(leaves.lanes) else []
    return f"({' && '.join(inside)}) ? {text} : {_lane_by_lane(leaves, e, mask, step, coords, lane)}"


def _every_other(leaves: Leaves, e: Load, coords: Coords) -> str:
    """Lanes 2 apart: of the vector that begins and of the one that ends with an element asked for those that count."""
    near, far = (
        leaves.speller.load(
            leaves.source(e.param), leaves.indices.scalar(e.index + offset, coords), e.dtype, leaves.lanes
        )
        for offset in (0, leaves.lanes - 1)
    )
    return leaves.speller.every_other(near, far, e.dtype)


def _lane_by_lane(
    leaves: Leaves, e: Load, mask: str | None, step: int | None, coords: Coords, lane: Axis
) -> str:
    dtype, name, speller = e.dtype, leaves.source(e.param), leaves.speller
    leaves.requests.ask(leaves, e, coords, lane, "")
    if mask is None or not e.param.size:
        indices = leaves.lane_indices(e.index, step, coords, lane)
        return speller.gathered([speller.load(name, index, dtype, 1) for index in indices], dtype)
    # a branch per lane costs more than reading an element that is surely there where nothing may be read
    safe = _safe_indices(leaves, e.index, mask, coords, lane)
    found = speller.gathered([speller.load(name, index, dtype, 1) for index in safe], dtype)
    operands = [(text, leaves.lanes) for text in (mask, found, speller.splat(literal(0, dtype), dtype))]
    return speller.operation(SCALAR_OPS["where"], dtype, operands, leaves.lanes)


def _safe_indices(leaves: Leaves, index: Index, mask: str, coords: Coords, lane: Axis) -> list[str]:
    """The index of every lane the mask has, 0 of the others."""
    base, name, lanes = leaves.indices.base, leaves.fresh("safe"), leaves.lanes
    mask = mask if base == "int" else f"convert_{base}{lanes}({mask})"
    text = f"select(({base}{lanes})(0), {leaves.indices.vector(index, coords, lane)}, {mask})"
    leaves.lines.add(f"const {base}{lanes} {name} = {text};")
    return [f"{name}.s{i:x}" for i in range(lanes)]
