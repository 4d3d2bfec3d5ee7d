"""The OpenCL printer: a nest as the text of one kernel.

Comes in: a kernel, a schedule and a target, or their nest.  Goes out: a `Program`.  On a CPU one work-item runs a group
and tiles are expanded into named vectors; where a group has many items each spells its own part of them (`items`).  All
sizes are constants.  `tails` says what becomes of a last tile that overhangs.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from math import prod

from codegen.assumed import largest, smallest
from codegen.index import Axis
from codegen.ir import Expr, Kernel, Param
from codegen.narrowing import Limit, limits
from codegen.nest import build
from codegen.nodes import (
    Advance,
    Keep,
    Loop,
    Nest,
    Node,
    Out,
    Pack,
    Place,
    Settle,
    Update,
    result_of,
)
from codegen.open_sizes import STATIC, Sizes, check_open
from codegen.opencl.boxes import Boxes
from codegen.opencl.extents import Extents
from codegen.opencl.index import Indices
from codegen.opencl.items import BARRIER, SHARED, ItemBoxes, ItemSpeller, shares
from codegen.opencl.leaves import Leaves
from codegen.opencl.lines import Lines
from codegen.opencl.moves import Moves
from codegen.opencl.pack import print_pack
from codegen.opencl.prelude import ITEM, Prelude, memory_element
from codegen.opencl.segments import Segment, segments
from codegen.opencl.sources import head, preface
from codegen.opencl.tails import fewer_rows, moves_back, overlaps, shorter_steps, takes_groups, wants_twin
from codegen.opencl.text import FAR, Speller
from codegen.origins import origins_of
from codegen.overwriting import overwritten
from codegen.program import Program
from codegen.schedule import Schedule
from codegen.show import show
from codegen.show_schedule import show_schedule
from codegen.target import Target

TWINS = 2  # loops on one path that may be written twice; beyond, one masked body serves all tiles


def render(kernel: Kernel, schedule: Schedule, target: Target) -> Program:
    """The OpenCL program of a kernel under a schedule.

    raises ScheduleError when the schedule is not legal
    """
    return render_nest(build(kernel, schedule, target))


def render_nest(nest: Nest, sizes: Sizes = STATIC) -> Program:
    """The OpenCL program of a nest; where sizes are open, its numbers are still those of the sizes given."""
    printer = _Printer(nest, sizes)
    grid = tuple(reversed([-(-loop.place.tile(loop.axis) // loop.tile) for loop in nest.grid])) or (1,)
    grid = grid if len(grid) <= 3 else (prod(grid),)
    kernel, source, items = nest.kernel, printer.source(), nest.target.items
    return Program(
        "opencl",
        source,
        printer.entry,
        grid,
        kernel.params,
        kernel.written,
        kernel,
        local=(items, *(1 for _ in grid[1:])) if items > 1 else (),
        origins=printer.origins,
        spread=printer.spread,
        numbers=printer.numbers,
        across=min((axis.size for axis in nest.schedule.vector if sizes.open and sizes.is_open(axis)), default=0),
    )


class _Printer:
    def __init__(self, nest: Nest, sizes: Sizes) -> None:
        self.nest, self.kernel, self.sizes = nest, nest.kernel, sizes
        self.spread = sizes.spreads(nest)
        self.numbers = tuple(name for spread in self.spread for name in (spread.name, spread.tiles) if name)
        self.items = nest.target.items
        self.prelude = Prelude(nest.target.lanes, nest.target.by_lane, self.items > 1, nest.target.aligned_halves)
        self.lines = Lines(nest.names.values())
        self.entry = self.lines.identifier(self.kernel.name)
        params = {p.name: self.lines.identifier(p.name) for p in self.kernel.params}
        largest = max((*(p.size for p in self.kernel.params), *(a.size for a in self.kernel.axes)), default=0)
        self.base = "long" if largest >= 1 << 31 and not sizes.open else "int"
        speller = ItemSpeller(self.prelude) if self.items > 1 else Speller(self.prelude)
        self.boxes = boxes = (ItemBoxes if self.items > 1 else Boxes)(speller, nest.schedule.vector)
        indices = Indices(self.prelude, self.base)
        replaced = overwritten(self.kernel)
        self.leaves = Leaves(speller, indices, boxes, nest, params, self.lines, replaced)
        self.grid = nest.grid
        if sizes.open:
            check_open(nest, sizes)
            self.leaves.masks.open = frozenset(axis for axis in nest.kernel.axes if sizes.is_open(axis))
        extents = Extents(nest, self.leaves.masks.open if self.items == 1 else frozenset(), self.extent)
        self.leaves.extents = extents
        self.moves = Moves(speller, boxes, self.lines, extents)
        if sizes.open and "bypass" in nest.schedule.options:
            self.numbers += (FAR,)
            speller.far = f"{FAR} && "
        self.twins = 0
        self.origins: tuple[Expr | None, ...] = ()

    def source(self) -> str:
        """The whole program: comment, helpers, kernel."""
        self.body(self.nest.body)
        header = [show(self.kernel), "", show_schedule(self.kernel, self.nest.schedule)]
        comment = "".join(f"// {line}".rstrip() + "\n" for part in header for line in part.rstrip().split("\n"))
        params = [*map(self.parameter, self.kernel.params), *(f"const int {name}" for name in self.numbers)]
        signature = f"__kernel void {self.entry}({', '.join(params)})"
        text = "\n".join(self.lines.text)
        before = f"{comment}{preface(self.items)}{self.prelude.text}{head(self.items)}{signature} {{\n"
        before += self.declarations()
        self.origins = (*[None] * before.count("\n"), *origins_of(self.lines.text))
        return f"{before}{text}\n}}\n"

    def declarations(self) -> str:
        """What the items of a group share, and the number of an item."""
        if not isinstance(self.boxes, ItemBoxes):
            return ""
        crosses = any(SHARED in line for line in self.lines.text)
        lines = [*([f"__local ulong {SHARED}[{self.items}];"] if crosses else []), *self.boxes.declared.values()]
        return "".join(f"  {line}\n" for line in [*lines, f"const int {ITEM} = get_local_id(0);"])

    def parameter(self, param: Param) -> str:
        written = param.name in self.kernel.written
        read = any(e.param is param for e in self.kernel.loads)
        const = "" if written else "const "
        restrict = "" if written and read else "restrict "
        return f"__global {const}{memory_element(param.dtype)} *{restrict}{self.leaves.params[param.name]}"

    def body(self, body: Sequence[Node]) -> None:
        for node in body:
            if isinstance(self.boxes, ItemBoxes) and shares(node, self.boxes):
                self.lines.add(BARRIER)
                self.node(node)
                self.lines.add(BARRIER)
            else:
                self.node(node)
        self.leaves.end_block()

    def node(self, node: Node) -> None:
        if isinstance(node, (Update, Keep, Advance, Settle, Out)):
            self.leaves.leaf(node)
            return
        self.leaves.end_block()
        self.lines.origin = None if isinstance(node, Loop) else result_of(node)
        if isinstance(node, Loop):
            self.loop(node)
        elif isinstance(node, Pack):
            print_pack(self.leaves, node)
        else:
            self.moves.move(node)

    # ---------------------------------------------------------------------------------------------- loops

    def loop(self, node: Loop) -> None:
        axis, masks = node.axis, self.leaves.masks
        is_open = axis in masks.open
        ragged = axis not in masks.clear and (node.tile > 1 if is_open else axis.size % node.tile != 0)
        if not is_open and (parts := segments(node, self.nest)):
            self.segmented(node, parts)
        elif ragged and not is_open and overlaps(node, self.nest):
            self.overlapping(node)
        elif ragged and (self.twins < TWINS or takes_groups(node, self.nest)) and self.wants_twin(node):
            self.twin(node)
        elif node.grid:
            tile = self.extent(node.inside, axis)
            self.lines.add(f"const {self.base} {node.var} = {self.program_id(node)} * {tile};")
            self.inside(node, whole=not ragged)
        else:
            with self.lines.block(self.head(node, node.var, *self.bounds(node))):
                self.inside(node, whole=not ragged)

    def segmented(self, node: Loop, parts: Sequence[Segment]) -> None:
        """The body for each segment of the loop."""
        masks, axis, var = self.leaves.masks, node.axis, node.var
        start, last = self.bounds(node)
        whole, before = node.place.var(axis) is None, masks.known
        for first, end in parts:
            masks.known = {**before, axis: (first, end)}
            if (rest := (end - first) % node.tile) != 0:
                with self.lines.block("" if whole else f"if ({last} > {first})"):
                    self.lines.add(f"const {self.base} {var} = {first};")
                    self.inside(node, rest=rest)
                continue
            low = str(first) if whole else f"max({start}, {self.number(first)})"
            high = str(end) if whole else f"min({last}, {self.number(end)})"
            with self.lines.block(self.head(node, var, low, high)):
                self.inside(node, whole=True)
        masks.known = before

    def head(self, node: Loop, var: str, first: str, last: str) -> str:
        return f"kf_for ({self.base} {var} = {first}; {var} < {last}; {var} += {node.tile})"

    def overlapping(self, node: Loop) -> None:
        """The body once: the last tile is moved back to end with the axis, over points done already."""
        last = self.number(node.axis.size - node.tile)
        if node.grid:
            self.lines.add(f"const {self.base} {node.var} = min({self.program_id(node)} * {node.tile}, {last});")
            self.inside(node, whole=True)
            return
        next_var = self.lines.fresh("next")
        with self.lines.block(self.head(node, next_var, *self.bounds(node))):
            self.lines.add(f"const {self.base} {node.var} = min({next_var}, {last});")
            self.inside(node, whole=True)

    def inside(self, node: Loop, whole: bool = False, rest: int | None = None) -> None:
        """The body, where the loop's tile is known to be whole, or to be the last with `rest` points."""
        masks = self.leaves.masks
        before = masks.clear, masks.rest
        masks.clear = masks.clear | {node.axis} if whole else masks.clear
        masks.rest = masks.rest if rest is None else {**masks.rest, node.axis: rest}
        self.body(node.body)
        masks.clear, masks.rest = before

    def wants_twin(self, node: Loop) -> bool:
        """True where the last tile has a body of its own."""
        is_open = node.axis in self.leaves.masks.open and self.items == 1
        return wants_twin(node, self.nest) or (is_open and fewer_rows(node, self.nest) > 0)

    def twin(self, node: Loop) -> None:
        """The body twice: for whole tiles, in a loop unless programs are the loop, and for what the last one holds."""
        var, size = node.var, node.axis.size
        rest = None if node.axis in self.leaves.masks.open else size % node.tile
        whole = f"({size} / {node.tile} * {node.tile})" if rest is None else str(size - rest)
        self.twins += 1
        if node.grid:
            tile = self.extent(node.inside, node.axis)
            self.lines.add(f"const {self.base} {var} = {self.program_id(node)} * {tile};")
            with self.lines.block(f"if ({var} < {whole})"):
                self.inside(node, whole=True)
            head = "else"
        else:
            first, end = self.bounds(node)
            inside = node.place.var(node.axis) is None and not node.within
            last = whole if inside else f"min({end}, {self.typed(whole)})"
            with self.lines.block(self.head(node, var, first, last)):
                self.inside(node, whole=True)
            head = "" if inside else f"if ({end} > {whole})"
            head = f"if ({size} > {whole})" if inside and rest is None else head
        with self.lines.block(head):
            self.ending(node, whole, rest)
        self.twins -= 1

    def ending(self, node: Loop, first: str, rest: int | None) -> None:
        """What the last tile holds, from `first` on: `rest` points.  Of an open axis, where their number is not known,
        they are done in ever smaller whole steps, then what does not fill the last of these: in a step moved back, or
        bit by bit."""
        if rest is None and self.items == 1 and (rows := fewer_rows(node, self.nest)):
            head = f"kf_for ({self.base} {node.var} = {first}; {node.var} < {node.axis.size}; {node.var} += {rows})"
            with self.lines.block(head):
                self.inside(node, rest=rows)
            return
        size, steps = node.axis.size, shorter_steps(node, self.nest) if rest is None else ()
        back = moves_back(node, self.nest) if rest is None else 0
        for step in steps:
            rest, last = step, f"({size} / {step} * {step})"
            head = f"kf_for ({self.base} {node.var} = {first}; {node.var} < {last}; {node.var} += {step})"
            with self.lines.block(head):
                self.inside(node, whole=True, rest=rest)
            first = last
        if back:
            with self.lines.block(f"if ({size} > {first} && {size} >= {back})"):
                self.lines.add(f"const {self.base} {node.var} = {size} - {back};")
                self.inside(node, whole=True, rest=back)
        few = f" && {size} < {back}" if back else ""
        with self.lines.block(f"if ({size} > {first}{few})") if steps or back else nullcontext():
            self.lines.add(f"const {self.base} {node.var} = {first};")
            self.inside(node, rest=rest)

    def program_id(self, node: Loop) -> str:
        """Which tile of its axis a group does: a dimension per grid loop, or all in one when there are more than 3."""
        position = len(self.grid) - 1 - self.grid.index(node)
        if len(self.grid) <= 3:
            return f"({self.base})get_group_id({position})"
        counts: list[int | str] = [-(-loop.axis.size // loop.tile) for loop in reversed(self.grid)]
        before = str(prod(-(-loop.axis.size // loop.tile) for loop in self.grid[len(self.grid) - position :]))
        if self.spread:
            counts = [spread.tiles for spread in self.spread]
            before = f"({' * '.join(map(str, counts[:position])) or 1})"
        return f"({self.base})(get_group_id(0) / {before} % {counts[position]})"

    def extent(self, place: Place, axis: Axis) -> str:
        """The extent of axis' current tile: a number, or an argument where groups share an open axis out."""
        depth = place.depths.get(axis)
        for loop, spread in zip(reversed(self.grid), self.spread):
            if loop.axis is axis and spread.name and loop.inside.depths[axis] == depth:
                return spread.name
        return str(place.tile(axis))

    def number(self, value: int) -> str:
        """A constant of the index type: the operands of `min` must agree."""
        return self.typed(str(value))

    def typed(self, text: str) -> str:
        return f"{text}l" if self.base == "long" else text

    def bounds(self, node: Loop) -> tuple[str, str]:
        """Where the loop begins and ends: the enclosing tile, cut at the axis' end if it may overhang."""
        axis, start = node.axis, node.place.var(node.axis)
        extent, is_open = node.place.tile(axis), axis in self.leaves.masks.open
        last = f"({axis.size})" if is_open else str(axis.size)  # no digits: nothing is folded into it
        if start is not None:
            last = f"{start} + {self.extent(node.place, axis)}"
            whole = axis in self.leaves.masks.clear or (axis.size % extent == 0 and not is_open)
            last = last if whole else f"min({last}, {self.number(axis.size)})"
        return self.narrowed(node, start or "0", last)

    def narrowed(self, node: Loop, start: str, last: str) -> tuple[str, str]:
        """The bounds tightened by the guards outside of which steps are idle; one step remains in any case."""
        firsts, lasts = limits(node)
        cast, step, least = f"({self.base})", node.tile, int(start == "0")
        for limit in firsts:
            if start.isdigit() and last.isdigit() and not limit.terms:  # compilers have crashed on what they could fold
                first = smallest(largest(limit.low - int(start), 0), int(last) - int(start) - 1)
                start, least = str(int(start) + first // step * step), 0
                continue
            away = f"{_sum(limit)} - {start}" if start != "0" else _sum(limit)
            away = f"clamp({cast}({away}), {cast}0, {cast}({last} - {start} - 1))"
            text = f"{start} + {away}" if start != "0" else away
            start, least = self.constant("first", text + (f" / {step} * {step}" if step > 1 else "")), 0
        for limit in lasts:
            if start.isdigit() and last.isdigit() and not limit.terms:
                last = str(largest(int(start) + 1, smallest(int(last), limit.low)))
                continue
            end = f"min({cast}({last}), {cast}({_sum(limit)}))"
            is_enough = limit.low >= least > 0 and not self.sizes.open
            last = self.constant("last", end if is_enough else f"max({cast}({start} + 1), {end})")
        return start, last

    def constant(self, stem: str, text: str) -> str:
        name = self.lines.fresh(stem)
        self.lines.add(f"const {self.base} {name} = {text};")
        return name


def _sum(limit: Limit) -> str:
    """The text of a bound.  C rounds towards 0: a bound below 0 may come out as any that bounds nothing."""
    terms = [var if k == 1 else f"{var} * {k}" for var, k in limit.terms]
    const = limit.const + limit.by - 1
    text = " + ".join([*terms, str(const)] if const or not terms else terms)
    return text if limit.by == 1 else f"({text}) / {limit.by}"
