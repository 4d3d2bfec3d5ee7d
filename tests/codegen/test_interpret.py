"""The interpreter against plain NumPy: values, storage types, store modes, memory in parts."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from codegen import interpret as interpreter
from codegen.dtypes import ALL, DType, dtypes, from_storage, to_storage
from codegen.index import Axis, Guard, Index, constant, dynamic
from codegen.interpret import interpret
from codegen.ir import Expr, Kernel, Param, Store, apply, const, coord, load, reduce, scan, valid
from codegen.ops import REDUCE_OPS, SCALAR_OPS
from tests.codegen import written_kernels as w
from tests.codegen.compare import assert_close
from tests.codegen.random_kernels import kernels, random_arrays, run

RNG = np.random.default_rng(0)


def _run(kernel: Kernel, **inputs: NDArray) -> NDArray:
    """The array of the first store; inputs of any shape."""
    arrays = {name: np.ascontiguousarray(values).reshape(-1) for name, values in inputs.items()}
    for store in kernel.stores:
        arrays.setdefault(store.param.name, np.zeros(store.param.size, store.param.dtype.numpy))
    interpret(kernel, arrays)
    return arrays[kernel.stores[0].param.name]


def _floats(*shape: int) -> NDArray:
    return RNG.standard_normal(shape).astype(np.float32)


# ----------------------------------------------------------------------------------------------- whole kernels


def test_softmax() -> None:
    x = _floats(5, 7)
    weights = np.exp(x - x.max(1, keepdims=True))
    found = _run(w.kernel("softmax", (5, 7), w.softmax(w.tensor("x", 5, 7), 7)), x=x).reshape(5, 7)
    np.testing.assert_allclose(found, weights / weights.sum(1, keepdims=True), rtol=1e-5)


def test_attention() -> None:
    q, k, v = _floats(5, 4), _floats(6, 4), _floats(6, 4)
    s = np.exp(q @ k.T * 0.5)
    fields = (w.tensor("q", 5, 4), w.tensor("k", 6, 4), w.tensor("v", 6, 4))
    found = _run(w.kernel("attention", (5, 4), w.attention(*fields, 6, 4)), q=q, k=k, v=v).reshape(5, 4)
    np.testing.assert_allclose(found, s / s.sum(1, keepdims=True) @ v, rtol=1e-4, atol=1e-5)


def test_convolution() -> None:
    x, f = _floats(2, 3, 6, 5), _floats(4, 3, 3, 3)
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(2, 3))
    expected = np.einsum("bchwrs,ocrs->bohw", windows, f)
    fields = (w.tensor("x", 2, 3, 6, 5), w.tensor("f", 4, 3, 3, 3))
    found = _run(w.kernel("convolution", (2, 4, 6, 5), w.convolution(*fields, 3, 3, 1, (6, 5))), x=x, f=f)
    np.testing.assert_allclose(found.reshape(2, 4, 6, 5), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("op", ["add", "max"])
def test_scans(op: str, axis: int, reverse: bool) -> None:
    x, i, j = _floats(5, 7), Axis("i", 5), Axis("j", 7)
    place, param = i.index * 7 + j.index, Param("x", dtypes.float32, 35)
    out = Param("out", dtypes.float32, 35)
    value = scan(op, load(param, place), (i, j)[axis], reverse)
    found = _run(Kernel("scan", (out, param), (Store(out, place, value, order=(i, j)),)), x=x).reshape(5, 7)
    ordered = np.flip(x, axis) if reverse else x
    expected = REDUCE_OPS[op].combine.numpy.accumulate(ordered, axis=axis)
    np.testing.assert_allclose(found, np.flip(expected, axis) if reverse else expected, rtol=1e-5, atol=1e-6)


@given(kernels(sizes=(2, 3, 4)), st.sampled_from([5, 10, 40]))
def test_parts_change_nothing(kernel: Kernel, widest: int) -> None:
    """A tile evaluated in parts gives what the whole tile gives, also where a stored axis is summed as well."""
    arrays = random_arrays(kernel)
    whole = run(kernel, arrays)
    usual, interpreter.WIDEST = interpreter.WIDEST, widest  # type: ignore[misc]
    try:
        parts = run(kernel, arrays)
    finally:
        interpreter.WIDEST = usual  # type: ignore[misc]
    types = {param.name: param.dtype for param in kernel.params}
    for name, values in whole.items():
        assert_close(parts[name], values, types[name])


def test_memory_stays_bounded() -> None:
    """All products of this matrix product at once would take 64 MiB."""
    n = 256
    x, y = _floats(n, n), _floats(n, n)
    kernel = w.kernel("product", (n, n), w.matmul(w.tensor("x", n, n), w.tensor("y", n, n), n))
    tracemalloc.start()
    found = _run(kernel, x=x, y=y)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 32 << 20
    np.testing.assert_allclose(found.reshape(n, n), x @ y, rtol=1e-3, atol=1e-3)


def test_a_chain_of_ten_thousand_operations_does_not_overflow() -> None:
    e = w.tensor("x", 3)(constant(1))
    for _ in range(10_000):
        e = apply("neg", e)
    out = Param("out", dtypes.float32, 1)
    kernel = Kernel("chain", (out, Param("x", dtypes.float32, 3)), (Store(out, constant(0), e),))
    found = _run(kernel, x=np.full(3, 2, np.float32))
    assert found.tolist() == [2]


def test_a_chain_of_reduces_does_not_overflow() -> None:
    x = w.tensor("x", 4)

    def centred(depth: int) -> w.Field:
        value: w.Field = x
        for _ in range(depth):
            axis = Axis("r", 4)
            total = reduce("add", value(axis.index), [axis])
            value = _minus(value, total)
        return value

    def _minus(value: w.Field, total: Expr) -> w.Field:
        return lambda i: w.sub(x(i), total)

    assert _run(w.kernel("chain", (4,), centred(500)), x=np.array([1, 0, 0, -1], np.float32)).shape == (4,)


# ------------------------------------------------------------------------------------------------- scalar values

EDGES = {
    "b": [False, True],
    "i": [0, 1, -1, 2, -2, 7, -7, 100],
    "u": [0, 1, 2, 3, 7, 100, 200],
    "f": [0.0, -0.0, 1.0, -1.5, 2.5, -7.0, 0.3, np.inf, -np.inf, np.nan],
}


def _edge_values(dtype: DType) -> NDArray:
    ends = [int(dtype.min), int(dtype.max)] if dtype.is_int else []
    fitting = [v for v in EDGES[dtype.kind] if not dtype.is_int or dtype.min <= v <= dtype.max]
    return np.array([*fitting, *ends], dtype.numpy)


@pytest.mark.parametrize("name", sorted(set(SCALAR_OPS) - {"cast", "bitcast"}))
@pytest.mark.parametrize("dtype", [d for d in ALL if not d.is_narrow_float], ids=str)
def test_every_operation_on_edge_values(name: str, dtype: DType) -> None:
    """All combinations of edge values, against the table's own NumPy meaning."""
    row = SCALAR_OPS[name]
    if dtype.kind not in row.kinds:
        return
    values = _edge_values(dtype)
    if name in ("shl", "shr"):
        values = values[(values >= 0) & (values < 128)]
    types = (dtypes.bool, dtype, dtype) if row.rule == "where" else (dtype,) * row.arity
    grids = np.meshgrid(*(_edge_values(t) if t is not dtype else values for t in types), indexing="ij")
    columns = [grid.reshape(-1) for grid in grids]
    axis = Axis("i", len(columns[0]))
    params = [Param(f"x{n}", t, axis.size) for n, t in enumerate(types)]
    e = apply(name, *(load(p, axis.index) for p in params))
    out = Param("out", e.dtype, axis.size)
    kernel = Kernel(name, (out, *params), (Store(out, axis.index, e),))
    found = _run(kernel, **{p.name: column for p, column in zip(params, columns)})
    with np.errstate(all="ignore"):
        np.testing.assert_array_equal(found, row.numpy(*columns))


def _apply_all(name: str, dtype: DType, pairs: list[tuple[int, int]]) -> list[int]:
    def once(a: int, b: int) -> int:
        kernel = w.kernel("one", (1,), lambda i: apply(name, const(a, dtype), const(b, dtype)), dtype=dtype)
        return int(_run(kernel)[0])

    return [once(a, b) for a, b in pairs]


def test_integer_division_rounds_down_and_zero_divides_to_zero() -> None:
    pairs = [(7, 2), (-7, 2), (7, -2), (-7, -2), (7, 0), (-(2**31), -1)]
    assert _apply_all("floordiv", dtypes.int32, pairs) == [3, -4, -4, 3, 0, -(2**31)]
    assert _apply_all("mod", dtypes.int32, pairs) == [1, 1, -1, -1, 0, 0]


def test_integers_wrap_and_wide_shifts_clear() -> None:
    assert _apply_all("add", dtypes.int8, [(127, 1)]) == [-128]
    assert _apply_all("mul", dtypes.uint8, [(16, 17)]) == [16]
    assert _apply_all("shl", dtypes.int32, [(1, 31), (1, 32), (1, 40)]) == [-(2**31), 0, 0]
    assert _apply_all("shr", dtypes.int32, [(-8, 1), (-8, 32), (8, 32)]) == [-4, -1, 0]


@pytest.mark.parametrize("source", ALL, ids=str)
@pytest.mark.parametrize("target", ALL, ids=str)
def test_casts(source: DType, target: DType) -> None:
    values = to_storage(np.array([0, 1, 2, 3.5, 100]), source)
    axis = Axis("i", 5)
    x, out = Param("x", source, 5), Param("out", target, 5)
    e = apply("cast", load(x, axis.index), dtype=target)
    found = _run(Kernel("cast", (out, x), (Store(out, axis.index, e),)), x=values)
    np.testing.assert_array_equal(found, to_storage(from_storage(values, source), target))


def test_a_cast_to_sixteen_bits_and_back_rounds() -> None:
    for narrow, expected in ((dtypes.bfloat16, 1.0), (dtypes.float16, 1 + 2**-9), (dtypes.float32, 1 + 2**-9)):
        e = apply("cast", apply("cast", const(1 + 2**-9, dtypes.float32), dtype=narrow), dtype=dtypes.float32)
        assert _run(w.kernel("round", (1,), lambda i, e=e: e))[0] == expected


def test_bits_are_reinterpreted() -> None:
    axis = Axis("i", 3)
    for source, target, values, expected in (
        (dtypes.float32, dtypes.uint32, np.array([1, -0.0, np.inf], np.float32), [0x3F800000, 0x80000000, 0x7F800000]),
        (dtypes.bfloat16, dtypes.int16, np.array([0x3F80, 0, 1], np.uint16), [0x3F80, 0, 1]),
        (dtypes.uint16, dtypes.bfloat16, np.array([0x3F80, 0x4000, 1], np.uint16), [0x3F80, 0x4000, 1]),
    ):
        x, out = Param("x", source, 3), Param("out", target, 3)
        e = apply("bitcast", load(x, axis.index), dtype=target)
        assert _run(Kernel("bits", (out, x), (Store(out, axis.index, e),)), x=values).tolist() == expected


@pytest.mark.parametrize("name", REDUCE_OPS)
@pytest.mark.parametrize("dtype", [d for d in ALL if not d.is_narrow_float], ids=str)
def test_every_reduce(name: str, dtype: DType) -> None:
    row = REDUCE_OPS[name]
    if dtype.kind not in row.combine.kinds:
        return
    values = to_storage(RNG.integers(0, 2 if dtype is dtypes.bool else 5, (3, 8)), dtype)
    expected = values[:, 0]
    for column in values.T[1:]:
        expected = row.combine.numpy(expected, column)
    i, r = Axis("i", 3), Axis("r", 8)
    x, out = Param("x", dtype, 24), Param("out", dtype, 3)
    e = reduce(name, load(x, i.index * 8 + r.index), [r])
    np.testing.assert_array_equal(_run(Kernel(name, (out, x), (Store(out, i.index, e),)), x=values), expected)


def test_max_and_min_propagate_nan() -> None:
    x = w.tensor("x", 3)
    for name in ("max", "min"):
        kernel = w.kernel(name, (1,), lambda i, name=name: w.over(name, 3, x))
        assert np.isnan(_run(kernel, x=np.array([1, np.nan, 2], np.float32))[0])


def test_long_sums_are_accurate() -> None:
    kernel = w.kernel("sum", (1,), lambda i: w.over("add", 100_000, w.tensor("x", 100_000)))
    assert _run(kernel, x=np.full(100_000, 0.1, np.float32))[0] == np.float32(100_000 * np.float64(np.float32(0.1)))


# ------------------------------------------------------------------------------------------------ loads and stores


def test_a_failing_guard_loads_zero_without_touching_memory() -> None:
    x = Param("x", dtypes.float32, 3)
    kernel = w.kernel("padded", (5,), lambda i: load(x, i - 1, [Guard(i - 1, 0, 3)]))
    assert _run(kernel, x=np.array([1, 2, 3], np.float32)).tolist() == [0, 1, 2, 3, 0]


def test_a_gather_reads_where_its_values_point() -> None:
    places, table = w.tensor("places", 4, dtype=dtypes.int32), Param("table", dtypes.float32, 3)

    def picked(i: Index) -> Expr:
        place = dynamic(places(i), 3)
        return load(table, place, [Guard(place, 0, 3)])

    kernel = w.kernel("gather", (4,), picked)
    found = _run(kernel, table=np.array([1, 2, 3], np.float32), places=np.int32([2, -1, 0, 3]))
    assert found.tolist() == [3, 0, 1, 0]


def test_positions_and_conditions() -> None:
    kernel = w.kernel("mask", (4,), lambda i: apply("where", valid([Guard(i, 1, 3)]), coord(i * 2), coord(i * 0 - 1)),
                      dtype=dtypes.int32)  # fmt: skip
    assert _run(kernel).tolist() == [-1, 2, 4, -1]


def _accumulated(mode: str, dtype: DType, start: list[float], values: list[float]) -> NDArray:
    """values combined with start, two to a place."""
    axis = Axis("i", len(values))
    x, out = Param("x", dtype, len(values)), Param("out", dtype, len(start))
    kernel = Kernel(mode, (out, x), (Store(out, axis.index % len(start), load(x, axis.index), mode=mode),))
    return _run(kernel, x=to_storage(np.array(values), dtype), out=to_storage(np.array(start), dtype))


@pytest.mark.parametrize("dtype", [dtypes.float32, dtypes.float16, dtypes.bfloat16, dtypes.int64], ids=str)
@pytest.mark.parametrize(
    ("mode", "expected"), [("add", [15, 28]), ("max", [10, 20]), ("min", [1, 2]), ("mul", [40, 240])]
)
def test_stores_combine_with_what_is_there(mode: str, expected: list[float], dtype: DType) -> None:
    found = _accumulated(mode, dtype, [10, 20], [1, 2, 4, 6])
    assert from_storage(found, dtype).tolist() == expected


def test_every_point_of_an_accumulating_store_counts() -> None:
    i, j = Axis("i", 2), Axis("j", 3)
    out = Param("out", dtypes.int32, 2)
    kernel = Kernel("count", (out,), (Store(out, i.index, const(1, dtypes.int32), mode="add", order=(i, j)),))
    assert _run(kernel).tolist() == [3, 3]


def test_a_flag_is_raised_by_any_true_value() -> None:
    x = w.tensor("x", 4, dtype=dtypes.int32)
    axis = Axis("i", 4)
    flag = Param("flag", dtypes.int32, 1)
    e = apply("lt", x(axis.index), const(0, dtypes.int32))
    kernel = Kernel("check", (flag, Param("x", dtypes.int32, 4)), (Store(flag, constant(0), e, mode="flag"),))
    assert _run(kernel, x=np.int32([1, 2, 3, 4])).tolist() == [0]
    assert _run(kernel, x=np.int32([1, -2, 3, -4])).tolist() == [1]


def test_a_guarded_store_leaves_other_places_alone() -> None:
    axis = Axis("i", 4)
    out = Param("out", dtypes.float32, 2)
    guards = frozenset([Guard(axis.index - 1, 0, 1)])
    store = Store(out, axis.index - 1, const(5, dtypes.float32), guards, order=(axis,))
    assert _run(Kernel("guarded", (out,), (store,))).tolist() == [5, 0]


def test_loads_see_the_arrays_as_they_were() -> None:
    """Reversal in place: every load happens before any store."""
    axis = Axis("i", 4)
    x = Param("x", dtypes.float32, 4)
    kernel = Kernel("reverse", (x,), (Store(x, axis.index * -1 + 3, load(x, axis.index)),))
    assert _run(kernel, x=np.array([1, 2, 3, 4], np.float32)).tolist() == [4, 3, 2, 1]


# ----------------------------------------------------------------------------------------------------- mistakes


def test_arrays_must_fit_the_parameters() -> None:
    kernel = w.kernel("copy", (4,), w.tensor("x", 4))
    for wrong in (np.zeros(3, np.float32), np.zeros(4, np.float64), np.zeros((2, 2), np.float32)):
        with pytest.raises(ValueError, match="x is .*, expected float32"):
            interpret(kernel, {"x": wrong, "out0": np.zeros(4, np.float32)})


def test_a_place_outside_is_an_error() -> None:
    x = Param("x", dtypes.float32, 3)
    with pytest.raises(IndexError, match="outside its 3 elements"):
        _run(w.kernel("copy", (4,), lambda i: load(x, i)), x=_floats(3))
