"""Short axes of look-ups are joined with those around them, results stay, and all else keeps its axes."""

from hypothesis import given, settings
from hypothesis import strategies as st

from codegen.choose.default import placed
from codegen.dtypes import dtypes
from codegen.index import Axis, Guard, Index, dynamic
from codegen.ir import Kernel, Param, Store, load
from codegen.opencl.printer import render_nest
from codegen.rewrites.gathering import SHORT, gathered
from codegen.rewrites.merging import flattened
from codegen.rewrites.rewrite import prepare
from codegen.target import CPU
from tests.codegen.compare import assert_same_results
from tests.codegen.opencl_harness import difference, run_all
from tests.codegen.random_kernels import kernels, random_arrays, run


def look_up(rows: int, near: int, far: int, guarded: bool = False, every: int = 1) -> Kernel:
    """out[i, j] = x[i, n[i, j]] of x [rows, far]; every: n has a row for so many."""
    i, j = Axis("i", rows), Axis("j", near)
    places = load(Param("n", dtypes.int32, rows * near), flattened([i, j]) if every == 1 else j.index)
    at: Index = dynamic(places, far)
    guards = [Guard(at, 0, far - guarded)]
    x = load(Param("x", dtypes.float32, rows * far), i.index * far + at, guards)
    out = Param("out", dtypes.float32, rows * near)
    return Kernel(f"look_up_{rows}", (out, places.param, x.param), (Store(out, flattened([i, j]), x, order=(i, j)),))


@settings(max_examples=30, deadline=None)
@given(kernels(), st.integers(0, 1000))
def test_any_kernel_keeps_its_results(kernel: Kernel, seed: int) -> None:
    assert_same_results(kernel, gathered(kernel), seed)


@settings(max_examples=20, deadline=None)
@given(st.integers(2, 40), st.integers(2, SHORT - 1), st.integers(2, 9), st.booleans(), st.integers(0, 1000))
def test_look_ups_along_a_short_axis_have_one_axis(rows: int, near: int, far: int, guarded: bool, seed: int) -> None:
    kernel = look_up(rows, near, far, guarded)
    found = gathered(kernel)
    assert [axis.size for axis in found.axes] == [rows * near]
    assert_same_results(kernel, found, seed)
    assert [axis.size for axis in prepare(prepare(kernel)).axes] == [rows * near]


def test_long_axes_and_what_is_shared_between_rows_stay() -> None:
    for kernel in (look_up(7, SHORT, 5), look_up(7, 3, 5, every=7)):
        assert gathered(kernel) is kernel


def test_printed_look_ups() -> None:
    found = [prepare(look_up(rows, near, 4, guarded)) for rows, near, guarded in ((50, 3, True), (9, 5, False))]
    arrays = [random_arrays(kernel, seed) for seed, kernel in enumerate(found)]
    for kernel, given_, got in zip(found, arrays, run_all([render_nest(placed(k, CPU)) for k in found], arrays)):
        wanted = run(kernel, given_)
        assert difference(got["out"], wanted["out"], dtypes.float32) is None
