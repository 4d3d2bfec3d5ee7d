"""A schedule as data: how to run a kernel, never what it computes.

Comes in: choices (by `choose`, a tuner, a test).  Goes out: to `nest`, which places values and loops by it.  It knows
kernels, no languages.  A schedule can change speed, never the result.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import NamedTuple

from codegen.image import Image
from codegen.index import Axis
from codegen.ir import Expr, Load, Reduce, Store
from codegen.streaming import Stream


class ScheduleError(Exception):
    """A schedule that a kernel, or a language, does not allow; the message says why."""


class Step(NamedTuple):
    """One loop: walk `axis`, inside the enclosing tile of that axis, in steps of `tile`."""

    axis: Axis
    tile: int


@dataclass(frozen=True, eq=False)
class Stage:
    """Compute a value once per visit of a loop depth and keep it in a box.

    value   the expression: with a layout an operand to pack, without one a value to keep in natural order
    depth   number of enclosing loops at which the box is filled
    layout  ordered (axis, block) from outer to inner, an axis may occur twice; None: keep
    pad     elements added to the innermost extent of a packed box (breaks power-of-two strides)
    image   packs only: pack the value's image, whose axes the layout names, instead of the value
    """

    value: Expr
    depth: int
    layout: tuple[tuple[Axis, int], ...] | None = None
    pad: int = 0
    image: Image | None = None

    @property
    def packed(self) -> Expr:
        """The expression a packed box is filled with."""
        return self.value if self.image is None else self.image.source


class Inner(NamedTuple):
    """From `depth` on, a sink (a reduce, a kept value or a store) runs its own loops instead of the common list's
    rest."""

    depth: int
    loops: tuple[Step, ...]


class Ahead(NamedTuple):
    """The pass that first reads `load` asks the cache for what the outermost loop over `axis` will read a step later.

    Where places are looked up, it asks for the next step's, or for the window they fall into when each lane looks up
    its own.  Loops that groups share out do not count.  It pays where several passes work on a row in the cache, for
    memory would be idle during all but the first, and where rows are read in pieces, for processors foresee straight
    lines only.
    """

    load: Load
    axis: Axis


@dataclass(frozen=True, eq=False)
class Schedule:
    """How to run one kernel.

    loops    ordered loop steps; the first `grid` of them are spread over work-groups (programs)
    vector   axes that may be vector lanes, first choice first
    stages   values computed ahead into boxes
    inner    per sink: its own loop list from a depth on (two contractions in one kernel need it on CPUs)
    partial  reduces whose tile axes stay partial (lanes) until the end of their loop; None: the target's rule
    streams  groups of a max and its rescaled sums that run in one pass
    ahead    loads to ask for one loop step early, in languages that can
    options  options of the language, such as num_warps; on CPUs "bypass": arrays of at least so many bytes are written
             around the caches, which would first read what is overwritten

    Axes in no loop are held whole in the tile.  Law: along each axis every tile divides the enclosing one; the size
    itself need not divide.
    """

    loops: tuple[Step, ...] = ()
    grid: int = 0
    vector: tuple[Axis, ...] = ()
    stages: tuple[Stage, ...] = ()
    inner: Mapping[Expr | Store, Inner] = field(default_factory=lambda: MappingProxyType({}))
    partial: frozenset[Reduce] | None = None
    streams: tuple[Stream, ...] = ()
    ahead: tuple[Ahead, ...] = ()
    options: Mapping[str, int | str] = field(default_factory=lambda: MappingProxyType({}))

    def walks(self, axis: Axis) -> bool:
        """True when every list of loops ends with steps of one along an axis."""
        lists = [self.loops, *((*self.loops[:depth], *own) for depth, own in self.inner.values())]
        last = [next((step.tile for step in reversed(steps) if step.axis is axis), 0) for steps in lists]
        return all(tile == 1 for tile in last)
