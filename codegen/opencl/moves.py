"""What happens between boxes, as OpenCL C: declarations, write-backs, finishing, and the steps of a stream.

Comes in: nodes without expressions of their own.  Goes out: lines of text.  Boxes in registers are named variable by
variable; boxes in memory are walked by loops, never written out element by element.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from itertools import product

from codegen.index import Axis
from codegen.ir import Reduce, Scan
from codegen.nodes import Box, Declare, Finish, Scale, Shift, WriteBack
from codegen.opencl.boxes import Boxes, Coords, Local
from codegen.opencl.extents import Extents
from codegen.opencl.lines import Lines
from codegen.opencl.prelude import private_element
from codegen.opencl.text import Speller, literal

Move = Declare | WriteBack | Finish | Shift | Scale


class Moves:
    """Prints the nodes that only move and combine what boxes hold."""

    def __init__(self, speller: Speller, boxes: Boxes, lines: Lines, extents: Extents) -> None:
        self.speller, self.boxes, self.lines, self.fresh = speller, boxes, lines, lines.fresh
        self.lanes, self.extents = speller.lanes, extents

    def move(self, node: Move) -> None:
        if isinstance(node, Declare):
            self.declare(node)
        elif isinstance(node, WriteBack):
            self.write_back(node)
        elif isinstance(node, Finish):
            self.finish(node)
        elif isinstance(node, Shift):
            self.shift(node)
        else:
            self.scale(node)

    # ---------------------------------------------------------------------------------------------- declarations

    def declare(self, node: Declare) -> None:
        box = node.box
        if box.array:
            self.lines.extend(filter(None, [self.boxes.array(box)]))
            if box.kind == "acc" and box.init is not None:
                self.copy(box.init, box, box)
            elif box.kind in ("acc", "carry"):
                self.fill(box)
            return
        dtype, width = self.boxes.dtype(box), self.boxes.width(box)
        kind = self.speller.type(dtype, width)
        lane = self.boxes.layout(box).lane
        for coords in self.boxes.chunks(box):
            name = self.boxes.register(box, coords)
            if box.kind not in ("acc", "carry"):
                self.lines.add(f"{kind} {name};")
            elif box.init is not None:
                text, _ = self.boxes.read(box.init, box.place, coords, lane)
                self.lines.add(f"{kind} {name} = {text};")
            else:
                self.lines.add(f"{kind} {name} = {self.identity(box, width)};")

    def identity(self, box: Box, width: int) -> str:
        assert isinstance(box.of, Reduce | Scan)
        text = literal(box.of.op.identity(box.of.dtype), box.of.dtype)
        return text if width == 1 else self.speller.splat(text, box.of.dtype)

    def fill(self, box: Box) -> None:
        """Every element of an array becomes the identity."""
        total, (start, step, width) = self.total(box), self.boxes.passes(box)
        if width > 1 and private_element(box.of.dtype) != "uchar":
            with self.lines.block(_for("z", total, step, start)):
                self.lines.add(f"vstore{width}({self.identity(box, width)}, 0, {box.name} + z);")
        else:
            with self.lines.block(_for("z", total, step // width, start)):
                self.lines.add(f"{box.name}[z] = {self.identity(box, 1)};")

    def total(self, box: Box) -> str:
        """How many elements of an array are in use, from the first on, as far as its outermost axis tells."""
        layout = self.boxes.layout(box)
        outer = layout.digits[0] if layout.digits else None
        end = None if outer is None or outer.block > 1 or outer.upper else self.extents.end(box, outer.axis)
        if outer is None or end is None:
            return str(layout.total)
        return end if outer.stride == 1 else f"{end} * {outer.stride}"

    # ---------------------------------------------------------------------------------------------- wide and narrow

    def write_back(self, node: WriteBack) -> None:
        outer, inner = node.outer, node.inner
        if inner.array:
            self.copy(inner, outer, inner)
            return
        lane = self.boxes.layout(inner).lane
        for coords in self.boxes.chunks(inner):
            at = self.boxes.locals(outer, inner.place, coords)
            width = self.boxes.width(inner)
            self.lines.extend(self.boxes.write(outer, at, self.boxes.register(inner, coords), width, lane))

    def copy(self, source: Box, to: Box, narrow: Box) -> None:
        """An array and the slice of a wider one it stands for; `narrow` is the one whose extents are walked."""
        wide = source if narrow is to else to
        start = self.boxes.locals(wide, narrow.place, {})
        lane = self.sweep_lane(narrow, narrow.tile)
        with self.sweep(narrow, narrow.tile, lane) as at:
            there = {a: _moved(start[a], at[a]) for a in narrow.tile}
            places = {id(narrow): at, id(wide): there}
            if lane is None:
                value, width = self.boxes.read_element(source, places[id(source)]), 1
            else:
                value, width = self.boxes.read_vector(source, places[id(source)], lane), self.lanes
            self.lines.extend(self.boxes.write(to, places[id(to)], value, width, lane))

    def sweep_lane(self, box: Box, axes: Iterable[Axis]) -> Axis | None:
        """The axis along which an array is walked in vectors, if it is among the given ones."""
        lane = self.boxes.layout(box).lane
        return lane if lane in set(axes) else None

    @contextmanager
    def sweep(self, box: Box, axes: Iterable[Axis], lane: Axis | None) -> Iterator[dict[Axis, Local]]:
        """Loops over the box's extents along the axes, around what is added inside; yields where a pass stands."""
        at = {a: Local(None, 1, 0) for a in box.tile}
        with ExitStack() as loops:
            for axis in sorted(axes, key=lambda a: a is lane):
                if box.tile[axis] > 1:
                    var, step = self.fresh("z"), self.lanes if axis is lane else 1
                    end = self.extents.end(box, axis) or str(box.tile[axis])
                    loops.enter_context(self.lines.block(_for(var, end, step)))
                    at[axis] = Local(var, step, 0)
            yield at

    # ---------------------------------------------------------------------------------------------- finishing

    def finish(self, node: Finish) -> None:
        box, to = node.box, node.to
        if box.array:
            lane = self.sweep_lane(to, to.tile)
            with self.sweep(to, to.tile, lane) as here:
                value = self.finished_array(box, here, lane)
                self.lines.extend(self.boxes.write(to, here, value, 1 if lane is None else self.lanes, lane))
            return
        lane = self.boxes.layout(to).lane
        for coords in self.boxes.chunks(to):
            value = self.finished_registers(box, coords, lane)
            if to.array:
                at = {a: Local(None, 1, c) for a, c in coords.items()}
                self.lines.extend(self.boxes.write(to, at, value, 1 if lane is None else self.lanes, lane))
            else:
                self.lines.add(f"{self.boxes.register(to, coords)} = {value};")

    def partial_points(self, box: Box, lane: Axis | None) -> list[dict[Axis, int]]:
        ranges = [range(0, box.tile[a], self.lanes if a is lane else 1) for a in box.partial]
        return [dict(zip(box.partial, point)) for point in product(*ranges)]

    def finished_array(self, box: Box, at: Mapping[Axis, Local], lane: Axis | None) -> str:
        """The partial elements of one place combined, or of a vector of places along lane."""
        own = self.boxes.layout(box).lane
        across = own if own in box.partial else None
        texts = []
        for point in self.partial_points(box, across):
            here = {**at, **{a: Local(None, 1, c) for a, c in point.items()}}
            if lane is not None and across is not None:
                each = self.boxes.lane_locals(here, {lane: 1})
                folded = [self.fold(box, self.boxes.read_vector(box, x, across)) for x in each]
                texts.append(self.speller.gathered(folded, box.of.dtype))
            elif lane is not None:
                texts.append(self.boxes.read_vector(box, here, lane))
            elif across is not None:
                texts.append(self.boxes.read_vector(box, here, across))
            else:
                texts.append(self.boxes.read_element(box, here))
        width = 1 if lane is None and across is None else self.lanes
        text = self.tree(box, texts, width)
        return self.fold(box, text) if lane is None and across is not None else text

    def finished_registers(self, box: Box, coords: Coords, lane: Axis | None) -> str:
        own = self.boxes.layout(box).lane
        if lane is not None and own is not lane:
            parts = [self.finished_registers(box, {**coords, lane: coords[lane] + i}, None) for i in range(self.lanes)]
            return self.speller.gathered(parts, box.of.dtype)
        points = self.partial_points(box, own)
        if own is None or own is lane or own in box.partial:
            text = self.tree(box, [self.boxes.register(box, {**coords, **p}) for p in points], self.boxes.width(box))
            return self.fold(box, text) if own is not None and own is not lane else text
        return self.tree(box, [self.boxes.part(box, {**coords, **p}) for p in points], 1)

    def tree(self, box: Box, texts: list[str], width: int) -> str:
        """Values combined pairwise."""
        assert isinstance(box.of, Reduce)
        while len(texts) > 1:
            pairs = [texts[i : i + 2] for i in range(0, len(texts), 2)]
            op, dtype = box.of.op.name, box.of.dtype
            texts = [self.speller.combine(op, dtype, p[0], p[1], width) if len(p) > 1 else p[0] for p in pairs]
        return texts[0]

    def fold(self, box: Box, text: str) -> str:
        assert isinstance(box.of, Reduce)
        return self.speller.fold(box.of.op.name, box.of.dtype, text)

    # ---------------------------------------------------------------------------------------------- streams

    def shift(self, node: Shift) -> None:
        """old = running; running = max(old, chunk); center = running where finite; factor = exp(d * (old - center))."""
        boxes = [node.running, node.chunk, node.center, *(box for _, box in node.factors)]
        if not node.running.array:
            for coords in self.boxes.chunks(node.running):
                names = [self.boxes.register(box, coords) for box in boxes]
                self.shift_lines(node, names, self.boxes.width(node.running))
            return
        total, (start, step, width) = self.total(node.running), self.boxes.passes(node.running)
        kind, z = self.speller.type(node.running.of.dtype, width), self.fresh("z")
        with self.lines.block(_for(z, total, step, start)):
            names = [self.fresh(box.name) for box in boxes]
            for name, box in zip(names[:2], boxes):
                text = f"{box.name}[{z}]" if width == 1 else f"vload{width}(0, {box.name} + {z})"
                self.lines.add(f"{kind} {name} = {text};")
            self.lines.add(f"{kind} {', '.join(names[2:])};")
            self.shift_lines(node, names, width)
            for name, box in zip([names[0], *names[2:]], [boxes[0], *boxes[2:]]):
                text = f"{box.name}[{z}] = {name}" if width == 1 else f"vstore{width}({name}, 0, {box.name} + {z})"
                self.lines.add(f"{text};")

    def shift_lines(self, node: Shift, names: list[str], width: int) -> None:
        running, chunk, center, *factors = names
        dtype, old = node.running.of.dtype, self.fresh("old")
        zero = self.speller.widened(literal(0, dtype), 1, dtype, width)
        self.lines.add(f"const {self.speller.type(dtype, width)} {old} = {running};")
        self.lines.add(f"{running} = {self.speller.combine('max', dtype, old, chunk, width)};")
        finite = f"isfinite({running}) ? {running} : {zero}"
        one = width == 1 or not self.speller.prelude.wide
        self.lines.add(f"{center} = {finite if one else f'select({zero}, {running}, isfinite({running}))'};")
        for (degree, _), factor in zip(node.factors, factors):
            scale = "" if degree == 1 else f"{literal(degree, dtype)} * "
            self.lines.add(f"{factor} = exp({scale}({old} - {center}));")

    def scale(self, node: Scale) -> None:
        """box = box * factor."""
        box, factor = node.box, node.factor
        source, dtype = self.boxes.dtype(factor), self.boxes.dtype(box)
        lane = self.boxes.layout(box).lane
        if not box.array:
            for coords in self.boxes.chunks(box):
                text, width = self.boxes.read(factor, box.place, coords, lane)
                name = self.boxes.register(box, coords)
                self.lines.add(f"{name} = {name} * {self.speller.cast(text, source, dtype, width)};")
            return
        with self.sweep(box, box.tile, lane) as at:
            here = {a: at.get(a, Local(None, 1, 0)) for a in factor.tile}
            if lane is not None and lane in factor.tile:
                text = self.speller.cast(self.boxes.read_vector(factor, here, lane), source, dtype, self.lanes)
            else:
                text = self.speller.cast(self.boxes.read_element(factor, here), source, dtype, 1)
            old = self.boxes.read_element(box, at) if lane is None else self.boxes.read_vector(box, at, lane)
            self.lines.extend(self.boxes.write(box, at, f"{old} * {text}", 1 if lane is None else self.lanes, lane))


def _for(var: str, extent: str, step: int, start: str = "0") -> str:
    return f"kf_for (int {var} = {start}; {var} < {extent}; {var} += {step})"


def _moved(start: Local, by: Local) -> Local:
    """A coordinate inside a wide box: where the narrow one starts plus the coordinate inside that."""
    texts = [text for text in (start.text, by.text) if text is not None]
    step = min((x.step for x in (start, by) if x.text is not None), default=1)
    text = f"({' + '.join(texts)})" if len(texts) > 1 else texts[0] if texts else None
    return Local(text, step, start.const + by.const)
