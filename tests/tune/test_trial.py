"""Trials: equal results pass, wrong ones do not, and sums may differ by their rounding alone."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from codegen.dtypes import dtypes, to_storage
from codegen.generate import generate
from codegen.rewrites.rewrite import prepare
from kernelforge.kernels import Device
from kernelforge.tune.trial import Trial, agrees
from tests.codegen import written_kernels as written
from tests.codegen.random_kernels import random_kernel

FLOATS = [dtypes.float16, dtypes.bfloat16, dtypes.float32, dtypes.float64]


@given(st.integers(2, 3000), st.sampled_from(FLOATS), st.integers(0, 1 << 16))
def test_another_order_of_summation_agrees(size: int, dtype, seed: int) -> None:
    values = np.random.default_rng(seed).standard_normal((size, 8)).astype(dtype.arithmetic.numpy)
    one = np.add.accumulate(values)[-1]
    two = np.add.accumulate(values[::-1])[-1]
    assert agrees(to_storage(two, dtype), to_storage(one, dtype), dtype, size)


@given(st.integers(2, 3000), st.sampled_from(FLOATS[2:]), st.integers(0, 1 << 16))
def test_a_missing_addend_does_not(size: int, dtype, seed: int) -> None:
    values = np.random.default_rng(seed).standard_normal((size, 64)).astype(dtype.numpy)
    assert not agrees(values[1:].sum(0), values.sum(0), dtype, size)


def test_what_is_equal_and_what_is_not() -> None:
    odd = np.array([np.nan, np.inf, -np.inf, 0.0], np.float32)
    assert agrees(odd, odd.copy(), dtypes.float32, 1)
    assert not agrees(np.array([1.0, np.inf, -np.inf, 0.0], np.float32), odd, dtypes.float32, 1)
    assert not agrees(-odd, odd, dtypes.float32, 1)
    assert not agrees(np.array([3]), np.array([4]), dtypes.int64, 1 << 20)


@pytest.mark.parametrize("seed", range(12))
def test_a_trial_repeats(seed: int, numpy_device: None) -> None:
    """Also where the kernel adds to what it finds: each check starts from the same content."""
    runtime = Device["NUMPY"]
    kernel = prepare(random_kernel(seed))
    trial = Trial(runtime, kernel)
    (executable,) = runtime.compile([generate(kernel, runtime.target)])
    assert trial.check(executable) and trial.check(executable)
    assert trial.seconds(executable, 2) > 0
    assert trial.check(executable)


def test_a_wrong_program_is_found(numpy_device: None) -> None:
    runtime = Device["NUMPY"]
    right = prepare(written.kernel("right", (5, 6), written.softmax(written.tensor("x", 5, 6), 6)))
    wrong = prepare(written.kernel("wrong", (5, 6), lambda i, j: written.exp(written.tensor("x", 5, 6)(i, j))))
    trial = Trial(runtime, right)
    executables = runtime.compile([generate(kernel, runtime.target) for kernel in (right, wrong)])
    assert trial.check(executables[0])
    assert not trial.check(executables[1])
