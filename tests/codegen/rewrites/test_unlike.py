"""Sums of products of bytes alike as sums of unsigned times signed ones: the meaning stays, to the last bit."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codegen.choose.default import placed
from codegen.dots import dot_of
from codegen.dtypes import DType, dtypes
from codegen.index import Axis
from codegen.interpret import interpret
from codegen.ir import Kernel, Param, Store, apply, const, load, reduce
from codegen.opencl.printer import render_nest
from codegen.rewrites.contract import contractions
from codegen.rewrites.rewrite import prepare
from codegen.rewrites.unlike import LEAST, unlike
from codegen.target import CPU, SM90
from tests.codegen.opencl_harness import run_all, target
from tests.codegen.random_kernels import random_arrays

DOTS = dataclasses.replace(CPU, dots=("int8",))
BYTES = (dtypes.int8, dtypes.uint8)
FORMS = ("NN", "NT", "TN", "TT")
SIZES = st.integers(LEAST, LEAST + 40)


def product(m: int, n: int, k: int, form: str, left: DType, right: DType, batch: int = 1) -> Kernel:
    """Three times a matrix product of bytes, less one; either operand stored transposed."""
    b, i, j, r = Axis("b", batch), Axis("i", m), Axis("j", n), Axis("r", k)
    x, y = Param("x", left, batch * m * k), Param("y", right, batch * k * n)
    first = b.index * (m * k) + (r.index * m + i.index if form[0] == "T" else i.index * k + r.index)
    second = b.index * (k * n) + (j.index * k + r.index if form[1] == "T" else r.index * n + j.index)
    factors = [apply("cast", e, dtype=dtypes.int32) for e in (load(x, first), load(y, second))]
    total = reduce("add", apply("mul", *factors), [r])
    value = apply("sub", apply("mul", total, const(3, dtypes.int32)), const(1, dtypes.int32))
    out, to = Param("out", dtypes.int32, batch * m * n), b.index * (m * n) + i.index * n + j.index
    return prepare(Kernel("product", (x, y, out), (Store(out, to, value, order=(b, i, j)),)))


def interpreted(kernel: Kernel, seed: int = 0) -> np.ndarray:
    arrays = random_arrays(kernel, seed)
    interpret(kernel, arrays)
    return arrays["out"]


@settings(max_examples=20)
@given(SIZES, SIZES, st.integers(16, 90), st.sampled_from(FORMS), st.sampled_from(BYTES), st.integers(1, 3))
def test_the_meaning_stays(m: int, n: int, k: int, form: str, kind: DType, batch: int) -> None:
    kernel = product(m, n, k, form, kind, kind, batch)
    changed = unlike(kernel, DOTS)
    assert changed is not kernel
    dots = [dot_of(c.reduce, DOTS) for c in contractions(changed)]
    assert [dot is not None and not dot.alike for dot in dots] == [True]
    np.testing.assert_array_equal(interpreted(changed), interpreted(kernel))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", BYTES, ids=str)
@pytest.mark.parametrize("sizes", [(97, 131, 17), (150, 96, 1100), (130, 200, 64)])
def test_results(form: str, kind: DType, sizes: tuple[int, int, int]) -> None:
    kernel = product(*sizes, form, kind, kind)
    nest = dataclasses.replace(placed(kernel, DOTS), target=target())  # which may have no such products
    assert len(nest.kernel.reduces) == 2
    (found,) = run_all([render_nest(nest)], [random_arrays(kernel, 0)])
    np.testing.assert_array_equal(found["out"], interpreted(kernel))


def test_what_gains_nothing_stays() -> None:
    signed, unsigned = BYTES
    for kernel, machine in (
        (product(LEAST, LEAST, 64, "NN", signed, unsigned), DOTS),
        (product(LEAST, LEAST - 1, 64, "NN", signed, signed), DOTS),
        (product(LEAST, LEAST, 15, "NN", signed, signed), DOTS),
        (product(LEAST, LEAST, 64, "NN", signed, signed), CPU),
        (product(LEAST, LEAST, 64, "NN", signed, signed), SM90),
    ):
        assert unlike(kernel, machine) is kernel
