"""Stores in Triton: plain, accumulating and reporting ones.

Comes in: a store at its place in a nest.  Goes out: lines.  An accumulating store reads, combines and writes when no
two points of the launch can meet, otherwise it uses the hardware's atomic operation.
"""

from __future__ import annotations

from collections.abc import Sequence

from codegen.index import Axis, guard_axes
from codegen.ir import Store
from codegen.nodes import Nest, Out
from codegen.ops import REDUCE_OPS, ReduceOp
from codegen.triton.expr import LONGEST, Leaf
from codegen.triton.limits import atomic_name, is_exclusive
from codegen.triton.scope import Value
from codegen.triton.text import full, literal, reduction, spelling, type_name


def print_store(node: Out, leaf: Leaf, once: Sequence[str], nest: Nest) -> None:
    """Print one store; `once` are grid variables that must be 0 for the store to happen."""
    store, rank = node.store, leaf.context.rank
    value = leaf.value(store.value)
    if len(value.text) > LONGEST:
        value = leaf.scope.name(("stored", store), "t", value.text, value.axes)
    first = [Value(f"{name} == 0", (), False) for name in once]
    if store.mode == "flag":
        _print_flag(store, leaf, value, first)
    elif store.mode == "set":
        mask = _mask(store, leaf, first)
        want = leaf.tiles.order(store.axes)
        pointer = leaf.tiles.offset(store.param, store.index, rank, want)
        leaf.scope.line(f"tl.store({pointer}, {_stored(value, store, want)}{_masked(mask, want)})")
    else:
        _print_accumulation(store, leaf, value, first, nest)


def _print_flag(store: Store, leaf: Leaf, value: Value, first: list[Value]) -> None:
    mask = _mask(store, leaf, [value, *first])
    want = leaf.tiles.order(store.axes)
    pointer = leaf.tiles.offset(store.param, store.index, leaf.context.rank, want)
    leaf.scope.line(f"tl.store({pointer}, 1{_masked(mask, want)})")


def _print_accumulation(store: Store, leaf: Leaf, value: Value, first: list[Value], nest: Nest) -> None:
    op, dtype = REDUCE_OPS[store.mode], store.param.dtype
    atomic = atomic_name(op, dtype)
    if is_exclusive(store, leaf.tiles, nest):
        _print_read_combine_write(store, leaf, value, first)
        return
    assert atomic is not None, "a legal schedule keeps such points apart"
    value, axes = _met(store, leaf, value, op)
    want = leaf.tiles.order(axes)
    pointer = leaf.tiles.offset(store.param, store.index, leaf.context.rank, want)
    mask = _mask(store, leaf, first, axes)
    stored = _stored(value, store, want)
    if not atomic.startswith("kf_"):
        leaf.scope.line(f'{atomic}({pointer}, {stored}{_masked(mask, want)}, sem="relaxed")')
    else:
        masked = "None" if mask is None else mask.alone(want)
        leaf.scope.line(f"{atomic}({pointer}, {stored}, {masked})")


def _print_read_combine_write(store: Store, leaf: Leaf, value: Value, first: list[Value]) -> None:
    op, dtype = REDUCE_OPS[store.mode], store.param.dtype
    want = leaf.tiles.order(store.axes)
    pointer = leaf.tiles.offset(store.param, store.index, leaf.context.rank, want)
    masked = _masked(_mask(store, leaf, first), want)
    before = f"tl.load({pointer}{masked})"
    before += f".to({type_name(dtype.arithmetic)})" if dtype.is_narrow_float else ""
    operand = full([], value.const.value, dtype.arithmetic) if value.const else value.over(want)
    name = leaf.scope.names.numbered("total")
    leaf.scope.line(f"{name} = {spelling(op.combine, dtype.arithmetic).format(before, operand)}")
    leaf.scope.line(f"tl.store({pointer}, {_stored(Value(name, want), store, want)}{masked})")


def _met(store: Store, leaf: Leaf, value: Value, op: ReduceOp) -> tuple[Value, tuple[Axis, ...]]:
    """Points of one tile that share a place are combined before they go there; the axes that are left."""
    placed = store.index.axes | guard_axes(store.guards)
    met = [a for a in value.axes if a not in placed]
    if not met:
        return value, store.axes
    outside = leaf.tiles.inside(met, leaf.context.rank)
    text, axes = value.text, value.axes
    if outside is not None:
        fill = literal(op.identity(store.value.dtype), store.value.dtype)
        text = f"tl.where({outside.alone(axes)}, {text}, {fill})"
    for position in reversed(range(len(axes))):
        if axes[position] in met:
            text = reduction(op, store.value.dtype, text, position)
    return Value(text, tuple(a for a in axes if a not in met)), tuple(a for a in store.axes if a not in met)


def _mask(store: Store, leaf: Leaf, more: Sequence[Value], axes: Sequence[Axis] | None = None) -> Value | None:
    """Where the store happens."""
    rank = leaf.context.rank
    mask = leaf.tiles.mask(store.axes if axes is None else axes, (store.index,), store.guards, rank)
    return leaf.tiles.all_of([*([mask] if mask else []), *more], rank)


def _masked(mask: Value | None, want: tuple[Axis, ...]) -> str:
    return "" if mask is None else f", mask={mask.alone(want)}"


def _stored(value: Value, store: Store, want: tuple[Axis, ...]) -> str:
    """The value in the parameter's type."""
    dtype = store.param.dtype
    if value.const is not None:
        return full([], value.const.value, dtype)
    return value.alone(want) if store.value.dtype is dtype else f"{value.over(want)}.to({type_name(dtype)})"
