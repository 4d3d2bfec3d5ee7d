"""Products of few rows with lanes along the sum: when the schedule is chosen, and equal results for all types."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codegen.choose.default import placed
from codegen.dtypes import dtypes, to_storage
from codegen.index import Axis
from codegen.interpret import interpret
from codegen.ir import Kernel, Param, Store, apply, load, reduce
from codegen.opencl.printer import render_nest
from codegen.rewrites.rewrite import prepare
from codegen.target import CPU
from tests.codegen.opencl_harness import run_all, target

DOTS = dataclasses.replace(CPU, dots=("bfloat16", "int8"))
KINDS = (dtypes.float32, dtypes.float16, dtypes.bfloat16, dtypes.int8, dtypes.uint8, dtypes.float64)


def product(m, n, k, dtype, *, across=False, turned=False, activated=False):
    """[m, k] @ [n, k].T, or with `across` [m, k] @ [k, n], or with `turned` [k, m].T @ [n, k].T."""
    i, j, r = Axis("i", m), Axis("j", n), Axis("r", k)
    total = dtypes.int32 if dtype.bits == 8 else dtype if dtype.bits == 64 else dtypes.float32
    x, y, out = Param("x", dtype, m * k), Param("y", dtype, n * k), Param("out", total, m * n)
    rows = load(x, r.index * m + i.index if turned else i.index * k + r.index)
    loads = rows, load(y, r.index * n + j.index if across else j.index * k + r.index)
    left, right = (e if dtype is total else apply("cast", e, dtype=total) for e in loads)
    value = reduce("add", apply("mul", left, right), [r])
    if activated:
        value = apply("mul", apply("exp", apply("neg", apply("mul", value, value))), value)
    return prepare(Kernel("product", (x, y, out), (Store(out, i.index * n + j.index, value, order=(i, j)),)))


def lanes_of(kernel, on):
    """The axis the sum's lanes run along."""
    nest = placed(kernel, on)
    (r,) = nest.kernel.reduces
    return next(a for a in nest.schedule.vector if a in r.arg.axes), r


@pytest.mark.parametrize("dtype", KINDS, ids=str)
def test_lanes_lie_along_the_sum_where_few_rows_meet_a_matrix_that_does(dtype):
    lane, r = lanes_of(product(6, 500, 700, dtype), DOTS)
    assert lane in r.bound


@pytest.mark.parametrize("dtype", [dtypes.float32, dtypes.bfloat16, dtypes.float64], ids=str)
def test_few_rows_that_lie_across_the_sum_are_turned_for_a_matrix_that_lies_along_it(dtype):
    kernel = product(6, 500, 700, dtype, turned=True)
    lane, r = lanes_of(kernel, DOTS)
    (stage,) = placed(kernel, DOTS).schedule.stages
    assert lane in r.bound and {a.size for a in stage.value.axes} == {6, 700}


@pytest.mark.parametrize(
    "kernel",
    [
        product(6, 500, 700, dtypes.float32, across=True),
        product(6, 40, 700, dtypes.float32, turned=True),
        product(10, 500, 700, dtypes.bfloat16, turned=True),
        product(6, 500, 700, dtypes.int8, turned=True),
        product(20, 500, 70_000, dtypes.float32, turned=True),
        product(100, 500, 700, dtypes.float32),
        product(6, 500, 60, dtypes.float32),
    ],
    ids=["columns", "few columns", "groups", "bytes", "long rows", "many rows", "short sums"],
)
def test_other_products_have_lanes_along_their_results(kernel):
    lane, r = lanes_of(kernel, DOTS)
    assert lane not in r.bound


@settings(max_examples=20)
@given(
    m=st.integers(2, 32),
    n=st.integers(4, 90) | st.integers(250, 300),
    k=st.integers(512, 700),
    dtype=st.sampled_from(KINDS),
    turned=st.booleans(),
    activated=st.booleans(),
    seed=st.integers(0, 99),
)
def test_results_are_those_of_the_interpreter(m, n, k, dtype, turned, activated, seed):
    kernel = product(m, n, k, dtype, turned=turned, activated=activated and dtype.is_float)
    rng = np.random.default_rng(seed)
    arrays = {
        p.name: to_storage(rng.uniform(-0.1, 0.1, p.size).astype(np.float32), p.dtype)
        if p.dtype.is_float
        else rng.integers(p.dtype.min, p.dtype.max, p.size, endpoint=True).astype(p.dtype.numpy)
        for p in kernel.params
    }
    wanted = {name: array.copy() for name, array in arrays.items()}
    interpret(kernel, wanted)
    (found,) = run_all([render_nest(placed(kernel, target()))], [arrays])
    np.testing.assert_allclose(found["out"], wanted["out"], rtol=1e-4, atol=1e-5)
