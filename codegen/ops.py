"""The one table of scalar operations.

Comes in: element types.  Goes out: `SCALAR_OPS`, one row per operation with its arity, type rule, NumPy meaning and
spellings, and `REDUCE_OPS`, the operations a reduction may use with their identities.  To add an operation, add a row
here, its gradient in `kernelforge/grad/scalar.py` and a tensor method; the tests iterate over the rows.

In a spelling `{0} {1} {2}` are the operands.  A name that begins with `kf_` is a helper the printer defines, for the
cases where the language's own operator does not mean what the table says (NaN in max, division by zero, wide shifts).
Operands always have one type (the printer's own conversions included), so a spelling never mixes types.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from codegen import threefry
from codegen.dtypes import DType, dtypes

Array = Any  # a NumPy array or scalar of any type


@dataclass(frozen=True)
class ScalarOp:
    """One row of the table.

    name        the operation's name in the graph and in kernels
    arity       number of operands
    kinds       the kinds of type its operands may have: letters of "biuf"
    rule        "same": result has the operands' type; "compare": result is bool;
                "where": bool, T, T -> T; "cast", "bitcast": the result type is given with the operation
    numpy       its meaning on NumPy arrays of the compute type
    opencl      its spelling in OpenCL C, for scalars and vectors alike
    triton      its spelling in Triton
    cost        rough cost in fused multiply-adds, for the fusion and schedule rules
    """

    name: str
    arity: int
    kinds: str
    rule: str
    numpy: Callable[..., Array]
    opencl: str
    triton: str
    cost: int = 1

    def __repr__(self) -> str:
        return f"ScalarOp({self.name})"


@dataclass(frozen=True)
class ReduceOp:
    """An associative, commutative scalar operation a reduction may use; `combine` is its row in SCALAR_OPS."""

    name: str
    combine: ScalarOp

    def identity(self, dtype: DType) -> int | float | bool:
        """The value that leaves every other unchanged.

        >>> REDUCE_OPS["max"].identity(dtypes.float32), REDUCE_OPS["mul"].identity(dtypes.int32)
        (-inf, 1)
        """
        if self.name in ("max", "logaddexp"):
            return dtype.min
        if self.name == "min":
            return dtype.max
        if self.name == "and":
            return True if dtype is dtypes.bool else (-1 if dtype.kind == "i" else dtype.max)
        value = 1 if self.name == "mul" else 0
        return bool(value) if dtype is dtypes.bool else float(value) if dtype.is_float else value


def _floor_divide(a: Array, b: Array) -> Array:
    """Integer division rounded down; 0 when b is 0, as NumPy has it."""
    return np.floor_divide(a, b)


def _shift_left(a: Array, b: Array) -> Array:
    return np.left_shift(a, b)


def _erf(a: Array) -> Array:
    a = np.asarray(a)
    return np.asarray(np.frompyfunc(math.erf, 1, 1)(a.astype(np.float64)), a.dtype)


def _rsqrt(a: Array) -> Array:
    return np.asarray(1, np.asarray(a).dtype) / np.sqrt(a)


def _not(a: Array) -> Array:
    return np.logical_not(a) if np.asarray(a).dtype == np.bool_ else np.invert(a)


def _random(word: int) -> Callable[..., Array]:
    """One word of the counter-based generator, of (place, call, low key, high key), all modulo 2^32."""
    return lambda *operands: threefry.words(*operands)[word].astype(np.asarray(operands[0]).dtype)


def _unsupported(*_: Array) -> Array:
    raise AssertionError("cast and bitcast depend on their result type; the interpreter handles them")


def _unary(name: str, numpy: Callable[..., Array], opencl: str, triton: str, cost: int = 8) -> ScalarOp:
    return ScalarOp(name, 1, "f", "same", numpy, opencl, triton, cost)


_HELPER: Final = "kf_{}({{0}}, {{1}}, {{2}}, {{3}})"
_ROWS: Final[tuple[ScalarOp, ...]] = (
    ScalarOp("add", 2, "iuf", "same", np.add, "{0} + {1}", "{0} + {1}"),
    ScalarOp("sub", 2, "iuf", "same", np.subtract, "{0} - {1}", "{0} - {1}"),
    ScalarOp("mul", 2, "iuf", "same", np.multiply, "{0} * {1}", "{0} * {1}"),
    ScalarOp("div", 2, "f", "same", np.divide, "{0} / {1}", "{0} / {1}", cost=4),
    ScalarOp("floordiv", 2, "iu", "same", _floor_divide, "kf_floordiv({0}, {1})", "kf_floordiv({0}, {1})", cost=20),
    ScalarOp("mod", 2, "iuf", "same", np.mod, "kf_mod({0}, {1})", "kf_mod({0}, {1})", cost=20),
    ScalarOp("pow", 2, "f", "same", np.power, "pow({0}, {1})", "kf_pow({0}, {1})", cost=30),
    ScalarOp("max", 2, "biuf", "same", np.maximum, "kf_max({0}, {1})", "kf_max({0}, {1})"),
    ScalarOp("min", 2, "biuf", "same", np.minimum, "kf_min({0}, {1})", "kf_min({0}, {1})"),
    ScalarOp(
        "logaddexp", 2, "f", "same", np.logaddexp, "kf_logaddexp({0}, {1})", "kf_logaddexp({0}, {1})", cost=24
    ),
    ScalarOp("neg", 1, "iuf", "same", np.negative, "-{0}", "-{0}"),
    ScalarOp("abs", 1, "if", "same", np.abs, "kf_abs({0})", "tl.abs({0})"),
    ScalarOp("and", 2, "biu", "same", np.bitwise_and, "{0} & {1}", "{0} & {1}"),
    ScalarOp("or", 2, "biu", "same", np.bitwise_or, "{0} | {1}", "{0} | {1}"),
    ScalarOp("xor", 2, "biu", "same", np.bitwise_xor, "{0} ^ {1}", "{0} ^ {1}"),
    ScalarOp("not", 1, "biu", "same", _not, "kf_not({0})", "~{0}"),
    ScalarOp("shl", 2, "iu", "same", _shift_left, "kf_shl({0}, {1})", "kf_shl({0}, {1})"),
    ScalarOp("shr", 2, "iu", "same", np.right_shift, "kf_shr({0}, {1})", "kf_shr({0}, {1})"),
    ScalarOp("random", 4, "u", "same", _random(0), _HELPER.format("random"), _HELPER.format("random"), cost=80),
    ScalarOp("random2", 4, "u", "same", _random(1), _HELPER.format("random2"), _HELPER.format("random2"), cost=80),
    ScalarOp("lt", 2, "biuf", "compare", np.less, "{0} < {1}", "{0} < {1}"),
    ScalarOp("le", 2, "biuf", "compare", np.less_equal, "{0} <= {1}", "{0} <= {1}"),
    ScalarOp("eq", 2, "biuf", "compare", np.equal, "{0} == {1}", "{0} == {1}"),
    ScalarOp("ne", 2, "biuf", "compare", np.not_equal, "{0} != {1}", "{0} != {1}"),
    ScalarOp("where", 3, "biuf", "where", np.where, "kf_where({0}, {1}, {2})", "tl.where({0}, {1}, {2})"),
    ScalarOp("cast", 1, "biuf", "cast", _unsupported, "", ""),
    ScalarOp("bitcast", 1, "iuf", "bitcast", _unsupported, "", ""),
    _unary("exp", np.exp, "exp({0})", "tl.exp({0})"),
    _unary("exp2", np.exp2, "exp2({0})", "tl.exp2({0})"),
    _unary("expm1", np.expm1, "expm1({0})", "kf_expm1({0})", 12),
    _unary("log", np.log, "log({0})", "tl.log({0})"),
    _unary("log2", np.log2, "log2({0})", "tl.log2({0})"),
    _unary("log1p", np.log1p, "log1p({0})", "kf_log1p({0})", 12),
    _unary("sin", np.sin, "kf_sin({0})", "tl.sin({0})", 12),
    _unary("cos", np.cos, "kf_cos({0})", "tl.cos({0})", 12),
    _unary("asin", np.arcsin, "asin({0})", "kf_asin({0})", 16),
    _unary("acos", np.arccos, "acos({0})", "kf_acos({0})", 16),
    _unary("asinh", np.arcsinh, "asinh({0})", "kf_asinh({0})", 16),
    _unary("acosh", np.arccosh, "acosh({0})", "kf_acosh({0})", 16),
    _unary("atan", np.arctan, "atan({0})", "kf_atan({0})", 16),
    _unary("tanh", np.tanh, "tanh({0})", "kf_tanh({0})", 16),
    _unary("erf", _erf, "kf_erf({0})", "tl.erf({0})", 16),
    _unary("sqrt", np.sqrt, "sqrt({0})", "tl.sqrt_rn({0})", 4),
    _unary("rsqrt", _rsqrt, "kf_rsqrt({0})", "tl.rsqrt({0})", 8),
    _unary("floor", np.floor, "floor({0})", "tl.floor({0})", 1),
    _unary("ceil", np.ceil, "ceil({0})", "tl.ceil({0})", 1),
    _unary("trunc", np.trunc, "trunc({0})", "kf_trunc({0})", 1),
    _unary("round", np.rint, "rint({0})", "kf_round({0})", 1),
)

SCALAR_OPS: Final[dict[str, ScalarOp]] = {row.name: row for row in _ROWS}
REDUCE_OPS: Final[dict[str, ReduceOp]] = {
    name: ReduceOp(name, SCALAR_OPS[name]) for name in ("add", "mul", "max", "min", "and", "or", "xor", "logaddexp")
}


def result_dtype(op: ScalarOp, operands: tuple[DType, ...]) -> DType:
    """The type of op applied to operands of the given types.

    raises TypeError when the number, the kinds or the equality of the types does not fit the row
    """
    if len(operands) != op.arity:
        raise TypeError(f"{op.name} takes {op.arity} operands, got {len(operands)}")
    values = operands[1:] if op.rule == "where" else operands
    if op.rule == "where" and operands[0] is not dtypes.bool:
        raise TypeError(f"the condition of where must be bool, got {operands[0]}")
    if any(d is not values[0] for d in values):
        raise TypeError(f"{op.name} needs operands of one dtype, got {', '.join(map(str, operands))}")
    if values[0].kind not in op.kinds:
        raise TypeError(f"{op.name} is not defined for {values[0]}")
    return dtypes.bool if op.rule == "compare" else values[0]
