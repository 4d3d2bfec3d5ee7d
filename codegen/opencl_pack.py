"""Packing as OpenCL C: evaluate an operand over a whole box, in the box's layout.

Comes in: a `Pack` node.  Goes out: copy loops.  The lanes run along the innermost axis of the layout.  Where memory is
consecutive along another axis, squares of lanes x lanes values are read along that one and transposed in registers.
The overhang is filled with zeros, or what the operand makes of them.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace

from codegen.index import Axis
from codegen.ir import Expr, Load, walk
from codegen.nodes import Box, Pack, Place
from codegen.opencl_boxes import Boxes
from codegen.opencl_leaves import Leaves
from codegen.schedule import Step


def print_pack(leaves: Leaves, node: Pack) -> None:
    """The loops that fill a packed box."""
    box, boxes = node.box, leaves.boxes
    stored = _stored_axis(box, boxes, leaves.lanes)
    read = _read_axis(box.of, box, leaves.lanes) if stored is not None else None
    read = None if read is stored else read
    axes = _loop_order(box, stored, read)
    steps = {a: leaves.lanes if a is stored or a is read else 1 for a in axes}
    place = replace(node.place, taken=(*node.place.taken, *(Step(a, steps[a]) for a in axes)))
    masks = leaves.masks
    clear, beyond, rest = masks.clear, masks.beyond, masks.rest
    whole = {a for a in box.tile if box.tile[a] == node.place.tile(a) and (a in clear or a.size % box.tile[a] == 0)}
    masks.clear, masks.beyond = frozenset(whole), frozenset(box.tile) - whole
    masks.rest = {a: points for a, points in rest.items() if a not in box.tile}
    leaves.forget()
    leaves.enter(place, node.env)
    with ExitStack() as loops:
        for a in axes:
            head = _for(place.var(a), node.place.var(a), box.tile[a], steps[a], leaves)
            loops.enter_context(leaves.lines.block(head))
        if stored is not None and read is not None:
            _print_square(leaves, box, place, stored, read)
        else:
            value = leaves.value(box.of, {}, stored)
            leaves.lines.extend(boxes.write(box, boxes.locals(box, place, {}), *value, stored))
    masks.clear, masks.beyond, masks.rest = clear, beyond, rest
    leaves.forget()


def _stored_axis(box: Box, boxes: Boxes, lanes: int) -> Axis | None:
    """The innermost axis of the layout, when the box has whole vectors of consecutive elements along it."""
    assert box.layout is not None
    axis = next((a for a, _ in reversed(box.layout) if box.tile[a] > 1), None)
    whole = axis is not None and box.tile[axis] % lanes == 0 and boxes.lane_stride(box, axis) == 1
    return axis if whole else None


def _read_axis(value: Expr, box: Box, lanes: int) -> Axis | None:
    """The axis along which most loads of the value read consecutive elements, if the box has whole vectors along it."""
    votes: dict[Axis, int] = {}
    for e in walk((value,)):
        if isinstance(e, Load):
            for a in box.tile:
                if box.tile[a] % lanes == 0 and a in e.axes and e.index.stride(a) == 1:
                    votes[a] = votes.get(a, 0) + len(e.axes)
    return max(votes, key=lambda a: votes[a], default=None)


def _loop_order(box: Box, stored: Axis | None, read: Axis | None) -> list[Axis]:
    """Axes of the copy loops, outermost first: large strides of the largest load outside, the lanes inside."""
    loads = [e for e in walk((box.of,)) if isinstance(e, Load)]
    largest = max(loads, key=lambda e: len(e.axes), default=None)

    def distance(a: Axis) -> int:
        return abs(largest.index.coefficient(a)) if largest is not None else 0

    last = [a for a in (stored, read) if a is not None]
    others = [a for a, extent in box.tile.items() if extent > 1 and a not in last]
    return sorted(others, key=distance, reverse=True) + last


def _for(var: str | None, start: str | None, extent: int, step: int, leaves: Leaves) -> str:
    last = f"{start} + {extent}" if start else str(extent)
    return f"kf_for ({leaves.indices.base} {var} = {start or 0}; {var} < {last}; {var} += {step})"


def _print_square(leaves: Leaves, box: Box, place: Place, stored: Axis, read: Axis) -> None:
    """lanes vectors along the read axis become lanes vectors along the stored one."""
    n, dtype, lines = leaves.lanes, box.of.dtype.arithmetic, leaves.lines
    name = lines.fresh("square")
    kind = leaves.speller.type(dtype, n)
    leaves.speller.prelude.transpose(kind.removesuffix(str(n)))
    lines.add(f"{kind} {name}[{n}];")
    for i in range(n):
        text, width = leaves.value(box.of, {stored: i}, read)
        lines.add(f"{name}[{i}] = {leaves.speller.widened(text, width, dtype, n)};")
    lines.add(f"kf_transpose({name});")
    for i in range(n):
        at = leaves.boxes.locals(box, place, {read: i})
        lines.extend(leaves.boxes.write(box, at, f"{name}[{i}]", n, stored))
