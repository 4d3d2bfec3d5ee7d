"""Stores at places that are looked up and are fewer than the points: one group has the places that points share."""

from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from codegen.access import is_crowded
from codegen.choose.default import placed
from codegen.dtypes import dtypes
from codegen.index import Axis, Guard, dynamic, needed
from codegen.interpret import interpret
from codegen.ir import Kernel, Param, Store, apply, load
from codegen.opencl.printer import render_nest
from codegen.target import CPU
from tests.codegen.opencl_harness import run_all
from tests.codegen.random_kernels import random_arrays


def scattered(points: int, places: int, columns: int) -> Kernel:
    """Rows put where others say; points of one place bring the same."""
    i, j = Axis("i", points), Axis("j", columns)
    at, out = Param("at", dtypes.int32, points), Param("out", dtypes.float32, places * columns)
    place = load(at, i.index)
    row = dynamic(place, places)
    value = apply("cast", place, dtype=dtypes.float32)
    stored = Store(out, row * columns + j.index, value, needed([Guard(row, 0, places)]), order=(i, j))
    return Kernel("scattered", (out, at), (stored,))


@given(st.integers(1, 30_000), st.integers(1, 9000), st.sampled_from([1, 1, 2, 5, 16, 40]))
@example(20480, 1, 5)  # rows too short for vectors
@settings(deadline=None, max_examples=25)
def test_groups_share_no_place_where_there_are_few(points: int, places: int, columns: int) -> None:
    kernel = scattered(max(1, points // columns), max(1, places // columns), columns)
    (store,) = kernel.stores
    nest = placed(kernel, CPU)
    spread = {step.axis for step in nest.schedule.loops[: nest.schedule.grid] if step.tile < step.axis.size}
    assert not is_crowded(store, CPU.l2 // 2) or store.order[0] not in spread
    arrays = random_arrays(kernel, points)
    (found,) = run_all([render_nest(nest)], [arrays])
    interpret(kernel, arrays)
    assert_array_equal(found["out"], arrays["out"])


def test_few_places_are_crowded_and_many_are_not() -> None:
    kernels = [scattered(*sizes) for sizes in ((9000, 40, 8), (9000, 9001, 8), (900_000, 800_000, 1), (10, 10, 1))]
    assert [is_crowded(kernel.stores[0], CPU.l2 // 2) for kernel in kernels] == [True, False, False, False]
