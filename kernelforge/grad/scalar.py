"""Gradient rules of the scalar operations, in the order of their table.

Comes in: a node and its cotangent dy.  Goes out: each source's cotangent.  Where a function has a kink, the rules do as
torch does: 0 for abs at 0, half of dy to each of two equal operands of max and min, all of it to both if one is NaN.
"""

from __future__ import annotations

import math

from kernelforge.grad.table import Parts, add, div, equal, filled, less, mul, neg, rule, scaled, select, sub
from kernelforge.graph import Node, cast, elementwise


@rule("add")
def _add(node: Node, dy: Node) -> Parts:
    return lambda: dy, lambda: dy


@rule("sub")
def _sub(node: Node, dy: Node) -> Parts:
    return lambda: dy, lambda: neg(dy)


@rule("mul")
def _mul(node: Node, dy: Node) -> Parts:
    a, b = node.src
    return lambda: mul(dy, b), lambda: mul(dy, a)


@rule("div")
def _div(node: Node, dy: Node) -> Parts:
    b = node.src[1]
    return lambda: div(dy, b), lambda: neg(div(mul(dy, node), b))


@rule("mod")
def _mod(node: Node, dy: Node) -> Parts:
    """a mod b = a - b*n with the whole number n = floor(a/b), which the rounded a/b may miss.

    Of an infinite b it is 0 or -1, and of b = 0 infinite.
    """
    a, b = node.src

    def divisor() -> Node:
        zero = filled(b, 0)
        endless = equal(elementwise("abs", b), filled(b, math.inf))
        whole = elementwise("round", div(sub(a, node), b))
        whole = select(endless, select(equal(node, a), zero, select(equal(node, b), filled(b, -1), whole)), whole)
        return neg(mul(dy, select(equal(b, zero), div(a, b), whole)))

    return lambda: dy, divisor


@rule("pow")
def _pow(node: Node, dy: Node) -> Parts:
    """d a^b = b*a^(b-1) da + a^b*log(a) db, with 0 for 0*0^-1 and for 0^b*log(0), b >= 0."""
    a, b = node.src

    def base() -> Node:
        slope = mul(b, elementwise("pow", a, sub(b, filled(b, 1))))
        return mul(dy, select(equal(b, filled(b, 0)), filled(b, 0), slope))

    def exponent() -> Node:
        vanishes = elementwise("and", equal(a, filled(a, 0)), elementwise("le", filled(b, 0), b))
        return mul(dy, select(vanishes, filled(a, 0), mul(node, elementwise("log", a))))

    return base, exponent


@rule("max", "min")
def _extremum(node: Node, dy: Node) -> Parts:
    a, b = node.src

    def share(x: Node, other: Node) -> Node:
        loses = less(x, other) if node.op == "max" else less(other, x)
        return select(equal(a, b), scaled(dy, 0.5), select(loses, filled(dy, 0), dy))

    return lambda: share(a, b), lambda: share(b, a)


@rule("neg")
def _neg(node: Node, dy: Node) -> Parts:
    return (lambda: neg(dy),)


@rule("abs")
def _abs(node: Node, dy: Node) -> Parts:
    (x,) = node.src
    zero = filled(x, 0)
    return (lambda: select(less(zero, x), dy, select(less(x, zero), neg(dy), zero)),)


@rule("where")
def _where(node: Node, dy: Node) -> Parts:
    condition, zero = node.src[0], filled(dy, 0)
    return None, lambda: select(condition, dy, zero), lambda: select(condition, zero, dy)


@rule("cast")
def _cast(node: Node, dy: Node) -> Parts:
    return (lambda: cast(dy, node.src[0].dtype),)


@rule("exp")
def _exp(node: Node, dy: Node) -> Parts:
    return (lambda: mul(dy, node),)


@rule("exp2")
def _exp2(node: Node, dy: Node) -> Parts:
    return (lambda: scaled(mul(dy, node), math.log(2)),)


@rule("expm1")
def _expm1(node: Node, dy: Node) -> Parts:
    return (lambda: mul(dy, add(node, filled(node, 1))),)


@rule("log")
def _log(node: Node, dy: Node) -> Parts:
    return (lambda: div(dy, node.src[0]),)


@rule("log2")
def _log2(node: Node, dy: Node) -> Parts:
    return (lambda: div(dy, scaled(node.src[0], math.log(2))),)


@rule("log1p")
def _log1p(node: Node, dy: Node) -> Parts:
    (x,) = node.src
    return (lambda: div(dy, add(x, filled(x, 1))),)


@rule("logaddexp")
def _logaddexp(node: Node, dy: Node) -> Parts:
    """exp(x - y) of either operand x and the result y; of two infinities a half each."""

    def share(x: Node) -> Node:
        away = select(equal(x, node), filled(x, 0), sub(x, node))
        whole = elementwise("exp", away)
        both = elementwise("and", equal(*node.src), equal(x, node))
        return mul(dy, select(both, filled(x, 0.5), whole))

    a, b = node.src
    return (lambda: share(a), lambda: share(b))


@rule("sin")
def _sin(node: Node, dy: Node) -> Parts:
    return (lambda: mul(dy, elementwise("cos", node.src[0])),)


@rule("cos")
def _cos(node: Node, dy: Node) -> Parts:
    return (lambda: neg(mul(dy, elementwise("sin", node.src[0]))),)


@rule("atan")
def _atan(node: Node, dy: Node) -> Parts:
    (x,) = node.src
    return (lambda: div(dy, add(mul(x, x), filled(x, 1))),)


@rule("asin")
def _asin(node: Node, dy: Node) -> Parts:
    """asin'(x) = 1/sqrt(1 - x^2), taken apart so that nothing cancels near 1."""
    return (lambda: div(dy, _leg(node.src[0])),)


@rule("acos")
def _acos(node: Node, dy: Node) -> Parts:
    return (lambda: neg(div(dy, _leg(node.src[0]))),)


def _leg(x: Node) -> Node:
    """sqrt(1 - x^2)."""
    one = filled(x, 1)
    return elementwise("sqrt", mul(sub(one, x), add(one, x)))


@rule("asinh")
def _asinh(node: Node, dy: Node) -> Parts:
    """asinh'(x) = 1/sqrt(x^2 + 1), which is 1/|x| for all |x| whose square might leave the range."""
    (x,) = node.src
    size, one = elementwise("abs", x), filled(x, 1)
    far = less(filled(x, 1e10), size)
    near = select(far, one, x)
    return (lambda: div(dy, select(far, size, elementwise("sqrt", add(mul(near, near), one)))),)


@rule("acosh")
def _acosh(node: Node, dy: Node) -> Parts:
    """acosh'(x) = 1/sqrt(x^2 - 1), whose square may leave the range."""
    size = elementwise("abs", node.src[0])
    one = filled(size, 1)
    roots = (elementwise("sqrt", sub(size, one)), elementwise("sqrt", add(size, one)))
    return (lambda: div(div(dy, roots[0]), roots[1]),)


@rule("tanh")
def _tanh(node: Node, dy: Node) -> Parts:
    return (lambda: mul(dy, sub(filled(node, 1), mul(node, node))),)


@rule("erf")
def _erf(node: Node, dy: Node) -> Parts:
    """erf'(x) = 2/sqrt(pi) * exp(-x^2)."""
    (x,) = node.src
    return (lambda: mul(dy, scaled(elementwise("exp", neg(mul(x, x))), 2 / math.sqrt(math.pi))),)


@rule("sqrt")
def _sqrt(node: Node, dy: Node) -> Parts:
    return (lambda: div(dy, scaled(node, 2)),)


@rule("rsqrt")
def _rsqrt(node: Node, dy: Node) -> Parts:
    return (lambda: mul(dy, scaled(mul(node, mul(node, node)), -0.5)),)
