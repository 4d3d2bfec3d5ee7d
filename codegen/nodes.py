"""The loop nest: what both printers print.

Comes in: placed values and loops.  Goes out: a `Nest`, a list of nodes of which only `Loop` has a body, in the order in
which they run.  A nest holds no masks, no bounds, no vector types and no text of any language: printers derive these.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

from codegen.image import Image
from codegen.index import NO_GUARDS, Axis, Guards
from codegen.ir import Expr, Kernel, Reduce, Scan, Store
from codegen.schedule import Schedule, Step
from codegen.target import Target

BOXES: Final = ("acc", "pack", "keep", "fin", "run", "scan", "carry")  # the kinds of boxes


@dataclass(frozen=True, eq=False)
class Place:
    """A point in the nest: the loop steps taken so far and those still to come in the list in force there.

    taken   steps already entered, outermost first (steps of axes the goal does not use are counted too, without a Loop)
    todo    the rest of the list
    whole   per axis the extent before any step: the size, or the tile of a step that was dropped because it covers
            the size
    names   per axis a unique identifier, valid in every language
    loose   axes whose tiles may start anywhere, not only at multiples of their extent
    """

    taken: tuple[Step, ...]
    todo: tuple[Step, ...]
    whole: Mapping[Axis, int]
    names: Mapping[Axis, str]
    loose: frozenset[Axis] = frozenset()

    @cached_property
    def tiles(self) -> dict[Axis, int]:
        """Per stepped axis the extent of its current tile."""
        return dict(self.taken)

    @cached_property
    def depths(self) -> dict[Axis, int]:
        """Per stepped axis the depth of its innermost step."""
        return {step.axis: depth for depth, step in enumerate(self.taken)}

    @cached_property
    def final(self) -> dict[Axis, int]:
        """Per axis that has a step in the whole list the extent of its innermost tile."""
        return dict(self.taken + self.todo)

    def tile(self, axis: Axis) -> int:
        """The extent of axis' current tile; it overhangs the axis' end when the size is no multiple of it."""
        return self.tiles.get(axis) or self.whole.get(axis, axis.size)

    def innermost(self, axis: Axis) -> int:
        """The extent axis' tile will have when the list in force is used up."""
        return self.final.get(axis) or self.whole.get(axis, axis.size)

    def var(self, axis: Axis) -> str | None:
        """The loop variable that holds where axis' current tile starts; None: at 0, no loop was entered."""
        depth = self.depths.get(axis)
        return None if depth is None else f"{self.names[axis]}{depth}"


@dataclass(eq=False)
class Box:
    """A tile that lives across nodes: an accumulator or a staged value.

    name     unique in the nest, begins with the letter of its kind
    kind     "acc" accumulator of a reduce, "pack" packed operand, "keep" kept value, "fin" the value of a finished
             accumulator, "run" a running quantity of a stream (center or factor), "scan" the values of a scan,
             "carry" what the scan has combined so far
    of       the value it holds; a reduce for acc and fin, the stream's max for run, a scan for scan and carry
    place    where it is declared; a local coordinate is the loop variable at the use minus the one here
    tile     per axis its extent: whole inner tiles, so it may exceed the axis' size
    partial  reduced axes that stay in the box until Finish; their lanes are not positions: loops do not move them
    layout   packs only: ordered (axis, block) from outer to inner, as in the schedule; None: the printer's natural
             order
    pad      packs only: elements added to the innermost extent
    image    packs only: the image of the value that is held instead; `tile` names its axes, of which the new ones
             have a step in `place`: they begin where the first element read lies
    covers   per axis of the value the extent held
    init     the wider box a narrow accumulator starts from; None: the reduce's identity
    array    True: memory, False: registers (settled after placement)
    """

    name: str
    kind: str
    of: Expr
    place: Place
    tile: dict[Axis, int]
    partial: tuple[Axis, ...] = ()
    layout: tuple[tuple[Axis, int], ...] | None = None
    pad: int = 0
    image: Image | None = None
    covers: Mapping[Axis, int] = field(default_factory=dict)
    init: Box | None = None
    array: bool = False

    @property
    def narrow(self) -> bool:
        """True when elements are held as the bits of 16-bit floats; elsewhere such values are held widened."""
        return self.kind == "pack" and self.of.dtype.is_narrow_float

    @property
    def free(self) -> tuple[Axis, ...]:
        """The axes that are positions, in the order of `tile`."""
        return tuple(a for a in self.tile if a not in self.partial)


Environment = Mapping[Expr, Box]


@dataclass(eq=False)
class Loop:
    """Walk `axis` in steps of `tile` inside its enclosing tile; never of one iteration.

    place  outside the loop: place.tile(axis) is the extent walked, place.var(axis) where it starts
    inside the place of the body: inside.var(axis) is the loop variable
    grid   a program id instead of a loop; grid loops are the outermost nodes, one inside the other
    within guards on the axis: a step may be left out when one of them fails at all its points, if another step remains
    """

    axis: Axis
    tile: int
    grid: bool
    place: Place
    inside: Place
    body: list[Node] = field(default_factory=list)
    within: Guards = NO_GUARDS

    @property
    def var(self) -> str:
        """The loop variable: where the current tile starts."""
        name = self.inside.var(self.axis)
        assert name is not None
        return name


@dataclass(eq=False)
class Declare:
    """Make a box.  An accumulator starts as the identity of its reduce, or as a slice of `box.init`; a carry starts as
    the identity of its scan; others hold nothing."""

    box: Box


@dataclass(eq=False)
class Update:
    """box = box combined with reduce.arg over the tile; axes of `box.partial` are kept, other bound axes are combined.

    Where a bound axis overhangs, the operand counts as the identity.
    """

    box: Box
    reduce: Reduce
    place: Place
    env: Environment


@dataclass(eq=False)
class Keep:
    """Store this tile of the value box.of into its place in the box."""

    box: Box
    place: Place
    env: Environment


@dataclass(eq=False)
class Advance:
    """box = this tile of the scan's values: carry combined with each prefix of scan.arg along the scanned axis; then
    carry = what the tile's last place holds.

    Tiles along the scanned axis come in order, each once; what lies beyond the axis' end comes last and may be
    anything.
    """

    box: Box
    carry: Box
    scan: Scan
    place: Place
    env: Environment


@dataclass(eq=False)
class Pack:
    """Evaluate box.of, or its image, over the whole box, in the box's layout; anything finite may stand in the
    overhang."""

    box: Box
    place: Place
    env: Environment

    @property
    def value(self) -> Expr:
        """What fills the box."""
        return self.box.of if self.box.image is None else self.box.image.source


@dataclass(eq=False)
class WriteBack:
    """Store the narrow accumulator into its slice of the wider one (inner.init is outer)."""

    outer: Box
    inner: Box
    place: Place


@dataclass(eq=False)
class Finish:
    """to = box with its partial axes combined."""

    box: Box
    to: Box


@dataclass(eq=False)
class Shift:
    """A stream's running maximum moves, elementwise over the max's tile.

    old = running; running = max(old, chunk); center = running where it is finite, else 0;
    factor = exp(degree * (old - center)) for each (degree, factor)
    """

    running: Box
    chunk: Box
    center: Box
    factors: tuple[tuple[float, Box], ...]


@dataclass(eq=False)
class Settle:
    """After a stream's loop, over the current tile: factor = exp(degree * (center - shift)) for each (degree, factor).

    shift is evaluated like any other value; what the sums were kept relative to is exchanged for what the kernel asks.
    """

    center: Box
    shift: Expr
    factors: tuple[tuple[float, Box], ...]
    place: Place
    env: Environment


@dataclass(eq=False)
class Scale:
    """box = box * factor; the factor lacks some of the box's axes."""

    box: Box
    factor: Box


@dataclass(eq=False)
class Out:
    """Evaluate and store this tile of store.value.  `once` are grid loops of axes the store lacks: only their first
    program stores."""

    store: Store
    place: Place
    env: Environment
    once: tuple[Loop, ...] = ()


Node = Loop | Declare | Update | Keep | Advance | Pack | WriteBack | Finish | Shift | Settle | Scale | Out
Leaf = Update | Keep | Advance | Settle | Out


def leaf_roots(node: Leaf | Pack) -> tuple[Expr, ...]:
    """The expressions a node evaluates, but for those inside the index and guards of a store."""
    if isinstance(node, Update):
        return node.reduce.args
    if isinstance(node, Advance):
        return node.scan.args
    if isinstance(node, Out):
        return (node.store.value,)
    return (node.shift,) if isinstance(node, Settle) else (node.box.of,)


def result_of(node: Node) -> Expr | None:
    """The expression a node computes a tile of, or moves; None for a loop."""
    if isinstance(node, Update):
        return node.reduce
    if isinstance(node, Advance):
        return node.scan
    if isinstance(node, Out):
        return node.store.value
    if isinstance(node, Pack):
        return node.value
    if isinstance(node, Keep | Declare | Finish | Scale):
        return node.box.of
    if isinstance(node, WriteBack):
        return node.inner.of
    return None if isinstance(node, Loop) else (node.running if isinstance(node, Shift) else node.center).of


@dataclass(frozen=True, eq=False)
class Nest:
    """A kernel placed by a schedule.

    body   the outermost nodes: the grid loops if there are any
    boxes  every box, in the order made
    names  per axis a unique identifier
    """

    kernel: Kernel
    schedule: Schedule
    target: Target
    body: Sequence[Node]
    boxes: Sequence[Box]
    names: Mapping[Axis, str]

    @property
    def grid(self) -> tuple[Loop, ...]:
        """The grid loops, outermost first."""
        found: list[Loop] = []
        nodes = self.body
        while len(nodes) == 1 and isinstance(nodes[0], Loop) and nodes[0].grid:
            found.append(nodes[0])
            nodes = nodes[0].body
        return tuple(found)


def nodes(body: Sequence[Node]) -> Iterator[Node]:
    """Every node of a nest, a loop before its body."""
    for node in body:
        yield node
        if isinstance(node, Loop):
            yield from nodes(node.body)
