"""The OpenCL printer: a nest as the text of one kernel for CPUs.

Comes in: a kernel, a schedule and a target, or their nest.  Goes out: a `Program`.  One work-item runs a group; tiles are
expanded into named vectors; all sizes are constants.  A loop whose last step overhangs is written twice, for whole tiles
and for the rest, when its body touches memory along the axis; else only the stores are guarded.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import prod

from codegen.index import Axis
from codegen.ir import Expr, Kernel, Load, Param, Reduce, children
from codegen.nest import build
from codegen.nodes import (
    Declare,
    Environment,
    Finish,
    Keep,
    Leaf,
    Loop,
    Nest,
    Node,
    Out,
    Pack,
    Scale,
    Settle,
    Shift,
    Update,
    WriteBack,
    nodes,
)
from codegen.opencl_boxes import Boxes
from codegen.opencl_index import Indices
from codegen.opencl_leaves import Leaves
from codegen.opencl_moves import Moves
from codegen.opencl_pack import print_pack
from codegen.opencl_prelude import Prelude, memory_element
from codegen.opencl_text import Speller
from codegen.program import Program
from codegen.schedule import Schedule
from codegen.show import show, show_schedule
from codegen.target import Target

# a * b + c rounds twice, as everywhere else; sums of products ask for fma.  Loops are vectorised here, by hand: a compiler
# that tries again gains nothing, and one of them crashes on loops with reads under conditions.
_PRAGMA = (
    "#pragma OPENCL FP_CONTRACT OFF\n"
    '#define kf_for _Pragma("clang loop vectorize(disable)") for\n'
)
_KERNEL = "__attribute__((reqd_work_group_size(1, 1, 1)))\n"
TWINS = 2  # loops on one path that may be written twice; beyond, one masked body serves all tiles
_RESERVED = frozenset(
    "auto break case char const constant continue default do double else enum event exp exp2 expm1 extern float floor for "
    "global goto half if image2d_t inline int kernel local log log1p log2 long pipe pow private register restrict return "
    "rint sampler_t select short signed sizeof sqrt static struct switch trunc typedef uchar uint ulong union unsigned "
    "ushort volatile void while abs fabs fma fmod any ceil cos sin tanh erf max min clamp isfinite copysign main bool "
    "quad complex imaginary true false NULL NAN INFINITY size_t".split()
)


def render(kernel: Kernel, schedule: Schedule, target: Target) -> Program:
    """The OpenCL program of a kernel under a schedule.

    raises ScheduleError when the schedule is not legal
    """
    return render_nest(build(kernel, schedule, target))


def render_nest(nest: Nest) -> Program:
    """The OpenCL program of a nest."""
    printer = _Printer(nest)
    grid = tuple(reversed([-(-loop.place.tile(loop.axis) // loop.tile) for loop in nest.grid])) or (1,)
    kernel = nest.kernel
    return Program(
        "opencl",
        printer.source(),
        printer.entry,
        grid if len(grid) <= 3 else (prod(grid),),
        kernel.params,
        kernel.written,
        kernel,
    )


def joined(sources: Iterable[str]) -> str:
    """One source text of several whose kernels have different names: each helper is defined once."""
    helpers: dict[str, None] = {}
    kernels: list[str] = []
    for source in sources:
        before, kernel = source.split(_KERNEL, 1)
        comment, _, definitions = before.partition(_PRAGMA)
        helpers.update(dict.fromkeys(_definitions(definitions)))
        kernels.append(comment + _KERNEL + kernel)
    return _PRAGMA + "".join(helpers) + "\n".join(kernels)


def _definitions(text: str) -> list[str]:
    """The helpers of a prelude, each with all its lines."""
    found: list[str] = []
    for line in text.splitlines(keepends=True):
        if line.startswith(("static", "__constant")):
            found.append(line)
        else:
            found[-1] += line
    return found


class _Printer:
    def __init__(self, nest: Nest) -> None:
        self.nest, self.kernel = nest, nest.kernel
        self.prelude = Prelude(nest.target.lanes)
        self.text: list[str] = []
        self.depth = 1
        self.count = 0
        self.axis_names = frozenset(nest.names.values())
        self.entry = self.identifier(self.kernel.name)
        self.params = {p.name: self.identifier(p.name) for p in self.kernel.params}
        wide = any(p.size >= 1 << 31 for p in self.kernel.params) or any(a.size >= 1 << 31 for a in self.kernel.axes)
        speller = Speller(self.prelude)
        self.indices = Indices(self.prelude, "long" if wide else "int")
        vector = nest.schedule.vector
        self.boxes = Boxes(speller, vector)
        self.leaves = Leaves(speller, self.indices, self.boxes, vector, self.params, self.line, self.fresh)
        self.moves = Moves(speller, self.boxes, self.line, self.fresh)
        self.twins = 0
        self.grid = nest.grid

    def identifier(self, name: str) -> str:
        """A name as a C identifier that is no keyword and can be no loop variable or box."""
        name = "".join(c if c.isascii() and c.isalnum() else "_" for c in name) or "_"
        name = name if not name[0].isdigit() else "_" + name
        stem = name.rstrip("0123456789")
        clash = name in _RESERVED or name.startswith("kf_") or (
            stem != name and (stem in self.axis_names or stem in ("acc", "pack", "keep", "fin", "run"))
        )
        return name + "_" if clash else name

    def fresh(self, stem: str) -> str:
        """A name not used before."""
        self.count += 1
        return f"{stem}v_{self.count}" if f"{stem}_" in self.axis_names else f"{stem}_{self.count}"

    def line(self, text: str) -> None:
        if text:
            self.text.append("  " * self.depth + text)

    # ---------------------------------------------------------------------------------------------- structure

    def source(self) -> str:
        """The whole program: comment, helpers, kernel."""
        self.body(self.nest.body)
        n = self.nest
        header = [show(self.kernel), "", show_schedule(self.kernel, n.schedule)]
        comment = "".join(f"// {line}".rstrip() + "\n" for part in header for line in part.rstrip().split("\n"))
        signature = f"__kernel void {self.entry}({', '.join(map(self.parameter, self.kernel.params))})"
        return (
            f"{comment}{_PRAGMA}{self.prelude.text}{_KERNEL}{signature} {{\n" + "\n".join(self.text) + "\n}\n"
        )

    def parameter(self, param: Param) -> str:
        written = param.name in self.kernel.written
        read = any(e.param is param for e in self.kernel.loads)
        const = "" if written else "const "
        restrict = "" if written and read else "restrict "
        return f"__global {const}{memory_element(param.dtype)} *{restrict}{self.params[param.name]}"

    def body(self, body: Sequence[Node]) -> None:
        for node in body:
            if isinstance(node, (Update, Keep, Settle, Out)):
                self.leaves.leaf(node)
                continue
            self.leaves.forget()
            if isinstance(node, Loop):
                self.loop(node)
            elif isinstance(node, Pack):
                print_pack(self.leaves, self.boxes, node, self.line)
            else:
                self.move(node)
        self.leaves.forget()

    def move(self, node: Declare | WriteBack | Finish | Shift | Scale) -> None:
        if isinstance(node, Declare):
            self.moves.declare(node)
        elif isinstance(node, WriteBack):
            self.moves.write_back(node)
        elif isinstance(node, Finish):
            self.moves.finish(node)
        elif isinstance(node, Shift):
            self.moves.shift(node)
        else:
            self.moves.scale(node)

    # ---------------------------------------------------------------------------------------------- loops

    def loop(self, node: Loop) -> None:
        axis, clear = node.axis, self.leaves.masks.clear
        overhangs = axis not in clear and axis.size % node.tile != 0
        twin = overhangs and self.twins < TWINS and self.wants_twin(node)
        if node.grid:
            self.grid_loop(node, overhangs, twin)
        elif twin:
            self.twin_loop(node)
        else:
            first, last = self.bounds(node)
            self.line(f"kf_for ({self.indices.base} {node.var} = {first}; {node.var} < {last}; {node.var} += {node.tile}) {{")
            self.inside(node, clear if overhangs else clear | {axis})
            self.line("}")

    def inside(self, node: Loop, clear: frozenset[Axis], twins: int = 0) -> None:
        """The body, where the given axes are known not to overhang."""
        before = self.leaves.masks.clear
        self.leaves.masks.clear = clear
        self.depth += not (node.grid and not twins)
        self.twins += twins
        self.body(node.body)
        self.twins -= twins
        self.depth -= not (node.grid and not twins)
        self.leaves.masks.clear = before

    def grid_loop(self, node: Loop, overhangs: bool, twin: bool) -> None:
        clear = self.leaves.masks.clear
        self.line(f"const {self.indices.base} {node.var} = {self.program_id(node)} * {node.tile};")
        if twin:
            self.line(f"if ({node.var} + {node.tile} <= {node.axis.size}) {{")
            self.inside(node, clear | {node.axis}, 1)
            self.line("} else {")
            self.inside(node, clear, 1)
            self.line("}")
        else:
            self.inside(node, clear if overhangs else clear | {node.axis})

    def program_id(self, node: Loop) -> str:
        """Which tile of the axis this group does: one dimension per grid loop, or all in one when there are more than 3."""
        position = len(self.grid) - 1 - self.grid.index(node)
        if len(self.grid) <= 3:
            text = f"get_group_id({position})"
        else:
            counts = [-(-loop.axis.size // loop.tile) for loop in self.grid]
            inner = prod(counts[len(counts) - position :])
            text = "get_group_id(0)" if inner == 1 else f"(get_group_id(0) / {inner})"
            text = f"({text} % {counts[len(counts) - 1 - position]})"
        return f"({self.indices.base}){text}"

    def twin_loop(self, node: Loop) -> None:
        """Whole tiles in a loop, then the rest once, masked."""
        first, last = self.bounds(node)
        base, clear, end = self.indices.base, self.leaves.masks.clear, self.fresh("end")
        self.line("{")
        self.line(f"const {base} {end} = {last};")
        self.line(f"{base} {node.var} = {first};")
        self.line(f"kf_for (; {node.var} + {node.tile} <= {end}; {node.var} += {node.tile}) {{")
        self.inside(node, clear | {node.axis}, 1)
        self.line("}")
        self.line(f"if ({node.var} < {end}) {{")
        self.inside(node, clear, 1)
        self.line("}")
        self.line("}")

    def bounds(self, node: Loop) -> tuple[str, str]:
        """Where the loop begins and ends: the enclosing tile, cut at the axis' end if it may overhang."""
        axis, start = node.axis, node.place.var(node.axis)
        if start is None:
            return "0", str(axis.size)
        extent = node.place.tile(axis)
        last = f"{start} + {extent}"
        whole = axis in self.leaves.masks.clear or axis.size % extent == 0
        return start, last if whole else f"min({last}, {axis.size})"

    def wants_twin(self, node: Loop) -> bool:
        """True when masks would cost: the body touches memory along the axis or reduces over it, at this loop's tile."""
        axis = node.axis
        inner = list(nodes(node.body))
        if any(isinstance(n, Loop) and n.axis is axis for n in inner):
            return False
        plain = not any(isinstance(n, Loop) for n in inner)
        for n in inner:
            if isinstance(n, (Update, Keep, Settle, Out, Pack)) and _touches(_roots(n), axis, n.env):
                return True
            if isinstance(n, Update) and axis in n.reduce.bound:
                return True
            if plain and isinstance(n, Out) and axis in self.nest.schedule.vector and axis in n.store.axes:
                return True
        return False


def _roots(node: Leaf | Pack) -> tuple[Expr, ...]:
    if isinstance(node, Update):
        return node.reduce.args
    if isinstance(node, Out):
        return (node.store.value,)
    return (node.shift,) if isinstance(node, Settle) else (node.box.of,)


def _touches(roots: Sequence[Expr], axis: Axis, env: Environment) -> bool:
    """True when evaluating the roots loads along the axis or reduces over it."""
    stack, seen = list(roots), set[Expr]()
    while stack:
        e = stack.pop()
        if e in seen or e in env:
            continue
        seen.add(e)
        if (isinstance(e, Load) and axis in e.axes) or (isinstance(e, Reduce) and axis in e.bound):
            return True
        stack.extend(children(e))
    return False
