"""Scalar identities: what each rule makes, and that no rule changes a value."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from codegen.dtypes import ALL, DType, dtypes
from codegen.index import Axis, Guard
from codegen.ir import Apply, Const, Expr, Kernel, Param, Store, apply, const, load, valid
from codegen.ops import SCALAR_OPS
from codegen.rewrites.scalar_rules import simplified
from tests.codegen.compare import assert_close
from tests.codegen.random_kernels import random_arrays, run

AXIS = Axis("i", 7)


def _load(name: str, dtype: DType) -> Expr:
    return load(Param(name, dtype, AXIS.size), AXIS.index)


F, B, INT = _load("f", dtypes.float32), _load("b", dtypes.bool), _load("i", dtypes.int32)
H = _load("h", dtypes.float16)


def number(value: float, dtype: DType = dtypes.float32) -> Expr:
    return const(value, dtype)


def simple(name: str, *args: Expr, dtype: DType | None = None) -> Expr:
    row = SCALAR_OPS[name]
    return simplified(row, args, dtype or apply(name, *args).dtype)


def cast(e: Expr, dtype: DType) -> Expr:
    return apply("cast", e, dtype=dtype)


NEG = apply("neg", F)
GUARDS = [Guard(AXIS.index, 1, 7), Guard(AXIS.index, 0, 5)]
RULES = [
    ("add", (F, number(-0.0)), F),
    ("add", (number(-0.0), F), F),
    ("add", (INT, number(0, dtypes.int32)), INT),
    ("add", (F, number(0)), apply("add", F, number(0))),  # -0.0 + 0.0 is 0.0
    ("sub", (F, number(-0.0)), apply("sub", F, number(-0.0))),
    ("add", (INT, apply("neg", _load("j", dtypes.int32))), apply("sub", INT, _load("j", dtypes.int32))),
    ("sub", (F, number(0)), F),
    ("sub", (F, NEG), apply("add", F, F)),
    ("mul", (number(1), F), F),
    ("mul", (F, number(-1)), NEG),
    ("mul", (INT, number(0, dtypes.int32)), number(0, dtypes.int32)),
    ("mul", (NEG, number(0.3)), apply("mul", F, number(-0.3))),
    ("mul", (number(-3, dtypes.int32), apply("neg", INT)), apply("mul", INT, number(3, dtypes.int32))),
    ("mul", (F, number(0)), apply("mul", F, number(0))),  # nan * 0 is nan
    ("sub", (F, F), apply("sub", F, F)),  # inf - inf is nan
    ("div", (F, number(1)), F),
    ("div", (F, number(-8)), apply("mul", F, number(-0.125))),
    ("div", (F, number(3)), apply("div", F, number(3))),  # x * (1/3) rounds differently
    ("floordiv", (INT, number(1, dtypes.int32)), INT),
    ("mod", (INT, number(1, dtypes.int32)), number(0, dtypes.int32)),
    ("neg", (NEG,), F),
    ("not", (apply("not", B),), B),
    ("max", (F, F), F),
    ("max", (F, number(-math.inf)), F),
    ("min", (number(2**31 - 1, dtypes.int32), INT), INT),
    ("and", (B, number(1, dtypes.bool)), B),
    ("and", (B, number(0, dtypes.bool)), number(0, dtypes.bool)),
    ("and", (INT, number(-1, dtypes.int32)), INT),
    ("and", (valid(GUARDS[:1]), valid(GUARDS[1:])), valid(GUARDS)),
    ("or", (B, number(0, dtypes.bool)), B),
    ("or", (B, number(1, dtypes.bool)), number(1, dtypes.bool)),
    ("where", (number(1, dtypes.bool), F, NEG), F),
    ("where", (number(0, dtypes.bool), F, NEG), NEG),
    ("where", (B, F, F), F),
    ("where", (apply("not", B), F, NEG), apply("where", B, NEG, F)),
    ("add", (number(2), number(3)), number(5)),
    ("lt", (number(2), number(3)), number(1, dtypes.bool)),
    ("floordiv", (number(-7, dtypes.int32), number(2, dtypes.int32)), number(-4, dtypes.int32)),
    ("add", (number(2**31 - 1, dtypes.int32), number(1, dtypes.int32)), number(-(2**31), dtypes.int32)),
]  # fmt: skip


@pytest.mark.parametrize(("name", "args", "expected"), RULES)
def test_rule(name: str, args: tuple[Expr, ...], expected: Expr) -> None:
    assert simple(name, *args) is expected


@pytest.mark.parametrize(
    ("inner", "dtype", "expected"),
    [
        (cast(H, dtypes.float32), dtypes.float16, H),
        (cast(H, dtypes.float32), dtypes.float64, cast(H, dtypes.float64)),
        (cast(F, dtypes.float64), dtypes.float32, F),
        (cast(INT, dtypes.int64), dtypes.float32, cast(INT, dtypes.float32)),
        (cast(B, dtypes.int8), dtypes.float32, cast(B, dtypes.float32)),
        (number(3), dtypes.int32, number(3, dtypes.int32)),
        (cast(number(1 + 2**-9), dtypes.bfloat16), dtypes.float32, number(1)),
    ],
)
def test_casts_that_lose_nothing_go(inner: Expr, dtype: DType, expected: Expr) -> None:
    assert simple("cast", inner, dtype=dtype) is expected


@pytest.mark.parametrize(
    ("inner", "dtype"),
    [
        (cast(F, dtypes.float16), dtypes.float32),
        (cast(F, dtypes.int32), dtypes.float32),
        (cast(INT, dtypes.float32), dtypes.int32),
        (cast(INT, dtypes.int8), dtypes.int32),
        (cast(INT, dtypes.uint32), dtypes.int64),
    ],
)
def test_casts_that_round_stay(inner: Expr, dtype: DType) -> None:
    assert simple("cast", inner, dtype=dtype) is cast(inner, dtype)


def _stored(e: Expr, loads: Kernel) -> Kernel:
    out = Param("out", e.dtype, AXIS.size)
    return Kernel("one", (out, *loads.params), (Store(out, AXIS.index, e),))


_SPECIAL = st.sampled_from([0, 1, -1, 2, -8, 3, math.inf, -math.inf])


@given(st.sampled_from(sorted(SCALAR_OPS)), st.sampled_from(ALL), st.data())
def test_no_rule_changes_a_value(name: str, dtype: DType, data: st.DataObject) -> None:
    """Any operation on any mixture of a loaded value, its negative, itself again and constants."""
    row, dtype = SCALAR_OPS[name], dtype.arithmetic
    if dtype.kind not in row.kinds or name == "bitcast":
        return
    x, condition = _load("x", dtype), _load("c", dtypes.bool)
    values: list[Expr] = [x, x]
    if dtype.kind != "b":
        value = data.draw(_SPECIAL if dtype.is_float else st.integers(-2, 3))
        values += [apply("neg", x), const(value, dtype)]
    else:
        values += [apply("not", x), const(data.draw(st.booleans()), dtype)]
    args = [data.draw(st.sampled_from(values)) for _ in range(row.arity)]
    if row.rule == "where":
        args[0] = data.draw(st.sampled_from([condition, apply("not", condition), const(True, dtypes.bool)]))
    target = data.draw(st.sampled_from(ALL)) if name == "cast" else apply(name, *args).dtype
    if name == "cast" and ((dtype.is_float and not target.is_float) or target.is_narrow_float):
        return  # out-of-range conversions have no defined value
    plain, better = apply(name, *args, dtype=target), simplified(row, tuple(args), target)
    both = Kernel("both", (Param("x", dtype, AXIS.size), Param("c", dtypes.bool, AXIS.size)), ())
    arrays = random_arrays(both, data.draw(st.integers(0, 100)))
    if dtype.is_float:
        arrays["x"][:4] = np.inf, -np.inf, np.nan, 0
    arrays["out"] = np.zeros(AXIS.size, target.numpy)
    found, expected = run(_stored(better, both), arrays)["out"], run(_stored(plain, both), arrays)["out"]
    assert_close(found, expected, target, 1e-7)


def test_rules_give_fewer_operations() -> None:
    e: Expr = F
    for _ in range(3):
        e = simple("neg", simple("mul", simple("sub", e, number(0)), number(1)))
    assert isinstance(e, Apply)
    assert e.args == (F,)
    assert not isinstance(e, Const)
