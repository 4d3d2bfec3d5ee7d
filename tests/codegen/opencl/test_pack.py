"""Packing through squares: whole ones, parts of one, lines that are too short for them; short lines with edges."""

import numpy as np
import pytest

from codegen.dtypes import ALL, DType, dtypes, to_storage
from codegen.index import Axis, Guard
from codegen.interpret import interpret
from codegen.ir import Kernel, Param, Store, load
from codegen.opencl.printer import render
from codegen.program import Program
from codegen.schedule import Schedule, Stage, Step
from codegen.target import CPU
from tests.codegen.opencl_harness import difference, run_all


def packed(lanes: int, line: int, tile: int, shift: int = 0, dtype: DType = dtypes.float32) -> Program:
    """out[w, n] = x[n, w + shift], 0 outside, with lanes along n, packed so that these lie together."""
    n, w = Axis("n", lanes), Axis("w", line)
    out, x = Param("out", dtype, lanes * line), Param("x", dtype, lanes * line)
    guards = frozenset([Guard(w.index + shift, 0, line)] if shift else [])
    value = load(x, n.index * line + w.index + shift, guards)
    kernel = Kernel(
        f"packed_{lanes}_{line}_{tile}_{shift + 9}_{dtype}", (out, x), (Store(out, w.index * lanes + n.index, value),)
    )
    loops = (Step(n, 16), Step(w, tile), Step(w, 1))
    return render(kernel, Schedule(loops, 1, (n,), (Stage(value, 2, ((w, 1), (n, 1))),)), CPU)


def lines(rows: int, line: int, tile: int, shift: int) -> Program:
    """out[r, w] = x[r, w + shift], 0 outside, packed line by line."""
    r, w = Axis("r", rows), Axis("w", line)
    out, x = Param("out", dtypes.float32, rows * line), Param("x", dtypes.float32, rows * line)
    value = load(x, r.index * line + w.index + shift, frozenset([Guard(w.index + shift, 0, line)] if shift else []))
    name = f"lines_{rows}_{line}_{tile}_{shift + 20}"
    kernel = Kernel(name, (out, x), (Store(out, r.index * line + w.index, value),))
    loops = (Step(r, 2), Step(w, tile), Step(r, 1), Step(w, 16))
    return render(kernel, Schedule(loops, 1, (w,), (Stage(value, 2, ((r, 1), (w, 1))),)), CPU)


def assert_right(programs: list[Program]) -> None:
    rng = np.random.default_rng(0)
    kernels = [program.kernel for program in programs if program.kernel is not None]
    given = [{p.name: to_storage(rng.integers(0, 99, p.size), p.dtype) for p in kernel.params} for kernel in kernels]
    for program, kernel, arrays, left in zip(programs, kernels, given, run_all(programs, given), strict=True):
        interpret(kernel, arrays)
        assert difference(left["out"], arrays["out"], kernel.params[0].dtype) is None, program.source


def test_lines_of_every_length() -> None:
    lines, tiles = (7, 8, 9, 15, 16, 17, 25, 31, 47), (5, 9, 14, 31)
    lengths = [(line, tile) for line in lines for tile in (*tiles, line) if tile <= line]
    assert_right([packed(lanes, line, tile) for lanes in (16, 40) for line, tile in dict.fromkeys(lengths)])


def test_guarded_lines() -> None:
    assert_right([packed(20, line, line, shift) for line in (8, 14, 30, 33) for shift in (-3, 1, 5)])


def test_every_type_of_element() -> None:
    assert_right([packed(16, 29, 29, 0, dtype) for dtype in ALL])


@pytest.mark.parametrize(("line", "squares"), [(7, 0), (8, 1), (16, 1), (20, 1), (30, 2), (33, 1)])
def test_parts_of_squares_that_fill_them_well(line: int, squares: int) -> None:
    assert packed(16, line, line).source.split("__kernel")[1].count("kf_transpose(") == squares


def test_short_lines_with_edges_are_written_out() -> None:
    lengths = [(line, tile) for line in (17, 29, 32, 57, 64, 90) for tile in (32, 48, 96)]
    assert_right([lines(5, line, tile, shift) for line, tile in lengths for shift in (-9, -1, 2)])
    assert lines(5, 90, 48, 0).source.count("kf_for") == lines(5, 90, 48, 1).source.count("kf_for") + 1
