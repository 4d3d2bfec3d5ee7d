"""Loads across the lanes: squares transposed in registers compute what single loads do."""

import numpy as np
import pytest

from codegen.choose.default import choose
from codegen.dtypes import ALL, DType, dtypes, to_storage
from codegen.index import Axis, Guard
from codegen.interpret import interpret
from codegen.ir import Expr, Kernel, Param, Store, apply, load
from codegen.opencl.printer import render
from codegen.program import Program
from codegen.schedule import Schedule, Step
from codegen.target import CPU
from tests.codegen.opencl_harness import difference, run_all

SIZES = [(16, 16), (17, 33), (64, 100), (129, 513), (15, 40), (531, 47), (5, 40), (20, 30)]


def turned(rows: int, columns: int, dtype: DType = dtypes.float32, guarded: bool = False) -> Kernel:
    """out[i, j] = x[j, i], combined with y[i, j] and z[i]; guarded: x is read one row before, 0 in the first."""
    i, j = Axis("i", rows), Axis("j", columns)
    x, y, z = Param("x", dtype, rows * columns), Param("y", dtype, rows * columns), Param("z", dtype, rows)
    out = Param("out", dtype, rows * columns)
    place, guards = j.index * rows + i.index, frozenset[Guard]()
    if guarded:
        place, guards = place - rows, frozenset((Guard(j.index, 1, columns),))

    def wide(e: Expr) -> Expr:
        return apply("cast", e, dtype=dtypes.float32) if dtype.is_narrow_float else e

    op = "or" if dtype is dtypes.bool else "add"
    line = i.index * columns + j.index
    value = apply(op, apply(op, wide(load(x, place, guards)), wide(load(y, line))), wide(load(z, i.index)))
    value = apply("cast", value, dtype=dtype) if dtype.is_narrow_float else value
    return Kernel(f"turned_{rows}_{columns}_{dtype}_{guarded}", (out, x, y, z), (Store(out, line, value),))


def assert_right(programs: list[Program]) -> None:
    rng = np.random.default_rng(0)
    kernels = [program.kernel for program in programs if program.kernel is not None]
    given = [{p.name: to_storage(rng.integers(0, 9, p.size), p.dtype) for p in kernel.params} for kernel in kernels]
    for program, kernel, arrays, left in zip(programs, kernels, given, run_all(programs, given), strict=True):
        interpret(kernel, arrays)
        assert difference(left["out"], arrays["out"], kernel.params[0].dtype) is None, program.source


def test_chosen_schedules_at_sizes_around_their_blocks() -> None:
    kernels = [turned(*size) for size in SIZES]
    assert_right([render(kernel, choose(kernel, CPU), CPU) for kernel in kernels])


def test_every_type_of_element() -> None:
    kernels = [turned(40, 37, dtype) for dtype in ALL]
    assert_right([render(kernel, choose(kernel, CPU), CPU) for kernel in kernels])


@pytest.mark.parametrize(
    "loops", [((16, 16), ()), ((32, 48), ((32, 16),)), ((16, 64), ((16, 32),)), ((96, 32), ((32, 16),))]
)
def test_blocks_of_several_squares(loops: tuple[tuple[int, int], tuple[tuple[int, int], ...]]) -> None:
    """Tiles of several squares, whole and with tails that fall back to single loads or are moved back."""
    (unit, lane), inner = loops
    programs = []
    for rows, columns in SIZES:
        kernel = turned(rows, columns)
        i, j = kernel.axes
        inside = [step for a, b in inner for step in (Step(j, b), Step(i, a))]
        programs.append(render(kernel, Schedule((Step(i, unit), Step(j, lane), *inside), 2, (j, i)), CPU))
    assert any("kf_transpose" in program.source for program in programs)
    assert_right(programs)


def test_a_square_is_loaded_once_for_all_its_rows() -> None:
    kernel = turned(64, 64)
    source = render(kernel, choose(kernel, CPU), CPU).source.split("__kernel", 1)[1]
    assert source.count("kf_transpose(") == 1 and source.count("vload16(0, x +") == 16
    assert "pack" not in source


def test_guarded_loads_are_packed() -> None:
    kernel = turned(64, 100, guarded=True)
    program = render(kernel, choose(kernel, CPU), CPU)
    assert "pack" in program.source
    assert_right([program])


def crossed(batch: int, rows: int, columns: int, dtype: DType) -> Kernel:
    """out[i, b, j] = x[b, j, i] + z[b], rows of j too short for vectors."""
    b, i, j = Axis("b", batch), Axis("i", rows), Axis("j", columns)
    x, z, out = (Param(name, dtype, batch * rows * columns) for name in ("x", "z", "out"))
    read = [load(x, (b.index * columns + j.index) * rows + i.index), load(z, b.index)]
    value = apply("or" if dtype is dtypes.bool else "add", *(apply("cast", e, dtype=dtype.arithmetic) for e in read))
    line = (i.index * batch + b.index) * columns + j.index
    value = apply("cast", value, dtype=dtype)
    return Kernel(f"crossed_{batch}_{rows}_{columns}_{dtype}", (out, x, z), (Store(out, line, value),))


@pytest.mark.parametrize("dtype", ALL, ids=str)
def test_short_rows_are_turned_and_written_in_runs(dtype: DType) -> None:
    sizes = [(3, 100, 5), (1, 16, 15), (7, 31, 4), (2, 70, 12)]
    kernels = [crossed(*size, dtype) for size in sizes]
    programs = [render(kernel, choose(kernel, CPU), CPU) for kernel in kernels]
    assert all(("kf_transpose" in program.source) is (dtype is not dtypes.bool) for program in programs)
    assert_right(programs)


def test_squares_of_short_rows_read_no_more_than_these() -> None:
    kernel = turned(5, 64)
    source = render(kernel, choose(kernel, CPU), CPU).source
    assert "kf_load5_float32(x + " in source and "kf_transpose" in source
