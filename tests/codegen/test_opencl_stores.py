"""Stores as OpenCL: accumulating ones that tell what their place held before."""

import numpy as np
import pytest

from codegen.choose import choose
from codegen.dtypes import DType, dtypes
from codegen.generate import generate
from codegen.index import Axis, Guard, dynamic
from codegen.interpret import interpret
from codegen.ir import Kernel, Param, Store, load
from codegen.nest import check
from codegen.schedule import Schedule, ScheduleError, Step
from codegen.show import show
from codegen.target import CPU, SM90
from codegen.verify import VerifyError, verify
from tests.codegen.opencl_harness import difference, run_all

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
    for kernel, before, left in zip(KERNELS, given, run_all([generate(kernel, CPU) for kernel in KERNELS], given)):
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


def test_points_may_meet_along_one_axis_only() -> None:
    row, i = Axis("row", ROWS), Axis("i", COUNT)
    p, out = Param("p", dtypes.int32, COUNT), Param("out", dtypes.int32, PLACES + ROWS * COUNT)
    value = load(p, i.index)
    after = row.index * COUNT + i.index + PLACES
    inside = frozenset((Guard(dynamic(value, PLACES), 0, PLACES),))
    store = Store(out, dynamic(value, PLACES), value, inside, "add", order=(row, i), before=after)
    with pytest.raises(VerifyError, match="points meet along several axes"):
        verify(Kernel("several", (out, p), (store,)))
