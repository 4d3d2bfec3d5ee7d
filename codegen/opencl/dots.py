"""Sums of products of narrow values as OpenCL C: groups of products by one instruction of the processor.

Comes in: an `Update` node whose tile has whole groups along a summed axis, and the printer of leaves it belongs to.
Goes out: lines of text, or nothing where the groups are not whole.  Instructions are called by the names the compiler
has for them.  The one for bytes multiplies unsigned by signed ones; of two alike, one is shifted by 128 and what that
adds is taken off again, which costs another multiplication for each word of the vector side and a subtraction for each
vector of sums: little where a tile has several groups.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from codegen.dots import Dot, dot_of
from codegen.dtypes import dtypes
from codegen.index import Axis
from codegen.ir import Const, Expr, Load
from codegen.nodes import Update
from codegen.opencl.boxes import chunks
from codegen.opencl.words import word

if TYPE_CHECKING:
    from codegen.opencl.boxes import Coords
    from codegen.opencl.leaves import Leaves

_VECTORS = {"bfloat16": ("kf_bfloat16x32", "__bf16", 32), "int8": ("kf_charx64", "char", 64)}
_INSTRUCTIONS = {"bfloat16": "llvm.x86.avx512bf16.dpbf16ps.512", "int8": "llvm.x86.avx512.vpdpbusd.512"}
_SHIFT = "0x80808080u"  # of four bytes by 128
_ONES = "0x01010101u"


def print_dots(leaves: Leaves, node: Update) -> bool:
    """The update by groups; False, with nothing printed, when its tile has none or registers do not hold it.

    The last group, where the axis ends in it, is filled up with 0.
    """
    dot, box, r = dot_of(node.reduce, leaves.target), node.box, node.reduce
    if dot is None or box.array or r.arg in node.env:
        return False
    lane = leaves.boxes.layout(box).lane
    along = _grouped_axis(node, dot, lane, leaves.lanes)
    if along is None or lane is None:
        return False
    if along is lane and not all(_is_row(e, lane, node) for e in (dot.left, dot.right)):
        return False
    axes = [a for a in sorted(r.arg.axes, key=lambda a: a.id) if a is not along]
    found = chunks(axes, {a: node.place.tile(a) for a in axes}, lane, leaves.lanes)
    points = [point for point in found if not leaves.masks.outside(point, axes)]
    groups = _Groups(leaves, node, dot, along, lane)
    for place in range(0, node.place.tile(along), groups.width):
        for point in points:
            groups.add({**point, along: place})
    groups.take_off()
    return True


def _grouped_axis(node: Update, dot: Dot, lane: Axis | None, lanes: int) -> Axis | None:
    """The summed axis of both operands of whose tile groups can be made: the lanes' own, or any beside them."""
    common = dot.axes & frozenset(node.reduce.bound)
    if lane in node.reduce.bound:
        whole = lane in common and node.place.tile(lane) % (dot.group * lanes) == 0
        return lane if whole else None
    if lane is None or (lane in dot.left.axes) == (lane in dot.right.axes):
        return None
    grouped = [a for a in common if node.place.tile(a) % dot.group == 0]
    return min(grouped, key=lambda a: a.id, default=None)


def _is_row(e: Expr, lane: Axis, node: Update) -> bool:
    """True for what is loaded as it lies along the lanes, and for 1."""
    if isinstance(e, Const):
        return True
    return isinstance(e, Load) and e not in node.env and e.index.stride(lane) == 1 and not e.guards


class _Groups:
    """Prints the products of groups, one after the other.

    width  steps along the axis that one instruction takes: a group, or one for each lane
    """

    def __init__(self, leaves: Leaves, node: Update, dot: Dot, along: Axis, lane: Axis) -> None:
        self.leaves, self.node, self.dot, self.along, self.lane = leaves, node, dot, along, lane
        self.across, self.other = (dot.left, dot.right) if lane in dot.left.axes else (dot.right, dot.left)
        self.wide = lane is along
        self.width = dot.group * (leaves.lanes if self.wide else 1)
        self.helper = _define(leaves, dot.kind, dot.kind == "int8" and self.across.dtype is dtypes.uint8)
        self.shifted: dict[str, str] = {}  # per vector of sums what was added too much
        self.shifts: dict[tuple[int, ...], str] = {}  # the same per position of the vector side
        self.words = set[str]()

    def add(self, point: Coords) -> None:
        """The products of the group at a point, step by step where it is not known how much of it is inside."""
        leaves, start = self.leaves, point[self.along]
        count = self.dot.group if self.is_whole(point) else self.begun(point)
        if not count:
            for place in range(start, start + self.width, leaves.lanes if self.wide else 1):
                self.step({**point, self.along: place})
            return
        name = leaves.boxes.register(self.node.box, {**point, self.along: start // self.dot.group})
        vector = word(leaves, self.across, point, self.along, self.lane, count)
        if isinstance(self.other, Const):
            other = leaves.speller.splat(_ONES, dtypes.uint32)
        else:
            other = word(leaves, self.other, point, self.along, self.lane if self.wide else None, count)
            other = other if self.wide else leaves.speller.splat(other, dtypes.uint32)
        if self.dot.alike:
            self.shifted[name] = self.shift(point, vector)
            other = f"{other} ^ {_SHIFT}"
        leaves.lines.add(f"{name} = {self.helper}({name}, {other}, {vector});")

    def is_whole(self, point: Coords) -> bool:
        """True when all of a group is surely inside, and read without conditions where vectors are read as they lie."""
        r, masks = self.node.reduce, self.leaves.masks
        widths = {a: self.width if a is self.along else 1 for a in (r.arg.axes if self.wide else r.bound)}
        last = {self.along: point[self.along] + self.width - 1}  # a shorter step may end within a group
        ends = masks.outside(last, (self.along,))
        return not ends and all(masks.inside(a, point[a], width) for a, width in widths.items())

    def begun(self, point: Coords) -> int:
        """How many values of a last group are inside, its others 0; none where that is not known."""
        others = [a for a in self.node.reduce.bound if a is not self.along]
        if self.wide or not all(self.leaves.masks.inside(a, point[a], 1) for a in others):
            return 0
        return self.leaves.masks.left(self.along, point[self.along], self.width)

    def step(self, point: Coords) -> None:
        """One step, or a vector of them, without groups."""
        leaves, r = self.leaves, self.node.reduce
        if not leaves.masks.outside(point, r.bound):
            leaves.accumulate(leaves.boxes.register(self.node.box, point), r, point, self.lane, leaves.lanes)

    def shift(self, point: Coords, vector: str) -> str:
        """The variable that holds 128 times the sums of the words' bytes so far, those of this word included."""
        kept = [a for a in sorted(self.across.axes, key=lambda a: a.id) if self.wide or a is not self.along]
        key = tuple(point[a] for a in kept)
        known = self.shifts.get(key)
        name = known or self.leaves.fresh("shifted")
        if vector not in self.words:
            total = known or self.leaves.speller.splat("0", dtypes.int32)
            text = f"{self.helper}({total}, {self.leaves.speller.splat(_SHIFT, dtypes.uint32)}, {vector})"
            kind = "" if known else self.leaves.speller.type(dtypes.int32, self.leaves.lanes) + " "
            self.leaves.lines.add(f"{kind}{name} = {text};")
            self.words.add(vector)
        self.shifts[key] = name
        return name

    def take_off(self) -> None:
        """What was added too much taken off again."""
        for name, shifted in self.shifted.items():
            self.leaves.lines.add(f"{name} = {name} - {shifted};")


def _define(leaves: Leaves, kind: str, vector_first: bool) -> str:
    """The helper (total, scalar, vector) -> total; the operand whose bytes are unsigned comes first."""
    prelude, (vector, element, count) = leaves.speller.prelude, _VECTORS[kind]
    total = leaves.speller.type(dtypes.float32 if kind == "bfloat16" else dtypes.int32, leaves.lanes)
    words, instruction = leaves.speller.type(dtypes.uint32, leaves.lanes), f"kf_instruction_{kind}"
    prelude.declare(f"typedef {element} {vector} __attribute__((ext_vector_type({count})));")
    label = _INSTRUCTIONS[kind]
    prelude.declare(f'extern {total} {instruction}({total} c, {vector} a, {vector} b) __asm("{label}");')
    first, second = ("b", "a") if vector_first else ("a", "b")
    helper = f"kf_dot_{kind}" + ("_turned" if vector_first else "")
    casts = ", ".join(f"__builtin_astype({x}, {vector})" for x in (first, second))
    prelude.define(helper, total, f"{total} c, {words} a, {words} b", f"return {instruction}(c, {casts});")
    return helper
