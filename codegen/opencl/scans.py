"""Scans as OpenCL C: lanes along the scanned axis are combined in a register, others carry a running value each.

Comes in: an `Advance` node and the printer of leaves it belongs to.  Goes out: lines of text.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from codegen.index import Axis
from codegen.nodes import Advance

if TYPE_CHECKING:
    from codegen.opencl.boxes import Coords
    from codegen.opencl.leaves import Leaves


def print_advance(leaves: Leaves, node: Advance) -> None:
    """The scan's values over a tile, in the order of the scanned axis, and what is carried on from it."""
    box, scan = node.box, node.scan
    lane = leaves.lane_among(scan.axes, node.place) if box.array else leaves.boxes.layout(box).lane
    for coords in leaves.points(scan.axes, node.place, lane):
        if leaves.masks.outside(coords, scan.axes):
            continue
        text = leaves.wide(leaves.value(scan.arg, coords, lane), scan.dtype, 1 if lane is None else leaves.lanes)
        if lane is scan.axis:
            value = _along_lanes(leaves, node, coords, text)
        else:
            value = _lane_by_lane(leaves, node, coords, lane, text)
        leaves.put(box, node.place, coords, lane, (value, 1 if lane is None else leaves.lanes))


def _along_lanes(leaves: Leaves, node: Advance, coords: Coords, text: str) -> str:
    """The lanes' own prefixes, combined with the carry; only one operation waits for the carry of the vector before."""
    speller, scan, dtype = leaves.speller, node.scan, node.scan.dtype
    own = speller.prefixes(scan.op.name, dtype, scan.op.identity(dtype), text)
    own, width = leaves.named("prefix", own, dtype, leaves.lanes)
    before, _ = leaves.boxes.read(node.carry, node.place, coords, None)
    value, _ = leaves.named(
        scan.op.name, speller.combine(scan.op.name, dtype, speller.splat(before, dtype), own, width), dtype, width
    )
    last = speller.element_of(own, leaves.lanes - 1, dtype)
    _carry_on(leaves, node, coords, None, speller.combine(scan.op.name, dtype, before, last, 1))
    return value


def _lane_by_lane(leaves: Leaves, node: Advance, coords: Coords, lane: Axis | None, text: str) -> str:
    """The carry combined with the operand is the value, and what is carried on."""
    scan, width = node.scan, 1 if lane is None else leaves.lanes
    before, have = leaves.boxes.read(node.carry, node.place, coords, lane)
    before = leaves.speller.widened(before, have, scan.dtype, width)
    combined = leaves.speller.combine(scan.op.name, scan.dtype, before, text, width)
    value, _ = leaves.named(scan.op.name, combined, scan.dtype, width)
    _carry_on(leaves, node, coords, lane, value)
    return value


def _carry_on(leaves: Leaves, node: Advance, coords: Coords, lane: Axis | None, text: str) -> None:
    carry = node.carry
    if carry.array:
        at = leaves.boxes.locals(carry, node.place, coords)
        leaves.lines.extend(leaves.boxes.write(carry, at, text, 1 if lane is None else leaves.lanes, lane))
    else:
        leaves.lines.add(f"{leaves.boxes.register(carry, coords)} = {text};")
