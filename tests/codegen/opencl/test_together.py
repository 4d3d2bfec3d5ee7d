"""Several programs in one launch do what each does alone."""

import random
import re

import numpy as np
import pytest

from codegen.dtypes import dtypes
from codegen.generate import generate
from codegen.index import Axis
from codegen.interpret import interpret
from codegen.ir import Kernel, Param, Store, apply, const, load
from codegen.opencl.sources import definitions, joined, parts
from codegen.opencl.together import MOST_COPIES, together
from codegen.program import Program
from tests.codegen.opencl_harness import difference, run_all, target
from tests.codegen.random_kernels import random_arrays, random_kernel
from tests.codegen.random_schedules import random_schedule


def plain(seed: int) -> Kernel:
    """A random kernel without sums."""
    while (kernel := random_kernel(seed, "elementwise")).reduces or any(s.mode != "set" for s in kernel.stores):
        seed += 1000
    return kernel


@pytest.mark.parametrize("seed", range(4))
def test_each_part_computes_what_it_did(seed: int) -> None:
    rng = random.Random(seed)
    kernels = [plain(100 * seed + i) for i in range(4)]
    cpu = target()
    programs = [generate(k, cpu, random_schedule(k, cpu, i) if i % 2 else None) for i, k in enumerate(kernels)]
    chosen = [rng.randrange(4) for _ in range(7)]
    arrays, arguments, parts_arrays = [], [], []
    for number, i in enumerate(chosen):
        own = random_arrays(kernels[i], number)
        parts_arrays.append(own)
        arguments.append(tuple(range(len(arrays), len(arrays) + len(own))))
        arrays += [own[p.name] for p in kernels[i].params]
    program, stand_for = together([programs[i] for i in chosen], arguments)
    given = {param.name: arrays[number] for param, number in zip(program.params, stand_for)}
    (left,) = run_all([program], [given])
    name = {number: param.name for param, number in zip(program.params, stand_for)}
    for i, own, numbers in zip(chosen, parts_arrays, arguments):
        expected = {key: array.copy() for key, array in own.items()}
        interpret(kernels[i], expected)
        for param, number in zip(kernels[i].params, numbers):
            if param.name in kernels[i].written:
                assert difference(left[name[number]], expected[param.name], param.dtype) is None


def scaled(factor: float) -> Program:
    """out[i] = x[i] * factor"""
    i = Axis("i", 100)
    x, out = (Param(name, dtypes.float32, 100) for name in ("x", "out"))
    value = apply("mul", load(x, i.index), const(factor, dtypes.float32))
    return generate(Kernel("scaled", (out, x), (Store(out, i.index, value, order=(i,)),)), target())


def test_equal_programs_are_one_function_and_arrays_one_parameter() -> None:
    double = scaled(2.0)
    program, stand_for = together([double, double, scaled(3.0)], [(5, 1), (6, 1), (7, 1)])
    assert program.source.count("static void") == 2
    assert len(program.params) == 4 and sorted(stand_for) == [1, 5, 6, 7]
    assert len(program.written) == 3
    assert program.grid == (3 * double.grid[0],) and program.nbytes == 3 * double.nbytes


def test_joint_programs_are_built_with_others() -> None:
    """Functions of one text get one name, others other names."""
    one, _ = together([scaled(2.0), scaled(3.0)], [(0, 1), (2, 1)])
    two, _ = together([scaled(3.0), scaled(4.0)], [(0, 1), (2, 1)])
    helpers = [definitions(parts(program.source)[1]) for program in (one, two)]
    assert len({*helpers[0], *helpers[1]}) == len(helpers[0]) + 1
    assert joined([one.source, two.source]).count("static void") == 3


def test_what_is_called_often_is_not_copied() -> None:
    double, triple = scaled(2.0), scaled(3.0)
    many = [double] * (MOST_COPIES + 1) + [triple]
    often, _ = together(many, [(2 * i, 2 * i + 1) for i in range(len(many))])
    once, _ = together([double, triple], [(0, 1), (2, 3)])
    assert often.source.count("noinline") == 1 and "noinline" not in once.source
    text = joined([often.source, once.source])
    names = re.findall(r"^static.* (kf_scaled_\w+)\(", text, re.MULTILINE)
    assert len(names) == len(set(names)) == 3, "a function has one definition"


def test_an_array_read_by_several_is_one() -> None:
    double, triple = scaled(2.0), scaled(3.0)
    program, stand_for = together([double, triple], [(1, 0), (2, 0)])
    x = np.arange(100, dtype=np.float32)
    given = {param.name: x if number == 0 else np.zeros_like(x) for param, number in zip(program.params, stand_for)}
    (left,) = run_all([program], [given])
    names = {number: param.name for param, number in zip(program.params, stand_for)}
    np.testing.assert_array_equal(left[names[1]], 2 * x)
    np.testing.assert_array_equal(left[names[2]], 3 * x)
