"""Identities of single scalar operations: constants folded, neutral operands and needless casts dropped.

Comes in: an operation and operands already simplified.  Goes out: an equal expression, simpler where a rule holds.  For
floats only rules that are exact for every value are here; so x + 0.0 (x may be -0.0), x * 0 and x - x stay.
"""

from __future__ import annotations

from collections.abc import Callable
from math import copysign, frexp, isfinite
from typing import Final

import numpy as np

from codegen.assumed import assumed_of_constants
from codegen.dtypes import DType, dtypes, promote
from codegen.interpret import convert
from codegen.ir import Apply, Const, Expr, Valid, apply, const, valid
from codegen.ops import REDUCE_OPS, ScalarOp

Rule = Callable[[tuple[Expr, ...], DType], Expr | None]


def simplified(op: ScalarOp, args: tuple[Expr, ...], dtype: DType) -> Expr:
    """op applied to args, in the simplest of the equal forms the rules know."""
    if all(isinstance(x, Const) for x in args) and (folded := _folded(op, args, dtype)) is not None:
        return folded
    rule = _RULES.get(op.name)
    found = rule(args, dtype) if rule else None
    return apply(op, *args, dtype=dtype) if found is None else found


def _folded(op: ScalarOp, args: tuple[Expr, ...], dtype: DType) -> Expr | None:
    """The constant an operation on constants gives; casts to 16-bit floats stay, since those have no constants."""
    if dtype.is_narrow_float or op.name == "bitcast":
        return None
    values = [np.asarray(x.value, x.dtype.compute) for x in args if isinstance(x, Const)]
    with np.errstate(all="ignore"):
        result = convert(values[0], dtype) if op.name == "cast" else op.numpy(*values)
    assumed_of_constants(op.name, [value.item() for value in values])
    return const(np.asarray(result).item(), dtype)


def _is(e: Expr, value: float) -> bool:
    """Whether e is a given constant; -0.0 is not 0.0."""
    return isinstance(e, Const) and e.value == value and copysign(1, e.value) == copysign(1, value)


def _operand(e: Expr, name: str) -> Expr | None:
    """The first operand of e if e is an application of the named operation."""
    return e.args[0] if isinstance(e, Apply) and e.op.name == name else None


def _add(args: tuple[Expr, ...], dtype: DType) -> Expr | None:
    """x + 0 -> x (for floats x + -0.0),  x + -y -> x - y"""
    for x, y in (args, args[::-1]):
        if _is(y, -0.0 if dtype.is_float else 0):
            return x
        if (positive := _operand(y, "neg")) is not None:
            return apply("sub", x, positive)
    return None


def _sub(args: tuple[Expr, ...], dtype: DType) -> Expr | None:
    """x - 0 -> x,  x - -y -> x + y"""
    x, y = args
    if _is(y, 0):
        return x
    positive = _operand(y, "neg")
    return None if positive is None else apply("add", x, positive)


def _mul(args: tuple[Expr, ...], dtype: DType) -> Expr | None:
    """x * 1 -> x,  x * -1 -> -x,  -x * c -> x * -c,  and x * 0 -> 0 for integers"""
    for x, y in (args, args[::-1]):
        if _is(y, 1):
            return x
        if _is(y, -1):
            return apply("neg", x)
        if _is(y, 0) and dtype.is_int:
            return y
        if isinstance(y, Const) and (positive := _operand(x, "neg")) is not None:
            return apply("mul", positive, const(-y.value, dtype))
    return None


def _div(args: tuple[Expr, ...], dtype: DType) -> Expr | None:
    """x / 1 -> x,  x / 2**p -> x * 2**-p"""
    x, y = args
    if _is(y, 1):
        return x
    power = isinstance(y, Const) and isfinite(y.value) and abs(frexp(y.value)[0]) == 0.5
    if power and isinstance(y, Const) and 2.0**-60 < abs(y.value) < 2.0**60:
        return apply("mul", x, const(1 / y.value, dtype))
    return None


def _floordiv(args: tuple[Expr, ...], dtype: DType) -> Expr | None:
    """x // 1 -> x"""
    return args[0] if _is(args[1], 1) else None


def _mod(args: tuple[Expr, ...], dtype: DType) -> Expr | None:
    """x % 1 -> 0 for integers"""
    return const(0, dtype) if dtype.is_int and _is(args[1], 1) else None


def _inverse(name: str) -> Rule:
    """f(f(x)) -> x"""
    return lambda args, dtype: _operand(args[0], name)


def _lattice(name: str) -> Rule:
    """x op x -> x and x op identity -> x, for operations where both hold"""

    def rule(args: tuple[Expr, ...], dtype: DType) -> Expr | None:
        if args[0] is args[1]:
            return args[0]
        identity = REDUCE_OPS[name].identity(dtype)
        return next((x for x, y in (args, args[::-1]) if _is(y, identity)), None)

    return rule


def _and(args: tuple[Expr, ...], dtype: DType) -> Expr | None:
    """valid(g) & valid(h) -> valid(g and h),  x & False -> False, and the rules of a lattice"""
    x, y = args
    if isinstance(x, Valid) and isinstance(y, Valid):
        return valid(x.guards | y.guards)
    return next((e for e in args if _is(e, 0)), None) or _lattice("and")(args, dtype)


def _or(args: tuple[Expr, ...], dtype: DType) -> Expr | None:
    """x | True -> True for bool, and the rules of a lattice"""
    if dtype is dtypes.bool and (true := next((e for e in args if _is(e, 1)), None)):
        return true
    return _lattice("or")(args, dtype)


def _where(args: tuple[Expr, ...], dtype: DType) -> Expr | None:
    """A constant condition or equal branches decide;  where(not c, x, y) -> where(c, y, x)"""
    condition, x, y = args
    if isinstance(condition, Const):
        return x if condition.value else y
    if x is y:
        return x
    opposite = _operand(condition, "not")
    return None if opposite is None else apply("where", opposite, y, x)


def _cast(args: tuple[Expr, ...], dtype: DType) -> Expr | None:
    """cast(cast(x, wide), T) -> cast(x, T) where wide holds every value of x's type"""
    inner = args[0]
    if inner.dtype is dtype:
        return inner
    x = _operand(inner, "cast")
    if x is None:
        return None
    if isinstance(x, Const) and inner.dtype.is_narrow_float and not dtype.is_narrow_float:
        rounded = convert(np.asarray(x.value, x.dtype.compute), inner.dtype)
        return const(convert(rounded, dtype).item(), dtype)
    return apply("cast", x, dtype=dtype) if _holds(inner.dtype, x.dtype) else None


def _holds(wide: DType, narrow: DType) -> bool:
    """Whether every value of one type is a value of the other."""
    if narrow.is_int and wide.is_float:
        return narrow.bits < {16: 8, 32: 24, 64: 53}[wide.bits]
    return promote(wide, narrow) is wide


_RULES: Final[dict[str, Rule]] = {
    "add": _add, "sub": _sub, "mul": _mul, "div": _div, "floordiv": _floordiv, "mod": _mod,
    "neg": _inverse("neg"), "not": _inverse("not"), "max": _lattice("max"), "min": _lattice("min"),
    "and": _and, "or": _or, "where": _where, "cast": _cast,
}  # fmt: skip
