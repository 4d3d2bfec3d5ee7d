"""Element types: storage, promotion, conversion, the lattice's laws."""

import copy
import itertools
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from codegen.dtypes import ALL, STORED, DType, as_dtype, dtypes, from_storage, promote, round_to_bfloat16, to_storage

PAIRS = list(itertools.product(ALL, ALL))


@pytest.mark.parametrize("dtype", ALL, ids=str)
def test_facts(dtype: DType) -> None:
    assert dtype.itemsize == dtype.numpy.itemsize
    assert dtype.is_float + dtype.is_int + (dtype is dtypes.bool) == 1
    assert dtype.is_narrow_float == (dtype in (dtypes.float16, dtypes.bfloat16))
    assert dtype.arithmetic.numpy == dtype.compute
    assert dtypes.is_float(dtype) == dtype.is_float
    assert dtypes.is_int(dtype) == dtype.is_int
    assert dtypes.is_unsigned(dtype) == dtype.name.startswith("uint")
    assert repr(dtype) == f"dtypes.{dtype}"


@pytest.mark.parametrize("dtype", [d for d in ALL if d.is_int], ids=str)
def test_limits_of_integers(dtype: DType) -> None:
    info = np.iinfo(dtype.numpy)
    assert (dtype.min, dtype.max) == (info.min, info.max)


def test_limits_of_others() -> None:
    assert (dtypes.float16.min, dtypes.float16.max) == (-np.inf, np.inf)
    assert (dtypes.bool.min, dtypes.bool.max) == (False, True)


@pytest.mark.parametrize("dtype", ALL, ids=str)
def test_a_type_survives_copies(dtype: DType) -> None:
    assert pickle.loads(pickle.dumps(dtype)) is dtype
    assert copy.deepcopy(dtype) is dtype


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("float32", dtypes.float32), ("half", dtypes.float16), ("bfloat16", dtypes.bfloat16), ("long", dtypes.int64),
        (float, dtypes.float32), (int, dtypes.int32), (bool, dtypes.bool), (np.float64, dtypes.float64),
        (np.dtype("uint8"), dtypes.uint8), (dtypes.int8, dtypes.int8),
    ],
)  # fmt: skip
def test_as_dtype(value: object, expected: DType) -> None:
    assert as_dtype(value) is expected


@pytest.mark.parametrize("value", ["float31", np.dtype("longdouble"), 3.5, "is_float"])
def test_what_is_no_dtype(value: object) -> None:
    with pytest.raises(TypeError, match="known: bool, int8"):
        as_dtype(value)


# ---------------------------------------------------------------------------------------------------- promotion


@pytest.mark.parametrize(("a", "b"), PAIRS)
def test_promotion_commutes(a: DType, b: DType) -> None:
    assert promote(a, b) is promote(b, a)
    assert promote(a, a) is a
    assert promote(promote(a, b), b) is promote(a, b)


@pytest.mark.parametrize(("a", "b"), [(a, b) for a, b in PAIRS if not a.is_float and not b.is_float])
def test_integers_promote_as_in_numpy(a: DType, b: DType) -> None:
    """Save that no integer holds both int64 and uint64: the lattice then has a 16-bit float, NumPy a 64-bit one."""
    found = promote(a, b)
    if dtypes.uint64 in (a, b) and {a.kind, b.kind} == {"i", "u"}:
        assert found is dtypes.float16
    else:
        assert found.numpy == np.promote_types(a.numpy, b.numpy)


def test_floats_win_over_integers() -> None:
    for integer in (d for d in ALL if d.is_int):
        for floating in (d for d in STORED if d.is_float):
            assert promote(integer, floating) is floating
    assert promote(dtypes.float16, dtypes.bfloat16) is dtypes.float32
    assert promote(dtypes.bool, dtypes.int8, dtypes.float16, dtypes.float64) is dtypes.float64


# --------------------------------------------------------------------------------------------------- conversion


@given(st.lists(st.floats(width=32), min_size=1, max_size=20))
def test_bfloat16_rounds_to_nearest_even(values: list[float]) -> None:
    array = np.array(values, np.float32)
    bits = round_to_bfloat16(array)
    back = from_storage(bits, dtypes.bfloat16)
    for value, found, code in zip(array, back, bits):
        if np.isnan(value):
            assert np.isnan(found)
            continue
        neighbours = from_storage(np.array([max(code, 1) - 1, code, code + 1], np.uint16), dtypes.bfloat16)
        distances = [abs(float(n) - float(value)) for n in neighbours if np.isfinite(n)]
        if np.isfinite(found):
            nearest = abs(float(found) - float(value))
            assert nearest <= min(distances)
            assert nearest != distances[0] or len(distances) < 3 or code % 2 == 0 or nearest == 0 or code in (0, 0x8000)


def test_bfloat16_ties_and_ends() -> None:
    one_step = 2.0**-7
    cases = {1 + one_step / 2: 1.0, 1 + 3 * one_step / 2: 1 + 2 * one_step, 3.4e38: np.inf, -0.0: -0.0, 1e-45: 0.0}
    for value, expected in cases.items():
        found = from_storage(to_storage(np.float32(value), dtypes.bfloat16), dtypes.bfloat16)
        assert found == expected
        assert np.signbit(found) == np.signbit(expected)


@pytest.mark.parametrize("dtype", ALL, ids=str)
def test_storage_round_trip(dtype: DType) -> None:
    values = np.array([0, 1, 1, 0]).astype(dtype.compute)
    stored = to_storage(values, dtype)
    assert stored.dtype == dtype.numpy
    np.testing.assert_array_equal(from_storage(stored, dtype), values)


def test_bfloat16_keeps_the_shape() -> None:
    for shape in ((), (1,), (2, 3)):
        stored = to_storage(np.ones(shape, np.float32), dtypes.bfloat16)
        assert stored.shape == shape
        assert from_storage(stored, dtypes.bfloat16).shape == shape


def test_floats_truncate_to_integers() -> None:
    assert to_storage(np.array([1.9, -1.9, 0.5]), dtypes.int32).tolist() == [1, -1, 0]
    assert to_storage(np.array([0.0, 0.5, np.nan]), dtypes.bool).tolist() == [False, True, True]
