"""Right results pass, of random kernels as they are computed and printed; wrong ones are found where they are."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from codegen import checking
from codegen.checking import wrong_elements
from codegen.dtypes import dtypes, from_storage, to_storage
from codegen.index import Axis
from codegen.ir import Kernel, Param, Store, apply, load, reduce
from codegen.opencl.printer import render
from codegen.target import CPU
from tests.codegen.opencl_harness import device, run_all
from tests.codegen.random_kernels import FAMILIES, kernels, random_arrays, random_kernel, run
from tests.codegen.random_schedules import random_schedule


def after(kernel: Kernel, arrays: dict[str, NDArray]) -> dict[str, NDArray]:
    return {**{name: array.copy() for name, array in arrays.items()}, **run(kernel, arrays)}


@given(kernels(), st.integers(0, 1 << 32))
@settings(max_examples=100)
def test_what_the_interpreter_computes_is_right(kernel: Kernel, seed: int) -> None:
    arrays = random_arrays(kernel, seed)
    assert wrong_elements(kernel, arrays, after(kernel, arrays)) == []


@pytest.mark.parametrize("family", FAMILIES)
def test_what_is_printed_is_right(family: str) -> None:
    device()
    made = [replace(random_kernel(seed, family), name=f"{family}_{seed}") for seed in range(12)]
    programs = [render(kernel, random_schedule(kernel, CPU, seed), CPU) for seed, kernel in enumerate(made)]
    arrays = [random_arrays(kernel, seed) for seed, kernel in enumerate(made)]
    for kernel, before, left in zip(made, arrays, run_all(programs, [dict(a) for a in arrays])):
        assert wrong_elements(kernel, before, {**before, **left}) == []


@given(kernels(), st.integers(0, 1 << 32), st.data())
@settings(max_examples=60)
def test_one_changed_element_is_found(kernel: Kernel, seed: int, data: st.DataObject) -> None:
    arrays = random_arrays(kernel, seed)
    found = after(kernel, arrays)
    param = data.draw(st.sampled_from(kernel.params))
    place = data.draw(st.integers(0, param.size - 1))
    value = from_storage(found[param.name], param.dtype)[place]
    other = not value if param.dtype is dtypes.bool else value + 7 if np.isfinite(value) and abs(value) < 100 else 0
    found[param.name][place] = to_storage(np.asarray(other, param.dtype.compute), param.dtype)
    wrong = wrong_elements(kernel, arrays, found)
    if wrong:  # a rounding may decide there
        assert [(w.param, w.place, w.wrong) for w in wrong] == [(param, place, 1)]
    else:
        assert param.name in kernel.written and any(e.dtype.is_float for e in kernel.exprs)


def summing(n: int, m: int) -> tuple[Kernel, dict[str, NDArray]]:
    """Sums of the rows of an n by m array, and that on random numbers."""
    rows, columns = Axis("r", n), Axis("c", m)
    x, out = Param("x", dtypes.float32, n * m), Param("out", dtypes.float32, n)
    value = reduce("add", load(x, rows.index * m + columns.index), [columns])
    kernel = Kernel("sums", (x, out), (Store(out, rows.index, value),))
    values = np.random.default_rng(0).standard_normal(n * m).astype(np.float32)
    return kernel, {"x": values, "out": np.zeros(n, np.float32)}


def test_sums_of_many_may_be_rounded_in_any_order() -> None:
    kernel, arrays = summing(3, 1 << 16)
    values = arrays["x"].reshape(3, -1)
    one_by_one = np.cumsum(values, axis=1, dtype=np.float32)[:, -1]
    assert wrong_elements(kernel, arrays, {**arrays, "out": one_by_one}) == []
    assert wrong_elements(kernel, arrays, {**arrays, "out": values[:, 1:].sum(1)})[0].wrong >= 2


def test_large_kernels_are_looked_at_in_places(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checking, "BUDGET", 1 << 12)
    kernel, arrays = summing(500, 64)
    right = arrays["x"].reshape(500, 64).sum(1)
    for place in (0, 499):
        wrong = right.copy()
        wrong[place] += 1
        (found,) = wrong_elements(kernel, arrays, {**arrays, "out": wrong})
        assert found.place == place and found.seen < 500
        (found,) = wrong_elements(kernel, arrays, {**arrays, "out": wrong}, thorough=True)
        assert found.seen == 500


def test_where_rounding_decides_nothing_is_told() -> None:
    place, x, out = Axis("i", 1), Param("x", dtypes.float32, 1), Param("out", dtypes.int32, 1)
    tenfold = apply("mul", load(x, place.index), load(x, place.index))
    kernel = Kernel("k", (x, out), (Store(out, place.index, apply("cast", tenfold, dtype=dtypes.int32)),))
    arrays = {"x": np.sqrt(np.float32([2.0])), "out": np.int32([0])}
    for value, count in ((1, 0), (2, 0)):
        assert len(wrong_elements(kernel, arrays, {**arrays, "out": np.int32([value])})) == count
    assert wrong_elements(kernel, {**arrays, "x": np.float32([1.5])}, {"x": np.float32([1.5]), "out": np.int32([3])})
