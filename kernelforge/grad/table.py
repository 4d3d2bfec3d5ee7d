"""The table of gradient rules, and the arithmetic they are written in.

Comes in: nodes of one shape and dtype.  Goes out: `RULES`, which maps an operation to its rule, and short names for the
nodes rules build.  An operation without a rule carries no gradient: comparisons, integer operations, rounding, detach.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from codegen.dtypes import DType, dtypes
from kernelforge.graph import Node, Value, cast, elementwise, expand, full, iota, reduce, reshape

# One entry per source: its cotangent, made when asked for, or None where no gradient passes.
Parts = tuple[Callable[[], Node] | None, ...]
Rule = Callable[[Node, Node], Parts]
RULES: Final[dict[str, Rule]] = {}


def rule(*ops: str) -> Callable[[Rule], Rule]:
    """Registers rule(node, dy) as the gradient of the named operations; dy has node's shape and dtype."""

    def register(function: Rule) -> Rule:
        for op in ops:
            assert op not in RULES, f"{op} has two gradient rules"
            RULES[op] = function
        return function

    return register


def filled(like: Node, value: Value) -> Node:
    """One value in a node's shape and dtype."""
    return full(like.shape, value, like.dtype)


def add(a: Node, b: Node) -> Node:
    return elementwise("add", a, b)


def sub(a: Node, b: Node) -> Node:
    return elementwise("sub", a, b)


def mul(a: Node, b: Node) -> Node:
    return elementwise("mul", a, b)


def div(a: Node, b: Node) -> Node:
    return elementwise("div", a, b)


def neg(a: Node) -> Node:
    return elementwise("neg", a)


def scaled(a: Node, factor: float) -> Node:
    """a times a number."""
    return mul(a, filled(a, factor))


def select(condition: Node, a: Node, b: Node) -> Node:
    """a where condition holds, else b."""
    return elementwise("where", condition, a, b)


def equal(a: Node, b: Node) -> Node:
    return elementwise("eq", a, b)


def less(a: Node, b: Node) -> Node:
    return elementwise("lt", a, b)


def summed(x: Node, axes: tuple[int, ...]) -> Node:
    """The sum of x over axes in x's dtype; 16-bit floats are added up in float32."""
    return cast(reduce("add", widened(x), axes), x.dtype)


def widened(x: Node) -> Node:
    """x in the dtype its arithmetic is done in."""
    return cast(x, x.dtype.arithmetic)


def counted(condition: Node, dtype: DType) -> Node:
    """1 where condition holds, else 0."""
    return cast(condition, dtype)


def along(like: Node, dim: int) -> Node:
    """The position along dim, in the shape of another node."""
    n = like.shape[dim]
    line = reshape(iota(n, dtypes.int32), tuple(n if d == dim else 1 for d in range(len(like.shape))))
    return expand(line, like.shape)
