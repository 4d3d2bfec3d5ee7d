"""The leaves of a nest as OpenCL C: tiles expanded into one statement per value.

Comes in: leaf nodes and which axes are known not to overhang.  Goes out: lines of text.  Every axis of a tile is
unrolled, its lane axis in whole vectors; values without the lane axis are scalars.  Equal values of one block of
leaves are computed once.  Masks appear here and in stores alone: where a tile overhangs an axis' end, loads are
guarded, operands of a reduce become its identity, and stores are skipped.
"""

from __future__ import annotations

from collections.abc import Iterable

from codegen.dtypes import DType, dtypes
from codegen.index import NO_GUARDS, Axis, Index
from codegen.ir import Apply, Const, Coord, Expr, Load, Param, Reduce, Store, Valid
from codegen.moved import moved_bits
from codegen.nodes import Advance, Box, Environment, Keep, Leaf, Nest, Out, Place, Settle, Update, result_of
from codegen.opencl.ahead import Requests
from codegen.opencl.boxes import Boxes, Coords, chunks
from codegen.opencl.dots import print_dots
from codegen.opencl.extents import Extents
from codegen.opencl.gathers import gathered
from codegen.opencl.index import Indices
from codegen.opencl.items import item_load
from codegen.opencl.lines import Lines
from codegen.opencl.masks import Conditions, Masks
from codegen.opencl.pairs import Waiting, put_rest
from codegen.opencl.scans import print_advance
from codegen.opencl.segments import decided
from codegen.opencl.squares import square_load
from codegen.opencl.stores import print_store
from codegen.opencl.text import Speller, literal
from codegen.ops import SCALAR_OPS

Value = tuple[str, int]  # text and width
_WHERE = SCALAR_OPS["where"]


class Leaves:
    """Prints blocks of leaves: runs of leaf nodes at one place, whose values are shared."""

    def __init__(
        self,
        speller: Speller,
        indices: Indices,
        boxes: Boxes,
        nest: Nest,
        params: dict[str, str],
        lines: Lines,
        replaced: frozenset[Param] = frozenset(),
    ) -> None:
        self.speller, self.indices, self.boxes, self.params = speller, indices, boxes, params
        self.schedule = schedule = nest.schedule
        self.kernel, self.vector, self.target = nest.kernel, schedule.vector, nest.target
        self.bypass = int(schedule.options.get("bypass", 1 << 62))
        self.requests = Requests(nest.kernel, schedule)
        self.bound = frozenset(a for r in nest.kernel.reduces for a in r.bound)
        self.lanes, self.items = speller.lanes, nest.target.items > 1
        self.lines, self.fresh = lines, lines.fresh
        self.replaced, self.held, self.waiting = replaced, list[str](), list[Waiting]()
        self.halves = {p.name for p in nest.kernel.params if p.dtype is dtypes.float16}
        self.indices.value = self.value
        self.masks, self.extents = Masks(indices, lines), Extents(nest)
        self.forget()

    def forget(self) -> None:
        """Begin a new block: nothing is computed yet."""
        self.memo: dict[object, Value] = {}
        self.requests.memo = {}
        self.orders: dict[Expr, list[Expr]] = {}
        self.tiled: dict[Expr, tuple[Axis, ...]] = {}
        self.env: Environment = {}
        self.at: Place | None = None

    def enter(self, place: Place, env: Environment) -> None:
        """Continue the block at a leaf; values carry over when they mean the same there."""
        if self.at is not place or any(env.get(e, box) is not box for e, box in self.env.items()):
            put_rest(self)
            self.forget()
        self.at, self.env, self.indices.place = place, env, place
        self.orders = {}

    def put_store(self, store: Store, statement: str) -> None:
        """Add a statement that stores; one that replaces what the block reads comes when all of it is read."""
        if store.param in self.replaced:
            self.held.append(statement)
        else:
            self.lines.add(statement)

    def moved(self, store: Store) -> Store:
        """The store, of bits where that will do."""
        return moved_bits(store, self.kernel, self.env)

    def end_block(self) -> None:
        """Add the stores that were held back, and forget what is computed."""
        put_rest(self)
        self.lines.extend(self.held)
        self.held.clear()
        self.forget()

    # ---------------------------------------------------------------------------------------------- leaf nodes

    def leaf(self, node: Leaf) -> None:
        self.enter(node.place, node.env)
        self.requests.leaf = node
        self.lines.origin = result_of(node)
        if isinstance(node, Update):
            self.update(node)
        elif isinstance(node, Keep):
            self.keep(node)
        elif isinstance(node, Advance):
            print_advance(self, node)
        elif isinstance(node, Settle):
            self.settle(node)
        else:
            self.out(node)

    def lane_among(self, axes: Iterable[Axis], place: Place) -> Axis | None:
        """The first vector axis of these whose tile is whole vectors."""
        axes = frozenset(axes)
        return next((a for a in self.vector if a in axes and place.tile(a) % self.lanes == 0), None)

    def points(self, axes: Iterable[Axis], place: Place, lane: Axis | None) -> Iterable[dict[Axis, int]]:
        ordered = sorted(axes, key=lambda a: a.id)
        return chunks(ordered, {a: place.tile(a) for a in ordered}, lane, self.lanes)

    def update(self, node: Update) -> None:
        box, r, place = node.box, node.reduce, node.place
        lane = self.lane_among(r.arg.axes, place)
        if not box.array:
            lane = self.boxes.layout(box).lane or lane
        if print_dots(self, node):
            return
        for coords in self.points(r.arg.axes, place, lane):
            if self.masks.outside(coords, r.arg.axes):
                continue
            if box.array:
                self.update_array(node, coords, lane)
            else:
                name = self.boxes.register(box, coords)
                kept = lane is None or lane in box.tile
                self.accumulate(name, r, coords, lane, self.boxes.width(box) if kept else 1)

    def update_array(self, node: Update, coords: Coords, lane: Axis | None) -> None:
        box = node.box
        own = lane if lane in box.tile else None
        text, width = self.boxes.read(box, node.place, coords, own)
        name = self.fresh(box.name)
        self.lines.add(f"{self.speller.type(box.of.dtype, width)} {name} = {text};")
        self.accumulate(name, node.reduce, coords, lane, width)
        at = self.boxes.locals(box, node.place, coords)
        self.lines.extend(self.boxes.write(box, at, name, width, own))

    def accumulate(self, name: str, r: Reduce, coords: Coords, lane: Axis | None, width: int) -> None:
        """name = name combined with the operand at one point; width is that of name."""
        dtype = r.dtype
        factors = self.product(r, coords)
        if factors is not None and (width > 1 or lane is None):
            a, b = (self.wide(self.value(x, coords, lane), x.dtype, width) for x in factors)
            self.lines.add(f"{name} = fma({a}, {b}, {name});")
            return
        text, have = self.operand(r, coords, lane)
        if have > 1 and width == 1:
            text = self.speller.fold(r.op.name, dtype, text)
        text = self.speller.widened(text, min(have, width), dtype, width)
        combined = self.speller.combine(r.op.name, dtype, name, text, width)
        self.lines.add(f"{name} = {combined[1:-1] if combined.startswith('(') else combined};")

    def product(self, r: Reduce, coords: Coords) -> tuple[Expr, ...] | None:
        """The factors when the operand is a product of floats to be summed, needed nowhere else and not masked."""
        e = r.arg
        if r.op.name != "add" or not r.dtype.is_float or not isinstance(e, Apply) or e.op.name != "mul":
            return None
        if e in self.env:
            return None
        widths = {a: self.lanes if a in self.vector else 1 for a in r.bound}
        return e.args if all(self.masks.inside(a, coords.get(a, 0), width) for a, width in widths.items()) else None

    def keep(self, node: Keep) -> None:
        box, place = node.box, node.place
        lane = self.lane_among(box.of.axes, place)
        if not box.array:
            lane = self.boxes.layout(box).lane
        for coords in self.points(box.of.axes, place, lane):
            if self.masks.outside(coords, box.of.axes):
                continue
            self.put(box, place, coords, lane, self.value(box.of, coords, lane))

    def put(self, box: Box, place: Place, coords: Coords, lane: Axis | None, value: Value) -> None:
        """Store a value into its place in a box."""
        text, width = value
        dtype = self.boxes.dtype(box)
        if box.array:
            self.lines.extend(self.boxes.write(box, self.boxes.locals(box, place, coords), text, width, lane))
        else:
            whole = self.lanes if lane is not None else 1
            text = self.speller.widened(text, width, dtype, whole)
            self.lines.add(f"{self.boxes.register(box, coords)} = {text};")

    def settle(self, node: Settle) -> None:
        """factor = exp(degree * (center - shift))."""
        center, dtype, place = node.center, node.center.of.dtype, node.place
        lane = self.lane_among(center.of.axes, place) if center.array else self.boxes.layout(center).lane
        for coords in self.points(center.of.axes, place, lane):
            if self.masks.outside(coords, center.of.axes):
                continue
            width = 1 if lane is None else self.lanes
            old = self.boxes.read(center, place, coords, lane)
            shift = self.value(node.shift, coords, lane)
            difference = f"({self.wide(old, dtype, width)} - {self.wide(shift, dtype, width)})"
            for degree, box in node.factors:
                scaled = difference if degree == 1 else f"{literal(degree, dtype)} * {difference}"
                self.put(box, place, coords, lane, (f"exp({scaled})", width))

    def out(self, node: Out) -> None:
        print_store(self, node)

    # ---------------------------------------------------------------------------------------------- values

    def value(self, root: Expr, coords: Coords, lane: Axis | None) -> Value:
        """The value at a point, a vector when it has the lane axis; computed once per block."""
        found = self.memo.get(self.key(root, coords, lane))
        if found is not None:
            return found
        before = self.lines.origin
        for e in self.order(root):
            key = self.key(e, coords, lane)
            found = self.memo.get(key)
            if found is None:
                self.lines.origin = e
                found = self.memo[key] = self.compute(e, coords, lane if lane in e.axes else None)
        self.lines.origin = before
        assert found is not None
        return found

    def key(self, e: Expr, coords: Coords, lane: Axis | None) -> object:
        axes = self.tiled.get(e)
        if axes is None:
            assert self.at is not None
            axes = self.tiled[e] = tuple(a for a in sorted(e.axes, key=lambda a: a.id) if self.at.tile(a) > 1)
        return (e, tuple([coords.get(a, 0) for a in axes]), lane if lane in e.axes else None)

    def order(self, root: Expr) -> list[Expr]:
        """The nodes evaluated for a root, operands first; values in boxes and reduces are not looked into."""
        found = self.orders.get(root)
        if found is not None:
            return found
        found, seen, stack = [], set[Expr](), [(root, False)]
        while stack:
            e, expanded = stack.pop()
            if expanded:
                found.append(e)
            elif e not in seen:
                seen.add(e)
                stack.append((e, True))
                if e not in self.env and not isinstance(e, Reduce):
                    # what indices hold is asked for by need: it may be wanted for the first lane only
                    chosen = self.chosen(e)
                    stack.extend((child, False) for child in reversed(e.args if chosen is None else (chosen,)))
        self.orders[root] = found
        return found

    def compute(self, e: Expr, coords: Coords, lane: Axis | None) -> Value:
        width = 1 if lane is None else self.lanes
        if e in self.env:
            assert self.at is not None
            text, width = self.boxes.read(self.env[e], self.at, coords, lane)
            return (text, width) if text.isidentifier() else self.named(self.env[e].kind, text, e.dtype, width)
        if isinstance(e, Const):
            return literal(e.value, e.dtype), 1
        if isinstance(e, Load):
            return self.named(self.params[e.param.name], self.load(e, coords, lane), e.dtype, width)
        if isinstance(e, Coord):
            return self.named("position", self.coord(e, coords, lane), e.dtype, width)
        if isinstance(e, Valid):
            return self.named("valid", self.valid(e, coords, lane), e.dtype, width)
        if isinstance(e, Reduce):
            return self.whole_reduce(e, coords, lane), width
        assert isinstance(e, Apply)
        if (chosen := self.chosen(e)) is not None:
            return self.value(chosen, coords, lane)
        return self.named(e.op.name, self.apply(e, coords, lane, width), e.dtype, width)

    def chosen(self, e: Expr) -> Expr | None:
        """The branch of a choice that is known here."""
        if not self.masks.known or not isinstance(e, Apply) or e.op.name != "where":
            return None
        truth = decided(e.args[0], self.masks.known)
        return None if truth is None else e.args[1] if truth else e.args[2]

    def named(self, stem: str, text: str, dtype: DType, width: int) -> Value:
        name = self.fresh(stem)
        self.lines.add(f"const {self.speller.type(dtype, width)} {name} = {text};")
        return name, width

    def wide(self, value: Value, dtype: DType, width: int) -> str:
        return self.speller.widened(*value, dtype, width)

    def apply(self, e: Apply, coords: Coords, lane: Axis | None, width: int) -> str:
        args = [self.value(x, coords, lane) for x in e.args]
        first = e.args[0].dtype
        if e.op.rule in ("cast", "bitcast"):
            convert = self.speller.cast if e.op.rule == "cast" else self.speller.bitcast
            return convert(self.wide(args[0], first, width), first, e.dtype, width)
        operands = e.dtype if e.op.name == "where" else first
        return self.speller.operation(e.op, operands, args, width)

    def coord(self, e: Coord, coords: Coords, lane: Axis | None) -> str:
        base = dtypes.int32 if self.indices.base == "int" else dtypes.int64
        if lane is None:
            text = self.indices.scalar(e.index, coords)
            return text if e.dtype is base else self.speller.cast(f"({text})", base, e.dtype, 1)
        return self.speller.cast(f"({self.indices.vector(e.index, coords, lane)})", base, e.dtype, self.lanes)

    def valid(self, e: Valid, coords: Coords, lane: Axis | None) -> str:
        found = self.masks.conditions(e.guards, (), coords, lane)
        scalars = " && ".join(found.scalars) or "1"
        if lane is None:
            return scalars
        if not found.by_lane:
            return self.speller.splat(f"({scalars})", dtypes.bool)
        mask = self.masks.mask(found)
        return f"({mask}) & {self.speller.splat(f'({scalars})', dtypes.bool)}" if found.scalars else mask

    def whole_reduce(self, r: Reduce, coords: Coords, lane: Axis | None) -> str:
        """A reduce over whole tiles, without a loop: its operand at every point, combined."""
        assert self.at is not None
        outer = {a: coords.get(a, 0) for a in r.axes}
        inner = lane if lane is not None else self.lane_among(r.bound, self.at)
        width = 1 if inner is None else self.lanes
        name = self.fresh(r.op.name)
        self.lines.add(f"{self.speller.type(r.dtype, width)} {name} = {self.identity(r, width)};")
        for point in self.points(r.bound, self.at, inner):
            if not self.masks.outside(point, r.bound):
                self.accumulate(name, r, {**outer, **point}, inner, width)
        if inner is not None and lane is None:
            folded = self.speller.fold(r.op.name, r.dtype, name)
            return self.named(r.op.name, folded, r.dtype, 1)[0]
        return name

    def identity(self, r: Reduce, width: int) -> str:
        text = literal(r.op.identity(r.dtype), r.dtype)
        return text if width == 1 else self.speller.splat(text, r.dtype)

    def operand(self, r: Reduce, coords: Coords, lane: Axis | None) -> Value:
        """A reduce's operand; its identity where a bound axis overhangs."""
        text, width = self.value(r.arg, coords, lane)
        inside = self.masks.conditions(NO_GUARDS, r.bound, coords, lane)
        if inside.scalars:
            text = f"({' && '.join(inside.scalars)}) ? {text} : {self.identity(r, width)}"
            text = self.named("masked", text, r.dtype, width)[0]
        if inside.by_lane:
            text = self.wide((text, width), r.dtype, self.lanes)
            width = self.lanes
            condition = (self.masks.mask(inside), width)
            text = self.speller.operation(
                _WHERE, r.dtype, [condition, (text, width), (self.identity(r, width), width)], width
            )
            text = self.named("masked", text, r.dtype, width)[0]
        return text, width

    # ---------------------------------------------------------------------------------------------- loads

    def source(self, param: Param) -> str:
        """The array to load from, as one of bits where those of float16 are asked for."""
        return self.array(param, "__global const ushort *")

    def destination(self, param: Param) -> str:
        """The array to store to, as one of bits where those of float16 are given."""
        return self.array(param, "__global ushort *")

    def array(self, param: Param, bits: str) -> str:
        name = self.params[param.name]
        return f"(({bits}){name})" if param.dtype is dtypes.uint16 and param.name in self.halves else name

    def load(self, e: Load, coords: Coords, lane: Axis | None) -> str:
        """The text of a load; 0 where a guard fails or an axis overhangs."""
        dtype, name = e.param.dtype, self.source(e.param)
        zero = literal(0, dtype)
        when = self.masks.conditions(e.guards, e.axes, coords, lane)
        if lane is None:
            if when.never:
                return zero
            text = self.speller.load(name, self.indices.scalar(e.index, coords), dtype, 1)
            return f"({' && '.join(when.scalars)}) ? {text} : {zero}" if when.scalars else text
        zero = self.speller.splat(zero, dtype)
        if when.never:
            return zero
        text = self.vector_load(e, name, when, coords, lane)
        return f"({' && '.join(when.scalars)}) ? {text} : {zero}" if when.scalars else text

    def vector_load(self, e: Load, name: str, when: Conditions, coords: Coords, lane: Axis) -> str:
        if self.items:
            return item_load(self, e, name, when, coords, lane)
        dtype = e.param.dtype
        step = self.indices.stride(e.index, coords, lane)
        if step in (1, -1) and not when.masks:
            start, bounds = self.run(e.index, when, coords, step)
            if bounds is None:
                self.requests.ask(self, e, coords, lane, start)
                text = self.speller.load(name, start, dtype, self.lanes)
            else:
                text = self.speller.bounded_load(e.param, name, start, *bounds)
            return text if step == 1 else self.turned(text, bounds)
        mask = self.lane_mask(when)
        if step == 0:
            text = self.speller.load(name, self.indices.scalar(e.index, coords), dtype, 1)
            if mask is None:
                return self.speller.splat(f"({text})", dtype)
            spread = self.speller.splat(f"(any({mask}) ? {text} : {literal(0, dtype)})", dtype)
            zeros = self.speller.splat(literal(0, dtype), dtype)
            return self.speller.operation(_WHERE, dtype, [(x, self.lanes) for x in (mask, spread, zeros)], self.lanes)
        square = square_load(self, e, coords, lane) if mask is None else None
        return gathered(self, e, when, mask, coords, lane) if square is None else square

    def run(self, index: Index, when: Conditions, coords: Coords, step: int) -> tuple[str, tuple[str, str] | None]:
        """Where a run of consecutive elements, in either direction, begins in memory, and which of them are inside.

        Of one that goes backward, and of which a known number are inside, these are the first in memory.
        """
        bounds = self.masks.bounds(when) if when.by_lane else None
        if step == 1:
            return self.indices.scalar(index, coords), bounds
        if bounds is not None and bounds[0] == "0" and bounds[1].isdigit():
            return self.indices.scalar(index - (int(bounds[1]) - 1), coords), bounds
        start = self.indices.scalar(index - (self.lanes - 1), coords)
        return start, bounds and (f"{self.lanes} - ({bounds[1]})", f"{self.lanes} - ({bounds[0]})")

    def turned(self, text: str, bounds: tuple[str, str] | None) -> str:
        """The vector of a run that goes backward, in the other direction."""
        last = self.lanes if bounds is None or not bounds[1].isdigit() else int(bounds[1])
        return self.speller.turned(text, last)

    def lane_indices(self, index: Index, step: int | None, coords: Coords, lane: Axis) -> list[str]:
        """The index of every lane."""
        if step is not None:
            start = self.indices.scalar(index, coords)
            return [f"{start} + {i * step}" if i else start for i in range(self.lanes)]
        name = self.fresh("at")
        self.lines.add(f"const {self.indices.base}{self.lanes} {name} = {self.indices.vector(index, coords, lane)};")
        return [f"{name}.s{i:x}" for i in range(self.lanes)]

    def lane_mask(self, when: Conditions) -> str | None:
        """A variable that holds the conditions on lanes, or None when there are none."""
        if not when.by_lane:
            return None
        name = self.fresh("inside")
        self.lines.add(f"const int{self.speller.prelude.wide} {name} = {self.masks.mask(when)};")
        return name
