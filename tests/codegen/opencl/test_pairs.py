"""Two stores whose places lie between each other's are woven into vectors, and write what they would alone."""

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


@pytest.mark.parametrize("mode", ["add", "max"])
def test_those_that_accumulate_are_left_alone(mode: str) -> None:
    i = Axis("i", 40)
    out, x = Param("out", dtypes.float32, 80), Param("x", dtypes.float32, 40)
    each = load(x, i.index)
    stores = [Store(out, i.index * 2 + part, apply("add", each, const(part, x.dtype)), mode=mode) for part in range(2)]
    program = render(Kernel(f"sums_{mode}", (out, x), tuple(stores)), Schedule((Step(i, 16),), 0, (i,)), CPU)
    assert "kf_transpose2" not in program.source
    assert_right([program])
