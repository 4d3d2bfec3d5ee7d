"""Stores as OpenCL: accumulating ones that tell what their place held before."""

import numpy as np
import pytest

from codegen.choose.default import choose
from codegen.dtypes import DType, dtypes
from codegen.generate import generate
from codegen.index import Axis, Guard, dynamic
from codegen.interpret import interpret
from codegen.ir import Kernel, Param, Store, const, load
from codegen.nest import check
from codegen.opencl.printer import render
from codegen.schedule import Schedule, ScheduleError, Step
from codegen.show import show
from codegen.target import CPU, SM90
from tests.codegen.opencl_harness import difference, run_all, target

ROWS, COUNT, PLACES = 3, 41, 7


def history(dtype: DType, mode: str) -> Kernel:
    """out[row, p[row, i]] op= x[row, i], and what was there goes to out[row, PLACES + i]."""
    row, i = Axis("row", ROWS), Axis("i", COUNT)
    p, x = Param("p", dtypes.int32, ROWS * COUNT), Param("x", dtype, ROWS * COUNT)
    out = Param("out", dtype, ROWS * (PLACES + COUNT))
    here, line = row.index * COUNT + i.index, row.index * (PLACES + COUNT)
    place, after = dynamic(load(p, here), PLACES), line + i.index + PLACES
    inside = frozenset((Guard(place, 0, PLACES),))
    store = Store(out, line + place, load(x, here), inside, mode, order=(row, i), before=after)
    return Kernel(f"history_{mode}_{dtype}", (out, p, x), (store,))


def arrays(kernel: Kernel) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(3)
    found = {param.name: rng.integers(1, 4, param.size).astype(param.dtype.numpy) for param in kernel.params}
    found["p"] = rng.integers(0, PLACES, ROWS * COUNT).astype(np.int32)
    return found


KERNELS = [history(dtype, mode) for dtype in (dtypes.int32, dtypes.uint8, dtypes.float64) for mode in ("add", "max")]


def test_the_history_is_what_the_interpreter_says() -> None:
    given = [arrays(kernel) for kernel in KERNELS]
    for kernel, before, left in zip(KERNELS, given, run_all([generate(kernel, target()) for kernel in KERNELS], given)):
        expected = {name: array.copy() for name, array in before.items()}
        interpret(kernel, expected)
        assert difference(left["out"], expected["out"], kernel.params[0].dtype) is None


def test_the_history_of_one_row() -> None:
    """By hand: the third 1 finds the two that came before."""
    kernel = KERNELS[0]
    given = {"out": np.zeros(kernel.params[0].size, np.int32), "p": np.zeros(ROWS * COUNT, np.int32)}
    given["x"] = np.ones(ROWS * COUNT, np.int32)
    interpret(kernel, given)
    row = given["out"].reshape(ROWS, -1)[0]
    assert row[0] == COUNT and row[PLACES : PLACES + 3].tolist() == [0, 1, 2]
    assert "= before" in show(kernel)


def test_rows_are_spread_over_groups_and_counts_are_not() -> None:
    kernel = KERNELS[0]
    assert {step.axis.name for step in choose(kernel, CPU).loops[: choose(kernel, CPU).grid]} <= {"row"}
    row, i = kernel.axes
    with pytest.raises(ScheduleError, match="may accumulate into the same place"):
        check(kernel, Schedule((Step(i, 8), Step(row, 1), Step(i, 1)), 1), CPU)


def test_lanes_of_a_program_have_no_order() -> None:
    row, i = KERNELS[0].axes
    with pytest.raises(ScheduleError, match="no order"):
        check(KERNELS[0], Schedule((Step(row, 1), Step(i, 1)), 1), SM90)


def test_points_that_meet_along_several_axes_come_in_order() -> None:
    """out[p[i, j]] += 1, and what was there goes to out[PLACES + j * 6 + i]: i is the outer axis all the same."""
    i, j = Axis("i", 6), Axis("j", 32)
    p, out = Param("p", dtypes.int32, 192), Param("out", dtypes.int32, PLACES + 192)
    place, after = dynamic(load(p, i.index * 32 + j.index), PLACES), j.index * 6 + i.index + PLACES
    inside = frozenset((Guard(place, 0, PLACES),))
    kernel = Kernel("several", (out, p), (Store(out, place, const(1, dtypes.int32), inside, "add", (i, j), after),))
    places = np.random.default_rng(5).integers(0, PLACES, 192).astype(np.int32)
    left = {"out": np.zeros(PLACES + 192, np.int32), "p": places}
    (found,) = run_all([generate(kernel, target())], [left])
    interpret(kernel, left)
    expected = [(places[:n] == places[n]).sum() for n in range(192)]
    np.testing.assert_array_equal(left["out"][PLACES:].reshape(32, 6).T.ravel(), expected)
    np.testing.assert_array_equal(found["out"], left["out"])
    for loops in ([Step(j, 1), Step(i, 1)], [Step(i, 2), Step(j, 1), Step(i, 1)], [Step(i, 1)]):
        with pytest.raises(ScheduleError, match="in the order of its axes"):
            check(kernel, Schedule(tuple(loops)), CPU)
    check(kernel, Schedule((Step(i, 1), Step(j, 16)), vector=(j,)), CPU)


def test_places_beyond_what_is_left_of_them_are_outside() -> None:
    """A place of 64 bits is held against its bounds before it is narrowed: 2^32 + 3 is not 3."""
    i = Axis("i", COUNT)
    p, x, out = (Param(name, t, n) for name, t, n in
                 (("p", dtypes.int64, COUNT), ("x", dtypes.int32, COUNT), ("out", dtypes.int32, PLACES)))  # fmt: skip
    place = dynamic(load(p, i.index), PLACES)
    store = Store(out, place, load(x, i.index), frozenset((Guard(place, 0, PLACES),)), "add", order=(i,))
    kernel = Kernel("wide_places", (out, p, x), (store,))
    random = np.random.default_rng(5)
    before = {"out": np.zeros(PLACES, np.int32), "x": np.arange(COUNT, dtype=np.int32)}
    before["p"] = random.integers(0, PLACES, COUNT) + (random.integers(0, 2, COUNT) << 32)
    (left,) = run_all([generate(kernel, target(), Schedule((Step(i, 1),)))], [before])
    expected = np.zeros(PLACES, np.int32)
    np.add.at(expected, before["p"][before["p"] < PLACES], before["x"][before["p"] < PLACES])
    np.testing.assert_array_equal(left["out"], expected)


@pytest.mark.parametrize("together", [1, 2])
@pytest.mark.parametrize("width", [64, 100, 104, 112, 131])
def test_rows_that_begin_amid_lines_go_through_the_caches_one_by_one(width: int, together: int) -> None:
    """Rows of whole lines go around them, and so do pieces of several rows."""
    row, i = Axis("row", 10), Axis("i", width)
    x, out = Param("x", dtypes.float32, 10 * 200), Param("out", dtypes.float32, 10 * width)
    value = load(x, row.index * 200 + i.index + 3)
    kernel = Kernel(f"rows_{width}", (out, x), (Store(out, row.index * width + i.index, value, order=(row, i)),))
    schedule = Schedule((Step(row, together), Step(i, 16)), 1, (i,), options={"bypass": 64})
    program = render(kernel, schedule, CPU)
    assert ("__builtin_nontemporal_store" in program.source) is (width % 16 == 0 or together > 1)
    given = {p.name: np.random.default_rng(4).standard_normal(p.size).astype(np.float32) for p in kernel.params}
    (left,) = run_all([program], [dict(given)])
    interpret(kernel, given)
    assert np.array_equal(left["out"], given["out"])
