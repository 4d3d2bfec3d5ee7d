"""Stores as OpenCL C: plain, accumulating and flags, in whole vectors where memory allows.

Comes in: an `Out` node and the printer of leaves it belongs to.  Goes out: lines of text.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from codegen.access import has_whole_lines
from codegen.dtypes import dtypes
from codegen.index import Axis
from codegen.ir import Apply, Expr, Store
from codegen.nodes import Out
from codegen.opencl.items import GLOBAL_BARRIER, is_met_again, item_store
from codegen.opencl.masks import Conditions
from codegen.opencl.pairs import Waiting, put_between, put_rest, woven_with
from codegen.opencl.prelude import ITEM
from codegen.opencl.runs import blocks_of, is_woven, print_run, print_woven, run_axes, stretches
from codegen.ops import REDUCE_OPS

if TYPE_CHECKING:
    from codegen.opencl.boxes import Coords
    from codegen.opencl.leaves import Leaves


def print_store(leaves: Leaves, node: Out) -> None:
    """Evaluate and store every point of a tile that is inside."""
    store = node.store if node.store.param in leaves.replaced else leaves.moved(node.store)
    lane = leaves.lane_among(store.axes, node.place)
    along = () if leaves.items else run_axes(leaves, store, node.place, lane)
    cut = [a for a in along if a in leaves.masks.open and a not in leaves.masks.clear and node.place.tile(a) > 1]
    if not cut or store.param in leaves.replaced or any(node.place.var(a) is None for a in cut):
        _print_points(leaves, node, store, lane, along)
        return
    put_rest(leaves)
    tests = [f"{node.place.var(a)} + {node.place.tile(a)} <= {a.size}" for a in cut]
    clear, known = leaves.masks.clear, leaves.memo
    for head, whole in ((f"if ({' && '.join(tests)})", clear.union(cut)), ("else", clear)):
        leaves.masks.clear, leaves.memo = whole, dict(known)
        with leaves.lines.block(head):
            _print_points(leaves, node, store, lane, along)
            put_rest(leaves)
    leaves.masks.clear, leaves.memo = clear, known


def _print_points(leaves: Leaves, node: Out, store: Store, lane: Axis | None, along: Sequence[Axis]) -> None:
    waiting: list[tuple[Coords, Conditions]] = []  # points that may be stored together
    for coords in leaves.points(store.axes, node.place, lane):
        when = leaves.masks.conditions(store.guards, store.axes, coords, lane)
        if when.never or leaves.masks.outside(coords, store.axes):
            continue
        when.scalars += [f"{loop.var} == 0" for loop in node.once]
        if lane is None:
            _print_scalar(leaves, store, when, coords)
        elif leaves.items:
            _print_items(leaves, store, when, coords, lane)
        elif along and not when.scalars and not when.masks:
            waiting.append((coords, when))
        else:
            _print_vector(leaves, store, when, coords, lane)
    if along and lane is not None:
        _print_runs(leaves, store, waiting, along, lane)


def _print_runs(
    leaves: Leaves, store: Store, points: Sequence[tuple[Coords, Conditions]], along: Sequence[Axis], lane: Axis
) -> None:
    """Store points that lie one behind the other along axes in runs: vectors woven into vectors where they fill what
    lies between the lanes, else a run for each lane where all lanes are inside."""
    lines: dict[object, list[tuple[Coords, Conditions]]] = {}
    for coords, when in points:
        key = tuple(offset for axis, offset in coords.items() if axis not in along)
        lines.setdefault((key, tuple(when.first), tuple(when.last)), []).append((coords, when))
    for line in (part for points in lines.values() for part in stretches(points, store, along)):
        coordinates, when = [coords for coords, _ in line], line[0][1]
        if is_woven(len(line), leaves.indices.stride(store.index, coordinates[0], lane)):
            values = [_stored_value(leaves, store, coords, lane) for coords in coordinates]
            print_woven(leaves, store, coordinates, values, when)
            continue
        blocks = [] if when.by_lane else blocks_of(len(line), leaves.lanes)
        for block in blocks:
            part = [coordinates[i] for i in block]
            print_run(leaves, store, part, [_stored_value(leaves, store, coords, lane) for coords in part], lane)
        for coords, conditions in line if not blocks else ():
            _print_vector(leaves, store, conditions, coords, lane)


def _print_scalar(leaves: Leaves, store: Store, when: Conditions, coords: Coords) -> None:
    value = _stored_value(leaves, store, coords, None)
    index = leaves.indices.scalar(store.index, coords)
    if store.mode == "flag":
        when.scalars.append(value)
    before = None if store.before is None else leaves.indices.scalar(store.before, coords)
    statement = _element_store(leaves, store, index, value, before)
    again = leaves.items and store.mode not in ("set", "flag") and is_met_again(leaves, store)
    when.scalars += [f"{ITEM} == 0"] if leaves.items else []
    if again:
        leaves.put_store(store, GLOBAL_BARRIER)
    leaves.put_store(store, _if(when.scalars, statement, rare=store.mode == "flag"))
    if again:
        leaves.put_store(store, GLOBAL_BARRIER)


def _print_items(leaves: Leaves, store: Store, when: Conditions, coords: Coords, lane: Axis) -> None:
    """Store the lane each item holds."""
    value = _stored_value(leaves, store, coords, lane)
    if not value.isidentifier():
        value = leaves.named("value", value, dtypes.bool if store.mode == "flag" else store.param.dtype, 1)[0]
    index = leaves.indices.vector(store.index, coords, lane)
    before = None if store.before is None else leaves.indices.vector(store.before, coords, lane)
    statement = _element_store(leaves, store, index, value, before)
    for line in item_store(leaves, store, when, value, lane, statement):
        leaves.put_store(store, line)


def _print_vector(leaves: Leaves, store: Store, when: Conditions, coords: Coords, lane: Axis) -> None:
    value = _stored_value(leaves, store, coords, lane)
    step = leaves.indices.stride(store.index, coords, lane)
    if step in (1, -1) and not when.masks and store.mode != "flag" and store.before is None:
        if not when.by_lane:
            leaves.requests.ask_beside(leaves, store, coords, lane)
        leaves.put_store(store, _if(when.scalars, _run_store(leaves, store, when, coords, step, value)))
        return
    if store.mode == "flag":
        when.masks.append(value)
    if count := woven_with(leaves, store, when, coords, lane):
        if not value.isidentifier():
            value = leaves.named("value", value, store.param.dtype, leaves.lanes)[0]
        alone = partial(_print_lanes, leaves, store, when, coords, lane, value)
        put_between(leaves, Waiting(store, dict(coords), when, value, count, alone))
        return
    _print_lanes(leaves, store, when, coords, lane, value)


def _print_lanes(leaves: Leaves, store: Store, when: Conditions, coords: Coords, lane: Axis, value: str) -> None:
    """Store a vector lane by lane, or flag it."""
    mask = leaves.lane_mask(when)
    if store.mode == "flag" and leaves.indices.stride(store.index, coords, lane) == 0:
        index = leaves.indices.scalar(store.index, coords)
        statement = _element_store(leaves, store, index, value)
        leaves.put_store(store, _if([*when.scalars, f"any({mask})"], statement, rare=True))
        return
    if not value.isidentifier():
        value = leaves.named("value", value, store.param.dtype, leaves.lanes)[0]
    for line in _lane_by_lane(leaves, store, when, mask, _lane_stores(leaves, store, coords, lane, value)):
        leaves.put_store(store, line)


def _lane_by_lane(
    leaves: Leaves, store: Store, when: Conditions, mask: str | None, statements: Sequence[str]
) -> list[str]:
    """The statements for all lanes, each under the conditions on it.

    As a rule all places that are looked up are inside: a branch for each would cost more than what it stores.
    """
    if mask is None:
        return [_if(when.scalars, statement) for statement in statements]
    count = min((int(text) for text in when.last if text.isdigit()), default=leaves.lanes)
    each = [_if([*when.scalars, f"{mask}.s{i:x}"], statement) for i, statement in enumerate(statements[:count])]
    if store.mode == "flag" or not when.masks:
        return each
    mask = mask if count == leaves.lanes else f"{mask} | ({leaves.speller.prelude.lanes_constant('int')} >= {count})"
    whole = " && ".join([*when.scalars, f"all({mask})"])
    return [f"if ({whole}) {{", *(f"  {x}" for x in statements[:count]), "} else {", *(f"  {x}" for x in each), "}"]


def _lane_stores(leaves: Leaves, store: Store, coords: Coords, lane: Axis, value: str) -> list[str]:
    """The statements that store each lane of a vector."""
    indices = leaves.lane_indices(store.index, leaves.indices.stride(store.index, coords, lane), coords, lane)
    old: Sequence[str | None] = [None] * leaves.lanes
    if store.before is not None:
        old = leaves.lane_indices(store.before, leaves.indices.stride(store.before, coords, lane), coords, lane)
    elements = (leaves.speller.element_of(value, i, store.param.dtype) for i in range(leaves.lanes))
    return [_element_store(leaves, store, *found) for found in zip(indices, elements, old)]


def _stored_value(leaves: Leaves, store: Store, coords: Coords, lane: Axis | None) -> str:
    """The value in the type it is stored as; storing rounds to 16-bit floats, so a last cast to them is left out."""
    e: Expr = store.value
    to = dtypes.bool if store.mode == "flag" else store.param.dtype
    width = 1 if lane is None else leaves.lanes
    if isinstance(e, Apply) and e.op.name == "cast" and e.dtype is to and to.is_narrow_float and e not in leaves.env:
        source = e.args[0].dtype
        if source is dtypes.float32:
            return leaves.wide(leaves.value(e.args[0], coords, lane), source, width)
    text = leaves.wide(leaves.value(e, coords, lane), e.dtype, width)
    if e.dtype is to or (to.is_narrow_float and e.dtype is dtypes.float32):
        return text
    return leaves.speller.cast(text, e.dtype, to, width)


def _run_store(leaves: Leaves, store: Store, when: Conditions, coords: Coords, step: int, value: str) -> str:
    """The statement for a vector of consecutive places."""
    dtype, name = store.param.dtype, leaves.destination(store.param)
    start, bounds = leaves.run(store.index, when, coords, step)
    value = value if step == 1 else leaves.turned(value, bounds)
    if store.mode != "set":
        if bounds is None:
            old = leaves.speller.load(name, start, dtype, leaves.lanes)
        else:
            old = leaves.speller.bounded_load(store.param, name, start, *bounds)
        op = REDUCE_OPS[store.mode].name
        value = leaves.speller.combine(op, dtype.arithmetic, old, value, leaves.lanes)
    if bounds is None:
        if store.mode == "set" and dtype.bits == 32 and _bypasses(leaves, store):
            return leaves.speller.bypassing_store(name, start, value, dtype)
        return leaves.speller.store(name, start, value, dtype, leaves.lanes)
    return leaves.speller.bounded_store(name, start, value, *bounds, dtype)


def _bypasses(leaves: Leaves, store: Store) -> bool:
    """True for vectors that are to go around the caches: of large results, but not of rows written one after the other
    of which some begin amid a line, since lines that go around the caches break up the stream of the others."""
    if store.param.nbytes < leaves.bypass or store.param in leaves.replaced:
        return False
    assert leaves.at is not None
    together = any(leaves.at.tile(a) > 1 for a in store.axes if store.index.stride(a) != 1)
    return together or has_whole_lines(store)


def _element_store(leaves: Leaves, store: Store, index: str, value: str, before: str | None = None) -> str:
    """The statement for one place; `before` is where its old value goes."""
    dtype, name = store.param.dtype, leaves.destination(store.param)
    if store.mode == "flag":
        value = "1"
    elif store.mode != "set":
        old = leaves.speller.load(name, index, dtype, 1)
        if before is not None:
            found = leaves.lines.fresh("found")
            value = leaves.speller.combine(store.mode, dtype.arithmetic, found, value, 1)
            kept = leaves.speller.store(name, before, found, dtype, 1)
            whole = f"const {leaves.speller.type(dtype.arithmetic, 1)} {found} = {old}; {kept}"
            return f"{{ {whole} {leaves.speller.store(name, index, value, dtype, 1)} }}"
        value = leaves.speller.combine(store.mode, dtype.arithmetic, old, value, 1)
    return leaves.speller.store(name, index, value, dtype, 1)


def _if(conditions: list[str], statement: str, rare: bool = False) -> str:
    """The statement under conditions; rare: compilers are told that they hardly ever hold, or order branches badly."""
    text = " && ".join(conditions)
    if not text:
        return statement
    return f"if (__builtin_expect({text}, 0)) {statement}" if rare else f"if ({text}) {statement}"
