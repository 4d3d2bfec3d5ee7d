"""What the placer works on: goals, loop lists in normal form, and who needs which value.

Comes in: a kernel and a schedule.  Goes out: `Order` (a loop list without loops of one iteration), `Goal` (store,
update or keep something) and `Needs` (which reduces and staged values an expression reaches).  It knows no nodes.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from codegen.index import Axis, Index
from codegen.ir import Expr, Kernel, Reduce, Scan, Store, children
from codegen.nodes import BOXES, Box, Place
from codegen.schedule import Schedule, Step


@dataclass(frozen=True, eq=False)
class Order:
    """A loop list in force.  A step of one iteration is dropped, or virtual when sinks with their own loops begin
    after it:
    reduces are placed around it as around a loop, but none is made.

    steps   the steps that remain; a virtual one has its enclosing extent as tile
    real    per step whether it is a loop
    depths  position in the written list -> position here
    whole   see `Place.whole`
    """

    steps: tuple[Step, ...]
    real: tuple[bool, ...]
    depths: tuple[int, ...]
    whole: Mapping[Axis, int]


def order(steps: Sequence[Step], anchors: Container[int], vector: Iterable[Axis], lanes: int) -> Order:
    """The list without loops of one iteration: those that cover their axis or repeat the enclosing tile.

    An axis left without loops is held whole; if it may be a lane its extent is rounded up to whole vectors, as far
    as the tile written for it allows.  anchors are the depths at which sinks leave for their own loops.
    """
    loops: dict[Axis, int] = {}
    written: dict[Axis, int] = {}
    kept: list[tuple[Axis, int | None]] = []
    depths = [0]
    for position, (axis, tile) in enumerate(steps, 1):
        if tile < axis.size and tile != written.get(axis):
            kept.append((axis, tile))
            loops[axis] = tile
        elif position in anchors:
            kept.append((axis, None))
        written[axis] = tile
        depths.append(len(kept))
    whole = {a: min(written[a], -(-a.size // lanes) * lanes) for a in vector if a in written and a not in loops}
    current: dict[Axis, int] = {}
    filled: list[Step] = []
    for axis, step_tile in kept:
        current[axis] = step_tile or current.get(axis) or axis.size
        filled.append(Step(axis, current[axis]))
    return Order(tuple(filled), tuple(tile is not None for _, tile in kept), tuple(depths), whole)


@dataclass(frozen=True, eq=False)
class Goal:
    """Something to be reached by the loops that remain.

    kind  "out": evaluate and store; "acc": update box with a reduce; "keep": put a value into box;
          "scan": put a scan's values into box; "settle": the closing factors of a stream
    sink  the store, the reduce, or the value
    """

    kind: str
    sink: Expr | Store
    box: Box | None = None
    center: Box | None = None
    factors: tuple[tuple[float, Box], ...] = ()

    @cached_property
    def roots(self) -> tuple[Expr, ...]:
        """The expressions evaluated where the loops end."""
        if isinstance(self.sink, Store):
            return (self.sink.value, *dynamic_exprs(self.sink.index, *(guard.index for guard in self.sink.guards)))
        return self.sink.args if self.kind in ("acc", "scan") else (self.sink,)

    @cached_property
    def axes(self) -> frozenset[Axis]:
        if isinstance(self.sink, Store):
            return frozenset(self.sink.axes)
        axes = self.sink.axes.union(*(root.axes for root in self.roots))
        return axes if self.center is None else axes | self.center.of.axes


class Needs:
    """Which of a kernel's marked values (reduces, scans, staged values, shifts of streams) an expression reaches."""

    def __init__(self, kernel: Kernel, schedule: Schedule) -> None:
        marked: set[Expr] = {stage.value for stage in schedule.stages} | {s.shift for s in schedule.streams}
        self.direct: dict[Expr, tuple[Expr, ...]] = {}
        self.marked = {e for e in kernel.exprs if isinstance(e, Reduce | Scan) or e in marked}
        for e in kernel.exprs:
            found: dict[Expr, None] = {}
            for child in children(e):
                if child in self.marked:
                    found[child] = None
                else:
                    found.update(dict.fromkeys(self.direct[child]))
            self.direct[e] = tuple(found)
        self.position = {e: i for i, e in enumerate(kernel.exprs)}

    def reached(self, roots: Iterable[Expr], env: Container[Expr]) -> list[Expr]:
        """The marked values below the roots, operands before users; those in env are listed, not looked into."""
        seen: set[Expr] = set()
        stack = [e for root in roots for e in ((root,) if root in self.marked else self.direct[root])]
        while stack:
            e = stack.pop()
            if e not in seen:
                seen.add(e)
                if e not in env:
                    stack.extend(self.direct[e])
        return sorted(seen, key=self.position.__getitem__)

    def pending(self, roots: Iterable[Expr], env: Container[Expr]) -> list[Reduce]:
        """The reduces below the roots that are still to be computed."""
        return [e for e in self.reached(roots, env) if isinstance(e, Reduce) and e not in env]

    def scans(self, roots: Iterable[Expr], env: Container[Expr]) -> list[Scan]:
        """The scans below the roots that are still to be computed, operands before users."""
        return [e for e in self.reached(roots, env) if isinstance(e, Scan) and e not in env]

    def reaches(self, roots: Iterable[Expr], value: Expr, env: Container[Expr]) -> bool:
        """True when evaluating the roots evaluates value."""
        return value not in env and value in self.reached(roots, env)


def dynamic_exprs(*indices: Index) -> tuple[Expr, ...]:
    """The expressions whose values the indices are made of."""
    found = (atom.of for index in indices for atom in index.atoms() if atom.kind == "dynamic")
    return tuple(dict.fromkeys(e for e in found if isinstance(e, Expr)))


def axis_names(kernel: Kernel) -> dict[Axis, str]:
    """Per axis an identifier; followed by a number it is unique in the nest and no keyword."""
    names: dict[Axis, str] = {}
    taken = set(BOXES)
    for axis in kernel.axes:
        base = "".join(c if c.isascii() and c.isalnum() else "_" for c in axis.name) or "axis"
        base = base if base[0].isalpha() else "axis_" + base
        base = base + "_" if base[-1].isdigit() else base
        name, letter = base, ord("b")
        while name in taken:
            name, letter = f"{base}_{chr(letter)}", letter + 1
        taken.add(name)
        names[axis] = name
    return names


def place_at(order: Order, depth: int, names: Mapping[Axis, str]) -> Place:
    """The place reached after the first `depth` steps of a list."""
    taken = (step for step, real in zip(order.steps[:depth], order.real) if real)
    todo = (step for step, real in zip(order.steps[depth:], order.real[depth:]) if real)
    return Place(tuple(taken), tuple(todo), order.whole, names)
