"""The table of scalar operations: every row is complete and obeys the laws it claims."""

import math

import numpy as np
import pytest

from codegen.dtypes import ALL, DType, dtypes
from codegen.ops import REDUCE_OPS, SCALAR_OPS, ReduceOp, ScalarOp, result_dtype

ROWS = [row for row in SCALAR_OPS.values() if row.rule not in ("cast", "bitcast")]
TYPES = [d for d in ALL if not d.is_narrow_float]
RNG = np.random.default_rng(0)


def _operands(row: ScalarOp, dtype: DType) -> list[np.ndarray]:
    """Moderate values the operation is defined for."""
    low = 0 if dtype.kind in "bu" or row.name in ("shl", "shr", "sqrt", "rsqrt", "log", "log2", "log1p", "pow") else -5
    values = [RNG.integers(low, 2 if dtype is dtypes.bool else 6, 40).astype(dtype.numpy) for _ in range(row.arity)]
    if row.rule == "where":
        values[0] = RNG.integers(0, 2, 40).astype(bool)
    return values


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_results_have_the_type_of_the_rule(row: ScalarOp) -> None:
    for dtype in TYPES:
        if dtype.kind in row.kinds:
            types = (dtypes.bool, dtype, dtype) if row.rule == "where" else (dtype,) * row.arity
            with np.errstate(all="ignore"):
                found = np.asarray(row.numpy(*_operands(row, dtype)))
            assert found.dtype == result_dtype(row, types).numpy
            assert found.shape == (40,)


@pytest.mark.parametrize("row", REDUCE_OPS.values(), ids=lambda row: row.name)
def test_operations_of_reductions_commute(row: ReduceOp) -> None:
    for dtype in TYPES:
        if dtype.kind in row.combine.kinds:
            x, y = _operands(row.combine, dtype)
            with np.errstate(all="ignore"):
                swapped = row.combine.numpy(y, x)
                assert np.array_equal(row.combine.numpy(x, y), swapped, equal_nan=dtype.is_float)


@pytest.mark.parametrize("row", SCALAR_OPS.values(), ids=lambda row: row.name)
def test_spellings_use_every_operand(row: ScalarOp) -> None:
    for spelling in (row.opencl, row.triton):
        if row.rule not in ("cast", "bitcast"):
            assert all(f"{{{position}}}" in spelling for position in range(row.arity))
            assert f"{{{row.arity}}}" not in spelling
    assert set(row.kinds) <= set("biuf")
    assert row.cost >= 1
    assert repr(row) == f"ScalarOp({row.name})"


@pytest.mark.parametrize("row", REDUCE_OPS.values(), ids=lambda row: row.name)
def test_identities_change_nothing(row: ReduceOp) -> None:
    for dtype in TYPES:
        if dtype.kind in row.combine.kinds:
            values = np.array([dtype.min, dtype.max, 0, 1], dtype.numpy)
            identity = np.array(row.identity(dtype), dtype.numpy)
            np.testing.assert_array_equal(row.combine.numpy(values, identity), values)
            np.testing.assert_array_equal(row.combine.numpy(identity, values), values)


@pytest.mark.parametrize("row", REDUCE_OPS.values(), ids=lambda row: row.name)
def test_reduces_associate(row: ReduceOp) -> None:
    for dtype in (d for d in TYPES if d.kind in row.combine.kinds and not d.is_float):
        x, y, z = (_operands(row.combine, dtype)[0] for _ in range(3))
        op = row.combine.numpy
        np.testing.assert_array_equal(op(op(x, y), z), op(x, op(y, z)))
        np.testing.assert_array_equal(op(x, y), op(y, x))


def test_type_rules() -> None:
    f, i = dtypes.float32, dtypes.int32
    assert result_dtype(SCALAR_OPS["add"], (f, f)) is f
    assert result_dtype(SCALAR_OPS["lt"], (i, i)) is dtypes.bool
    assert result_dtype(SCALAR_OPS["where"], (dtypes.bool, f, f)) is f
    for name, types, message in (
        ("add", (f,), "add takes 2 operands, got 1"),
        ("add", (f, i), "add needs operands of one dtype, got float32, int32"),
        ("where", (i, f, f), "the condition of where must be bool, got int32"),
        ("exp", (i,), "exp is not defined for int32"),
        ("div", (i, i), "div is not defined for int32"),
    ):
        with pytest.raises(TypeError, match=message):
            result_dtype(SCALAR_OPS[name], types)


def test_special_values() -> None:
    erf = np.asarray(SCALAR_OPS["erf"].numpy(np.float32([0, 0.5, -1, 30])))
    np.testing.assert_allclose(erf, [0, math.erf(0.5), math.erf(-1), 1], rtol=1e-6)
    assert np.asarray(SCALAR_OPS["erf"].numpy(np.float32(0.5))).shape == ()
    assert SCALAR_OPS["round"].numpy(np.float32([0.5, 1.5, 2.5, -0.5])).tolist() == [0, 2, 2, 0]
    assert np.isnan(SCALAR_OPS["max"].numpy(np.float32(1), np.float32("nan")))
    assert SCALAR_OPS["not"].numpy(np.array([True, False])).tolist() == [False, True]
    assert SCALAR_OPS["not"].numpy(np.int32(5)) == -6
