"""Integers held between numbers, as OpenCL: no call for each, and right in chains."""

import dataclasses

import numpy as np
import pytest

from codegen.dtypes import DType, dtypes
from codegen.generate import generate
from codegen.index import Axis, dynamic
from codegen.interpret import interpret
from codegen.ir import Expr, Kernel, Param, Store, apply, const, load
from codegen.schedule import Schedule, Step
from tests.codegen.opencl_harness import run_all, target

COUNT = 41
INTEGERS = (dtypes.int8, dtypes.uint16, dtypes.int32, dtypes.uint32, dtypes.int64, dtypes.uint64)


def bounded(dtype: DType, seed: int) -> Kernel:
    """out[i] = a chain of maxima, minima and sums of x[p[i]] with numbers, p[i] kept inside."""
    rng = np.random.default_rng(seed)
    i = Axis("i", COUNT)
    x, p, out = Param("x", dtype, COUNT), Param("p", dtypes.int32, COUNT), Param("out", dtype, COUNT)
    inside = apply("min", apply("max", load(p, i.index), const(0, p.dtype)), const(COUNT - 1, p.dtype))
    value: Expr = load(x, dynamic(inside, COUNT))
    ops = rng.choice(["max", "min", "add"], 30)
    for number, op in zip(rng.integers(max(dtype.min, -100), 100, len(ops)), ops):
        value = apply(str(op), value, const(int(number), dtype))
    return Kernel(f"bounded_{dtype}_{seed}", (out, x, p), (Store(out, i.index, value),))


@pytest.mark.parametrize("dtype", INTEGERS, ids=str)
def test_integers_are_held_between_numbers_without_calls(dtype: DType) -> None:
    programs, given = [], []
    rng = np.random.default_rng(1)
    for seed in range(8):
        kernel = bounded(dtype, seed)
        i = kernel.axes[0]
        for name, schedule in (("1", Schedule((Step(i, 1),), 0)), ("16", Schedule((Step(i, 16),), 0, (i,)))):
            programs.append(generate(dataclasses.replace(kernel, name=f"{kernel.name}_{name}"), target(), schedule))
            x = rng.integers(max(dtype.min, -120), 120, COUNT).astype(dtype.numpy)
            p = rng.integers(-5, COUNT + 5, COUNT).astype(np.int32)
            given.append({"x": x, "p": p, "out": np.zeros(COUNT, dtype.numpy)})
    assert not any("noinline" in program.source for program in programs)
    for program, before, left in zip(programs, given, run_all(programs, given)):
        assert program.kernel is not None
        expected = {name: array.copy() for name, array in before.items()}
        interpret(program.kernel, expected)
        np.testing.assert_array_equal(left["out"], expected["out"])
