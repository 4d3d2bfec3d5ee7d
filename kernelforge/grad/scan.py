"""Gradient rules of scans.

Comes in: a scan and its cotangent dy.  Goes out: its source's cotangent.  A sum's adjoint is the sum the other way; an
extremum hands dy to the place it comes from; a product divides by each factor, with a way around the first zero.
"""

from __future__ import annotations

import math

from codegen.dtypes import dtypes
from kernelforge.grad.table import (
    Parts,
    along,
    counted,
    div,
    equal,
    filled,
    mul,
    neg,
    rule,
    select,
    sub,
    widened,
)
from kernelforge.graph import Node, cast, elementwise, scan, scatter


@rule("scan")
def _scan(node: Node, dy: Node) -> Parts:
    op, dim, reverse = node.attr
    if op == "add":
        return (lambda: cast(scan("add", widened(dy), dim, not reverse), dy.dtype),)
    if op == "logaddexp":
        return (lambda: _log_adjoint(node, dy),)
    return (
        lambda: _product_adjoint(node, dy) if op == "mul" else scatter(filled(dy, 0), places(node), dy, dim, "add"),
    )


def places(node: Node) -> Node:
    """Where each value of a running maximum or minimum comes from: the last of equal places, the last NaN's."""
    (x,), (_, dim, reverse) = node.src, node.attr
    hit = elementwise("or", equal(x, node), elementwise("ne", x, x))
    position, n = along(x, dim), x.shape[dim]
    if reverse:
        return scan("min", select(hit, position, filled(position, n - 1)), dim, True)
    return scan("max", select(hit, position, filled(position, 0)), dim)


def _log_adjoint(node: Node, dy: Node) -> Node:
    """exp(x) times the sum of dy * exp(-y) from there on; positive and negative dy apart, as logarithms."""
    (x,), (op, dim, reverse) = node.src, node.attr
    zero, never = filled(dy, 0), filled(dy, -math.inf)

    def part(dy: Node) -> Node:
        some = elementwise("lt", zero, dy)
        logarithm = sub(elementwise("log", select(some, dy, filled(dy, 1))), node)
        total = scan(op, select(some, logarithm, never), dim, not reverse)
        return elementwise("exp", elementwise("add", x, total))

    return sub(part(dy), part(neg(dy)))


def _product_adjoint(node: Node, dy: Node) -> Node:
    """Before the first zero: sum of dy * y from there on, / x; at it: the same as if it were 1; after it: 0.

    A second derivative takes the last of these as constant.
    """
    (x,), (_, dim, reverse) = node.src, node.attr
    wide = widened(x)
    zero = equal(wide, filled(wide, 0))
    zeros = scan("add", counted(zero, dtypes.int32), dim, reverse)
    before, at = equal(zeros, filled(zeros, 0)), elementwise("and", zero, equal(zeros, filled(zeros, 1)))

    def total(y: Node) -> Node:
        return scan("add", mul(widened(dy), y), dim, not reverse)

    as_one = total(scan("mul", select(at, filled(wide, 1), wide), dim, reverse))
    elsewhere = div(total(widened(node)), select(zero, filled(wide, 1), wide))
    return cast(select(before, elsewhere, select(at, as_one, filled(wide, 0))), x.dtype)
