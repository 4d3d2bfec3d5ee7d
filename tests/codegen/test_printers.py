"""The central property: random kernel x random legal schedule, printed as OpenCL and run, equals the interpreter."""

import dataclasses
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codegen.ir import Kernel
from codegen.opencl.printer import render
from codegen.program import Program
from codegen.target import CPU, Target
from tests.codegen.opencl_harness import device, difference, run_all
from tests.codegen.random_kernels import FAMILIES, kernels, random_arrays, random_kernel, run
from tests.codegen.random_schedules import random_schedule

BATCH = 40


def _cases(config: pytest.Config) -> int:
    """Cases per family: more with --cases or KF_TEST_CASES, which count all families together."""
    asked = int(os.environ.get("KF_TEST_CASES") or config.getoption("--cases"))
    return max(520, asked) // len(FAMILIES)


def _target(seed: int, form: str) -> Target:
    return CPU if form == "vectors" else dataclasses.replace(CPU, name="gpu", items=(4, 8, 16)[seed % 3])


def _program(seed: int, family: str, form: str) -> Program:
    kernel, target = dataclasses.replace(random_kernel(seed, family), name=f"{family}_{seed}"), _target(seed, form)
    return render(kernel, random_schedule(kernel, target, seed), target)


@pytest.mark.parametrize("form", ["vectors", "items"])
@pytest.mark.parametrize("family", FAMILIES)
def test_printed_equals_interpreted(family: str, form: str, pytestconfig: pytest.Config) -> None:
    context, _ = device()
    if form == "items" and "intel" in context.devices[0].platform.name.lower():
        pytest.skip("results of this compiler depend on whether it unrolls loops around barriers")
    start = int(os.environ.get("KF_TEST_SEED", "0"))
    end = start + _cases(pytestconfig) // (1 if form == "vectors" else 6)  # barriers take PoCL's compiler long
    for first in range(start, end, BATCH):
        seeds = range(first, min(first + BATCH, end))
        programs = [_program(seed, family, form) for seed in seeds]
        kernels = [p.kernel for p in programs]
        arrays = [random_arrays(k, seed) for k, seed in zip(kernels, seeds) if k is not None]
        for seed, program, inputs, left in zip(seeds, programs, arrays, run_all(programs, arrays)):
            assert program.kernel is not None
            expected = run(program.kernel, inputs)
            for param in program.params:
                if param.name in expected:
                    wrong = difference(left[param.name], expected[param.name], param.dtype)
                    assert wrong is None, f"{family} {seed}: {param.name}: {wrong}\n{program.source}"


@given(kernels(), st.integers(0, 1 << 32))
def test_no_loop_is_left_to_compilers(kernel: Kernel, seed: int) -> None:
    source = render(kernel, random_schedule(kernel, CPU, seed), CPU).source
    assert source.count("for (") == source.count("kf_for (")
