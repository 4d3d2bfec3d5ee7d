"""The OpenCL printer: every operation on every type, conversions, tails, names, and the text itself."""

import dataclasses
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from numpy.typing import NDArray

from codegen.dtypes import ALL, DType, dtypes, from_storage, to_storage
from codegen.index import Axis, Guard
from codegen.interpret import interpret
from codegen.ir import Expr, Kernel, Param, Store, apply, load, reduce
from codegen.opencl.printer import render
from codegen.opencl.sources import joined
from codegen.ops import REDUCE_OPS, SCALAR_OPS
from codegen.program import Program
from codegen.schedule import Schedule, Stage, Step
from codegen.streaming import find_streams
from codegen.target import CPU
from tests.codegen.opencl_harness import Arrays, difference, run_all, target
from tests.effort import effort

SIZE = 37  # two whole vectors and a tail
ROUNDED = {
    "sin", "cos", "asin", "acos", "atan", "asinh", "acosh", "exp", "exp2", "expm1", "log", "log2", "log1p", "tanh",
    "erf", "pow", "rsqrt", "div", "sqrt", "logaddexp",
}  # fmt: skip


def steps(*loops: tuple[Axis, int]) -> tuple[Step, ...]:
    return tuple(Step(*loop) for loop in loops)


def both_widths(kernel: Kernel, axis: Axis) -> Iterator[Program]:
    """The kernel one element at a time and in vectors."""
    for suffix, schedule in (("s", Schedule(steps((axis, 1)))), ("v", Schedule(steps((axis, 32)), vector=(axis,)))):
        yield render(dataclasses.replace(kernel, name=kernel.name + suffix), schedule, target())


def elementwise(name: str, value: Callable[..., Expr], result: DType, *types: DType, size: int = SIZE) -> Kernel:
    """out[i] = value(x0[i], x1[i], ...) for parameters of the given types."""
    axis = Axis("i", size)
    params = [Param(f"x{n}", dtype, size) for n, dtype in enumerate(types)]
    out = Param("out", result, size)
    e = value(*(load(p, axis.index) for p in params))
    return Kernel(name, (*params, out), (Store(out, axis.index, e),))


def edge_values(dtype: DType, seed: int) -> NDArray:
    """Special values of a type among ordinary ones."""
    rng = np.random.default_rng(seed)
    if dtype.is_float:
        special = [0.0, -0.0, 1.0, -1.0, np.inf, -np.inf, np.nan, 0.5, 1.5, 2.5, -2.5, 3e-39]
        return to_storage(rng.permutation(np.concatenate([special, rng.uniform(-4, 4, SIZE - len(special))])), dtype)
    if dtype is dtypes.bool:
        return rng.integers(0, 2, SIZE).astype(bool)
    near = [int(dtype.min), int(dtype.max), int(dtype.min) + 1, 0, 1, 2, 3, 7]
    near += [-1, -2, -7] if dtype.kind == "i" else []
    return rng.choice(np.array(near, dtype.numpy), SIZE)


def assert_runs_right(programs: list[Program], arrays: list[Arrays], slack: float = 0.0) -> None:
    """Each program gives what the interpreter makes of its kernel; slack is allowed relative to each value."""
    for program, given, left in zip(programs, arrays, run_all(programs, arrays)):
        assert program.kernel is not None
        expected = {name: array.copy() for name, array in given.items()}
        interpret(program.kernel, expected)
        for param in program.params:
            if param.name in program.written:
                a, b = (from_storage(x[param.name], param.dtype) for x in (left, expected))
                with np.errstate(all="ignore"):
                    same = (a == b) | ((a != a) & (b != b))
                    if param.dtype.is_float and slack:
                        same |= np.abs(a - b) <= slack * np.abs(b)
                assert same.all(), f"{a[~same]} instead of {b[~same]}\n{given}\n{program.source}"


def _programs_of(kernels: list[tuple[Kernel, Arrays]]) -> tuple[list[Program], list[Arrays]]:
    programs, arrays = [], []
    for kernel, given in kernels:
        for program in both_widths(kernel, kernel.stores[0].axes[0]):
            programs.append(program)
            arrays.append(given)
    return programs, arrays


# ------------------------------------------------------------------------------------------------ operations


def _operands(name: str, dtype: DType) -> list[NDArray]:
    row = SCALAR_OPS[name]
    values = [edge_values(dtype, seed) for seed in range(2 if row.rule == "where" else row.arity)]
    if name in ("shl", "shr"):
        values[1] = np.abs(values[1].astype(np.int64) % (dtype.bits + 3)).astype(dtype.numpy)
    if name == "mod" and dtype.is_float:  # NumPy warns and differs between versions at infinities
        values = [np.where(np.isfinite(v), v, 1).astype(dtype.numpy) for v in values]
    return values


@pytest.mark.parametrize("name", [n for n, row in SCALAR_OPS.items() if row.rule not in ("cast", "bitcast")])
def test_operation_on_every_type(name: str) -> None:
    row = SCALAR_OPS[name]
    kernels = []
    for dtype in ALL:
        if dtype.kind not in row.kinds or dtype.is_narrow_float:
            continue
        operands = _operands(name, dtype)
        types = [dtype] * len(operands)
        if row.rule == "where":
            operands, types = [edge_values(dtypes.bool, 9), *operands], [dtypes.bool, *types]
        result = dtypes.bool if row.rule == "compare" else dtype
        kernel = elementwise(f"{name}_{dtype}_", lambda *x: apply(name, *x), result, *types)
        given = {f"x{n}": values for n, values in enumerate(operands)}
        kernels.append((kernel, {**given, "out": np.zeros(SIZE, result.numpy)}))
    assert_runs_right(*_programs_of(kernels), slack=2e-6 if name in ROUNDED else 0.0)


def _castable(source: DType, to: DType) -> NDArray:
    values = edge_values(source, 3)
    if source.is_float and not to.is_float and to is not dtypes.bool:
        plain = from_storage(values, source)
        low = 0 if to.kind == "u" else -100
        return to_storage(np.clip(np.where(np.isfinite(plain), plain, 1), low, 100), source)
    return values


@pytest.mark.parametrize("source", ALL, ids=str)
def test_casts_to_every_type(source: DType) -> None:
    kernels = []
    for to in ALL:
        kernel = elementwise(f"cast_{source}_{to}_", lambda x, to=to: apply("cast", x, dtype=to), to, source)
        kernels.append((kernel, {"x0": _castable(source, to), "out": np.zeros(SIZE, to.numpy)}))
    assert_runs_right(*_programs_of(kernels))


def test_a_cast_to_a_narrow_float_and_back_rounds() -> None:
    kernels = []
    for narrow in (dtypes.float16, dtypes.bfloat16):
        for wide in (dtypes.float32, dtypes.float64):
            kernel = elementwise(
                f"round_{narrow}_{wide}_",
                lambda x, n=narrow, w=wide: apply("cast", apply("cast", x, dtype=n), dtype=w), wide, wide,
            )  # fmt: skip
            kernels.append((kernel, {"x0": edge_values(wide, 5), "out": np.zeros(SIZE, wide.numpy)}))
    assert_runs_right(*_programs_of(kernels))


def test_bitcasts_between_types_of_one_width() -> None:
    kernels = []
    for source in ALL:
        for to in ALL:
            if dtypes.bool in (source, to) or source.bits != to.bits or (source is to):
                continue
            kernel = elementwise(f"bits_{source}_{to}_", lambda x, to=to: apply("bitcast", x, dtype=to), to, source)
            values = edge_values(source, 7)
            if source.is_narrow_float or to.is_narrow_float:  # held as float32: a NaN's payload is not kept
                values = np.arange(SIZE).astype(source.numpy)
            kernels.append((kernel, {"x0": values, "out": np.zeros(SIZE, to.numpy)}))
    assert_runs_right(*_programs_of(kernels))


def test_reduce_of_every_operation_on_every_type() -> None:
    """In lanes with a tail, in one element at a time, and whole inside a tile."""
    programs, arrays = [], []
    for op in REDUCE_OPS.values():
        for dtype in ALL:
            if dtype.kind not in op.combine.kinds or dtype.is_narrow_float:
                continue
            i, j = Axis("i", 3), Axis("j", SIZE)
            x, out = Param("x", dtype, 3 * SIZE), Param("out", dtype, 3)
            value = reduce(op, load(x, i.index * SIZE + j.index), [j])
            kernel = Kernel(f"{op.name}_{dtype}_", (x, out), (Store(out, i.index, value),))
            rng = np.random.default_rng(1)
            numbers = rng.integers(0, 2 if dtype is dtypes.bool else 9, x.size)
            values = rng.uniform(0.9, 1.1, x.size) if dtype.is_float else numbers
            given = {"x": values.astype(dtype.numpy), "out": np.zeros(3, dtype.numpy)}
            for n, schedule in enumerate((
                Schedule(steps((i, 1), (j, 32)), 1, (j,)),
                Schedule(steps((i, 1), (j, 4))),
                Schedule(steps((i, 1), (j, 64)), 1, (j,)),
            )):  # fmt: skip
                programs.append(render(dataclasses.replace(kernel, name=f"{kernel.name}{n}"), schedule, CPU))
                arrays.append(given)
    for start in range(0, len(programs), 60):
        assert_runs_right(programs[start : start + 60], arrays[start : start + 60], slack=1e-5)


def test_accumulating_stores_of_every_mode_on_every_type() -> None:
    """Into consecutive places, into every other place, and all into one."""
    kernels = []
    for op in REDUCE_OPS.values():
        for dtype in ALL:
            if dtype.kind not in op.combine.kinds:
                continue
            i = Axis("i", SIZE)
            params = [Param(name, dtype, 2 * SIZE) for name in ("x", "near", "apart", "one")]
            value = load(params[0], i.index)
            places = (i.index, i.index * 2, i.index * 0)
            stores = tuple(Store(p, place, value, mode=op.name, order=(i,)) for p, place in zip(params[1:], places))
            rng = np.random.default_rng(2)
            numbers = rng.choice([0.5, 1, 2], 2 * SIZE) if dtype.is_float else rng.integers(0, 3, 2 * SIZE)
            given = {p.name: to_storage(rng.permutation(numbers), dtype) for p in params}
            kernels.append((Kernel(f"{op.name}_{dtype}_", tuple(params), stores), given))
    programs, arrays = _programs_of(kernels)
    for start in range(0, len(programs), 40):
        assert_runs_right(programs[start : start + 40], arrays[start : start + 40], slack=1.6e-2)


@pytest.mark.parametrize("name", ["sin", "cos", "erf"])
def test_functions_of_our_own_on_vectors_and_scalars(name: str) -> None:
    kernel = elementwise(name, lambda x: apply(name, x), dtypes.float32, dtypes.float32)
    axis = kernel.stores[0].axes[0]
    for vector in ((axis,), ()):
        program = render(kernel, Schedule(steps((axis, 16)), vector=vector), CPU)
        assert f"return {name}(a)" not in program.source
        given = {"x0": edge_values(dtypes.float32, 2), "out": np.zeros(SIZE, np.float32)}
        assert_runs_right([program], [given], slack=5e-7)


# ------------------------------------------------------------------------------------------------ tails and guards


def gemm(m_size: int, n_size: int, k_size: int, transposed: bool = False) -> tuple[Kernel, Schedule]:
    """out = exp(a) @ b with packed operands in small blocks; b may be stored transposed."""
    m, n, k = Axis("m", m_size), Axis("n", n_size), Axis("k", k_size)
    a = load(Param("a", dtypes.float32, m_size * k_size), m.index * k_size + k.index)
    place = n.index * k_size + k.index if transposed else k.index * n_size + n.index
    b = load(Param("b", dtypes.float32, k_size * n_size), place)
    left, out = apply("exp", a), Param("out", dtypes.float32, m_size * n_size)
    store = Store(out, m.index * n_size + n.index, reduce("add", apply("mul", left, b), [k]))
    name = f"gemm_{m_size}_{n_size}_{k_size}_{transposed}"
    loops = steps((m, 32), (n, 64), (k, 32), (n, 32), (m, 4), (k, 1))
    stages = (Stage(left, 3, ((m, 1), (k, 1)), 16), Stage(b, 3, ((n, 32), (k, 1), (n, 1))))
    kernel = Kernel(name, (*(p for p in (a.param, b.param)), out), (store,))  # type: ignore[attr-defined]
    return kernel, Schedule(loops, 2, (n,), stages)


@pytest.mark.parametrize("transposed", (False, True))
def test_packed_contraction_at_sizes_around_its_tiles(transposed: bool) -> None:
    programs, arrays = [], []
    rng = np.random.default_rng(0)
    for sizes in ((1, 1, 1), (31, 63, 31), (32, 64, 32), (33, 65, 33), (70, 37, 101), (64, 128, 64)):
        kernel, schedule = gemm(*sizes, transposed)
        programs.append(render(kernel, schedule, CPU))
        arrays.append({p.name: rng.uniform(-1, 1, p.size).astype(np.float32) for p in kernel.params})
    for program, given, left in zip(programs, arrays, run_all(programs, arrays)):
        assert program.kernel is not None
        expected = {name: array.copy() for name, array in given.items()}
        interpret(program.kernel, expected)
        assert difference(left["out"], expected["out"], dtypes.float32) is None, program.source


def test_a_pack_of_what_another_pack_holds_keeps_to_the_order_of_that() -> None:
    """The rows of the first lie apart, those of the second do not: its copy may not run over both as over one."""
    i, j = Axis("i", 4), Axis("j", 3)
    x, out = Param("x", dtypes.uint8, 12), Param("out", dtypes.int32, 12)
    value = load(x, i.index * 3 + j.index)
    wide = apply("cast", value, dtype=dtypes.int32)
    kernel = Kernel("packs", (x, out), (Store(out, i.index * 3 + j.index, wide),))
    stages = (Stage(value, 0, ((i, 1), (j, 1)), 16), Stage(wide, 0, ((i, 1), (j, 1))))
    program = render(kernel, Schedule(steps((i, 1), (j, 1)), stages=stages), CPU)
    given = {"x": np.arange(12, dtype=np.uint8), "out": np.zeros(12, np.int32)}
    assert_runs_right([program], [given])


def softmax(rows: int, size: int) -> tuple[Kernel, Axis, Axis]:
    i, j = Axis("i", rows), Axis("j", size)
    x = load(Param("x", dtypes.float32, rows * size), i.index * size + j.index)
    e = apply("exp", apply("sub", x, reduce("max", x, [j])))
    out = Param("out", dtypes.float32, rows * size)
    store = Store(out, i.index * size + j.index, apply("div", e, reduce("add", e, [j])))
    return Kernel("softmax", (x.param, out), (store,)), i, j  # type: ignore[attr-defined]


def test_a_streamed_row_is_nan_exactly_where_the_plain_one_is() -> None:
    """Rows masked at first, wholly masked, with NaN, with both infinities."""
    kernel, i, j = softmax(6, 70)
    x = np.random.default_rng(0).uniform(-3, 3, (6, 70)).astype(np.float32)
    x[1, :40] = x[2] = -np.inf
    x[3, 50], x[4, 5], x[5, :2] = np.nan, np.inf, (np.inf, -np.inf)
    loops = steps((i, 1), (j, 16))
    streamed = Schedule(loops, 1, (j,), streams=find_streams(kernel))
    assert streamed.streams
    program = render(kernel, streamed, CPU)
    given = {"x": x.ravel(), "out": np.zeros(x.size, np.float32)}
    assert_runs_right([program], [given], slack=1e-5)
    assert np.isnan(run_all([program], [given])[0]["out"].reshape(6, 70)[[2, 3]]).all()


def test_tails_double_the_text_a_bounded_number_of_times() -> None:
    """Five ragged axes would give 32 bodies; two twins on a path give 4."""
    axes = [Axis(name, 7) for name in "abcde"]
    x, out = Param("x", dtypes.float32, 7**5), Param("out", dtypes.float32, 7**5)
    index = axes[0].index
    for axis in axes[1:]:
        index = index * 7 + axis.index
    kernel = Kernel("ragged", (x, out), (Store(out, index, load(x, index)),))
    program = render(kernel, Schedule(steps(*((a, 2) for a in axes))), CPU)
    assert program.source.count("out[") < 200
    given = {"x": np.arange(7**5, dtype=np.float32), "out": np.zeros(7**5, np.float32)}
    assert_runs_right([program], [given])


def test_a_padded_row_is_loaded_in_vectors_with_bounds() -> None:
    """A guard that cuts a run of lanes becomes bounds of a vector load, not sixteen scalar ones."""
    i = Axis("i", 100)
    x, out = Param("x", dtypes.float32, 90), Param("out", dtypes.float32, 100)
    value = load(x, i.index - 5, [Guard(i.index - 5, 0, 90)])
    program = render(Kernel("pad", (x, out), (Store(out, i.index, value),)), Schedule(steps((i, 16)), vector=(i,)), CPU)
    assert "kf_load_float32(" in program.source.split("__kernel")[1]
    given = {"x": np.arange(90, dtype=np.float32), "out": np.zeros(100, np.float32)}
    assert_runs_right([program], [given])


def test_a_split_index_keeps_vector_loads_when_vectors_do_not_cross_a_row() -> None:
    i = Axis("i", 256)
    x, out = Param("x", dtypes.float32, 8 * 40), Param("out", dtypes.float32, 256)
    value = load(x, i.index // 32 * 40 + i.index % 32)
    kernel = Kernel("rows", (x, out), (Store(out, i.index, value),))
    program = render(kernel, Schedule(steps((i, 16)), vector=(i,)), CPU)
    assert "vload16(0, x" in program.source
    assert_runs_right([program], [{"x": np.arange(320, dtype=np.float32), "out": np.zeros(256, np.float32)}])


# ------------------------------------------------------------------------------------------------ programs


def test_more_than_three_grid_loops_share_one_dimension() -> None:
    axes = [Axis(name, size) for name, size in zip("abcd", (3, 4, 5, 6))]
    index = ((axes[0].index * 4 + axes[1].index) * 5 + axes[2].index) * 6 + axes[3].index
    x, out = Param("x", dtypes.int32, 360), Param("out", dtypes.int32, 360)
    kernel = Kernel("grid", (x, out), (Store(out, index, load(x, index)),))
    program = render(kernel, Schedule(steps(*((a, 2) for a in axes)), 4), CPU)
    assert program.grid == (2 * 2 * 3 * 3,)
    assert_runs_right([program], [{"x": np.arange(360, dtype=np.int32), "out": np.zeros(360, np.int32)}])
    assert render(kernel, Schedule(steps(*((a, 2) for a in axes)), 3), CPU).grid == (3, 2, 2)


def test_a_store_without_a_grid_axis_is_done_once() -> None:
    """An accumulating store would otherwise add once per program."""
    i, j = Axis("i", 8), Axis("j", 5)
    x, out, total = (Param(n, dtypes.float32, s) for n, s in (("x", 40), ("out", 40), ("total", 5)))
    index = i.index * 5 + j.index
    stores = (Store(out, index, load(x, index)), Store(total, j.index, load(x, j.index), mode="add"))
    program = render(Kernel("once", (x, out, total), stores), Schedule(steps((i, 2), (i, 1), (j, 1)), 1), CPU)
    given = {n: np.arange(s, dtype=np.float32) for n, s in (("x", 40), ("out", 40), ("total", 5))}
    assert_runs_right([program], [given])


def test_large_parameters_are_indexed_with_long() -> None:
    i = Axis("i", 16)
    x, out = Param("x", dtypes.int8, 1 << 31), Param("out", dtypes.int8, 16)
    program = render(Kernel("far", (x, out), (Store(out, i.index, load(x, i.index)),)), Schedule(steps((i, 1))), CPU)
    assert "for (long i0 = 0" in program.source


def test_names_of_parameters_and_axes_never_clash() -> None:
    i = Axis("x", 5)
    names = ("x0", "float", "exp", "acc0", "kf_max", "9 lives", "x_")
    params = [Param(name, dtypes.float32, 5) for name in names]
    total = load(params[0], i.index)
    for param in params[1:-1]:
        total = apply("add", total, apply("exp", load(param, i.index)))
    kernel = Kernel("double", tuple(params), (Store(params[-1], i.index, total),))
    given = {name: np.linspace(0, 1, 5, dtype=np.float32) for name in names}
    program = render(kernel, Schedule(steps((i, 1))), CPU)
    assert program.entry == "double_"
    assert_runs_right([program], [given], slack=1e-6)


def test_text_is_the_same_every_time_and_names_its_contents() -> None:
    kernel, i, j = softmax(8, 64)
    schedule = Schedule(steps((i, 4), (i, 1), (j, 32)), 1, (j,))
    first, second = render(kernel, schedule, CPU), render(kernel, schedule, CPU)
    assert first == second
    body = first.source.split("__kernel")[1]
    assert body.startswith(" void softmax(__global const float *restrict x, __global float *restrict out)")
    assert "const float16 exp_" in body and "for (int j2 = 0; j2 < 64; j2 += 32)" in body
    assert first.source.startswith("// kernel   softmax: i 8, j 64\n")


def test_joined_programs_define_each_helper_once() -> None:
    kernel, i, j = softmax(8, 64)
    schedules = (Schedule(steps((i, 1), (j, 16)), 1, (j,)), Schedule(steps((i, 2), (i, 1), (j, 32)), 1, (j,)))
    programs = [render(dataclasses.replace(kernel, name=f"s{n}"), s, CPU) for n, s in enumerate(schedules)]
    text = joined(p.source for p in programs)
    assert text.count("kf_fold_max(float16 v)") == 1
    given = {"x": np.random.default_rng(0).uniform(-1, 1, 512).astype(np.float32), "out": np.zeros(512, np.float32)}
    assert_runs_right(programs, [given, given], slack=1e-5)


def test_printing_a_packed_contraction_is_little_work() -> None:
    kernel, schedule = gemm(1024, 1024, 1024)
    render(kernel, schedule, CPU)
    assert effort(lambda: render(kernel, schedule, CPU)) < 20_000
