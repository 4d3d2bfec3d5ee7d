"""The Triton printer: its sources, run in Triton's interpreter, equal the interpreter of kernels."""

from importlib.util import find_spec

import numpy as np
import pytest
from numpy.typing import NDArray

from codegen.dtypes import ALL, DType, dtypes, from_storage, to_storage
from codegen.generate import generate
from codegen.index import Axis, Guard, Index, dynamic
from codegen.ir import Expr, Kernel, Param, Store, apply, const, load, reduce
from codegen.nest import build
from codegen.ops import REDUCE_OPS, SCALAR_OPS, ScalarOp
from codegen.rewrites.rewrite import prepare
from codegen.schedule import Schedule, ScheduleError, Step
from codegen.streaming import find_streams
from codegen.target import SM90
from codegen.triton import tiles as triton_tiles
from codegen.triton.printer import render
from tests.codegen import written_kernels as written
from tests.codegen.random_kernels import FAMILIES, random_arrays, random_kernel
from tests.codegen.random_schedules import random_schedule
from tests.codegen.triton_harness import check, close, run
from tests.codegen.written_kernels import Field, add, exp, mul, number, over, sub, tensor

pytestmark = pytest.mark.skipif(find_spec("triton") is None, reason="triton is not installed")

COMPUTED = tuple(d for d in ALL if not d.is_narrow_float)
MOST_PROGRAMS = 200  # a launch of the interpreter costs about a millisecond per program


def special(dtype: DType, size: int, rng: np.random.Generator) -> NDArray:
    """Values of a type, the extreme ones first."""
    if dtype is dtypes.bool:
        return rng.integers(0, 2, size).astype(bool)
    if dtype.is_float:
        values = (rng.standard_normal(size) * 3).astype(dtype.numpy)
        values[:6] = [0.0, -0.0, np.inf, -np.inf, np.nan, 1e30]
        return values
    bounds = np.iinfo(dtype.numpy)
    wide = rng.integers(bounds.min, bounds.max, size, dtype=dtype.numpy, endpoint=True)
    near = rng.integers(-5 if dtype.kind == "i" else 0, 6, size).astype(dtype.numpy)
    values = np.where(rng.random(size) < 0.5, wide, near)
    values[:3] = [bounds.min, bounds.max, 0]
    return values


def half(name: str, *shape: int) -> Field:
    """A tensor of bfloat16, as float32 values."""
    raw = tensor(name, *shape, dtype=dtypes.bfloat16)
    return lambda *place: apply("cast", raw(*place), dtype=dtypes.float32)


def check_default(kernel: Kernel, seed: int = 0) -> None:
    check(generate(prepare(kernel), SM90), random_arrays(kernel, seed))


# ------------------------------------------------------------------------------------------------------ operations


@pytest.mark.parametrize("op", SCALAR_OPS.values(), ids=lambda op: op.name)
def test_operation_on_every_type(op: ScalarOp) -> None:
    rng = np.random.default_rng(0)
    for dtype in (d for d in COMPUTED if d.kind in op.kinds):
        for target in _targets(op, dtype):
            _check_operation(op, dtype, target, rng)


def _targets(op: ScalarOp, dtype: DType) -> list[DType | None]:
    if op.name == "cast":
        return [d for d in ALL if d is not dtype]
    if op.name == "bitcast":
        return [d for d in ALL if d is not dtype and d.bits == dtype.bits and d.kind != "b"]
    return [None]


def _check_operation(op: ScalarOp, dtype: DType, target: DType | None, rng: np.random.Generator) -> None:
    size = 50
    i = Axis("i", size)
    types = [dtypes.bool if op.rule == "where" and position == 0 else dtype for position in range(op.arity)]
    params = [Param(f"x{position}", d, size) for position, d in enumerate(types)]
    value = apply(op, *(load(p, i.index) for p in params), dtype=target)
    out = Param("out", value.dtype, size)
    arrays = {p.name: special(p.dtype, size, rng) for p in params} | {"out": np.zeros(size, out.dtype.numpy)}
    if op.name in ("shl", "shr"):
        arrays["x1"] = rng.integers(0, dtype.bits + 9, size).astype(dtype.numpy)
    if op.name == "cast" and dtype.is_float and target is not None and not target.is_float:
        arrays["x0"] = np.clip(np.nan_to_num(arrays["x0"]), 0, 100)  # elsewhere the result is not specified
    check(generate(Kernel("operation", (*params, out), (Store(out, i.index, value),)), SM90), arrays)


@pytest.mark.parametrize("name", REDUCE_OPS)
@pytest.mark.parametrize("tiles", [(), (2, 16), (1, 1)], ids=str)
def test_reduce_on_every_type(name: str, tiles: tuple[int, ...]) -> None:
    rng = np.random.default_rng(1)
    rows, columns = 5, 37
    for dtype in (d for d in COMPUTED if d.kind in REDUCE_OPS[name].combine.kinds):
        i, j = Axis("i", rows), Axis("j", columns)
        x, out = Param("x", dtype, rows * columns), Param("out", dtype, rows)
        total = reduce(name, load(x, i.index * columns + j.index), [j])
        kernel = Kernel("total", (x, out), (Store(out, i.index, total),))
        values = special(dtype, x.size, rng)
        if dtype.is_float:
            values[columns:] = rng.standard_normal(x.size - columns)
        schedule = Schedule(tuple(Step(a, t) for a, t in zip((i, j), tiles)), min(1, len(tiles)))
        check(render(build(kernel, schedule, SM90)), {"x": values, "out": np.zeros(rows, dtype.numpy)})


def test_constants_keep_their_type() -> None:
    i = Axis("i", 5)
    large = ((1e300, dtypes.float64), (2**63 + 1, dtypes.uint64), (-(2**63), dtypes.int64), (200, dtypes.uint8))
    for value, dtype in large:
        out = Param("out", dtype, 5)
        both = apply("add", const(value, dtype), const(1, dtype))
        kernel = Kernel("constant", (out,), (Store(out, i.index, both),))
        check(generate(kernel, SM90), {"out": np.zeros(5, dtype.numpy)})


# ------------------------------------------------------------------------------------------------------ families

N, M = 37, 21
SHAPES = [(N, M), (32, 16), (1, 5), (3, 130)]


@pytest.mark.parametrize("rows, columns", SHAPES)
@pytest.mark.parametrize("make", [tensor, half])
def test_rows(make: Field, rows: int, columns: int) -> None:
    x = make("x", rows, columns)
    check_default(written.kernel("softmax", (rows, columns), written.softmax(x, columns)))
    check_default(written.kernel("norm", (rows, columns), written.normalised(x, columns), dtype=dtypes.bfloat16))
    check_default(written.kernel("lse", (rows,), written.log_sum_exp(x, columns)))
    check_default(written.kernel("columns", (columns,), lambda j: over("add", rows, lambda r: x(r, j))))


@pytest.mark.parametrize("m, n, k", [(40, 50, 70), (32, 64, 32), (17, 16, 100), (3, 5, 7), (1, 33, 40)])
@pytest.mark.parametrize("make", [tensor, half])
def test_products(make: Field, m: int, n: int, k: int) -> None:
    a, b, c = make("a", m, k), make("b", k, n), tensor("c", n)
    product = written.matmul(a, b, k)
    check_default(written.kernel("product", (m, n), product))

    def epilogue(i: Index, j: Index) -> Expr:
        return apply("erf", add(product(i, j), c(j)))

    check_default(written.kernel("epilogue", (m, n), epilogue, dtype=dtypes.bfloat16))
    turned = written.matmul(written.transposed(make("a", k, m)), written.transposed(make("b", n, k)), k)
    check_default(written.kernel("turned", (m, n), turned))


@pytest.mark.parametrize("queries, keys", [(40, 50), (32, 32), (7, 90)])
@pytest.mark.parametrize("make", [tensor, half])
def test_attention(make: Field, queries: int, keys: int) -> None:
    depth = 24
    q, k, v = make("q", queries, depth), make("k", keys, depth), make("v", keys, depth)
    for mask in (None, written.causal(keys)):
        check_default(written.kernel("attention", (queries, depth), written.attention(q, k, v, keys, depth, mask)))


def test_attention_gradients() -> None:
    n, keys, depth = 33, 40, 16
    q, do = tensor("q", n, depth), tensor("do", n, depth)
    k, v = tensor("k", keys, depth), tensor("v", keys, depth)
    for field, rows in zip(written.attention_gradients(q, k, v, do, n, keys, depth), (n, keys, keys)):
        check_default(written.kernel("gradient", (rows, depth), field))


def test_convolution_and_its_gradient() -> None:
    x, w = tensor("x", 2, 5, 9, 10), tensor("w", 6, 5, 3, 3)
    check_default(written.kernel("convolution", (2, 6, 9, 10), written.convolution(x, w, 5, 3, 1, (9, 10))))
    dy = tensor("dy", 2, 6, 9, 10)
    gradient = written.convolution_input_gradient(dy, w, 6, 3, 1, (9, 10))
    check_default(written.kernel("gradient", (2, 5, 9, 10), gradient))


@pytest.mark.parametrize("size", [1, 7, 255, 256, 257, 1003, 2048])
def test_vectors_of_any_length(size: int) -> None:
    x, y = tensor("x", size), half("y", size)
    check_default(written.kernel("chain", (size,), lambda i: exp(add(x(i), y(i)))))


def test_transpose() -> None:
    x = tensor("x", 50, 70)
    check_default(written.kernel("transpose", (70, 50), lambda i, j: exp(x(j, i))))


# ------------------------------------------------------------------------------------------------------ at random


@pytest.mark.parametrize("family", FAMILIES)
def test_random_kernels_with_default_schedules(family: str, pytestconfig: pytest.Config) -> None:
    for seed in range(pytestconfig.getoption("--cases")):
        kernel = random_kernel(seed, family)
        check(generate(kernel, SM90), random_arrays(kernel, seed))


@pytest.mark.parametrize("family", FAMILIES)
def test_random_kernels_with_random_schedules(family: str, pytestconfig: pytest.Config) -> None:
    ran = 0
    for seed in range(pytestconfig.getoption("--cases")):
        kernel = random_kernel(seed, family)
        try:
            program = render(build(kernel, random_schedule(kernel, SM90, seed), SM90))
        except ScheduleError:
            continue
        if program.grid[0] <= MOST_PROGRAMS:
            check(program, random_arrays(kernel, seed))
            ran += 1
    assert ran > pytestconfig.getoption("--cases") // 3


# ------------------------------------------------------------------------------------------------------ hard values


@pytest.mark.parametrize("streamed", [False, True])
def test_rows_of_nan_and_infinities(streamed: bool) -> None:
    columns = 40
    kernel = prepare(written.kernel("softmax", (6, columns), written.softmax(tensor("x", 6, columns), columns)))
    i, j = kernel.axes
    x = np.random.default_rng(0).standard_normal((6, columns)).astype(np.float32)
    x[0, 7], x[1, 3], x[2, 39], x[3], x[4, :20] = np.nan, np.inf, -np.inf, -np.inf, -np.inf
    streams = find_streams(kernel) if streamed else ()
    program = render(build(kernel, Schedule((Step(i, 4), Step(j, 16)), 1, streams=streams), SM90))
    check(program, {"x": x.ravel(), "out0": np.zeros(x.size, np.float32)})


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("narrow", [dtypes.bfloat16, dtypes.float16])
def test_float32_beside_16_bits_keeps_its_precision(side: str, narrow: DType) -> None:
    n = 32
    raw = tensor("b", n, n, dtype=narrow)
    whole = tensor("a", n, n)

    def stored(i: Index, j: Index) -> Expr:
        return apply("cast", raw(i, j), dtype=dtypes.float32)

    def computed(i: Index, j: Index) -> Expr:
        return exp(whole(i, j))

    a, b = (computed, stored) if side == "left" else (stored, computed)
    kernel = prepare(written.kernel("mixed", (n, n), written.matmul(a, b, n)))
    program = generate(kernel, SM90)
    arrays = random_arrays(kernel)
    check(program, arrays)
    if narrow is dtypes.bfloat16:
        assert f"kf_dot_split_{side}(" in program.source
        arrays["a"][5] = np.float32(1000)  # exp overflows
        check(program, arrays)


def test_mixed_operands_are_rounded_only_for_16_bit_results() -> None:
    q, k, v = (half(name, 64, 32) for name in "qkv")
    field = written.attention(q, k, v, 64, 32)
    for dtype, rounded in ((dtypes.bfloat16, True), (dtypes.float32, False)):
        program = generate(prepare(written.kernel("attention", (64, 32), field, dtype=dtype)), SM90)
        assert ("kf_dot_split" not in program.source) is rounded


def test_64_bit_offsets(monkeypatch: pytest.MonkeyPatch) -> None:
    x = Param("x", dtypes.int8, 3 << 30)
    i = Axis("i", 1000)
    out = Param("out", dtypes.int8, 1000)
    large = Kernel("large", (x, out), (Store(out, i.index, load(x, i.index * (3 << 20))),))
    assert "tl.int64" in generate(large, SM90).source
    monkeypatch.setattr(triton_tiles, "WIDE", 16)
    for seed in range(20):
        kernel = random_kernel(seed)
        program = generate(kernel, SM90)
        check(program, random_arrays(kernel, seed))


# ------------------------------------------------------------------------------------------------------ stores


def accumulating(mode: str, dtype: DType, gathered: bool) -> tuple[Kernel, dict[str, NDArray]]:
    """out[i % 3 or index[i]] combined with x[i, j] over all i and j."""
    i, j = Axis("i", 30), Axis("j", 20)
    x, places, out = Param("x", dtype, 600), Param("places", dtypes.int32, 30), Param("out", dtype, 3)
    index: Index = dynamic(load(places, i.index), 3) if gathered else i.index % 3
    value: Expr = load(x, i.index * 20 + j.index)
    if dtype.is_narrow_float:
        value = apply("cast", value, dtype=dtypes.float32)
    rng = np.random.default_rng(0)
    arrays = {
        "x": to_storage(rng.integers(-4, 5, 600), dtype),
        "places": rng.integers(0, 3, 30).astype(np.int32),
        "out": to_storage(np.array([1, 2, 3]), dtype),
    }
    guards = frozenset([Guard(index, 0, 3)] if gathered else [])
    return Kernel("accumulate", (x, places, out), (Store(out, index, value, guards, mode),)), arrays


@pytest.mark.parametrize("gathered", [False, True])
@pytest.mark.parametrize("mode", REDUCE_OPS)
def test_accumulation_with_and_without_atomics(mode: str, gathered: bool) -> None:
    for dtype in (d for d in ALL if d is not dtypes.bool):
        if dtype.kind in REDUCE_OPS[mode].combine.kinds and not (mode in ("mul", "logaddexp") and dtype.is_float):
            kernel, arrays = accumulating(mode, dtype, gathered)
            check(generate(kernel, SM90), arrays)


def test_what_no_atomic_can_do_is_refused() -> None:
    kernel, _ = accumulating("add", dtypes.int8, gathered=True)
    i = kernel.axes[0]
    with pytest.raises(ScheduleError, match="no atomic operation"):
        build(kernel, Schedule((Step(i, 8),), 1), SM90)


def test_nan_wins_atomic_maxima() -> None:
    kernel, arrays = accumulating("max", dtypes.float32, gathered=True)
    arrays["x"][17] = np.nan
    program = generate(kernel, SM90)
    assert "kf_atomic_max_float" in program.source
    check(program, arrays)


def test_gather_outside_touches_no_memory() -> None:
    i = Axis("i", 40)
    places, x, out = Param("places", dtypes.int64, 40), Param("x", dtypes.float32, 8), Param("out", dtypes.float32, 40)
    place = dynamic(load(places, i.index), 8)
    value = load(x, place, [Guard(place, 0, 8)])
    wrong = apply("not", apply("lt", load(places, i.index), const(8, dtypes.int64)))
    error = Param("error", dtypes.int32, 1)
    stores = (Store(out, i.index, value), Store(error, i.index * 0, wrong, mode="flag"))
    arrays = {
        "places": np.where(np.arange(40) % 5 == 0, 1 << 40, np.arange(40) % 8),
        "x": np.arange(8, dtype=np.float32) + 1,
        "out": np.zeros(40, np.float32),
        "error": np.zeros(1, np.int32),
    }
    left = run(generate(Kernel("gather", (places, x, out, error), stores), SM90), arrays)
    inside = arrays["places"] < 8
    np.testing.assert_array_equal(left["out"], np.where(inside, arrays["x"][arrays["places"] % 8], 0))
    assert left["error"][0] == 1


# ------------------------------------------------------------------------------------------------------ sources


def test_grouped_programs_cover_every_tile() -> None:
    kernel = prepare(written.kernel("product", (70, 90), written.matmul(tensor("a", 70, 40), tensor("b", 40, 90), 40)))
    m, n, k = kernel.axes
    for group in (1, 2, 4, 8):
        schedule = Schedule((Step(m, 16), Step(n, 32), Step(k, 16)), 2, options={"group": group})
        check(render(build(kernel, schedule, SM90)), random_arrays(kernel))


def test_source_is_reproducible() -> None:
    def made() -> str:
        q, k, v = (half(name, 64, 32) for name in "qkv")
        return generate(prepare(written.kernel("attention", (64, 32), written.attention(q, k, v, 64, 32))), SM90).source

    assert made() == made()


def test_names_that_are_taken() -> None:
    i, j = Axis("program", 6), Axis("is", 7)
    x, out = Param("tl_", dtypes.float32, 42), Param("t1", dtypes.float32, 42)
    acc = Param("acc0", dtypes.float32, 42)
    index = i.index * 7 + j.index
    total = reduce("add", mul(load(x, index), load(acc, index)), [j])
    kernel = Kernel("t1", (x, acc, out), (Store(out, index, sub(load(x, index), total)),))
    check(render(build(kernel, Schedule((Step(i, 1), Step(j, 4)), 1), SM90)), random_arrays(kernel))


def test_a_chain_of_any_length() -> None:
    i = Axis("i", 8)
    x, out = Param("x", dtypes.float32, 8), Param("out", dtypes.float32, 8)
    value = load(x, i.index)
    for _ in range(10_000):
        value = exp(value)
    program = generate(Kernel("chain", (x, out), (Store(out, i.index, value),)), SM90)
    assert program.source.count("tl.exp(") == 10_000


@pytest.mark.parametrize(
    "steps, reason",
    [
        ((("i", 3), ("j", 16)), "power of two"),
        ((("i", 1),), "elements"),
        ((("j", 16), ("i", 1)), "array"),
        ((("i", 256), ("j", 128)), "registers"),
    ],
)
def test_illegal_schedules_say_why(steps: tuple[tuple[str, int], ...], reason: str) -> None:
    rows, columns = 1 << 10, 1 << 18
    x = tensor("x", rows, columns)
    kernel = prepare(written.kernel("total", (rows,), lambda i: over("add", columns, lambda r: x(i, r))))
    axes = dict(zip("ij", kernel.axes))
    with pytest.raises(ScheduleError, match=reason):
        build(kernel, Schedule(tuple(Step(axes[name], tile) for name, tile in steps), 0), SM90)


def test_the_harness_sees_a_wrong_source() -> None:
    kernel = prepare(written.kernel("double", (10,), lambda i: mul(tensor("x", 10)(i), number(2))))
    program = generate(kernel, SM90)
    wrong = type(program)(**{**vars(program), "source": program.source.replace("2.0", "3.0")})
    with pytest.raises(AssertionError):
        check(wrong, random_arrays(kernel))


def test_bfloat16_is_rounded_to_nearest() -> None:
    x = np.array([1 + 2**-8, 1 + 3 * 2**-9, -3e38, np.nan], np.float32)
    i = Axis("i", 4)
    source, out = Param("x", dtypes.float32, 4), Param("out", dtypes.bfloat16, 4)
    kernel = Kernel("narrow", (source, out), (Store(out, i.index, load(source, i.index)),))
    left = run(generate(kernel, SM90), {"x": x, "out": np.zeros(4, np.uint16)})
    close(left["out"], to_storage(x, dtypes.bfloat16), dtypes.bfloat16, "")
    assert from_storage(left["out"], dtypes.bfloat16)[1] == 1 + 2**-7
