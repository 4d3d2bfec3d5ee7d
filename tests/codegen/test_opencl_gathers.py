"""Loads whose lanes lie apart give what single loads do, and read nothing outside of the array."""

import numpy as np
import pytest

from codegen.dtypes import ALL, DType, dtypes, to_storage
from codegen.index import Axis, Guard
from codegen.interpret import interpret
from codegen.ir import Kernel, Param, Store, load
from codegen.opencl import render
from codegen.program import Program
from codegen.schedule import Schedule, Step
from codegen.target import CPU
from tests.codegen.opencl_harness import difference, run_all


def apart(count: int, step: int, shift: int = 0, dtype: DType = dtypes.float32, size: int | None = None) -> Program:
    """out[i] = x[i * step + shift], 0 outside; x ends with the last element read unless it has a size."""
    i = Axis("i", count)
    n = (count - 1) * step + shift + 1 if size is None else size
    out, x = Param("out", dtype, count), Param("x", dtype, n)
    guards = [Guard(i.index * step + shift, 0, n)] if shift < 0 or size is not None else []
    name = f"apart_{count}_{step}_{shift + 50}_{dtype}_{size}"
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
    assert_right([apart(count, step, shift) for count in (16, 17, 31, 48) for step in (2, 3) for shift in (0, 1)])


def test_what_lies_outside_is_0() -> None:
    assert_right([apart(count, 2, shift, size=40) for count in (16, 35) for shift in (-21, -2, -1, 0, 7, 30)])


def test_every_type_of_element() -> None:
    assert_right([apart(35, 2, 1, dtype) for dtype in ALL])


@pytest.mark.parametrize(("step", "found"), [(2, True), (3, False)])
def test_every_other_element_is_taken_from_vectors(step: int, found: bool) -> None:
    assert (".even" in apart(32, step).source) == found
