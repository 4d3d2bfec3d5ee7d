"""What masks hide: values are the constants they are said to be, wherever a guard fails."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from codegen.dtypes import dtypes
from codegen.index import Axis, Guard
from codegen.ir import Expr, Kernel, Param, Store, apply, const, coord, load, reduce, valid
from codegen.rewrites.masked import demanded, masked_values, necessary, remaining
from tests.codegen.random_kernels import random_arrays, random_kernel, run

ROW, KEY = Axis("i", 9), Axis("r", 7)
X = load(Param("x", dtypes.float32, 63), ROW.index * 7 + KEY.index)


def places(condition: Expr) -> list[bool]:
    """The truth of a condition at every (i, r)."""
    stored = Store(Param("o", dtypes.bool, 63), ROW.index * 7 + KEY.index, condition, order=(ROW, KEY))
    kernel = Kernel("k", (stored.param,), (stored,))
    return [bool(v) for v in run(kernel, random_arrays(kernel))["o"]]


@given(st.integers(0, 1 << 32), st.booleans())
def test_necessary_guards_hold_where_the_condition_has_its_truth(seed: int, truth: bool) -> None:
    kernel = random_kernel(seed, "masked")
    conditions = [e.args[0] for e in kernel.exprs if e.args and e.args[0].dtype is dtypes.bool]
    for condition in conditions:
        guards = necessary(condition, truth)
        axes = sorted(condition.axes, key=lambda a: a.id)
        if not guards or not axes:
            continue
        index = axes[0].index if len(axes) == 1 else axes[0].index * axes[1].size + axes[1].index
        size = int(np.prod([a.size for a in axes]))
        stores = [Store(Param("c", dtypes.bool, size), index, condition, order=tuple(axes))]
        stores.append(Store(Param("g", dtypes.bool, size), index, valid(guards), order=tuple(axes)))
        arrays = {name: np.zeros(size, np.bool_) for name in ("c", "g")}
        both = run(Kernel("k", tuple(s.param for s in stores), tuple(stores)), arrays)
        assert both["g"][both["c"] == truth].all()


@pytest.mark.parametrize("wrap", [dtypes.uint8, dtypes.int8])
def test_positions_that_wrap_are_no_positions(wrap) -> None:  # type: ignore[no-untyped-def]
    far = apply("add", coord(ROW.index, wrap), const(250 if wrap is dtypes.uint8 else 125, wrap))
    assert not necessary(apply("lt", far, coord(KEY.index, wrap)), True)


def test_a_triangle_hides_what_is_beyond() -> None:
    causal = apply("le", coord(KEY.index), coord(ROW.index))
    hidden = apply("where", causal, X, const(float("-inf"), dtypes.float32))
    weight = apply("exp", apply("sub", hidden, reduce("max", hidden, [KEY])))
    product = apply("mul", weight, X)
    kernel = Kernel("k", (), (Store(Param("o", dtypes.float32, 9), ROW.index, reduce("add", product, [KEY])),))
    masked = masked_values(kernel.exprs)
    assert [masked[e].constant.value for e in (hidden, weight, product)] == [float("-inf"), 0, 0]
    guard = Guard(ROW.index - KEY.index, 0, 9)
    assert masked[product].guards == {guard}
    assert demanded(kernel)[X] == frozenset(), "X is also a factor"


def test_a_branch_is_asked_for_where_it_is_chosen() -> None:
    causal = apply("lt", coord(ROW.index), coord(KEY.index))
    x = apply("exp", X)
    value = apply("where", causal, const(0, dtypes.float32), x)
    kernel = Kernel("k", (), (Store(Param("o", dtypes.float32, 63), ROW.index * 7 + KEY.index, value),))
    (guard,) = demanded(kernel)[x]
    holds = places(valid([guard]))
    assert holds == [r <= i for i in range(9) for r in range(7)]


def test_conditions_on_data_hide_nothing() -> None:
    data = apply("lt", X, const(0, dtypes.float32))
    value = apply("where", data, X, const(0, dtypes.float32))
    kernel = Kernel("k", (), (Store(Param("o", dtypes.float32, 9), ROW.index, reduce("add", value, [KEY])),))
    assert not masked_values(kernel.exprs)


def test_a_guarded_load_is_0_outside() -> None:
    x = load(Param("x", dtypes.float32, 9), ROW.index + KEY.index - 3, [Guard(ROW.index + KEY.index - 3, 0, 9)])
    product = apply("mul", x, X)
    masked = masked_values([x, X, product])
    assert [masked[e].constant.value for e in (x, product)] == [0, 0]
    assert masked[product].guards == {Guard(ROW.index + KEY.index, 3, 12)}


@given(st.integers(-3, 3), st.integers(-3, 3), st.integers(-4, 9), st.integers(-12, 12), st.integers(0, 25))
def test_remaining_positions_are_counted(k: int, of_row: int, of_other: int, lo: int, length: int) -> None:
    other = Axis("w", 3)
    guard = Guard(KEY.index * k + ROW.index * of_row + other.index * of_other + 1, lo, lo + length)
    counts = []
    for i in range(ROW.size):
        tiles = [[k * r + of_row * i + of_other * w + 1 for w in range(other.size)] for r in range(KEY.size)]
        counts.append(max(1, sum(lo <= max(tile) and min(tile) < lo + length for tile in tiles)))
    expected = sum(counts) / len(counts) / KEY.size if k else 1
    assert remaining(guard, KEY, {ROW}) == pytest.approx(expected)


def test_what_is_not_known_remains() -> None:
    assert remaining(Guard(KEY.index * 2 + (ROW.index // 2), 0, 3), KEY, {ROW}) == 1
    assert remaining(Guard(ROW.index, 0, 3), KEY, {ROW}) == 1
