"""Bounds of floats that were put between bounds: never too tight, whatever is compared with what."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from codegen.bounds import value_range
from codegen.clamped import clamped
from codegen.dtypes import dtypes
from codegen.index import Axis
from codegen.interpret import interpret
from codegen.ir import Expr, Kernel, Param, Store, apply, const, load
from kernelforge import Tensor

F = dtypes.float32
VALUES = np.array([-np.inf, -1e9, -7.5, -1, -0.0, 0, 0.5, 2, 2.5, 3, 8, 9.9, 1e9, np.inf, np.nan], np.float32)
x = load(Param("x", F, VALUES.size), Axis("i", VALUES.size).index)


def computed(e: Expr) -> np.ndarray:
    (axis,) = x.axes
    out = Param("out", e.dtype, VALUES.size)
    kernel = Kernel("k", (out, x.param), (Store(out, axis.index, e, order=(axis,)),))
    found = np.zeros(VALUES.size, e.dtype.numpy)
    with np.errstate(all="ignore"):
        interpret(kernel, {"out": found, "x": VALUES})
    return found


numbers = st.sampled_from([-3.5, -1.0, 0.0, 0.5, 2.0, 7.0, 16777217.0]).map(lambda value: const(value, F))
floats = st.recursive(
    st.one_of(numbers, st.just(x), st.sampled_from(["floor", "ceil", "trunc", "round"]).map(lambda op: apply(op, x))),
    lambda inner: st.one_of(
        st.builds(apply, st.sampled_from(["floor", "ceil", "trunc", "round", "neg"]), inner),
        st.builds(lambda op, a, b, c, d: apply("where", apply(op, a, b), c, d),
                  st.sampled_from(["lt", "le", "eq", "ne"]), inner, inner, inner, inner),
    ),
    max_leaves=12,
)  # fmt: skip


@given(floats)
def test_values_are_within_their_bounds(e: Expr) -> None:
    found = clamped(e)
    if found is not None and e.axes:
        values = computed(e)
        assert np.isfinite(values).all() and found[0] <= values.min() and values.max() <= found[1]


@given(floats, st.integers(-5, 9), st.integers(1, 70))
def test_places_are_within_their_bounds(e: Expr, offset: int, factor: int) -> None:
    low = apply("where", apply("lt", const(0.0, F), e), e, const(0.0, F))
    both = apply("where", apply("le", const(9.0, F), low), const(9.0, F), low)
    place = apply("cast", both, dtype=dtypes.int32)
    assert value_range(place) == (0, 9) or not e.axes
    found = apply("add", apply("mul", place, const(factor, dtypes.int32)), const(offset, dtypes.int32))
    least, most = value_range(found)
    if e.axes:
        values = computed(found)
        assert least <= values.min() and values.max() <= most


@pytest.mark.parametrize("swapped", [False, True])
def test_what_is_no_number_has_no_bounds(swapped: bool) -> None:
    """A comparison that fails leaves what is no number as it is."""
    nine = const(9.0, F)
    condition = apply("lt", x, nine) if swapped else apply("lt", nine, x)
    assert clamped(apply("where", condition, nine, x) if swapped else apply("where", condition, x, nine)) is None
    open_end = apply("where", apply("lt", nine, x), nine, x)  # at most 9, or none
    assert clamped(open_end) is None
    assert clamped(apply("where", apply("lt", const(0.0, F), open_end), open_end, const(0.0, F))) == (0, 9)


def test_look_ups_of_clamped_places_need_no_check() -> None:
    table, places = Tensor(np.arange(10.0, dtype=np.float32)), Tensor(VALUES)
    low = (places > 0).where(places, 0)
    found = table[(low >= 9).where(9, low).cast("int32")]
    expected = np.where(VALUES > 0, VALUES, 0)
    np.testing.assert_array_equal(found.numpy(), np.where(expected >= 9, 9, expected).astype(np.int32))
