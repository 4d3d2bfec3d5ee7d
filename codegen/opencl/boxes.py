"""Where the elements of boxes are: registers by name, arrays by address.

Comes in: a nest's boxes.  Goes out: declarations, element and vector accesses as text.  A box in registers is a set of
named variables, vectors along its lane axis; a box in memory is a private array in its layout.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import gcd
from typing import NamedTuple

from codegen.dtypes import DType, dtypes
from codegen.index import Axis, Index
from codegen.nodes import Box, Place
from codegen.opencl.prelude import private_element
from codegen.opencl.text import Speller

Coords = Mapping[Axis, int]


class Local(NamedTuple):
    """A coordinate inside a box: text (a multiple of step, or nothing) plus a constant."""

    text: str | None
    step: int
    const: int


class Digit(NamedTuple):
    """One digit of a layout: (coordinate % upper) // block * stride."""

    axis: Axis
    block: int
    upper: int | None
    stride: int


@dataclass(frozen=True)
class Layout:
    """How a box lies in memory; lane is the innermost axis of a natural layout, along which registers are vectors."""

    digits: tuple[Digit, ...]
    total: int
    lane: Axis | None


def layout_of(box: Box, vector: Sequence[Axis], lanes: int) -> Layout:
    """A pack's own layout, or the natural one: axes in order, the first vector axis with whole vectors innermost."""
    lane = next((a for a in vector if box.tile.get(a, 0) % lanes == 0 and a in box.tile), None)
    natural = [(a, 1) for a, extent in box.tile.items() if extent > 1 and a is not lane]
    if lane is not None:
        natural.append((lane, 1))
    written = list(box.layout) if box.layout is not None else natural
    written = [(a, block) for a, block in written if box.tile[a] > 1]
    digits: list[Digit] = []
    stride = 1
    for position in range(len(written) - 1, -1, -1):
        axis, block = written[position]
        upper = next((b for a, b in reversed(written[:position]) if a is axis), None)
        digits.append(Digit(axis, block, upper, stride))
        stride *= -(-(upper or box.tile[axis]) // block)
        if position == len(written) - 1:
            stride += box.pad
    return Layout(tuple(reversed(digits)), stride, lane)


def chunks(
    axes: Sequence[Axis], extents: Mapping[Axis, int], lane: Axis | None, lanes: int
) -> Iterator[dict[Axis, int]]:
    """The coordinates of a tile, the lane axis in whole vectors."""
    ranges = [range(0, extents[a], lanes if a is lane else 1) for a in axes]
    for point in itertools.product(*ranges):
        yield dict(zip(axes, point))


class Boxes:
    """Accesses to the boxes of one nest."""

    def __init__(self, speller: Speller, vector: Sequence[Axis]) -> None:
        self.speller, self.vector, self.lanes = speller, vector, speller.lanes
        self.layouts: dict[Box, Layout] = {}

    def layout(self, box: Box) -> Layout:
        found = self.layouts.get(box)
        if found is None:
            found = self.layouts[box] = layout_of(box, self.vector, self.lanes)
        return found

    def dtype(self, box: Box) -> DType:
        """The type a box's elements are computed in."""
        return box.of.dtype.arithmetic

    def written(self, box: Box) -> DType:
        """The type of what is written to a box."""
        return dtypes.uint16 if box.narrow else box.of.dtype.arithmetic

    def register(self, box: Box, coords: Coords) -> str:
        """The variable that holds the element, or the vector, at constant coordinates."""
        return box.name + "".join(f"_{coords.get(a, 0)}" for a, extent in box.tile.items() if extent > 1)

    def chunks(self, box: Box) -> Iterator[dict[Axis, int]]:
        """The coordinates of every variable of a box in registers."""
        return chunks(tuple(box.tile), box.tile, self.layout(box).lane, self.lanes)

    def width(self, box: Box) -> int:
        """Elements per variable of a box in registers."""
        return 1 if self.layout(box).lane is None else self.lanes

    # ---------------------------------------------------------------------------------------------- addresses

    def locals(self, box: Box, place: Place, coords: Coords) -> dict[Axis, Local]:
        """Coordinates inside the box of an offset from where the tiles of a place start."""
        found: dict[Axis, Local] = {}
        for axis in box.tile:
            const = coords.get(axis, 0)
            here, start = place.var(axis), box.place.var(axis)
            if here is None and box.image is not None and axis in box.image.at:
                found[axis] = _seen(box, box.image.at[axis], place, coords)
                continue
            if axis in box.partial or here == start:
                found[axis] = Local(None, 1, const)
            else:
                found[axis] = Local(here if start is None else f"({here} - {start})", place.tile(axis), const)
        return found

    def address(self, box: Box, at: Mapping[Axis, Local]) -> str:
        """The element's offset in the array."""
        const, parts = 0, []
        for digit in self.layout(box).digits:
            local = at[digit.axis]
            text, number = _digit(local, digit)
            const += number * digit.stride
            if text is not None:
                parts.append(text if digit.stride == 1 else f"{text} * {digit.stride}")
        if const or not parts:
            parts.append(str(const))
        return " + ".join(parts)

    def lane_stride(self, box: Box, lane: Axis) -> int | None:
        """The distance of neighbours along an axis inside one vector, or None when it is not constant."""
        steps = lane_steps(box, lane)
        if len(steps) != 1:
            return None
        ((axis, step),) = steps.items()
        digit = next((d for d in reversed(self.layout(box).digits) if d.axis is axis), None)
        if digit is None or digit.block != 1:
            return None
        split = digit.upper is not None and (digit.upper % self.lanes != 0 or axis is not lane)
        return None if split else digit.stride * step

    # ---------------------------------------------------------------------------------------------- reads

    def read(self, box: Box, place: Place, coords: Coords, lane: Axis | None) -> tuple[str, int]:
        """The element at an offset from a place, or the vector along lane when the box has that axis; with its
        width."""
        if lane is not None and not lane_steps(box, lane):
            lane = None
        if box.array:
            at = self.locals(box, place, coords)
            return (self.read_element(box, at), 1) if lane is None else (self.read_vector(box, at, lane), self.lanes)
        own = self.layout(box).lane
        if own is lane:
            return self.register(box, coords), self.width(box)
        if lane is None:
            return self.part(box, coords), 1
        parts = [self.part(box, {**coords, lane: coords.get(lane, 0) + i}) for i in range(self.lanes)]
        return self.speller.gathered(parts, self.dtype(box)), self.lanes

    def part(self, box: Box, coords: Coords) -> str:
        """One element of a box in registers."""
        own = self.layout(box).lane
        if own is None:
            return self.register(box, coords)
        start = coords.get(own, 0) // self.lanes * self.lanes
        name = self.register(box, {**coords, own: start})
        return self.speller.element_of(name, coords.get(own, 0) - start, self.dtype(box))

    def read_element(self, box: Box, at: Mapping[Axis, Local]) -> str:
        if box.narrow:
            return self.speller.load(self.halves(box), self.address(box, at), box.of.dtype, 1)
        text = f"{box.name}[{self.address(box, at)}]"
        return f"({text} != 0)" if self.dtype(box) is dtypes.bool else text

    def read_vector(self, box: Box, at: Mapping[Axis, Local], lane: Axis) -> str:
        if self.lane_stride(box, lane) == 1:
            if box.narrow:
                return self.speller.load(self.halves(box), self.address(box, at), box.of.dtype, self.lanes)
            text = f"vload{self.lanes}(0, {self.pointer(box, at)})"
            return f"(convert_int{self.lanes}({text}) != 0)" if self.dtype(box) is dtypes.bool else text
        places = list(self.lane_locals(at, lane_steps(box, lane)))
        if self.lane_stride(box, lane) == 2 and not box.narrow and self.dtype(box) is not dtypes.bool:
            begin, end = self.address(box, places[0]), self.address(box, places[-1])
            near = f"vload{self.lanes}(0, {box.name} + {begin})"
            far = f"vload{self.lanes}(0, {box.name} + {end} - {self.lanes - 1})"
            return self.speller.every_other(near, far, self.dtype(box))
        return self.speller.gathered([self.read_element(box, x) for x in places], self.dtype(box))

    def halves(self, box: Box) -> str:
        """A pointer to the bits of 16-bit floats, as what they are where the language has a type for them."""
        return f"((__private const half *){box.name})" if box.of.dtype is dtypes.float16 else box.name

    def lane_locals(self, at: Mapping[Axis, Local], steps: Mapping[Axis, int]) -> Iterator[dict[Axis, Local]]:
        """The coordinates of each lane of a vector."""
        for i in range(self.lanes):
            yield {**at, **{a: at[a]._replace(const=at[a].const + i * step) for a, step in steps.items()}}

    def pointer(self, box: Box, at: Mapping[Axis, Local]) -> str:
        address = self.address(box, at)
        return box.name if address == "0" else f"{box.name} + {address}"

    # ---------------------------------------------------------------------------------------------- writes

    def write(self, box: Box, at: Mapping[Axis, Local], value: str, width: int, lane: Axis | None) -> list[str]:
        """The statements that put a value into an array: an element, or a vector along lane."""
        dtype = self.written(box)
        if lane is None:
            return [f"{box.name}[{self.address(box, at)}] = {value};"]
        if width == 1:
            value = self.speller.splat(value, dtype)
        if self.lane_stride(box, lane) == 1:
            if dtype is dtypes.bool:
                value = f"convert_uchar{self.lanes}({value} & 1)"
            return [f"vstore{self.lanes}({value}, 0, {self.pointer(box, at)});"]
        lines = [f"{{ const {self.speller.type(dtype, self.lanes)} lane_values = {value};"]
        for i, x in enumerate(self.lane_locals(at, {lane: 1})):
            element = self.speller.element_of("lane_values", i, dtype)
            lines.append(f"  {box.name}[{self.address(box, x)}] = {element};")
        return [*lines, "}"]

    def passes(self, box: Box) -> tuple[str, int, int]:
        """How an array is walked when where its elements belong does not matter: from where, in which steps, of how
        many elements."""
        return ("0", self.lanes, self.lanes) if self.layout(box).total % self.lanes == 0 else ("0", 1, 1)

    def array(self, box: Box) -> str:
        """The declaration of a box in memory; empty where it stands elsewhere."""
        element, total = private_element(self.written(box)), self.layout(box).total
        return f"{element} {box.name}[{total}] __attribute__((aligned(64)));"


def lane_steps(box: Box, lane: Axis) -> dict[Axis, int]:
    """How each coordinate of a box changes from one lane to the next: those of an image along the axes it sums."""
    if lane in box.tile or box.image is None:
        return {lane: 1} if lane in box.tile else {}
    return {axis: step for axis, index in box.image.at.items() if (step := index.coefficient(lane))}


def _seen(box: Box, index: Index, place: Place, coords: Coords) -> Local:
    """The coordinate of an image's axis that a point of the value's axes has; 0 is the least one held."""
    texts: list[str] = []
    step = const = 0
    for axis in sorted(index.axes, key=lambda a: a.id):
        k, here, start = index.coefficient(axis), place.var(axis), box.place.var(axis)
        const += k * coords.get(axis, 0) - min(k, 0) * (box.covers[axis] - 1)
        if here is not None and here != start:
            text = here if start is None else f"({here} - {start})"
            texts.append(text if k == 1 else f"{text} * {k}")
            step = gcd(step, k * place.tile(axis))
    text = f"({' + '.join(texts)})" if len(texts) > 1 or (texts and "*" in texts[0]) else "".join(texts)
    return Local(text or None, step or 1, const)


def _digit(local: Local, digit: Digit) -> tuple[str | None, int]:
    """(text, constant) whose sum is the digit's value: (text + const) % upper // block."""
    text, step, const = local
    block, upper = digit.block, digit.upper
    if text is None or (upper is not None and step % upper == 0):
        return None, (const if upper is None else const % upper) // block
    split = step % block == 0 and (upper is None or (upper % step == 0 and const < step))
    if split or (block == 1 and upper is None):
        text = text if upper is None else f"{text} % {upper}"
        return (text if block == 1 else f"{text} / {block}"), const // block
    text = f"({text} + {const})" if const else text
    text = text if upper is None else f"{text} % {upper}"
    return (text if block == 1 else f"{text} / {block}"), 0
