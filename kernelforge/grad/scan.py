"""Gradient rules of scans.

Comes in: a scan and its cotangent dy.  Goes out: its source's cotangent.  A sum's adjoint is the sum the other way; an
extremum hands dy to the place it comes from; a product divides by each factor, with a way around zeros.
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
    """The sum of dy times the product of the other factors, from there on.

    That is the product of the factors that are not 0, divided by the factor itself if it is none, where no other is
    0; times the other one where there is one: 0, whose own gradient is not.  Of more zeros second gradients are 0, too.
    """
    (x,), (_, dim, reverse) = node.src, node.attr
    wide = widened(x)
    none = filled(wide, 0)
    zero = equal(wide, none)
    kept, own = select(zero, filled(wide, 1), wide), select(zero, wide, none)
    zeros = scan("add", counted(zero, dtypes.int32), dim, reverse)
    products = mul(widened(dy), scan("mul", kept, dim, reverse))
    times_others = mul(products, scan("add", own, dim, reverse))

    def met(count: int) -> Node:
        return equal(zeros, filled(zeros, count))

    def total(part: Node) -> Node:
        return scan("add", part, dim, not reverse)

    of_others = total(select(met(0), products, select(met(1), times_others, none)))
    of_zeros = total(select(met(1), products, select(met(2), times_others, none)))
    of_zeros = sub(of_zeros, mul(own, total(select(met(2), products, none))))
    return cast(div(select(zero, of_zeros, of_others), kept), x.dtype)
