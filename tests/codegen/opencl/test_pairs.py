"""Stores whose places lie between each other's are woven into vectors, and write what they would alone."""

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codegen.dtypes import ALL, DType, dtypes
from codegen.index import Axis, Guard
from codegen.ir import Kernel, Param, Store, apply, const, load
from codegen.opencl.printer import render
from codegen.program import Program
from codegen.schedule import Schedule, Step
from codegen.target import CPU
from tests.codegen.opencl_harness import assert_right

ROWS = 3


def parts(
    count: int, tile: int = 16, dtype: DType = dtypes.float32, gap: int = 1, turned: bool = False, limit: int = 0
) -> Program:
    """out[r, 2 i] = x[r, i], out[r, 2 i + gap] = y[r, i], the second where i < limit if there is one."""
    row, i = Axis("row", ROWS), Axis("i", count)
    width = 2 * count + gap
    out, *given = (Param(name, dtype, ROWS * n) for name, n in (("out", width), ("x", count), ("y", count)))
    x, y = (load(param, row.index * count + i.index) for param in given)
    start = row.index * width + i.index * 2
    guards = frozenset((Guard(i.index, 0, limit),)) if limit else frozenset()
    stores = [Store(out, start, x), Store(out, start + gap, y, guards)]
    name = f"parts_{count}_{tile}_{dtype}_{gap}_{turned}_{limit}"
    kernel = Kernel(name, (out, *given), tuple(reversed(stores) if turned else stores))
    return render(kernel, Schedule((Step(row, 1), Step(i, tile)), 1, (i,)), CPU)


def test_every_length_and_tile() -> None:
    programs = [parts(count, tile) for count in (1, 7, 15, 16, 17, 31, 32, 40, 65) for tile in (16, 32, 64)]
    assert_right(programs)
    assert all("kf_transpose2" in program.source for program in programs)


def test_every_type_of_element() -> None:
    assert_right([parts(21, 16, dtype, turned=bool(number % 2)) for number, dtype in enumerate(ALL)])


@given(st.integers(1, 50), st.sampled_from([16, 32]), st.sampled_from([1, 3, 5]), st.booleans(), st.integers(0, 50))
@settings(max_examples=20, deadline=None)
def test_those_that_leave_gaps_and_those_under_conditions(
    count: int, tile: int, gap: int, turned: bool, limit: int
) -> None:
    program = parts(count, tile, gap=gap, turned=turned, limit=min(limit, count))
    assert_right([program])
    if gap > 1:
        assert "kf_transpose2" not in program.source


def pieces(count: int, parts: int, step: int, order: list[int], dtype: DType = dtypes.float32) -> Program:
    """out[r, step i + k] = x[r, i] + k, for k below parts, stored in some order."""
    row, i = Axis("row", ROWS), Axis("i", count)
    width = step * count
    out, x = Param("out", dtype, ROWS * width), Param("x", dtype, ROWS * count)
    each = load(x, row.index * count + i.index)
    stores = [
        Store(out, row.index * width + i.index * step + k, apply("add", each, const(k, dtype.arithmetic)))
        for k in order
    ]
    kernel = Kernel(f"pieces_{count}_{parts}_{step}_{'_'.join(map(str, order))}_{dtype}", (out, x), tuple(stores))
    return render(kernel, Schedule((Step(row, 1), Step(i, 16)), 1, (i,)), CPU)


@pytest.mark.parametrize("parts", [2, 4, 8, 16])
def test_those_that_fill_what_lies_between_lanes(parts: int) -> None:
    order = [(k * 5 + 3) % parts for k in range(parts)]
    programs = [pieces(count, parts, parts, order) for count in (1, 5, 8, 15, 16, 17, 40)]
    assert_right(programs)
    assert all("kf_transpose" in program.source for program in programs)


@given(st.integers(1, 40), st.integers(1, 16), st.integers(0, 3), st.randoms(use_true_random=False))
@settings(max_examples=25, deadline=None)
def test_any_number_in_any_order(count: int, parts: int, gap: int, random: Random) -> None:
    order = list(range(parts))
    random.shuffle(order)
    program = pieces(count, parts, parts + gap, order)
    assert_right([program])
    if gap or parts not in (2, 4, 8, 16):
        assert "kf_transpose" not in program.source


@pytest.mark.parametrize("mode", ["add", "max"])
def test_those_that_accumulate_are_left_alone(mode: str) -> None:
    i = Axis("i", 40)
    out, x = Param("out", dtypes.float32, 80), Param("x", dtypes.float32, 40)
    each = load(x, i.index)
    stores = [Store(out, i.index * 2 + part, apply("add", each, const(part, x.dtype)), mode=mode) for part in range(2)]
    program = render(Kernel(f"sums_{mode}", (out, x), tuple(stores)), Schedule((Step(i, 16),), 0, (i,)), CPU)
    assert "kf_transpose2" not in program.source
    assert_right([program])
