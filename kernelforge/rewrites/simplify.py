"""Graph -> graph: the same values from fewer or cheaper nodes, before the graph is cut into kernels.

Comes in: output nodes.  Goes out: equal ones.  `simplify` walks the graph once, sources first, and applies to each node
the rules registered for its operation until none holds.  A rule takes a node whose sources are simplified and returns
its replacement or None; its docstring says  before -> after  and when.  Realized nodes are leaves: never changed, never
looked into.  Gradients are taken before, so detach and surrogate are
only identities here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import copysign, prod
from typing import Final

import numpy as np

from codegen.assumed import assumed, assumed_of_constants, largest, smallest
from codegen.dtypes import DType, dtypes, from_storage, to_storage
from codegen.ops import REDUCE_OPS, SCALAR_OPS
from kernelforge import graph
from kernelforge.blame import current_line
from kernelforge.checked import checks
from kernelforge.graph import Node, Value, elementwise, factor, full, rebuild, toposort, uniform

Rule = Callable[[Node], Node | None]
RULES: Final[dict[str, list[Rule]]] = {}


def simplify(outputs: Sequence[Node]) -> list[Node]:
    """Nodes with the values of the outputs, in the same order."""
    simple: dict[Node, Node] = {}
    settled: set[Node] = set()
    before = current_line.get()
    try:
        for node in toposort(outputs, into_realized=False):
            if node.realized is None and node.src:
                current_line.set(node.line)
                simple[node] = _settle(rebuild(node, [simple[x] for x in node.src]), settled)
            else:
                simple[node] = node
                settled.add(node)
    finally:
        current_line.set(before)
    return [simple[node] for node in outputs]


def _settle(node: Node, settled: set[Node]) -> Node:
    """The node after rules, until none holds for it or for the few nodes a rule puts below it."""
    while node not in settled:
        if node.realized is None and not settled.issuperset(node.src):
            node = rebuild(node, [_settle(x, settled) for x in node.src])
        better = None if node.realized is not None else _improved(node)
        if better is None:
            settled.add(node)
        else:
            node = better
    return node


def _improved(node: Node) -> Node | None:
    for rule in RULES.get(node.op, ()):
        better = rule(node)
        if better is not None and better is not node:
            return better
    return None


def rule(*ops: str) -> Callable[[Rule], Rule]:
    """Registers a rule for the named operations; those registered first are tried first."""

    def register(function: Rule) -> Rule:
        for op in ops:
            RULES.setdefault(op, []).append(function)
        return function

    return register


def _inner(node: Node, op: str) -> Node | None:
    """The node's first source if it is that operation, still to be computed."""
    x = node.src[0]
    return x if x.op == op and x.realized is None else None


def _filled(like: Node, value: Value) -> Node:
    return full(like.shape, value, like.dtype)


# -------------------------------------------------------------------------------------------------- no elements

_OTHERS: Final = ("reduce", "scan", "gather", "contiguous", "detach")
_WITH_SOURCES: Final = (*_OTHERS, *sorted(graph.SCATTERS), *sorted(graph.VIEWS), *SCALAR_OPS)


@rule(*_WITH_SOURCES)
def _no_elements(node: Node) -> Node | None:
    """A node of size 0 -> a constant of that shape."""
    return _filled(node, 0) if 0 in node.shape else None


@rule("reduce", "pad", "unwindow")
def _of_no_elements(node: Node) -> Node | None:
    """reduce(op, x) -> identity of op; pad(x), unwindow(x) -> 0; for x of size 0."""
    if 0 not in node.src[0].shape:
        return None
    return _filled(node, REDUCE_OPS[node.attr[0]].identity(node.dtype) if node.op == "reduce" else 0)


@rule("scatter", "tally")
def _scatter_of_no_elements(node: Node) -> Node | None:
    """scatter(base, index, x), tally(base, index, x) -> base, for x of size 0."""
    return node.src[0] if 0 in node.src[2].shape else None


# ------------------------------------------------------------------------------------------------------ constants


@rule(*SCALAR_OPS)
def _operation_on_constants(node: Node) -> Node | None:
    """op(a, b, ..) -> constant, when every operand is one."""
    found = [uniform(x) for x in node.src]
    values = [np.asarray(c.attr, c.dtype.compute) for c in found if c is not None]
    if len(values) < len(found):
        return None
    assumed_of_constants(node.op, [value.item() for value in values])
    with np.errstate(all="ignore"):
        return _filled(node, _held(_applied(node, values), node.dtype))


def _applied(node: Node, values: list[np.ndarray]) -> np.ndarray:
    """The scalar operation of a node on values in their compute types."""
    if node.op == "cast":
        return values[0] != 0 if node.dtype is dtypes.bool else values[0]
    if node.op == "bitcast":
        stored = to_storage(values[0], node.src[0].dtype)
        return from_storage(np.asarray(stored).reshape(1).view(node.dtype.numpy), node.dtype).reshape(())
    return np.asarray(SCALAR_OPS[node.op].numpy(*values))


def _held(value: np.ndarray, dtype: DType) -> Value:
    """The Python value of a NumPy value converted to dtype."""
    found: Value = np.asarray(from_storage(to_storage(value, dtype), dtype)).item()
    return found


@rule("reshape", "permute", "expand", "shrink", "flip", "window")
def _view_of_a_constant(node: Node) -> Node | None:
    """view(c) -> c in the view's shape."""
    value = uniform(node.src[0])
    return None if value is None else factor(node.shape, value.attr, node.dtype)


@rule("pad", "unwindow")
def _padded_zeros(node: Node) -> Node | None:
    """pad(0), unwindow(0) -> 0."""
    return _filled(node, 0) if _same(_constant(node.src[0]), 0) else None


@rule("reduce")
def _reduction_of_a_constant(node: Node) -> Node | None:
    """add of c over n elements -> c*n; xor -> c or 0; max, min, and, or -> c; mul -> c when c is 0 or 1."""
    value = uniform(node.src[0])
    if value is None:
        return None
    (op, axes), c = node.attr, value.attr
    count = prod(node.src[0].shape[d] for d in axes)
    if op == "add":
        return _filled(node, c * count)
    if op == "xor":
        return _filled(node, c if count % 2 else 0)
    return _filled(node, c) if op in ("max", "min", "and", "or") or (op == "mul" and c in (0, 1)) else None


@rule("scan")
def _scan_of_a_constant(node: Node) -> Node | None:
    """scan of c -> c, for max, min, and, or, and for what leaves c as it is."""
    value = uniform(node.src[0])
    if value is None:
        return None
    op, c = node.attr[0], value.attr
    kept = op in ("max", "min", "and", "or") or (op in ("add", "xor") and not c) or (op == "mul" and c in (0, 1))
    return _filled(node, c) if kept else None


# ------------------------------------------------------------------------------------------------------ identities


def _constant(x: Node) -> Value | None:
    """The value of a constant, else None."""
    found = uniform(x)
    return None if found is None else found.attr


def _same(value: Value | None, other: Value) -> bool:
    """Whether a constant is a given value; -0.0 is not 0.0."""
    return value is not None and value == other and copysign(1, value.real) == copysign(1, other.real)


@rule(*REDUCE_OPS)
def _identity_operand(node: Node) -> Node | None:
    """x + 0, x * 1, max(x, lowest), min(x, highest), x & ones, x | 0, x ^ 0, and the same exchanged -> x.

    For floats that 0 is -0.0, since -0.0 + 0.0 is 0.0.
    """
    a, b = node.src
    identity = -0.0 if node.op == "add" and node.dtype.is_float else REDUCE_OPS[node.op].identity(node.dtype)
    return a if _same(_constant(b), identity) else b if _same(_constant(a), identity) else None


_ABSORBING: Final = {"mul": "add", "and": "or", "or": "and", "max": "min", "min": "max"}


@rule(*_ABSORBING)
def _absorbing_operand(node: Node) -> Node | None:
    """x * 0, x & 0, x | ones, max(x, highest), min(x, lowest) -> that constant; integers and bool only (nan, inf),
    and where x picks nothing."""
    if node.dtype.is_float:
        return None
    absorbing, (a, b) = REDUCE_OPS[_ABSORBING[node.op]].identity(node.dtype), node.src
    dropped = a if _same(_constant(b), absorbing) else b if _same(_constant(a), absorbing) else None
    return None if dropped is None or checks(dropped) else _filled(node, absorbing)


_NEUTRAL_SECOND: Final[dict[str, Value]] = {"sub": 0, "shl": 0, "shr": 0, "div": 1, "floordiv": 1, "pow": 1}


@rule(*_NEUTRAL_SECOND)
def _neutral_second_operand(node: Node) -> Node | None:
    """x - 0, x << 0, x >> 0, x / 1, x // 1, x ** 1 -> x."""
    return node.src[0] if _same(_constant(node.src[1]), _NEUTRAL_SECOND[node.op]) else None


@rule("pow")
def _small_powers(node: Node) -> Node | None:
    """x ** 0 -> 1 where x picks nothing, x ** 2 -> x * x."""
    x, exponent = node.src[0], _constant(node.src[1])
    if _same(exponent, 0):
        return None if checks(x) else _filled(node, 1)
    return elementwise("mul", x, x) if _same(exponent, 2) else None


@rule("max", "min", "and", "or")
def _equal_operands(node: Node) -> Node | None:
    """max(x, x), min(x, x), x & x, x | x -> x."""
    return node.src[0] if node.src[0] is node.src[1] else None


@rule("neg", "not")
def _twice(node: Node) -> Node | None:
    """-(-x), ~~x -> x."""
    inner = _inner(node, node.op)
    return inner.src[0] if inner else None


@rule("add", "sub")
def _negated_operand(node: Node) -> Node | None:
    """x + (-y) -> x - y, (-x) + y -> y - x, x - (-y) -> x + y."""
    a, b = node.src
    if b.op == "neg" and b.realized is None:
        return elementwise("sub" if node.op == "add" else "add", a, b.src[0])
    if node.op == "add" and (inner := _inner(node, "neg")):
        return elementwise("sub", b, inner.src[0])
    return None


@rule("not")
def _negated_equality(node: Node) -> Node | None:
    """~(a == b) -> a != b, ~(a != b) -> a == b; an order has no such opposite, for nan."""
    inner = _inner(node, "eq") or _inner(node, "ne")
    return elementwise("ne" if inner.op == "eq" else "eq", *inner.src) if inner else None


@rule("abs")
def _sign_below_abs(node: Node) -> Node | None:
    """abs(-x), abs(abs(x)) -> abs(x)."""
    inner = _inner(node, "neg") or _inner(node, "abs")
    return elementwise("abs", inner.src[0]) if inner else None


@rule("where")
def _decided(node: Node) -> Node | None:
    """where(c, a, a) -> a; where(True, a, b) -> a and where(False, a, b) -> b where what is left picks nothing."""
    condition, a, b = node.src
    if a is b:
        return None if checks(condition) else a
    value = _constant(condition)
    chosen, left = (a, b) if _same(value, True) else (b, a) if _same(value, False) else (None, a)
    return None if chosen is None or checks(left) else chosen


@rule("where")
def _negated_condition(node: Node) -> Node | None:
    """where(~c, a, b) -> where(c, b, a)."""
    inner = _inner(node, "not")
    return elementwise("where", inner.src[0], node.src[2], node.src[1]) if inner else None


@rule("stack")
def _put_together_again(node: Node) -> Node | None:
    """The pieces of x, cut along one dimension and laid side by side there -> x."""
    pieces = [x.src[0] if x.op == "reshape" and x.realized is None else x for x in node.src]
    whole = pieces[0].src[0] if pieces[0].op == "shrink" else None
    if len(node.attr) > 1 or whole is None or whole.shape != node.shape:
        return None
    ((dim, _),) = node.attr
    for number, piece in enumerate(pieces):
        bounds = tuple([(number, number + 1) if d == dim else (0, n) for d, n in enumerate(whole.shape)])
        if piece.op != "shrink" or piece.realized is not None or piece.src[0] is not whole or piece.attr != bounds:
            return None
    return whole


@rule("detach", "surrogate")
def _marker(node: Node) -> Node | None:
    """detach(x) -> x, surrogate(x, y) -> x."""
    return node.src[0]


# ----------------------------------------------------------------------------------------------------------- casts

_DIGITS: Final = {dtypes.bfloat16: 8, dtypes.float16: 11, dtypes.float32: 24, dtypes.float64: 53}


def holds(wide: DType, narrow: DType) -> bool:
    """True when every value of the narrow type is one of the wide type.

    >>> holds(dtypes.float32, dtypes.bfloat16), holds(dtypes.float32, dtypes.int32), holds(dtypes.uint8, dtypes.int8)
    (True, False, False)
    """
    if wide is narrow or narrow is dtypes.bool:
        return True
    if narrow.is_float:
        # float16 and bfloat16 hold neither each other: one has more digits, the other the larger range.
        return wide.is_float and wide.bits > narrow.bits
    if wide.is_float:
        return _DIGITS[wide] >= narrow.bits - (narrow.kind == "i")
    return wide is not dtypes.bool and wide.min <= narrow.min and narrow.max <= wide.max


@rule("cast")
def _cast_of_a_cast(node: Node) -> Node | None:
    """cast(cast(x, middle), T) -> cast(x, T): when middle holds all values of x's type, or all are integers and
    middle is at least as wide as T (both wrap)."""
    inner = _inner(node, "cast")
    if inner is None:
        return None
    first, middle, last = inner.src[0].dtype, inner.dtype, node.dtype
    wraps = first.is_int and middle.is_int and last.is_int and middle.bits >= last.bits
    return graph.cast(inner.src[0], last) if wraps or holds(middle, first) else None


@rule("bitcast")
def _bitcast_of_a_bitcast(node: Node) -> Node | None:
    """bitcast(bitcast(x, A), B) -> bitcast(x, B)."""
    inner = _inner(node, "bitcast")
    return graph.bitcast(inner.src[0], node.dtype) if inner else None


# ----------------------------------------------------------------------------------------------------------- views


@rule("reshape")
def _reshape_of_a_reshape(node: Node) -> Node | None:
    """reshape(reshape(x)) -> reshape(x)."""
    inner = _inner(node, "reshape")
    return graph.reshape(inner.src[0], node.shape) if inner else None


@rule("permute")
def _permute_of_a_permute(node: Node) -> Node | None:
    """permute(permute(x)) -> permute(x)."""
    inner = _inner(node, "permute")
    return graph.permute(inner.src[0], tuple(inner.attr[d] for d in node.attr)) if inner else None


@rule("expand")
def _expand_of_an_expand(node: Node) -> Node | None:
    """expand(expand(x)) -> expand(x)."""
    inner = _inner(node, "expand")
    return graph.expand(inner.src[0], node.shape) if inner else None


@rule("flip")
def _flip_of_a_flip(node: Node) -> Node | None:
    """flip(flip(x, a), b) -> flip(x, dimensions in one of a and b)."""
    inner = _inner(node, "flip")
    return graph.flip(inner.src[0], tuple(sorted(set(inner.attr) ^ set(node.attr)))) if inner else None


@rule("shrink")
def _shrink_of_a_shrink(node: Node) -> Node | None:
    """shrink(shrink(x)) -> shrink(x)."""
    inner = _inner(node, "shrink")
    if inner is None:
        return None
    bounds = tuple((a + start, a + stop) for (a, _), (start, stop) in zip(inner.attr, node.attr))
    return graph.shrink(inner.src[0], bounds)


@rule("pad")
def _pad_of_a_pad(node: Node) -> Node | None:
    """pad(pad(x)) -> pad(x)."""
    inner = _inner(node, "pad")
    if inner is None:
        return None
    return graph.pad(inner.src[0], tuple((a + lo, b + hi) for (a, b), (lo, hi) in zip(inner.attr, node.attr)))


@rule("shrink")
def _shrink_of_a_pad(node: Node) -> Node | None:
    """shrink(pad(x)) -> pad(shrink(x)) of what is left of both; 0 when only padding is left."""
    inner = _inner(node, "pad")
    if inner is None:
        return None
    x = inner.src[0]
    kept, pads = [], []
    for n, (lo, _), (start, stop) in zip(x.shape, inner.attr, node.attr):
        first, last = largest(start - lo, 0), smallest(stop - lo, n)
        assumed("empty", last - first - 1 if first < last else first - last)
        if first >= last:
            return _filled(node, 0)
        kept.append((first, last))
        pads.append((largest(lo - start, 0), largest(stop - lo - n, 0)))
    return graph.pad(graph.shrink(x, tuple(kept)), tuple(pads))


@rule("reduce")
def _reduction_over_unit_axes(node: Node) -> Node | None:
    """reduce(op, x, axes) -> reshape(reduce(op, x, axes longer than 1))."""
    (x,), (op, axes) = node.src, node.attr
    longer = tuple(d for d in axes if x.shape[d] != 1)
    return graph.reshape(graph.reduce(op, x, longer), node.shape) if longer != axes else None
