"""Groups of narrow values in words of 32 bits, as OpenCL C: read where they lie side by side, put together elsewhere.

Comes in: a narrow value at points of an axis, or a `Pack` node whose box holds such groups.  Goes out: lines of text.
A box holds groups when its layout ends with that axis in blocks of a group: the words of a vector lie side by side.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from codegen.access import loads_of
from codegen.dots import WORD, bits_of
from codegen.dtypes import DType, dtypes
from codegen.index import Axis
from codegen.ir import Expr, Load, walk
from codegen.nodes import Box, Pack, Place
from codegen.opencl.boxes import Boxes, Digit
from codegen.schedule import Step

if TYPE_CHECKING:
    from codegen.opencl.boxes import Coords
    from codegen.opencl.leaves import Leaves


Ranges = Mapping[Axis, tuple[int, int, int]]


@dataclass(frozen=True)
class Words:
    """How a box holds groups: of `group` values along `along`, the words of a vector along `across`."""

    along: Axis
    across: Axis
    group: int


@dataclass(frozen=True)
class Piece:
    """A part of a box: per axis the first position, the end and the step; squares are read along the groups."""

    ranges: Ranges
    form: str  # "square" | "rows" | "elements"


def words_of(box: Box, boxes: Boxes) -> Words | None:
    """The groups a packed box holds, or None when it holds none or less than a vector of them."""
    digits = boxes.layout(box).digits
    if box.layout is None or len(digits) < 2:
        return None
    last, across = digits[-1], digits[-2]
    group = last.upper
    if group is None or group * box.of.dtype.bits != WORD or across.axis is last.axis or last.block * across.block != 1:
        return None
    wide = box.tile[across.axis]
    whole = across.upper is None or (across.upper % boxes.lanes == 0 and wide % boxes.lanes == 0)
    return Words(last.axis, across.axis, group) if whole and wide >= boxes.lanes else None


# ------------------------------------------------------------------------------------------------------- single words


def word(
    leaves: Leaves, e: Expr, coords: Coords, along: Axis, lane: Axis | None, count: int | None = None
) -> str:
    """The group of e that begins at a point, or a vector of such groups along lane; made once per block.

    A lane along the groups' own axis has the groups that follow each other.
    count  of the values that are wanted, where others are beyond the axis' end and shall be 0
    """
    group = WORD // e.dtype.bits
    count = group if count is None else count
    key = ("word", leaves.key(e, coords, lane))
    found = leaves.memo.get(key)
    if found is None:
        width = 1 if lane is None else leaves.lanes
        if lane is along:
            text = _row(leaves, e, coords, group)
        else:
            text = _held(leaves, e, coords, along, lane, count) or _joined(leaves, e, coords, along, lane, count)
        found = leaves.memo[key] = leaves.named("word", text, dtypes.uint32, width)
    return found[0]


def _row(leaves: Leaves, e: Expr, coords: Coords, group: int) -> str:
    """The words of a vector that lie one after the other in an array."""
    assert isinstance(e, Load)
    pointer = f"{leaves.params[e.param.name]} + {leaves.indices.scalar(e.index, coords)}"
    return _loaded(pointer, group, leaves.lanes, "__global")


def _held(leaves: Leaves, e: Expr, coords: Coords, along: Axis, lane: Axis | None, count: int) -> str | None:
    """The words as they lie in a box or an array, when they do; of boxes only the first few values of each."""
    assert leaves.at is not None
    group = WORD // e.dtype.bits
    box = leaves.env.get(e)
    if box is not None:
        if not box.array or not _side_by_side(leaves.boxes, box, along, lane, group):
            return None
        pointer = leaves.boxes.pointer(box, leaves.boxes.locals(box, leaves.at, coords))
        text = _loaded(pointer, group, leaves.lanes if lane is not None else 1, "__private")
        return text if count == group else f"{text} & {(1 << count * e.dtype.bits) - 1:#x}u"
    if count < group:
        return None
    if lane is not None or not isinstance(e, Load) or e.index.stride(along) != 1:
        return None
    points = [{**coords, along: coords.get(along, 0) + i} for i in range(group)]
    whens = [leaves.masks.conditions(e.guards, e.axes, point, None) for point in points]
    if any(when.never or when.scalars for when in whens):
        return None
    return _loaded(f"{leaves.params[e.param.name]} + {leaves.indices.scalar(e.index, coords)}", group, 1, "__global")


def _side_by_side(boxes: Boxes, box: Box, along: Axis, lane: Axis | None, group: int) -> bool:
    """Whether a box has the values of a group beside each other, and the groups of a vector."""
    digits = {(d.axis, d.block): d for d in boxes.layout(box).digits}
    inner = digits.get((along, 1))
    if inner is None or inner.stride != 1 or not _divides(inner, group):
        return False
    if lane is None:
        return True
    if box.image is not None:
        return False
    across = digits.get((lane, 1))
    return across is not None and across.stride == group and _divides(across, boxes.lanes)


def _divides(digit: Digit, count: int) -> bool:
    return digit.upper is None or digit.upper % count == 0


def _loaded(pointer: str, group: int, width: int, space: str) -> str:
    if width == 1:
        return f"as_uint(vload{group}(0, {pointer}))"
    return f"vload{width}(0, ({space} const uint *)({pointer}))"


def _joined(leaves: Leaves, e: Expr, coords: Coords, along: Axis, lane: Axis | None, count: int) -> str:
    """The words put together from the values of each step."""
    bits, width = bits_of(e), 1 if lane is None else leaves.lanes
    values = []
    for i in range(count):
        text = leaves.wide(leaves.value(bits, {**coords, along: coords.get(along, 0) + i}, lane), bits.dtype, width)
        values.append(_unsigned(leaves, text, bits.dtype, width))
    if lane is not None and count * bits.dtype.bits == WORD:
        return f"{_weaving(leaves, count, bits.dtype.bits)}({', '.join(values)})"
    words = leaves.speller.type(dtypes.uint32, width)
    parts = [f"convert_{words}({text})" for text in values]
    return " | ".join(f"({text} << {i * e.dtype.bits})" if i else text for i, text in enumerate(parts))


def _weaving(leaves: Leaves, count: int, bits: int) -> str:
    """The helper that puts vectors of narrow values together to one of words: a single permutation of bytes."""
    n, prelude = leaves.lanes, leaves.speller.prelude
    kind, words = {8: "uchar", 16: "ushort"}[bits], leaves.speller.type(dtypes.uint32, n)
    names, both = "abcd"[:count], ", ".join(map(str, range(2 * n)))
    sides = [f"__builtin_shufflevector({x}, {y}, {both})" for x, y in ("ab", "cd")] if count == 4 else list(names)
    places = ", ".join(str(i + part * n) for i in range(n) for part in range(count))
    body = f"return __builtin_astype(__builtin_shufflevector({', '.join(sides)}, {places}), {words});"
    prelude.define("kf_weave", words, ", ".join(f"{kind}{n} {name}" for name in names), body)
    return "kf_weave"


def _unsigned(leaves: Leaves, text: str, dtype: DType, width: int) -> str:
    unsigned = {8: dtypes.uint8, 16: dtypes.uint16}[dtype.bits]
    return text if dtype is unsigned else f"as_{leaves.speller.type(unsigned, width)}({text})"


# ------------------------------------------------------------------------------------------------------- packing


def print_words(leaves: Leaves, node: Pack, words: Words) -> None:
    """The loops that fill a box of groups."""
    for piece in _pieces(leaves, node, words):
        _print_piece(leaves, node, words, piece)


def _pieces(leaves: Leaves, node: Pack, words: Words) -> Iterator[Piece]:
    """Vectors of words, in squares where memory runs along the groups; what is left of a group, element by element.

    The last vectors across, where they would end beyond the box, begin earlier and hold again what is there already.
    """
    tile, lanes = node.box.tile, leaves.lanes
    long, wide = tile[words.along], tile[words.across]
    whole = wide // lanes * lanes
    others = {a: (0, n, 1) for a, n in tile.items() if n > 1 and a not in (words.along, words.across)}
    for across in [(0, whole, lanes), *([(wide - lanes, wide, lanes)] if whole < wide else [])]:
        if _runs_along(node, words):
            step = words.group * lanes
            pieces = [("square", (0, long // step * step, step)), ("square", (long // step * step, long, step))]
        else:
            grouped = long // words.group * words.group
            pieces = [("rows", (0, grouped, words.group)), ("elements", (grouped, long, 1))]
        for form, steps in pieces:
            if steps[0] < steps[1]:
                reached = {words.across: (*across[:2], 1) if form == "elements" else across}
                ends = {**reached, words.along: steps} if form == "square" else {words.along: steps, **reached}
                ranges = {**others, **ends}
                yield Piece(ranges if form == "square" else far_outside(node, ranges), form)


def far_outside(node: Pack, ranges: Ranges) -> Ranges:
    """The loops in the order in which the largest load goes through memory: a line that was read is read again soon."""
    largest = max(loads_of(node.value), key=lambda e: len(e.axes), default=None)
    if largest is None:
        return ranges
    far = {a: abs(largest.index.coefficient(a)) for a in ranges}
    return {a: ranges[a] for a in sorted(ranges, key=lambda a: far[a], reverse=True)}


def _runs_along(node: Pack, words: Words) -> bool:
    """Whether memory runs along the groups."""
    loads = list(loads_of(node.value))
    boxed = any(e in node.env for e in walk((node.value,)))
    return not boxed and bool(loads) and all(e.index.stride(words.along) == 1 for e in loads)


def _print_piece(leaves: Leaves, node: Pack, words: Words, piece: Piece) -> None:
    box, boxes, place = node.box, leaves.boxes, _inside(node, piece)
    begin, end, step = piece.ranges[words.along]
    rest = (end - begin) % step
    clear, beyond = leaves.masks.clear, leaves.masks.beyond
    if rest:
        leaves.masks.clear, leaves.masks.beyond = clear - {words.along}, beyond | {words.along}
    with ExitStack() as loops:
        for axis, (begin, end, step) in piece.ranges.items():
            loops.enter_context(leaves.lines.block(copy_loop(leaves, node, place, axis, (begin, end, step))))
        leaves.forget()
        leaves.enter(place, node.env)
        if piece.form == "square":
            _print_square(leaves, node, place, words, -(-rest // words.group) or leaves.lanes)
        elif piece.form == "rows":
            text = word(leaves, node.value, {}, words.along, words.across)
            leaves.lines.add(_stored(leaves, box, place, {}, text))
        else:
            value = leaves.value(filling(node), {}, None)
            leaves.lines.extend(boxes.write(box, boxes.locals(box, place, {}), *value, None))
        leaves.forget()
    leaves.masks.clear, leaves.masks.beyond = clear, beyond


def filling(node: Pack) -> Expr:
    """What is written to a packed box: bits, where it holds 16-bit floats."""
    return bits_of(node.value) if node.box.narrow else node.value


def copy_loop(leaves: Leaves, node: Pack, place: Place, axis: Axis, steps: tuple[int, int, int]) -> str:
    """The head of a loop that fills a part of a box: from a position in it to another, by steps.

    What lies beyond the end of an axis is left as it is, unless sums would read it.
    """
    (begin, end, step), start, var, base = steps, node.place.var(axis), place.var(axis), leaves.indices.base
    first, last = (f"{start} + {x}" if start is not None and x else start or str(x) for x in (begin, end))
    needed = _needed(leaves, node, axis)
    if needed is not None:
        last = f"min({last}, {needed}{'l' if base == 'long' else ''})"
    return f"kf_for ({base} {var} = {first}; {var} < {last}; {var} += {step})"


def ends_exactly(leaves: Leaves, node: Pack, axis: Axis) -> bool:
    """True for an axis along which a copy loop ends with the axis, so that single steps never lie beyond."""
    return _needed(leaves, node, axis) == str(axis.size)


def _needed(leaves: Leaves, node: Pack, axis: Axis) -> str | None:
    """Where along an axis of a box that overhangs what is read of it ends, as far as that is worth a look: along open
    axes, and those of no sum; None where that is the box's own end."""
    image, clear, start = node.box.image, leaves.masks.clear, node.place.var(axis)
    if start is None or axis in clear:
        return None
    if image is None and axis not in leaves.bound:
        return str(axis.size)
    cut = {a for a in leaves.masks.open - clear if a not in leaves.bound or leaves.schedule.walks(a)}
    if image is None or axis not in image.at:
        return str(axis.size) if axis in cut else _read(leaves, node, axis)
    parts, more = [start], 1
    for a in sorted(image.at[axis].axes, key=lambda a: a.id):
        k, begin = image.at[axis].coefficient(a), node.place.var(a)
        if k > 0 and begin is not None and a in cut:
            parts.append(f"(min({node.box.covers[a]}, {a.size} - {begin}) - 1) * {k}")
        else:
            more += abs(k) * (node.box.covers[a] - 1)
    return " + ".join([*parts, str(more)]) if len(parts) > 1 else None


def _read(leaves: Leaves, node: Pack, axis: Axis) -> str | None:
    """Where what sums read along an open axis ends: with a whole tile."""
    end = None if words_of(node.box, leaves.boxes) is not None else leaves.extents.end(node.box, axis)
    return None if end is None else f"{node.place.var(axis)} + {end}"


def _inside(node: Pack, piece: Piece) -> Place:
    steps = [Step(a, step) for a, (_, _, step) in piece.ranges.items()]
    loose = {a for a, (begin, _, step) in piece.ranges.items() if begin % step or node.box.tile[a] % step}
    return replace(node.place, taken=(*node.place.taken, *steps), loose=node.place.loose | loose)


def _print_square(leaves: Leaves, node: Pack, place: Place, words: Words, count: int) -> None:
    """Vectors of words read along the groups become vectors across them, of which the first few are kept."""
    e, lines, n = node.value, leaves.lines, leaves.lanes
    name = lines.fresh("square")
    leaves.speller.prelude.transpose("uint", n)
    lines.add(f"uint{n} {name}[{n}];")
    inside = leaves.masks.clear.issuperset({words.along, words.across} & e.axes)
    straight = inside and isinstance(e, Load) and not e.guards
    for i in range(n):
        at = {words.across: i}
        text = _row(leaves, e, at, words.group) if straight else _bounded(leaves, e, at, words)
        lines.add(f"{name}[{i}] = {text};")
    lines.add(f"kf_transpose({name});")
    for i in range(count):
        lines.add(_stored(leaves, node.box, place, {words.along: i * words.group}, f"{name}[{i}]"))


def _bounded(leaves: Leaves, e: Expr, coords: Coords, words: Words) -> str:
    """The words that follow each other along the groups, 0 for what is outside."""
    bits, n, parts = bits_of(e), leaves.lanes, []
    for i in range(words.group):
        value = leaves.value(bits, {**coords, words.along: i * n}, words.along)
        parts.append(f"as_uint{n // words.group}({leaves.wide(value, bits.dtype, n)})")
    return f"(uint{n})({', '.join(parts)})"


def _stored(leaves: Leaves, box: Box, place: Place, coords: Coords, text: str) -> str:
    pointer = leaves.boxes.pointer(box, leaves.boxes.locals(box, place, coords))
    return f"vstore{leaves.lanes}({text}, 0, (__private uint *)({pointer}));"
