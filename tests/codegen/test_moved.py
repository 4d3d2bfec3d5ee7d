"""16-bit floats that are only moved: bits of every pattern arrive, and no float is made of them."""

import numpy as np
import pytest

from codegen.choose.default import choose
from codegen.dtypes import DType, dtypes
from codegen.index import Axis, Guard
from codegen.ir import Expr, Kernel, Param, Store, apply, const, coord, load
from codegen.opencl.printer import render
from codegen.program import Program
from codegen.target import CPU
from tests.codegen.opencl_harness import run_all

TYPES = [dtypes.float16, dtypes.bfloat16]


def rolled(rows: int, columns: int, dtype: DType, shift: int, change: str = "") -> Kernel:
    """out[i, j] = x[i, j - shift] from the shift on, 1.5 before; transposed where there is none.

    change  an operation on the elements, or a choice by their values
    """
    i, j = Axis("i", rows), Axis("j", columns)
    x, out = Param("x", dtype, rows * columns), Param("out", dtype, rows * columns)
    inside = (Guard(j.index - shift, 0, columns - shift),) if shift else ()
    moved = apply("cast", load(x, i.index * columns + j.index - shift, inside), dtype=dtypes.float32)
    place = i.index * columns + j.index if shift else j.index * rows + i.index
    condition: Expr = apply("lt", coord(j.index), const(shift, dtypes.int32))
    if change == "choice":
        condition = apply("lt", moved, const(0, dtypes.float32))
    value = apply("where", condition, const(1.5, dtypes.float32), apply("neg", moved) if change == "neg" else moved)
    store = Store(out, place, apply("cast", value, dtype=dtype))
    return Kernel(f"rolled_{rows}_{columns}_{dtype}_{shift}", (out, x), (store,))


def program(kernel: Kernel) -> Program:
    return render(kernel, choose(kernel, CPU), CPU)


@pytest.mark.parametrize("dtype", TYPES, ids=str)
def test_every_pattern_of_bits_arrives(dtype: DType) -> None:
    sizes = [(256, 256, 1), (1, 65536, 300), (7, 33, 5), (40, 19, 0), (100, 6, 2)]
    given = [np.random.default_rng(0).permutation(1 << 16)[: m * n].astype(np.uint16) for m, n, _ in sizes]
    programs = [program(rolled(m, n, dtype, shift)) for m, n, shift in sizes]
    own = np.float16 if dtype is dtypes.float16 else np.uint16
    arrays = [{"x": x.view(own), "out": np.zeros(x.size, own)} for x in given]
    filling = 0x3E00 if dtype is dtypes.float16 else 0x3FC0
    for (m, n, shift), x, left in zip(sizes, given, run_all(programs, arrays), strict=True):
        expected = np.full((m, n), filling, np.uint16)
        expected[:, shift:] = x.reshape(m, n)[:, : n - shift]
        np.testing.assert_array_equal(left["out"].view(np.uint16), (expected if shift else expected.T).ravel())


@pytest.mark.parametrize("dtype", TYPES, ids=str)
def test_what_is_computed_with_stays_a_float(dtype: DType) -> None:
    names = {dtypes.float16: "vload_half", dtypes.bfloat16: "kf_bfloat_value"}
    assert names[dtype] not in program(rolled(64, 64, dtype, 5)).source
    assert names[dtype] in program(rolled(64, 64, dtype, 5, "neg")).source
    assert "vload16(0, ((__global const ushort *)x)" not in program(rolled(64, 64, dtype, 5, "choice")).source
