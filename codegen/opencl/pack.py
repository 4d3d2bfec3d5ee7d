"""Packing as OpenCL C: evaluate an operand over a whole box, in the box's layout.

Comes in: a `Pack` node.  Goes out: copy loops.  The lanes run along the innermost axis of the layout.  Where memory is
consecutive along another axis, squares of lanes x lanes values are read along that one and transposed in registers.
Axes that lie behind each other in memory and in the box are copied as one.  The overhang is filled with zeros, or what
the operand makes of them.  An image's loops begin where its first element lies.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace

from codegen.image import indices_of
from codegen.index import Axis
from codegen.ir import Expr, Load, walk
from codegen.nodes import Box, Pack, Place
from codegen.opencl.boxes import Boxes
from codegen.opencl.items import fill_together
from codegen.opencl.leaves import Leaves
from codegen.opencl.words import copy_loop, ends_exactly, filling, print_words, words_of
from codegen.schedule import Step

Extents = Mapping[Axis, int]
FEW = 4  # vectors of a line with an edge that are written out, so that where the edge is needs no test


@dataclass(frozen=True)
class Piece:
    """A part of a box and how it is copied.

    begin, end  per axis the part's bounds, counted from where the box begins
    stored      the axis along which vectors are stored; None: element by element
    read        the axis along which squares are read, of a last one only a part; None: vectors are read along `stored`
    """

    begin: Extents
    end: Extents
    stored: Axis | None
    read: Axis | None


def print_pack(leaves: Leaves, node: Pack) -> None:
    """The loops that fill a packed box."""
    masks = leaves.masks
    clear, beyond, rest = masks.clear, masks.beyond, masks.rest
    whole = _whole(node, clear)
    masks.clear, masks.beyond = frozenset(whole), frozenset(node.box.tile) - whole
    masks.rest = {a: points for a, points in rest.items() if a not in node.box.tile}
    leaves.forget()
    leaves.enter(node.place, node.env)
    _print_starts(leaves, node)
    words = words_of(node.box, leaves.boxes)
    if leaves.items:
        extents = {a: n for a, n in node.box.tile.items() if n > 1}
        read = _read_axis(node.value, extents, 2)
        fill_together(leaves, node, filling(node), _loop_order(node, Piece({}, extents, None, read)))
    elif words is not None:
        print_words(leaves, node, words)
    else:
        for piece in _pieces(node, _joined(node, leaves.boxes, whole), leaves.boxes, leaves.lanes):
            _print_piece(leaves, node, piece)
    masks.clear, masks.beyond, masks.rest = clear, beyond, rest
    leaves.forget()


def _whole(node: Pack, clear: frozenset[Axis]) -> set[Axis]:
    """The axes along which nothing of the box overhangs; new ones of an image when those they sum do not."""
    box, place = node.box, node.place
    fits = {a for a, n in box.covers.items() if n == place.tile(a) and (a in clear or a.size % n == 0)}
    if box.image is not None:
        exact = box.image.extents(box.covers)
        fits |= {new for new, index in box.image.at.items() if index.axes <= fits and box.tile[new] == exact[new]}
    return fits & box.tile.keys()


def _print_starts(leaves: Leaves, node: Pack) -> None:
    """Where the new axes of an image begin: at the least position any point of the tile reads."""
    for new, index in node.box.image.at.items() if node.box.image is not None else ():
        last = {a: node.box.covers[a] - 1 for a in index.axes if index.coefficient(a) < 0}
        leaves.lines.add(f"const {leaves.indices.base} {node.place.var(new)} = {leaves.indices.scalar(index, last)};")


# ------------------------------------------------------------------------------------------------------- pieces


def _joined(node: Pack, boxes: Boxes, whole: set[Axis]) -> dict[Axis, int]:
    """The extents to copy: axes that continue the next inner one, in the box and in every index, are part of that.

    What other boxes hold lies in them in orders of their own.
    """
    boxed = any(e in node.env for e in walk((node.value,)))
    indices = None if boxed else indices_of(node.value)
    digits = boxes.layout(node.box).digits[::-1]
    places = [d.axis for d in digits]
    found = {a: n for a, n in node.box.tile.items() if n > 1}
    inner = None
    for digit in digits:
        axis = digit.axis
        single = places.count(axis) == 1 and axis in whole and indices is not None
        if single and inner is not None and indices is not None:
            extent = found[inner.axis]
            if digit.stride == inner.stride * extent and all(
                i.is_affine_in(axis)
                and i.is_affine_in(inner.axis)
                and i.coefficient(axis) == i.coefficient(inner.axis) * extent
                for i in indices
            ):
                found[inner.axis] = extent * found.pop(axis)
                continue
        inner = digit if single else None
    return found


def _pieces(node: Pack, extents: Extents, boxes: Boxes, lanes: int) -> Iterator[Piece]:
    """Whole vectors or squares first, then what is left of their axis."""
    begin = dict.fromkeys(extents, 0)
    stored = _stored_axis(node.box, extents, boxes, lanes)
    read = _read_axis(node.value, extents, lanes) if stored is not None else None
    read = None if read is stored or (stored is not None and extents[stored] % lanes) else read
    cut = read or stored
    if cut is None:
        yield Piece(begin, extents, None, None)
        return
    full = extents[cut] // lanes * lanes
    if full:
        yield Piece(begin, {**extents, cut: full}, stored, read)
    if full < extents[cut]:
        part = read is not None and _fills(extents[cut] - full, lanes) and extents[cut] <= cut.size
        yield Piece({**begin, cut: full}, extents, stored if read is not None else None, read if part else None)


def _fills(extent: int, lanes: int) -> bool:
    """True when so many elements are worth a square of their own."""
    return 2 * extent >= lanes


def _stored_axis(box: Box, extents: Extents, boxes: Boxes, lanes: int) -> Axis | None:
    """The innermost axis of the layout, when the box has vectors of consecutive elements along it."""
    axis = next((a for a, _ in reversed(box.layout or ()) if extents.get(a, 1) > 1), None)
    fills = axis is not None and extents[axis] >= lanes and boxes.lane_stride(box, axis) == 1
    return axis if fills else None


def _read_axis(value: Expr, extents: Extents, lanes: int) -> Axis | None:
    """The axis along which most loads of the value read consecutive elements, if they fill a square well enough."""
    votes: dict[Axis, int] = {}
    for e in walk((value,)):
        if isinstance(e, Load):
            for a, extent in extents.items():
                if _fills(extent, lanes) and a in e.axes and e.index.stride(a) == 1:
                    votes[a] = votes.get(a, 0) + len(e.axes)
    return max(votes, key=lambda a: votes[a], default=None)


# ------------------------------------------------------------------------------------------------------- loops


def _print_piece(leaves: Leaves, node: Pack, piece: Piece) -> None:
    box, boxes = node.box, leaves.boxes
    axes = _loop_order(node, piece)
    steps = {a: leaves.lanes if a is piece.stored or a is piece.read else 1 for a in axes}
    line = _short_line(node, piece, leaves.lanes)
    if line is not None:
        steps[line] = piece.end[line]
    loose = {a for a in axes if box.tile.get(a, 0) % steps[a]}
    place = replace(
        node.place,
        taken=(*node.place.taken, *(Step(a, steps[a]) for a in axes)),
        loose=node.place.loose | loose,
    )
    leaves.forget()
    leaves.enter(place, node.env)
    clear, beyond = leaves.masks.clear, leaves.masks.beyond
    exact = {a for a in axes if steps[a] == 1 and a is not line and ends_exactly(leaves, node, a)}
    rest = 0 if piece.read is None else (piece.end[piece.read] - piece.begin[piece.read]) % leaves.lanes
    if piece.read is not None and rest:
        leaves.masks.clear, leaves.masks.beyond = clear - {piece.read}, beyond | {piece.read}
    with ExitStack() as loops:
        for a in axes:
            if a is line:
                leaves.lines.add(f"const {leaves.indices.base} {place.var(a)} = {node.place.var(a) or 0};")
                continue
            part = (piece.begin[a], piece.end[a], steps[a])
            loops.enter_context(leaves.lines.block(copy_loop(leaves, node, place, a, part)))
        leaves.masks.clear, leaves.masks.beyond = leaves.masks.clear | exact, leaves.masks.beyond - exact
        if piece.stored is not None and piece.read is not None:
            _print_square(leaves, node, place, piece.stored, piece.read, rest or leaves.lanes)
        else:
            for at in [{line: i} for i in range(0, steps[line], leaves.lanes)] if line is not None else [{}]:
                value = leaves.value(filling(node), at, piece.stored)
                leaves.lines.extend(boxes.write(box, boxes.locals(box, place, at), *value, piece.stored))
    leaves.masks.clear, leaves.masks.beyond = clear, beyond
    leaves.forget()


def _short_line(node: Pack, piece: Piece, lanes: int) -> Axis | None:
    """The axis vectors are stored along, where a line is a few of them and guards make its ends differ."""
    axis = piece.stored
    if axis is None or piece.read is not None or not lanes < piece.end[axis] <= FEW * lanes:
        return None
    guarded = any(axis in g.index.axes for e in walk((node.value,)) if isinstance(e, Load) for g in e.guards)
    return axis if guarded else None


def _loop_order(node: Pack, piece: Piece) -> list[Axis]:
    """Axes of the copy loops, outermost first: large strides of the largest load outside, the lanes inside."""
    loads = [e for e in walk((node.value,)) if isinstance(e, Load)]
    largest = max(loads, key=lambda e: len(e.axes), default=None)

    def distance(a: Axis) -> int:
        return abs(largest.index.coefficient(a)) if largest is not None else 0

    last = [a for a in (piece.stored, piece.read) if a is not None]
    others = [a for a, extent in piece.end.items() if extent > 1 and a not in last]
    return sorted(others, key=distance, reverse=True) + last


def _print_square(leaves: Leaves, node: Pack, place: Place, stored: Axis, read: Axis, count: int) -> None:
    """lanes vectors along the read axis become lanes vectors along the stored one, of which the first few are kept."""
    box = node.box
    n, dtype, lines = leaves.lanes, leaves.boxes.written(box), leaves.lines
    name = lines.fresh("square")
    kind = leaves.speller.type(dtype, n)
    leaves.speller.prelude.transpose(kind.removesuffix(str(n)), n)
    lines.add(f"{kind} {name}[{n}];")
    for i in range(n):
        text, width = leaves.value(filling(node), {stored: i}, read)
        lines.add(f"{name}[{i}] = {leaves.speller.widened(text, width, dtype, n)};")
    lines.add(f"kf_transpose({name});")
    for i in range(count):
        at = leaves.boxes.locals(box, place, {read: i})
        lines.extend(leaves.boxes.write(box, at, f"{name}[{i}]", n, stored))
