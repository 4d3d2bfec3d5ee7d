"""The Triton printer: a nest becomes the source of one `@triton.jit` function.

Comes in: a nest placed for a Triton target.  Goes out: a `Program`.  A tile is a block value, a loop a `for`, the grid
one linear program id; sizes are constants of the text, pointers the only arguments.  Triton itself is not needed here.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from typing import Final

from codegen.index import Index
from codegen.ir import Apply, Expr, Kernel, Reduce, Scan, children
from codegen.narrowing import Limit, limits
from codegen.nodes import (
    Advance,
    Box,
    Declare,
    Finish,
    Keep,
    Loop,
    Nest,
    Node,
    Out,
    Scale,
    Settle,
    Shift,
    Update,
    leaf_roots,
    nodes,
    result_of,
)
from codegen.open_sizes import STATIC, Sizes
from codegen.origins import origins_of
from codegen.program import Program
from codegen.show import show
from codegen.show_schedule import show_schedule
from codegen.triton.expr import Context, Leaf
from codegen.triton.grid import Grid
from codegen.triton.limits import DEFAULT_WARPS
from codegen.triton.scope import Axes, Names, Scope, Value
from codegen.triton.store import print_store
from codegen.triton.text import combine_name, full, helpers_used, reduction, spelling
from codegen.triton.tiles import block_size

DEFAULT_STAGES: Final = 3
WIDEST_ACCESS: Final = 8  # elements of 16 bits in the widest access of a thread
_LAUNCH: Final = ("num_warps", "num_stages")
_WORDS: Final = ("random", "random2")
_EXACT: Final = (("enable_fp_fusion", 0),)  # a * b + c rounds twice, as on every other device


def render(nest: Nest, sizes: Sizes = STATIC) -> Program:
    """The program of a nest placed for Triton; where sizes are open, its numbers are still those of the sizes given."""
    kernel, schedule = nest.kernel, nest.schedule
    entry = re.sub(r"\W", "_", kernel.name)
    options = {"num_warps": DEFAULT_WARPS, "num_stages": DEFAULT_STAGES, **schedule.options}
    printer = _Printer(nest, entry, sizes)
    return Program(
        language="triton",
        source=printer.source(),
        entry=entry,
        grid=(printer.grid.programs,),
        params=kernel.params,
        written=kernel.written,
        kernel=kernel,
        options=tuple((name, int(options[name])) for name in _LAUNCH) + (_EXACT if _draws_floats(kernel) else ()),
        origins=printer.origins,
        spread=printer.grid.spread,
        numbers=printer.grid.numbers,
        lengths=sizes.lengths(kernel) if sizes.open else (),
    )


def _draws_floats(kernel: Kernel) -> bool:
    """Whether random words become floats in a kernel: these are to be the same numbers on every device."""
    drawn: set[Expr] = set()
    for e in kernel.exprs:  # operands come first
        if isinstance(e, Apply) and (e.op.name in _WORDS or not drawn.isdisjoint(e.args)):
            if e.dtype.is_float:
                return True
            drawn.add(e)
    return False


class _Printer:
    def __init__(self, nest: Nest, entry: str, sizes: Sizes) -> None:
        kernel = nest.kernel
        self.nest, self.entry = nest, entry
        self.rank = {axis: position for position, axis in enumerate(kernel.axes)}
        self.names = Names([*(p.name for p in kernel.params), entry])
        loops = [node.var for node in nodes(nest.body) if isinstance(node, Loop)]
        variables = {name: self.names.own(name) for name in dict.fromkeys([*loops, *(b.name for b in nest.boxes)])}
        hanging = {stream.shift: _hanging(kernel, stream.shift) for stream in nest.schedule.streams}
        starts = [variables[loop.var] for loop in nest.grid]
        is_open = frozenset(axis for axis in kernel.axes if sizes.is_open(axis)) if sizes.open else frozenset()
        shared, options = _shared_indices(kernel), nest.schedule.options
        self.context = Context(
            frozenset(kernel.exprs), self.rank, variables, shared, hanging, options, starts, is_open
        )
        self.grid = Grid(nest, variables, self.names, sizes)
        self.origins: tuple[Expr | None, ...] = ()
        self.centers = {node.center for node in nodes(nest.body) if isinstance(node, Shift)}

    def source(self) -> str:
        """The whole text: a comment that says what it computes and how, imports, helpers, the kernel."""
        scope = Scope(self.names)
        self.every_tile(scope)
        lines = scope.text()
        body = "\n".join(lines) + "\n"
        helpers = helpers_used(body)
        nest = self.nest
        comment = f"{show(nest.kernel)}\n{show_schedule(nest.kernel, nest.schedule)}".rstrip().splitlines()
        imports = ["import triton", "import triton.language as tl"]
        if any("libdevice." in text for text in helpers):
            imports.append("from triton.language.extra import libdevice")
        arguments = ", ".join([*(p.name for p in nest.kernel.params), *self.grid.numbers])
        parts = [
            "\n".join([*(f"# {line}" for line in comment), *imports]) + "\n",
            *helpers,
            f"@triton.jit\ndef {self.entry}({arguments}):\n{body}",
        ]
        source = "\n\n".join(parts)
        before = source.removesuffix(body).count("\n")
        self.origins = (*[None] * before, *origins_of(lines))
        return source

    def every_tile(self, scope: Scope) -> None:
        """What a program does: one tile of the grid, or with the option `programs` so many apart."""
        tiles, programs = self.grid.tiles, self.grid.programs
        if programs == tiles:
            self.grid.print("tl.program_id(0)", scope)
            self.inside_grid(scope)
            return
        number = self.names.own("number")
        inner = scope.inner(f"for {number} in range(tl.program_id(0), {tiles}, {programs}):")
        self.grid.print(number, inner)
        self.inside_grid(inner)
        inner.close()

    def inside_grid(self, scope: Scope) -> None:
        """What one program does; twice, with and without masks, when a mask would break up 16-byte accesses.

        A mask leaves an access whole only when its bound is a multiple of the access' length.
        """
        grid = self.nest.grid
        body = grid[-1].body if grid else self.nest.body
        ragged = self.ragged_loop()
        if ragged is None:
            self.body(body, scope)
            return
        start = self.context.variables[ragged.var]
        for header, whole in ((f"if {start} + {ragged.tile} <= {ragged.axis.size}:", {ragged.axis}), ("else:", set())):
            inner = scope.inner(header)
            inner.branch, inner.whole = True, scope.whole | whole
            self.body(body, inner)
            inner.close()

    def ragged_loop(self) -> Loop | None:
        """The innermost grid loop of an elementwise kernel, if accesses lie along it and its size breaks them up."""
        kernel, grid = self.nest.kernel, self.nest.grid
        if not grid or kernel.reduces or kernel.scans or any(isinstance(node, Loop) for node in grid[-1].body):
            return None
        loop = grid[-1]
        indices = [*(e.index for e in kernel.loads), *(store.index for store in kernel.stores)]
        along = any(index.stride(loop.axis) == 1 for index in indices)
        odd = loop.axis.size % WIDEST_ACCESS != 0 or loop.axis in self.context.open
        return loop if along and odd and loop.tile >= WIDEST_ACCESS else None

    # ------------------------------------------------------------------------------------------------ nodes

    def body(self, body: Sequence[Node], scope: Scope) -> None:
        repeated = _repeated(body)
        for node in body:
            self.names.origin = result_of(node)
            if isinstance(node, Loop):
                self.loop(node, scope)
            elif isinstance(node, Declare):
                self.declare(node.box, scope)
            elif isinstance(node, Update):
                self.update(node, scope, repeated)
            elif isinstance(node, Keep):
                leaf = Leaf(self.context, node.place, node.env, scope, repeated)
                scope.line(f"{self.name(node.box)} = {leaf.value(node.box.of).text}")
            elif isinstance(node, Advance):
                self.advance(node, scope, repeated)
            elif isinstance(node, Finish):
                self.finish(node.box, node.to, scope)
            elif isinstance(node, Shift):
                self.shift(node, scope)
            elif isinstance(node, Settle):
                self.settle(node, scope, repeated)
            elif isinstance(node, Scale):
                box, factor = node.box, node.factor
                turned = Value(self.name(factor), self.dimensions(factor)).over(self.dimensions(box))
                scope.line(f"{self.name(box)} = {self.name(box)} * {turned}")
            elif isinstance(node, Out):
                leaf = Leaf(self.context, node.place, node.env, scope, repeated)
                print_store(node, leaf, self.starts(node.once), self.nest)
            else:
                raise AssertionError(f"a Triton nest has no {type(node).__name__}: boxes are values")

    def loop(self, loop: Loop, scope: Scope) -> None:
        """A loop over the steps of a tile that are not idle, which the compiler can pipeline."""
        start, var = self.start(loop), self.context.variables[loop.var]
        first, last = self.bounds(loop, start, scope)
        counter = var if start == "0" else self.names.numbered("step")
        ahead = self.nest.schedule.options.get("ahead")  # steps whose loads are under way, where no product asks for it
        steps = "range({})" if ahead is None else f"tl.range({{}}, num_stages={ahead})"
        inner = scope.inner(f"for {counter} in {steps.format(f'{first}, {last}, {loop.tile}')}:")
        inner.starts.add(var)
        if counter != var:
            inner.define(var, f"{start} + {counter}")
        self.body(loop.body, inner)
        inner.close()

    def bounds(self, loop: Loop, start: str, scope: Scope) -> tuple[str, str]:
        """Where a loop begins and ends, counted from its start, by the guards outside of which steps are idle.

        One step remains in any case; a first step that is a multiple of the tile keeps accesses aligned.
        """
        extent, tile = loop.place.tile(loop.axis), loop.tile
        is_open = loop.axis in self.context.open
        first, last = "0", f"tl.maximum({extent}, 1)" if is_open else str(extent)
        final = f"({extent} - 1) // {tile} * {tile}" if is_open else str((extent - 1) // tile * tile)
        behind = "" if start == "0" else f" - {start}"
        firsts, lasts = limits(loop)
        for limit in firsts:
            text = f"tl.maximum(({self.limit(limit)}{behind}) // {tile} * {tile}, {first})"
            first = self.bound("first", f"tl.minimum({text}, {final})", scope)
        for limit in lasts:
            least = "1" if first == "0" else f"{first} + 1"
            last = self.bound("last", f"tl.maximum(tl.minimum({self.limit(limit)}{behind}, {last}), {least})", scope)
        return first, last

    def bound(self, stem: str, text: str, scope: Scope) -> str:
        name = self.names.numbered(stem)
        scope.line(f"{name} = {text}")
        return name

    def limit(self, limit: Limit) -> str:
        """The text of a limit, an int.  A quotient is rounded towards 0: one below 0 bounds nothing either way."""
        terms = [self.context.variables[var] + ("" if k == 1 else f" * {k}") for var, k in limit.terms]
        const = limit.const + limit.by - 1
        text = " + ".join([*terms, str(const)] if const or not terms else terms)
        return text if limit.by == 1 else f"({text}) // {limit.by}"

    def declare(self, box: Box, scope: Scope) -> None:
        shape = [block_size(box.tile[a]) for a in self.dimensions(box)]
        if box.kind in ("acc", "carry"):
            assert isinstance(box.of, Reduce | Scan)
            scope.line(f"{self.name(box)} = {full(shape, box.of.op.identity(box.of.dtype), box.of.dtype)}")
        elif box in self.centers:
            scope.line(f"{self.name(box)} = {full(shape, 0.0, box.of.dtype)}")

    def update(self, node: Update, scope: Scope, repeated: Collection[Expr]) -> None:
        r, name = node.reduce, self.name(node.box)
        leaf = Leaf(self.context, node.place, node.env, scope, repeated)
        dot = None if node.box.partial else leaf.dot(r)
        if dot is not None:
            scope.line(f"{name} = {leaf.dot_update(dot, name)}")
            return
        value = leaf.combined(r, leaf.reduce_operand(r), kept=node.box.partial)
        operand = value.over(self.dimensions(node.box))
        scope.line(f"{name} = {spelling(r.op.combine, r.dtype).format(name, operand)}")

    def advance(self, node: Advance, scope: Scope, repeated: Collection[Expr]) -> None:
        """The tile's own prefixes combined with the carry; the carry combined with the tile's total."""
        scan, op, dtype = node.scan, node.scan.op, node.scan.dtype
        leaf = Leaf(self.context, node.place, node.env, scope, repeated)
        dimensions, combine = self.dimensions(node.box), spelling(op.combine, dtype)
        value, carry = leaf.value(scan.arg), Value(self.name(node.carry), self.dimensions(node.carry))
        shape = [block_size(node.box.tile[a]) for a in dimensions]
        own = value.over(dimensions) if value.const is None else full(shape, value.const.value, dtype)
        if scan.axis in dimensions:
            position, tile = dimensions.index(scan.axis), self.names.numbered("tile")
            if value.const is None and value.axes != dimensions:
                own = f"tl.broadcast_to({own}, {shape})"
            scope.line(f"{tile} = {own}")
            own = f"tl.associative_scan({tile}, {position}, {combine_name(op, dtype)})"
            total = reduction(op, dtype, tile, position)
        scope.line(f"{self.name(node.box)} = {combine.format(carry.over(dimensions), own)}")
        after = combine.format(carry.text, total) if scan.axis in dimensions else self.name(node.box)
        scope.line(f"{carry.text} = {after}")

    def finish(self, box: Box, to: Box, scope: Scope) -> None:
        assert isinstance(box.of, Reduce)
        text, axes = self.name(box), self.dimensions(box)
        for position in reversed(range(len(axes))):
            if axes[position] in box.partial:
                text = reduction(box.of.op, box.of.dtype, text, position)
        scope.line(f"{self.name(to)} = {text}")

    def shift(self, node: Shift, scope: Scope) -> None:
        """The center stays finite, so that what is infinite stays so and a row of -inf alone sums up nothing."""
        running, center, moved = self.name(node.running), self.name(node.center), self.names.numbered("moved")
        chunk = Value(self.name(node.chunk), self.dimensions(node.chunk)).over(self.dimensions(node.running))
        scope.line(f"{moved} = kf_max({running}, {chunk})")
        scope.line(f'{center} = tl.where(tl.abs({moved}) < float("inf"), {moved}, 0.0)')
        for degree, factor in node.factors:
            scope.line(f"{self.name(factor)} = {_decay(degree, running, center)}")
        scope.line(f"{running} = {moved}")

    def settle(self, node: Settle, scope: Scope, repeated: Collection[Expr]) -> None:
        shift = Leaf(self.context, node.place, node.env, scope, repeated).value(node.shift)
        asked = shift.over(self.dimensions(node.center))
        for degree, factor in node.factors:
            scope.line(f"{self.name(factor)} = {_decay(degree, self.name(node.center), asked)}")

    # ------------------------------------------------------------------------------------------------ names and places

    def name(self, box: Box) -> str:
        return self.context.variables[box.name]

    def dimensions(self, box: Box) -> Axes:
        """The axes that are dimensions of a box's block, in order."""
        return tuple(a for a in sorted(box.tile, key=self.rank.__getitem__) if block_size(box.tile[a]) > 1)

    def start(self, loop: Loop) -> str:
        var = loop.place.var(loop.axis)
        return "0" if var is None else self.context.variables[var]

    def starts(self, loops: Iterable[Loop]) -> list[str]:
        return [self.context.variables[loop.var] for loop in loops]


def _repeated(body: Sequence[Node]) -> frozenset[Expr]:
    """The outermost values that several leaves of one body need: they are computed once."""
    seen: Counter[Expr] = Counter()
    wanted: set[Expr] = set()
    for node in body:
        if isinstance(node, Update | Keep | Advance | Settle | Out):
            stack = list(_roots(node))
            wanted.update(stack)
            found: set[Expr] = set()
            while stack:
                e = stack.pop()
                if e not in found and e not in node.env:
                    found.add(e)
                    stack.extend(children(e))
            seen.update(found)
    for e, count in seen.items():
        if count == 1:
            wanted.update(children(e))
    return frozenset(e for e, count in seen.items() if count > 1 and e in wanted and isinstance(e, Apply))


def _roots(node: Update | Keep | Advance | Settle | Out) -> Sequence[Expr]:
    return node.store.roots if isinstance(node, Out) else leaf_roots(node)


def _decay(degree: float, old: str, new: str) -> str:
    """exp(degree * (old - new))."""
    factor = "" if degree == 1 else f"{float(degree)!r} * "
    return f"tl.exp({factor}({old} - {new}))" if factor else f"tl.exp({old} - {new})"


def _hanging(kernel: Kernel, value: Expr) -> frozenset[Expr]:
    """The expressions that depend on a value, and itself."""
    found = {value}
    for e in kernel.exprs:
        if any(x in found for x in children(e)):
            found.add(e)
    return frozenset(found)


def _shared_indices(kernel: Kernel) -> frozenset[Index]:
    """The indices that several loads and stores have in common."""
    counts = Counter(index for index in (*(e.index for e in kernel.loads), *(s.index for s in kernel.stores)))
    return frozenset(index for index, count in counts.items() if count > 1)
