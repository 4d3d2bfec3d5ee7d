"""Segments of loops: they cover the axis once, and what they claim to know is so."""

import random

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from codegen.choose.default import choose
from codegen.dtypes import dtypes
from codegen.index import Axis, Guard, constant
from codegen.ir import Kernel, Param, Store, apply, const, coord, load
from codegen.nest import build
from codegen.nodes import Loop, nodes
from codegen.opencl.printer import render
from codegen.opencl.segments import decided, never, reach, segments
from codegen.schedule import Schedule, Step
from codegen.target import CPU
from tests.codegen.opencl_harness import run_all
from tests.codegen.random_kernels import random_kernel, run
from tests.codegen.random_schedules import random_schedule

F32 = dtypes.float32


def joined(rows: int, *widths: int) -> Kernel:
    """Matrices of given widths side by side."""
    i, j = Axis("i", rows), Axis("j", sum(widths))
    params = [Param(f"x{n}", F32, rows * width) for n, width in enumerate(widths)]
    out, starts = Param("out", F32, rows * j.size), [sum(widths[:n]) for n in range(len(widths))]
    value = None
    for param, width, start in reversed(list(zip(params, widths, starts))):
        guards = (Guard(j.index, start, start + width),)
        piece = load(param, i.index * width + j.index - start, guards)
        inside = apply("lt", coord(j.index), const(start + width, dtypes.int32))
        value = piece if value is None else apply("where", inside, piece, value)
    assert value is not None
    return Kernel("joined", (out, *params), (Store(out, i.index * j.size + j.index, value),))


def test_whole_segments_of_joined_rows_choose_nothing() -> None:
    kernel = joined(100, 164, 28, 94)
    source = render(kernel, choose(kernel, CPU), CPU).source
    loops = source[source.index("__kernel") :].split("kf_for")[2:]
    assert len(loops) == 4, "two pieces with whole vectors before a change, one with it inside, one after"
    assert ["select" in loop for loop in loops] == [False, True, False, False]


def test_a_loop_with_few_tiles_stays_in_one_piece() -> None:
    kernel = joined(100, 17, 16)
    assert render(kernel, choose(kernel, CPU), CPU).source.count("kf_for") < 6


@given(st.integers(0, 1 << 32))
def test_segments_cover_the_axis_once_in_order(seed: int) -> None:
    kernel = random_kernel(seed, "joined")
    nest = build(kernel, random_schedule(kernel, CPU, seed), CPU)
    for loop in (node for node in nodes(nest.body) if isinstance(node, Loop)):
        parts = segments(loop, nest)
        assert not parts or [parts[0].first, *(part.end for part in parts)] == [
            *(part.first for part in parts), loop.axis.size,
        ]  # fmt: skip
        assert all(part.first % loop.tile == 0 and part.first < part.end for part in parts)
        assert all(part.end % loop.tile == 0 for part in parts[:-1])


@given(st.integers(0, 1 << 32))
def test_what_is_known_of_conditions_is_true(seed: int) -> None:
    rng = random.Random(seed)
    axis, other = Axis("a", 20), Axis("b", 3)
    first = rng.randrange(20)
    known = {axis: (first, rng.randint(first + 1, 20))}
    index = axis.index * rng.choice((1, -1, 2)) + other.index * rng.randint(-2, 2) + rng.randint(-9, 9)
    low = rng.randint(-30, 30)
    guard = Guard(index, low, low + rng.randint(1, 20))
    condition = apply(rng.choice(("lt", "le", "eq", "ne")), coord(index), const(low, dtypes.int32))
    compare = {"lt": int.__lt__, "le": int.__le__, "eq": int.__eq__, "ne": int.__ne__}[condition.op.name]
    values = [
        index.const + index.coefficient(axis) * a + index.coefficient(other) * b
        for a in range(*known[axis])
        for b in range(other.size)
    ]
    assert reach(index, known) == (min(values), max(values))
    assert never(guard, known) <= all(not guard.lo <= value < guard.hi for value in values)
    truths = {compare(value, low) for value in values}
    assert decided(condition, known) in (None, *(truths if len(truths) == 1 else ()))
    assert decided(condition, {}) is None and reach(constant(3), known) == (3, 3)


def test_grid_chunks_walk_their_part_of_each_segment() -> None:
    kernel = joined(1, 1000, 1000)
    j = next(axis for axis in kernel.axes if axis.size == 2000)
    source = render(kernel, Schedule((Step(j, 512), Step(j, 16)), 1, (j,)), CPU).source
    assert "max(j0, 0)" in source and "max(j0, 1008)" in source


def test_a_segment_may_settle_conditions_on_lanes_that_lie_apart() -> None:
    """Every third place of a row is stored, the last of them past the end of the values."""
    i, j, r = Axis("i", 20), Axis("j", 113), Axis("r", 3)
    out, x = Param("out", F32, 20 * 337), Param("x", F32, 20 * 112)
    value = load(x, i.index * 112 + j.index, (Guard(j.index, 0, 112),))
    at = j.index * 3 + r.index
    kernel = Kernel("spread", (out, x), (Store(out, i.index * 337 + at, value, (Guard(at, 0, 337),), order=(i, j, r)),))
    program = render(kernel, Schedule((Step(i, 1), Step(r, 1), Step(j, 16)), 1, (j,)), CPU)
    arrays = {"x": np.arange(20 * 112, dtype=np.float32), "out": np.zeros(20 * 337, np.float32)}
    (found,) = run_all([program], [arrays])
    np.testing.assert_array_equal(found["out"], run(kernel, arrays)["out"])
