"""Stores across the lanes: vectors turned in registers write what single elements would."""

from math import prod

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codegen.dtypes import ALL, DType, dtypes
from codegen.index import Axis, Guard, constant
from codegen.ir import Kernel, Param, Store, load
from codegen.opencl.printer import render
from codegen.opencl.runs import SHORTEST, blocks_of
from codegen.program import Program
from codegen.schedule import Schedule, Step
from codegen.target import CPU
from tests.codegen.opencl_harness import assert_right


def across(lanes: int, columns: int, rows: int, dtype: DType = dtypes.float32, limit: int | None = None) -> Program:
    """out[n, w] = x[w, n] with lanes along n and tiles of some columns w; stored where w < limit."""
    n, w = Axis("n", lanes), Axis("w", columns)
    out, x = Param("out", dtype, lanes * columns), Param("x", dtype, lanes * columns)
    guards = frozenset[Guard]() if limit is None else frozenset((Guard(w.index * 2 - w.index, 0, limit),))
    store = Store(out, n.index * columns + w.index, load(x, w.index * lanes + n.index), guards)
    name = f"across_{lanes}_{columns}_{rows}_{dtype}_{limit}"
    return render(Kernel(name, (out, x), (store,)), Schedule((Step(n, 16), Step(w, rows)), 1, (n,)), CPU)


@given(st.integers(0, 100), st.sampled_from([4, 8, 16]))
def test_blocks_cover_every_point(count: int, lanes: int) -> None:
    blocks = blocks_of(count, lanes)
    assert {i for block in blocks for i in block} == (set(range(count)) if count >= SHORTEST else set())
    assert all(len(block) in (4, 8, 16) and len(block) <= lanes and block[-1] < count for block in blocks)


def test_tiles_of_every_length() -> None:
    assert_right([across(40, columns, rows) for columns in (16, 29, 37) for rows in (2, 4, 5, 7, 8, 9, 14, 16, 20)])


def test_every_type_of_element() -> None:
    assert_right([across(20, 13, 7, dtype) for dtype in ALL])


def test_guards_are_asked() -> None:
    assert_right([across(20, 13, 7, limit=limit) for limit in (1, 6, 7, 11)])


@given(st.lists(st.tuples(st.integers(1, 5), st.booleans()), min_size=1, max_size=3), st.integers(1, 5))
@settings(max_examples=12, deadline=None)
def test_several_axes_are_one_run(sizes: list[tuple[int, bool]], last: int) -> None:
    axes = [Axis("n", 20), *(Axis(f"w{i}", size) for i, (size, _) in enumerate(sizes)), Axis("z", last)]
    size = prod(axis.size for axis in axes)
    place, turned, step = constant(0), constant(0), 1
    for axis in reversed(axes):
        place, step = place + axis.index * step, step * axis.size
    for axis in axes[1:]:
        turned = turned * axis.size + axis.index
    out, x = Param("out", dtypes.float32, size), Param("x", dtypes.float32, size)
    store = Store(out, place, load(x, turned * 20 + axes[0].index))
    tiles = [axis.size if whole else min(2, axis.size) for axis, (_, whole) in zip(axes[1:], sizes)]
    steps = (Step(axes[0], 16), *(Step(a, tile) for a, tile in zip(axes[1:], [*tiles, last])))
    name = "run_" + "_".join(str(step.tile) for step in steps)
    assert_right([render(Kernel(name, (out, x), (store,)), Schedule(steps, 1, (axes[0],)), CPU)])


def woven(lines: int, short: int, dtype: DType = dtypes.float32, limit: int | None = None) -> Program:
    """out[i, j * short + k] = x[i, k, j] with lanes along j and all k in one tile; stored where j < limit."""
    i, j, k = Axis("i", 3), Axis("j", lines), Axis("k", short)
    out, x = Param("out", dtype, 3 * lines * short), Param("x", dtype, 3 * lines * short)
    guards = frozenset[Guard]() if limit is None else frozenset((Guard(j.index, 0, limit),))
    value = load(x, (i.index * short + k.index) * lines + j.index)
    store = Store(out, (i.index * lines + j.index) * short + k.index, value, guards)
    name = f"woven_{lines}_{short}_{dtype}_{limit}"
    return render(Kernel(name, (out, x), (store,)), Schedule((Step(i, 1), Step(j, 16)), 1, (j,)), CPU)


def test_vectors_are_woven() -> None:
    programs = [woven(lines, short) for lines in (16, 21, 28, 35) for short in (2, 3, 4)]
    assert all(("vstore16(run" in program.source) == ("_3_" not in program.entry) for program in programs)
    assert_right(programs)


def test_vectors_of_every_type_are_woven() -> None:
    assert_right([woven(21, 2, dtype) for dtype in ALL])


def test_guarded_vectors_are_woven() -> None:
    assert_right([woven(40, short, limit=limit) for short in (2, 4) for limit in (5, 16, 33)])


@pytest.mark.parametrize(("rows", "text", "count"), [(8, "vstore8(", 16), (7, "vstore4(", 32), (3, "] = x_", 48)])
def test_a_line_of_memory_is_written_at_once(rows: int, text: str, count: int) -> None:
    assert across(16, rows * 3, rows).source.count(text) == count
