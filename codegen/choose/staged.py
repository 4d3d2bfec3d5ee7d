"""Default CPU schedules for kernels in which contractions meet other reduces: attention and its gradients, a norm or a
softmax of a product.

Comes in: a kernel, its contractions and the target's facts.  Goes out: a schedule, or None when the kernel has no such
form.  One parallel axis gives the rows of a block; the longest axis that later contractions reduce over is walked in
blocks, once for each place of the others (the heads that share their keys); what is computed per block is kept in
scratch, and every sink runs a register tile of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import prod

from codegen.access import is_plain_load, loads_of, main_stores, parallel_axes
from codegen.choose.picks import Pick, either
from codegen.index import Axis
from codegen.ir import Expr, Kernel, Reduce, Store, walk
from codegen.rewrites.contract import Contraction
from codegen.schedule import Inner, Schedule, Stage, Step
from codegen.streaming import find_streams
from codegen.target import Target

TILES = ((8, 2), (12, 2), (4, 4), (8, 1), (4, 2), (4, 1))  # rows and vectors of the register tiles
ROW_BLOCKS = (128, 64, 32)  # rows of a group's block
LEAST_ROWS = 16
FEW_ROWS = 8  # where boxes must be small
ROW_VECTORS = 2  # vectors done together where rows are walked one by one, if a block has them
WALK_BLOCKS = (128, 64, 256, 512)  # steps of the walked axis that are computed together


@dataclass(frozen=True)
class Form:
    """The parts of such a kernel.

    rows   the parallel axis that gives a block's rows
    batch  the other parallel axes, which every contraction has in both operands or where it has the rows
    walk   the axis walked in blocks: bound by reduces of earlier results and not stored; None: a block holds everything
    around the other axes these reduces bind, and those of all operands of contractions
    early  contractions computed per block; late: contractions over the walked axis
    other  the remaining reduces
    """

    rows: Axis
    batch: tuple[Axis, ...]
    walk: Axis | None
    around: tuple[Axis, ...]
    early: tuple[Reduce, ...]
    late: tuple[Reduce, ...]
    other: tuple[Reduce, ...]


def form_of(kernel: Kernel, contractions: Mapping[Reduce, Contraction]) -> Form | None:
    """The kernel's form, or None when no parallel axis is an axis of every contraction or what is walked differs."""
    parallel = parallel_axes(kernel)
    late = tuple(r for r in contractions if _reaches(r, contractions))
    early = tuple(r for r in contractions if r not in late)
    stored = {a for s in main_stores(kernel) for a in s.axes}
    statistics = [r for r in kernel.reduces if r not in contractions and _reaches(r, contractions)]
    walked = {a for r in (late or statistics) for a in r.bound} - stored
    candidates = [a for a in parallel if all(a in r.axes and _on_one_side(contractions[r], a) for r in contractions)]
    if not candidates or any(0 < len(walked.intersection(r.bound)) < len(walked) for r in kernel.reduces):
        return None
    rows = max(candidates, key=lambda a: a.size)
    other = tuple(r for r in kernel.reduces if r not in contractions)
    batch = tuple(a for a in parallel if all(_goes_with(c, a, rows) for c in contractions.values()))
    beside = [a for a in sorted(walked, key=lambda a: a.id) if all(a in c.batch for c in contractions.values())]
    inside_out = [*sorted(walked.difference(beside), key=lambda a: (-a.size, a.id)), None]
    return Form(rows, batch, inside_out[0], tuple(a for a in (*beside, *inside_out[1:]) if a), early, late, other)


def _goes_with(c: Contraction, axis: Axis, rows: Axis) -> bool:
    """True for an axis of both operands, or of that which has the rows."""
    return axis is not rows and (axis in c.batch or any(axis in side and rows in side for side in (c.m, c.n)))


def _reaches(r: Reduce, others: Mapping[Reduce, Contraction]) -> bool:
    return any(e in others for e in walk(r.args))


def _on_one_side(c: Contraction, axis: Axis) -> bool:
    return axis in c.m or axis in c.n


def staged(
    kernel: Kernel, contractions: Mapping[Reduce, Contraction], target: Target, pick: Pick
) -> Iterator[Schedule]:
    """The schedule of a kernel of this form; nothing when it has another form."""
    form = form_of(kernel, contractions)
    if form is None:
        return
    lanes = target.lanes
    grid = [Step(a, 1) for a in form.batch]
    tile = pick("tile", TILES)
    rows = _row_block(form, prod(a.size for a in form.batch), target, pick)
    grid.append(Step(form.rows, -(-rows // tile[0]) * tile[0]))
    common = [Step(a, 1) for a in form.around]
    common += [Step(form.walk, pick("walk", WALK_BLOCKS))] if form.walk is not None else []
    depth = len(grid) + len(common)
    piece = min([ROW_VECTORS * lanes, *(step.tile for step in common if step.axis is form.walk)])
    plan = _Tiles(kernel, form, contractions, lanes, depth, tile, piece)
    vector = tuple(dict.fromkeys([plan.lane_of(r) for r in (*form.early, *form.late)] + plan.store_lanes()))
    loops, stages, streams = (*grid, *common, *plan.tail()), tuple(plan.stages()), find_streams(kernel)
    yield Schedule(loops, len(grid), vector, stages, plan.inner(), None, streams)


def _row_block(form: Form, groups: int, target: Target, pick: Pick) -> int:
    """Rows per group: 128, 64 or 32 when that leaves two groups a core, less otherwise."""
    enough = (rows for rows in ROW_BLOCKS if groups * -(-form.rows.size // rows) >= 2 * target.cores)
    return pick("rows", either(next(enough, LEAST_ROWS), (*ROW_BLOCKS, LEAST_ROWS, FEW_ROWS)))


class _Tiles:
    """The loops of every sink below the common ones, and what is kept between sinks."""

    def __init__(
        self,
        kernel: Kernel,
        form: Form,
        contractions: Mapping[Reduce, Contraction],
        lanes: int,
        depth: int,
        tile: tuple[int, int],
        piece: int,
    ) -> None:
        self.kernel, self.form, self.contractions = kernel, form, contractions
        self.lanes, self.depth, self.piece = lanes, depth, piece
        self.rows, self.vectors = tile
        self.outside = {form.rows, *form.batch, *form.around}

    def lane_of(self, r: Reduce) -> Axis:
        """The axis of a contraction's result that holds its lanes: the one across the rows."""
        c = self.contractions[r]
        side = c.n if self.form.rows in c.m else c.m
        return max(side, key=lambda a: (a.size, -a.id))

    def columns(self, axis: Axis) -> int:
        return self.lanes * (self.vectors if axis.size > self.lanes else 1)

    def contraction_loops(self, r: Reduce) -> tuple[Step, ...]:
        """Outer free axes by one, the register tile, then the bound axes by one."""
        lane = self.lane_of(r)
        free = [Step(a, 1) for a in self.kernel.axes if a in r.axes and a not in self.outside and a is not lane]
        bound = [Step(a, 1) for a in self.kernel.axes if a in r.bound and a not in self.outside]
        return (*free, Step(self.form.rows, self.rows), Step(lane, self.columns(lane)), *bound)

    def row_loops(self, value: Expr, across: Axis) -> tuple[Step, ...]:
        """What is no contraction shares nothing between rows: row by row, other bound axes by one."""
        found = value.bound if isinstance(value, Reduce) else ()
        bound = [Step(a, 1) for a in found if a is not across and a not in self.outside]
        return (Step(self.form.rows, 1), Step(across, self.piece), *bound)

    def tail(self) -> tuple[Step, ...]:
        """The loops of the stores, when they have no list of their own."""
        return self.store_loops(main_stores(self.kernel)[0])

    def store_loops(self, store: Store) -> tuple[Step, ...]:
        lane = self.store_lane(store)
        free = [Step(a, 1) for a in store.axes if a not in self.outside and a is not lane]
        return (*free, Step(self.form.rows, 1), *((Step(lane, self.columns(lane)),) if lane else ()))

    def store_lane(self, store: Store) -> Axis | None:
        free = [a for a in store.axes if a not in self.outside]
        return max(free, key=lambda a: (store.index.stride(a) == 1, a.size), default=None)

    def store_lanes(self) -> list[Axis]:
        return [lane for s in main_stores(self.kernel) if (lane := self.store_lane(s)) is not None]

    def across(self) -> Axis | None:
        """The axis across the rows in which per-block values lie."""
        if self.form.walk is not None:
            return self.form.walk
        return self.lane_of(self.form.early[0]) if self.form.early else None

    def inner(self) -> dict[Expr | Store, Inner]:
        found: dict[Expr | Store, Inner] = {}
        for r in (*self.form.early, *self.form.late):
            found[r] = Inner(self.depth, self.contraction_loops(r))
        across = self.across()
        if across is not None:
            for value in (*self.form.other, *(s.value for s in self.stages() if s.layout is None)):
                if value not in found and across in (value.args[0].axes if isinstance(value, Reduce) else value.axes):
                    found[value] = Inner(self.depth, self.row_loops(value, across))
        for store in self.kernel.stores[1:]:
            if store.mode == "set":
                found[store] = Inner(self.depth, self.store_loops(store))
        return found

    def stages(self) -> list[Stage]:
        """Early results and computed operands of late contractions are kept, operands with scattered lanes packed."""
        found = [Stage(e, self.depth) for e in self._kept()]
        for r in (*self.form.early, *self.form.late):
            c, lane = self.contractions[r], self.lane_of(r)
            operand = c.right if lane in c.n else c.left
            loads = list(loads_of(operand))
            if is_plain_load(operand) and any(lane in e.axes and e.index.stride(lane) != 1 for e in loads):
                summed = operand.axes.intersection(r.bound) - self.outside
                rest = [(a, 1) for a in self.kernel.axes if a in summed]
                found.append(Stage(operand, self.depth, ((lane, self.columns(lane)), *rest, (lane, 1))))
        return found

    def _kept(self) -> list[Expr]:
        kept: dict[Expr, None] = dict.fromkeys(self.form.early)
        for r in self.form.late:
            for operand in (self.contractions[r].left, self.contractions[r].right):
                if not is_plain_load(operand) and self.form.rows in operand.axes and operand not in kept:
                    kept[operand] = None
        return list(kept)
