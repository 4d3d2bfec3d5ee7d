"""Schedules for groups of many work-items: what they stage, what they share, and that they give the interpreter's
results."""

import dataclasses
from itertools import pairwise
from math import prod

import pytest

from codegen.dtypes import dtypes
from codegen.generate import generate
from codegen.index import Axis
from codegen.ir import Kernel, Param, Store, apply, load, reduce
from codegen.nest import build
from codegen.program import Program
from codegen.schedule import Schedule, ScheduleError, Stage, Step
from codegen.target import CPU, Target
from tests.codegen.opencl_harness import device, difference, run_all
from tests.codegen.random_kernels import FAMILIES, random_arrays, random_kernel, run

GPU = dataclasses.replace(CPU, name="gpu", items=64, cores=16, scratch=31 << 10)
CASES = 10
SIZES = (1, 2, 3, 4, 5, 8, 13, 16, 17, 33, 40)


def small(items: int) -> Target:
    return dataclasses.replace(GPU, items=items, cores=2, scratch=8 << 10)


@pytest.mark.parametrize("family", FAMILIES)
def test_chosen_schedules_give_what_is_interpreted(family: str) -> None:
    device()
    seeds = range(CASES)
    made = [random_kernel(seed, family, sizes=SIZES) for seed in seeds]
    kernels = [dataclasses.replace(kernel, name=f"{family}_{seed}") for seed, kernel in zip(seeds, made)]
    programs = [generate(kernel, small((4, 8, 16)[seed % 3])) for seed, kernel in zip(seeds, kernels)]
    arrays = [random_arrays(kernel, seed) for seed, kernel in zip(seeds, kernels)]
    for kernel, program, inputs, left in zip(kernels, programs, arrays, run_all(programs, arrays)):
        expected = run(kernel, inputs)
        for param in program.params:
            if param.name in expected:
                wrong = difference(left[param.name], expected[param.name], param.dtype)
                assert wrong is None, f"{param.name}: {wrong}\n{program.source}"


def product(m: int, n: int, k: int, turned: bool = False) -> Program:
    i, j, r = Axis("i", m), Axis("j", n), Axis("r", k)
    x, y, out = (Param(name, dtypes.float32, size) for name, size in (("x", m * k), ("y", k * n), ("out", m * n)))
    right = load(y, j.index * k + r.index if turned else r.index * n + j.index)
    value = reduce("add", apply("mul", load(x, i.index * k + r.index), right), (r,))
    return generate(Kernel("product", (x, y, out), (Store(out, i.index * n + j.index, value),)), GPU)


def test_a_product_has_its_rows_in_local_memory_and_its_columns_side_by_side() -> None:
    program = product(512, 512, 512)
    assert program.local == (64, 1)
    assert program.source.count("__local float") == 1
    assert "kf_item]" in program.source and "reqd_work_group_size(64, 1, 1)" in program.source


def test_columns_that_lie_apart_are_staged() -> None:
    assert product(512, 512, 512, turned=True).source.count("__local float") == 2


def test_products_of_few_results_have_small_tiles() -> None:
    def groups(program: Program) -> int:
        return prod(program.grid)

    assert groups(product(64, 64, 256)) >= 16


def test_a_row_is_reduced_by_all_items() -> None:
    i, j = Axis("i", 300), Axis("j", 1000)
    x, out = Param("x", dtypes.float32, 300_000), Param("out", dtypes.float32, 300)
    total = reduce("add", load(x, i.index * 1000 + j.index), (j,))
    program = generate(Kernel("rows", (x, out), (Store(out, i.index, total),)), GPU)
    assert program.grid == (300,)
    assert "kf_fold_add_64" in program.source and "if (kf_item == 0) out[" in program.source


def test_what_lies_across_the_items_is_staged() -> None:
    i, j = Axis("i", 200), Axis("j", 300)
    x, out = Param("x", dtypes.float32, 60_000), Param("out", dtypes.float32, 60_000)
    store = Store(out, i.index * 300 + j.index, load(x, j.index * 200 + i.index))
    program = generate(Kernel("turn", (x, out), (store,)), GPU)
    assert "__local float pack" in program.source


def test_pads_take_local_memory() -> None:
    i, j = Axis("i", 64), Axis("j", 64)
    x, out = Param("x", dtypes.float32, 4096), Param("out", dtypes.float32, 4096)
    value = load(x, j.index * 64 + i.index)
    kernel = Kernel("turn", (x, out), (Store(out, i.index * 64 + j.index, value),))
    tight = dataclasses.replace(GPU, items=16, scratch=32 * 16 * 4)
    for pad in (0, 1):
        stage = Stage(value, 2, ((i, 1), (j, 1)), pad)
        schedule = Schedule((Step(i, 32), Step(j, 16), Step(i, 1)), 2, (j,), (stage,))
        if pad:
            with pytest.raises(ScheduleError, match=f"need {32 * 17 * 4} bytes"):
                build(kernel, schedule, tight)
        else:
            assert build(kernel, schedule, tight).boxes


def test_no_barrier_follows_a_barrier() -> None:
    lines = [line.strip() for line in product(512, 512, 512, turned=True).source.splitlines()]
    assert not any(a == b and a.startswith("barrier(") for a, b in pairwise(lines))
