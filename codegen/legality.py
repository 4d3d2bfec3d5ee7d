"""When a schedule is legal: laws every language shares, and those of each language.

Comes in: a kernel with a schedule, before and after placement.  Goes out: nothing, or ScheduleError with the reason.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import chain, pairwise
from math import prod

from codegen.index import Axis, separated
from codegen.ir import Expr, Kernel, Load, Param, Reduce, Store, children, walk
from codegen.nodes import (
    Advance,
    Box,
    Environment,
    Keep,
    Leaf,
    Loop,
    Nest,
    Node,
    Out,
    Pack,
    Place,
    Settle,
    Update,
    leaf_roots,
    nodes,
)
from codegen.ops import REDUCE_OPS
from codegen.overwriting import overwritten
from codegen.schedule import Schedule, ScheduleError, Stage, Step
from codegen.streaming import scans_within
from codegen.target import Target

LINE = 64  # bytes at whose multiples arrays begin
STATEMENTS = 2000  # values and vectors that tiles may add to a kernel's text: beyond, building takes seconds
ACCUMULATING = frozenset(REDUCE_OPS)


def check_written(kernel: Kernel, schedule: Schedule, target: Target) -> None:
    """Raise ScheduleError unless the schedule, as written, is legal for the kernel."""
    _check_loops(kernel, schedule)
    _check_stages(kernel, schedule)
    _check_streams(kernel, schedule)
    _check_ahead(kernel, schedule)
    _check_grid(kernel, schedule, target)


def check_placed(nest: Nest) -> None:
    """Raise ScheduleError unless the nest can be printed in its target's language."""
    _check_overwriting(nest)
    if nest.target.language == "opencl":
        _check_expansion(nest)


# ------------------------------------------------------------------------------------------------------ as written


def _check_loops(kernel: Kernel, schedule: Schedule) -> None:
    known = set(kernel.axes)
    if not 0 <= schedule.grid <= len(schedule.loops):
        raise ScheduleError(f"{schedule.grid} grid loops, but the schedule has {len(schedule.loops)} loops")
    lists = [schedule.loops]
    sinks: set[Expr | Store] = {*kernel.exprs, *kernel.stores}
    for sink, (depth, loops) in schedule.inner.items():
        if sink not in sinks:
            raise ScheduleError(f"inner loops are given for {sink!r}, which is no value or store of the kernel")
        if not 0 <= depth <= len(schedule.loops):
            raise ScheduleError(f"inner loops begin at depth {depth}, outside the {len(schedule.loops)} loops")
        lists.append((*schedule.loops[:depth], *loops))
    for steps in lists:
        _check_tiles(steps, known)
    if not known.issuperset(schedule.vector):
        raise ScheduleError("a vector axis is no axis of the kernel")


def _check_tiles(steps: Sequence[Step], known: set[Axis]) -> None:
    """Along each axis every tile divides the enclosing one; the size itself need not divide."""
    enclosing: dict[Axis, int] = {}
    for axis, tile in steps:
        if axis not in known:
            raise ScheduleError(f"a loop over {axis}, which is no axis of the kernel")
        if tile < 1 or enclosing.get(axis, tile) % tile:
            raise ScheduleError(f"loop over {axis} by {tile} does not divide the enclosing tile {enclosing.get(axis)}")
        enclosing[axis] = tile


def _check_stages(kernel: Kernel, schedule: Schedule) -> None:
    values = set(kernel.exprs)
    for stage in schedule.stages:
        if stage.value not in values:
            raise ScheduleError(f"staged value {stage.value!r} is no value of the kernel")
        if not 0 <= stage.depth <= len(schedule.loops):
            raise ScheduleError(f"a stage at depth {stage.depth}, outside the {len(schedule.loops)} loops")
        if stage.layout is not None:
            _check_layout(stage)


def _check_ahead(kernel: Kernel, schedule: Schedule) -> None:
    loads, looped = set(kernel.loads), {step.axis for step in schedule.loops[schedule.grid :]}
    for load, axis in schedule.ahead:
        if load not in loads:
            raise ScheduleError(f"{load!r}, to be loaded ahead, is no load of the kernel")
        if axis not in looped or not can_ask(load, axis):
            raise ScheduleError(f"{load!r} cannot be loaded ahead: it does not move evenly along a loop over {axis}")


def can_ask(load: Load, axis: Axis) -> bool:
    """True when it is known what a load will read a step later along an axis: by its stride, or by looking it up."""
    looked_up = [atom for atom in load.index.atoms() if atom.kind == "dynamic"]
    moves = load.index.coefficient(axis) if looked_up else load.index.stride(axis)
    return bool(moves) or any(axis in atom.axes for atom in looked_up)


def _check_layout(stage: Stage) -> None:
    """The blocks of each axis divide from outer to inner and end with 1."""
    blocks: dict[Axis, int] = {}
    if stage.image is not None and not stage.image.holds(stage.value):
        raise ScheduleError(f"the image is none of the staged value {stage.value!r}")
    for axis, block in stage.layout or ():
        if axis not in stage.packed.axes:
            raise ScheduleError(f"the layout names {axis}, which the staged value {stage.value!r} lacks")
        if block < 1 or blocks.get(axis, block) % block:
            raise ScheduleError(f"the block {block} of {axis} does not divide the block outside it")
        blocks[axis] = block
    if not blocks or any(block != 1 for block in blocks.values()):
        raise ScheduleError("a layout ends each axis of the staged value with block 1")


def _check_streams(kernel: Kernel, schedule: Schedule) -> None:
    reduces = set(kernel.reduces)
    for stream in schedule.streams:
        sums = [r for r, _ in stream.sums]
        if not reduces.issuperset((stream.max, *sums)):
            raise ScheduleError("a stream names reduces the kernel lacks")
        if stream.max.op.name != "max" or not stream.max.dtype.is_float or any(r.op.name != "add" for r in sums):
            raise ScheduleError("a stream is a max of floats and sums")
        if any(set(r.bound) != set(stream.max.bound) for r in sums):
            raise ScheduleError("the reduces of a stream must run over the same axes")
        if any(map(scans_within, (stream.max, *sums))):
            raise ScheduleError("a reduce of a stream scans along the stream's axes")


def _check_grid(kernel: Kernel, schedule: Schedule, target: Target) -> None:
    grid = [step.axis for step in schedule.loops[: schedule.grid]]
    if len(set(grid)) != len(grid):
        raise ScheduleError("an axis has two grid loops")
    for r in kernel.reduces:
        for axis in r.bound:
            if axis in grid:
                raise ScheduleError(f"grid loop over {axis}, which a reduce binds: no program would see all of it")
    for scan in kernel.scans:
        if scan.reverse:
            raise ScheduleError(f"a scan runs back along {scan.axis}: loops only count up")
        if scan.axis in grid:
            raise ScheduleError(f"grid loop over {scan.axis}, which is scanned: no program would see what comes before")
    if target.language == "opencl":
        for store in kernel.stores:
            _check_accumulation(kernel, store, grid)
            _check_order(store, schedule)


def _check_accumulation(kernel: Kernel, store: Store, grid: Iterable[Axis]) -> None:
    """Programs must not meet in one place: an accumulating store reads, combines and writes without atomics."""
    if store.mode not in ACCUMULATING:
        return
    separate = separated(store.index)
    for axis in grid:
        if axis in store.axes and axis not in separate:
            raise ScheduleError(f"programs along {axis} may accumulate into the same place of {store.param}")
        if sum(other.param is store.param for other in kernel.stores) > 1:
            raise ScheduleError(f"several stores go to {store.param}, one of which accumulates: no grid is allowed")


def _check_order(store: Store, schedule: Schedule) -> None:
    """Points that come in an order do so when all their axes but the last are looped one by one, outer ones first."""
    ordered = store.sequential
    depth, own = schedule.inner.get(store, (len(schedule.loops), ()))
    steps = [step for step in (*schedule.loops[:depth], *own) if step.axis in ordered]
    if list(dict.fromkeys(step.axis for step in steps)) != list(ordered) or any(
        step.axis is not before.axis and before.tile > 1 for before, step in pairwise(steps)
    ):
        raise ScheduleError(f"the points of a store to {store.param} would not come in the order of its axes")


# ------------------------------------------------------------------------------------------------------ as placed


def _check_overwriting(nest: Nest) -> None:
    """An element that is replaced is read in the same block of leaves: before the stores, which come last, and once.

    So results are not replaced that another store, with loops of its own, still reads, nor by part of a value.
    """
    replaced = overwritten(nest.kernel)
    if not replaced:
        return
    if nest.target.language == "triton":
        raise ScheduleError("Triton programs read nothing that they write")
    blocks = list(_blocks(nest.body))
    for param in replaced:
        users = [n for n in chain(*blocks) if isinstance(n, Out) and (n.store.param is param or _reads(n, {param}))]
        if sum(any(n in users for n in block) for block in blocks) > 1:
            raise ScheduleError("what is read would be replaced by a store that has loops of its own")
    others = (n for n in nodes(nest.body) if isinstance(n, Pack | Update | Keep | Advance | Settle))
    if any(_reads(node, replaced) for node in others):
        raise ScheduleError("what is replaced would be kept, and so be read apart from where it is stored")


def _blocks(body: Sequence[Node]) -> Iterator[list[Node]]:
    """The runs of leaves with nothing between them: printers store what replaces at the end of each."""
    block: list[Node] = []
    for node in body:
        if isinstance(node, Update | Keep | Advance | Settle | Out):
            block.append(node)
            continue
        yield block
        block = []
        if isinstance(node, Loop):
            yield from _blocks(node.body)
    yield block


def _reads(node: Leaf | Pack, params: Collection[Param]) -> bool:
    roots = node.store.roots if isinstance(node, Out) else leaf_roots(node)
    return any(isinstance(e, Load) and e.param in params for e in walk(roots))


def _check_expansion(nest: Nest) -> None:
    """Tiles are expanded into text and boxes into private memory: both must stay within bounds."""
    held = [(box, box.of.dtype if box.narrow else box.of.dtype.arithmetic) for box in nest.boxes if box.array]
    scratch = sum(prod(box.tile.values()) * dtype.itemsize for box, dtype in held)
    if nest.target.items > 1:  # there is no more local memory than that, and each box begins at a multiple of LINE
        scratch = sum(-(-_padded(box) * dtype.itemsize // LINE) * LINE for box, dtype in held)
    if scratch > nest.target.scratch:
        raise ScheduleError(f"the boxes need {scratch} bytes of scratch, more than the target's {nest.target.scratch}")
    for node in nodes(nest.body):
        if isinstance(node, Pack):
            _check_layout_whole(node.box)
    total = statements(nest)
    if total > STATEMENTS:
        raise ScheduleError(f"the tiles would add {total} statements to the text, more than {STATEMENTS}")


def _padded(box: Box) -> int:
    """The elements of a box with what pads its lines."""
    total, written = prod(box.tile.values()), [(a, block) for a, block in box.layout or () if box.tile[a] > 1]
    if not written:
        return total
    last, _ = written.pop()
    line = next((block for a, block in reversed(written) if a is last), box.tile[last])
    return total // line * (line + box.pad)


def statements(nest: Nest) -> int:
    """About how many statements tiles add: values or vectors beyond the first of each, without twins for tails.

    A schedule whose tiles are single values or vectors adds none, however many values the kernel has.
    """
    total = sum(_written_out(nest, box.tile) - 1 for box in nest.boxes if not box.array)
    for node in nodes(nest.body):
        if isinstance(node, Update):
            total += _statements(nest, node.place, node.reduce.arg.axes, node.reduce.args, node.env)
        elif isinstance(node, Keep):
            total += _statements(nest, node.place, node.box.of.axes, (node.box.of,), node.env)
        elif isinstance(node, Advance):
            total += _statements(nest, node.place, node.scan.axes, node.scan.args, node.env)
        elif isinstance(node, Out):
            total += _statements(nest, node.place, node.store.axes, (node.store.value,), node.env)
        elif isinstance(node, Settle):
            total += _statements(nest, node.place, node.center.of.axes, (node.shift,), node.env)
    return total


def _check_layout_whole(box: Box) -> None:
    missing = [a for a, extent in box.tile.items() if extent > 1 and (a, 1) not in (box.layout or ())]
    if missing:
        raise ScheduleError(f"the layout of {box.name} lacks {missing[0]}, of which it holds more than one")


def _written_out(nest: Nest, tile: Mapping[Axis, int]) -> int:
    """Values or vectors a tile expands into."""
    lanes = nest.target.lanes
    whole = any(tile[a] % lanes == 0 for a in nest.schedule.vector if a in tile)
    return prod(tile.values()) // (lanes if whole else 1)


def _statements(nest: Nest, place: Place, axes: Iterable[Axis], roots: Iterable[Expr], env: Environment) -> int:
    """The same for one leaf: its own points, and every expression's."""
    tiles = [frozenset(axes)]
    stack, seen = list(roots), set[Expr]()
    while stack:
        e = stack.pop()
        if e in seen:
            continue
        seen.add(e)
        if e not in env:
            tiles += [e.axes, *([e.arg.axes] if isinstance(e, Reduce) else [])]
            stack.extend(children(e))
    return sum(_written_out(nest, {a: place.tile(a) for a in tile}) - 1 for tile in tiles)
