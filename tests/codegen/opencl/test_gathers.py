"""Loads whose lanes lie apart give what single loads do, and read nothing outside of the array."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codegen.dtypes import ALL, DType, dtypes, to_storage
from codegen.index import Axis, Guard, dynamic
from codegen.interpret import interpret
from codegen.ir import Expr, Kernel, Param, Store, apply, const, load
from codegen.opencl.gathers import as_stored
from codegen.opencl.printer import render
from codegen.program import Program
from codegen.schedule import Schedule, Step
from codegen.target import CPU
from tests.codegen.opencl_harness import difference, run_all


def apart(count: int, step: int, shift: int = 0, dtype: DType = dtypes.float32, size: int | None = None) -> Program:
    """out[i] = x[i * step + shift], 0 outside; x ends with the last element read unless it has a size.

    A negative step begins at the other end: shift elements lie before the last.
    """
    i = Axis("i", count)
    n = (count - 1) * abs(step) + shift + 1 if size is None else size
    shift += (count - 1) * -step if step < 0 else 0
    out, x = Param("out", dtype, count), Param("x", dtype, n)
    guards = [Guard(i.index * step + shift, 0, n)] if shift < 0 or size is not None else []
    name = f"apart_{count}_{step + 9}_{shift + 50}_{dtype}_{size}"
    store = Store(out, i.index, load(x, i.index * step + shift, guards))
    return render(Kernel(name, (out, x), (store,)), Schedule((Step(i, 16),), 0, (i,)), CPU)


def assert_right(programs: list[Program]) -> None:
    rng = np.random.default_rng(0)
    kernels = [program.kernel for program in programs if program.kernel is not None]
    given = [{p.name: to_storage(rng.integers(0, 99, p.size), p.dtype) for p in kernel.params} for kernel in kernels]
    for program, kernel, arrays, left in zip(programs, kernels, given, run_all(programs, given), strict=True):
        interpret(kernel, arrays)
        assert difference(left["out"], arrays["out"], kernel.params[0].dtype) is None, program.source


def test_steps_and_sizes() -> None:
    counts = (2, 3, 5, 8, 11, 16, 17, 18, 23, 31, 48)
    assert_right([apart(count, step, shift) for count in counts for step in (2, 3, -2, -3) for shift in (0, 1)])


def test_what_lies_outside_is_0() -> None:
    assert_right([apart(count, 2, shift, size=40) for count in (7, 16, 35) for shift in (-21, -2, -1, 0, 7, 30)])


def test_every_type_of_element() -> None:
    assert_right([apart(35, step, 1, dtype) for dtype in ALL for step in (2, -2)])


@pytest.mark.parametrize(("step", "found"), [(2, True), (3, False)])
def test_every_other_element_is_taken_from_vectors(step: int, found: bool) -> None:
    assert (".even" in apart(32, step).source) == found


def shared(count: int, step: int, shift: int, by: int, size: int, only: bool) -> Program:
    """out[i] = x[(i * step + shift) // by], 0 outside; with only where the division is exact."""
    i = Axis("i", count)
    out, x = Param("out", dtypes.float32, count), Param("x", dtypes.float32, size)
    place = i.index * step + shift
    guards = [Guard(place // by, 0, size), *[Guard(place % by, 0, 1)] * only]
    name = f"shared_{count}_{step}_{shift + 50}_{by}_{size}_{only}"
    kernel = Kernel(name, (out, x), (Store(out, i.index, load(x, place // by, guards)),))
    return render(kernel, Schedule((Step(i, 16),), 0, (i,)), CPU)


@settings(max_examples=5)
@given(st.data())
def test_elements_that_several_lanes_share(data: st.DataObject) -> None:
    numbers = (st.sampled_from([16, 35]), st.integers(1, 3), st.integers(-20, 20), st.integers(2, 70),
               st.sampled_from([3, 16, 40]), st.booleans())  # fmt: skip
    assert_right(data.draw(st.lists(st.builds(shared, *numbers), min_size=4, max_size=4, unique_by=lambda x: x.entry)))


@pytest.mark.parametrize(("step", "by", "found"), [(1, 2, True), (1, 3, True), (3, 2, False)])
def test_shared_elements_are_taken_from_one_vector(step: int, by: int, found: bool) -> None:
    assert ("shuffle(" in shared(32, step, 0, by, 40, False).source) == found


# ------------------------------------------------------------------------------------------------ places looked up


def places(form: str, x: Expr, n: int) -> Expr:
    """What is looked up, from an element: as it is, or from the end where it is negative, or 0 for -3, as int32."""
    low = const(0, x.dtype)
    if form == "from the end":
        return apply("where", apply("lt", x, low), apply("add", x, const(n, x.dtype)), x)
    if form == "but for -3":
        return apply("where", apply("ne", x, const(-3, x.dtype)), x, low)
    return apply("cast", x, dtype=dtypes.int32) if form == "narrowed" else x


def looked_up(form: str, kind: DType, rows: int, count: int, n: int, step: int, narrow: bool) -> Program:
    """out[i, j] = x[i, place[i, j] * step], 0 where there is no such place."""
    i, j = Axis("i", rows), Axis("j", count)
    out, at = Param("out", dtypes.float32, rows * count), Param("at", kind, count if narrow else rows * count)
    x = Param("x", dtypes.float32, rows * n * step)
    here = j.index if narrow else i.index * count + j.index
    place = dynamic(places(form, load(at, here), n), n)
    value = load(x, i.index * (n * step) + place * step, [Guard(place, 0, n)])
    name = f"looked_up_{'_'.join(form.split())}_{kind}_{rows}_{count}_{n}_{step}_{int(narrow)}".replace("-", "m")
    kernel = Kernel(name, (out, at, x), (Store(out, i.index * count + j.index, value),))
    return render(kernel, Schedule((Step(i, 1), Step(j, 16)), 1, (j,)), CPU)


@settings(max_examples=8, deadline=None)
@given(
    form=st.sampled_from(["as it is", "from the end", "but for -3", "narrowed"]),
    kind=st.sampled_from([dtypes.int32, dtypes.int64]),
    sizes=st.tuples(st.integers(1, 3), st.integers(16, 49), st.integers(1, 40), st.integers(1, 3)),
    narrow=st.booleans(),
    least=st.integers(-50, 0),
    seed=st.integers(0, 9),
)
def test_places_that_are_looked_up(
    form: str, kind: DType, sizes: tuple[int, int, int, int], narrow: bool, least: int, seed: int
) -> None:
    program = looked_up(form, kind, *sizes, narrow)
    kernel, rng = program.kernel, np.random.default_rng(seed)
    assert kernel is not None
    _, at, x = kernel.params
    arrays = {"out": np.zeros(kernel.params[0].size, np.float32), "x": rng.standard_normal(x.size).astype(np.float32)}
    arrays["at"] = rng.integers(least, sizes[2] - min(least, 0) // 9, at.size).astype(kind.numpy)
    (left,) = run_all([program], [arrays])
    interpret(kernel, arrays)
    assert difference(left["out"], arrays["out"], dtypes.float32) is None, program.source


def test_lanes_read_their_places_where_these_are_stored() -> None:
    assert "(int)at[" in looked_up("from the end", dtypes.int64, 2, 40, 9, 1, True).source


def test_what_equals_a_stored_element_that_is_not_negative() -> None:
    x = load(Param("x", dtypes.int64, 8), Axis("i", 8).index)
    for form in ("as it is", "from the end", "but for -3", "narrowed"):
        assert as_stored(places(form, x, 5)) is x
    assert as_stored(apply("add", x, const(1, dtypes.int64))) is None
    below = apply("where", apply("lt", x, const(1, dtypes.int64)), const(3, dtypes.int64), x)
    assert as_stored(below) is None
