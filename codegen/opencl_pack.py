"""Packing as OpenCL C: evaluate an operand over a whole box, in the box's layout.

Comes in: a `Pack` node.  Goes out: copy loops.  The lanes run along the innermost axis of the layout.  Where memory is
consecutive along another axis, squares of lanes x lanes values are read along that one and transposed in registers.
The overhang is filled with zeros, or what the operand makes of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from codegen.index import Axis
from codegen.ir import Expr, Load, walk
from codegen.nodes import Box, Pack, Place
from codegen.opencl_boxes import Boxes, Local
from codegen.opencl_leaves import Leaves
from codegen.schedule import Step


def print_pack(leaves: Leaves, boxes: Boxes, node: Pack, line: Callable[[str], None]) -> None:
    """The loops that fill a packed box."""
    box = node.box
    stored = _stored_axis(box, leaves.lanes)
    read = _read_axis(box.of, box, leaves.lanes)
    square = stored is not None and read is not None and read is not stored
    if square and boxes.lane_stride(box, stored) != 1:
        square, stored = False, None
    axes = _loop_order(box, stored, read if square else None)
    steps = {a: leaves.lanes if a is stored or (square and a is read) else 1 for a in axes}
    place = replace(node.place, taken=(*node.place.taken, *(Step(a, steps[a]) for a in axes)))
    clear, beyond = leaves.masks.clear, leaves.masks.beyond
    whole = {a for a in box.tile if box.tile[a] == node.place.tile(a) and (a in clear or a.size % box.tile[a] == 0)}
    leaves.masks.clear, leaves.masks.beyond = frozenset(whole), frozenset(box.tile) - whole
    leaves.forget()
    leaves.enter(place, node.env)
    for a in axes:
        line(_for(place.var(a) or "", node.place.var(a), box.tile[a], steps[a], leaves.indices.base))
    if square and stored is not None and read is not None:
        _print_square(leaves, boxes, box, place, stored, read, line)
    else:
        value = leaves.value(box.of, {}, stored)
        for text in boxes.write(box, boxes.locals(box, place, {}), *value, stored):
            line(text)
    for _ in axes:
        line("}")
    leaves.masks.clear, leaves.masks.beyond = clear, beyond
    leaves.forget()


def _stored_axis(box: Box, lanes: int) -> Axis | None:
    """The innermost axis of the layout, when the box has whole vectors along it."""
    assert box.layout is not None
    axis = next((a for a, _ in reversed(box.layout) if box.tile[a] > 1), None)
    return axis if axis is not None and box.tile[axis] % lanes == 0 else None


def _read_axis(value: Expr, box: Box, lanes: int) -> Axis | None:
    """The axis along which most loads of the value read consecutive elements, when the box has whole vectors along it."""
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


def _for(var: str, start: str | None, extent: int, step: int, base: str) -> str:
    first = start or "0"
    last = f"{start} + {extent}" if start else str(extent)
    return f"kf_for ({base} {var} = {first}; {var} < {last}; {var} += {step}) {{"


def _print_square(
    leaves: Leaves, boxes: Boxes, box: Box, place: Place, stored: Axis, read: Axis, line: Callable[[str], None]
) -> None:
    """lanes vectors along the read axis become lanes vectors along the stored one."""
    n, dtype = leaves.lanes, box.of.dtype.arithmetic
    name = leaves.fresh("square")
    kind = leaves.speller.type(dtype, n)
    leaves.speller.prelude.transpose(kind.removesuffix(str(n)))
    line(f"{kind} {name}[{n}];")
    for i in range(n):
        text, width = leaves.value(box.of, {stored: i}, read)
        line(f"{name}[{i}] = {leaves.speller.widened(text, width, dtype, n)};")
    line(f"kf_transpose({name});")
    for i in range(n):
        at: dict[Axis, Local] = boxes.locals(box, place, {read: i})
        for text in boxes.write(box, at, f"{name}[{i}]", n, stored):
            line(text)


