"""Tails of OpenCL loops: what is moved back, what is printed for fewer points, and that both compute the same."""

import numpy as np
import pytest

from codegen.dtypes import ALL, DType, dtypes, to_storage
from codegen.index import Axis
from codegen.interpret import interpret
from codegen.ir import Expr, Kernel, Param, Store, apply, const, load, reduce
from codegen.nest import build
from codegen.nodes import Loop, nodes
from codegen.opencl.printer import render
from codegen.opencl.tails import fewer_rows
from codegen.program import Program
from codegen.schedule import Schedule, Stage, Step
from codegen.target import CPU
from tests.codegen.opencl_harness import difference, run_all


def steps(*loops: tuple[Axis, int]) -> tuple[Step, ...]:
    return tuple(Step(*loop) for loop in loops)


def body(program: Program) -> str:
    return program.source.split("__kernel", 1)[1]


def assert_right(*programs: Program) -> None:
    """Each program leaves what the interpreter makes of its kernel."""
    rng = np.random.default_rng(0)
    kernels = [program.kernel for program in programs if program.kernel is not None]
    given = [{p.name: to_storage(rng.integers(0, 2, p.size), p.dtype) for p in kernel.params} for kernel in kernels]
    for program, kernel, arrays, left in zip(programs, kernels, given, run_all(programs, given)):
        interpret(kernel, arrays)
        for param in kernel.params:
            if param.name not in kernel.written:
                continue
            wrong = difference(left[param.name], arrays[param.name], param.dtype)
            assert wrong is None, f"{param.name}: {wrong}\n{program.source}"


def doubled(size: int, mode: str = "set", dtype: DType = dtypes.float32, in_place: bool = False) -> tuple[Kernel, Axis]:
    """out[i] = x[i] + x[i], or that combined with out[i]; in place out is x."""
    i = Axis("i", size)
    x, out = Param("x", dtype, size), Param("out", dtype, size)
    value = load(out if in_place else x, i.index)
    value = apply("cast", value, dtype=dtypes.float32) if dtype.is_narrow_float else value
    value = apply("or" if dtype is dtypes.bool else "add", value, value)
    value = apply("cast", value, dtype=dtype) if dtype.is_narrow_float else value
    params = (out,) if in_place else (x, out)
    return Kernel(f"doubled_{mode}_{dtype}_{size}_{in_place}", params, (Store(out, i.index, value, mode=mode),)), i


def test_the_last_vector_of_a_plain_loop_is_moved_back() -> None:
    programs = []
    for grid, dtype in enumerate((dtypes.int32, dtypes.float32)):
        kernel, i = doubled(37, dtype=dtype)
        programs.append(render(kernel, Schedule(steps((i, 16)), grid, (i,)), CPU))
        assert ", 21)" in body(programs[-1]) and body(programs[-1]).count("vstore16(") == 1
    assert_right(*programs)


def test_long_indices_are_moved_back_too() -> None:
    i = Axis("i", 37)
    x, out = Param("x", dtypes.int8, 1 << 31), Param("out", dtypes.int8, 37)
    kernel = Kernel("far", (x, out), (Store(out, i.index, load(x, i.index)),))
    assert "min(next_1, 21l)" in body(render(kernel, Schedule(steps((i, 16)), 0, (i,)), CPU))


@pytest.mark.parametrize("grid", (0, 1))
def test_what_doing_a_point_twice_would_change_is_not_moved_back(grid: int) -> None:
    """In place, and when the store accumulates."""
    programs = []
    for kernel, i in (doubled(37, in_place=True), doubled(37, "add")):
        programs.append(render(kernel, Schedule(steps((i, 16)), grid, (i,)), CPU))
        assert "min(" not in body(programs[-1])
    assert_right(*programs)


def test_a_tile_is_not_moved_back_over_much_of_its_axis() -> None:
    kernel, i = doubled(33)
    program = render(kernel, Schedule(steps((i, 32)), 0, (i,)), CPU)
    assert "min(" not in body(program)
    assert_right(program)


@pytest.mark.parametrize("dtype", ALL, ids=str)
def test_vectors_of_every_length_are_loaded_and_stored(dtype: DType) -> None:
    programs = []
    for size in range(17, 32):
        kernel, i = doubled(size, dtype=dtype, in_place=True)
        programs.append(render(kernel, Schedule(steps((i, 16)), 0, (i,)), CPU))
        assert f"kf_store{size - 16}_{dtype}(" in body(programs[-1])
    assert_right(*programs)


def reduced(op: str, size: int, stages: bool) -> Program:
    """out[i] = reduce over j of x[i, j], twice as much where x is the maximum when values are kept."""
    i, j = Axis("i", 3), Axis("j", size)
    x, out = Param("x", dtypes.float32, 3 * size), Param("out", dtypes.float32, 3)
    value: Expr = apply("add", load(x, i.index * size + j.index), const(1.0, dtypes.float32))
    kernel = Kernel(f"{op}_{size}_{stages}", (x, out), (Store(out, i.index, reduce(op, value, [j])),))
    kept = (Stage(value, 1),) if stages else ()
    return render(kernel, Schedule(steps((i, 1), (j, 16)), 1, (j,), kept), CPU)


def test_a_maximum_meets_points_twice_a_sum_does_not() -> None:
    most, total = reduced("max", 37, False), reduced("add", 37, False)
    assert "min(" in body(most) and "min(" not in body(total) and "kf_load5_float32(" in body(total)
    assert_right(most, total, *(reduced(op, size, True) for op in ("max", "add") for size in (15, 16, 17, 37, 97)))


def gemm(m_size: int, n_size: int, k_size: int) -> Program:
    """A product in tiles of 4 x 32 whose right operand is packed in panels."""
    m, n, k = Axis("m", m_size), Axis("n", n_size), Axis("k", k_size)
    sizes = {"a": m_size * k_size, "b": k_size * n_size, "out": m_size * n_size}
    a, b, out = (Param(name, dtypes.float32, size) for name, size in sizes.items())
    right = load(b, k.index * n_size + n.index)
    product = reduce("add", apply("mul", load(a, m.index * k_size + k.index), right), [k])
    kernel = Kernel(f"gemm_{m_size}_{n_size}", (a, b, out), (Store(out, m.index * n_size + n.index, product),))
    loops = steps((m, 64), (n, 64), (n, 32), (m, 4), (k, 1))
    return render(kernel, Schedule(loops, 2, (n,), (Stage(right, 2, ((n, 32), (k, 1), (n, 1))),)), CPU)


def test_tiles_of_a_product_at_sizes_around_them() -> None:
    """Panels keep their places, so columns are never moved back; rows are, where that does little for nothing."""
    programs = [gemm(m, n, 5) for m in (3, 63, 64, 65, 127) for n in (31, 64, 65, 99)]
    assert any("next" in body(program) for program in programs)
    assert all("n2 = min(" not in body(program) for program in programs)
    assert_right(*programs)


def test_text_grows_little_with_a_ragged_size() -> None:
    even, ragged = (len(body(gemm(size, size, 5))) for size in (128, 127))
    assert ragged < 1.6 * even


@pytest.mark.parametrize(("tile", "depth", "rows"), [(8, 64, 4), (6, 64, 3), (7, 64, 0), (8, 16, 0), (6, 16, 0)])
def test_rows_of_a_last_tile_stay_within_what_holds_their_sums(tile: int, depth: int, rows: int) -> None:
    """Sums over blocks of k lie in an array for all of a group's rows, to which registers are written back."""
    i, j, k = Axis("i", 1009), Axis("j", 32), Axis("k", 64)
    sizes = {"x": 1009 * 64, "y": 64 * 32, "out": 1009 * 32}
    x, y, out = (Param(name, dtypes.float32, size) for name, size in sizes.items())
    product = apply("mul", load(x, i.index * 64 + k.index), load(y, k.index * 32 + j.index))
    kernel = Kernel("rows", (x, y, out), (Store(out, i.index * 32 + j.index, reduce("add", product, [k])),))
    blocks = [(k, depth)] if depth < 64 else []
    schedule = Schedule(steps((i, 4 * tile), *blocks, (j, 32), (i, tile), (k, 1)), 1, (j,))
    nest = build(kernel, schedule, CPU)
    found = [node for node in nodes(nest.body) if isinstance(node, Loop) and node.axis is i and node.tile == tile]
    assert found
    assert fewer_rows(found[0], nest) == rows
