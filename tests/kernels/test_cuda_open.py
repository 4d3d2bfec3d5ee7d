"""Kernels whose sizes are arguments, on a GPU: launched by the driver of host memory, run by Triton's interpreter."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from codegen.fitting import Formula
from kernelforge import Tensor, realize
from kernelforge.counters import GlobalCounters
from kernelforge.kernels import Device
from kernelforge.kernels.cuda_launch import Compiled, Loaded
from kernelforge.kernels.runtime import Memory
from kernelforge.kernels.triton_compile import Binary
from kernelforge.planning import open_plans
from kernelforge.planning.open_launches import wanted_names
from kernelforge.settings import Context
from tests.fake_cuda import FakeDriver, installed
from tests.forgotten import forget_plans
from tests.kernels.conftest import increment

pytestmark = pytest.mark.skipif(find_spec("triton") is None, reason="triton is not installed")

Made = Callable[[Tensor], Tensor]
WIDTH = 24
SIZES = [(6, 7), (3, 13), (5, 11), (16, 16), (2, 21), (16, 32)]  # batch and sequence; multiples of 16 among them
WEIGHT = np.random.default_rng(7).standard_normal((WIDTH, 40)).astype(np.float32)

FUNCTIONS: dict[str, Made] = {
    "chain": lambda x: (x * 2 + 1).tanh(),
    "all": lambda x: x.sum(),
    "softmax": lambda x: x.softmax(1),
    "triangle": lambda x: x.sum(2).tril().sum(0),
    "product": lambda x: x @ Tensor(WEIGHT),
    "scores": lambda x: (x @ x.transpose(1, 2)).softmax(-1),
    "attention": lambda x: x.scaled_dot_product_attention(x, x, is_causal=True),
    "weight": lambda x: x.reshape(-1, WIDTH).transpose(0, 1) @ x.reshape(-1, WIDTH),
    "norm": lambda x: x.layernorm(),
}


@pytest.fixture
def opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeDriver]:
    """A GPU of host memory whose kernels may take sizes, and no graph that was met before."""
    monkeypatch.setattr(realize, "prints_kernels", lambda: False)
    forget_plans(monkeypatch)
    with installed(FakeDriver(), str(tmp_path)) as fake, Context(DEVICE="CUDA", OPEN=1):
        yield fake


def array(size: tuple[int, int]) -> NDArray:
    return np.random.default_rng(size).standard_normal((*size, WIDTH)).astype(np.float32)


SLOW = ("all", "scores")  # many programs to interpret


@pytest.mark.alone
@pytest.mark.parametrize("name", [pytest.param(f, marks=[pytest.mark.slow] * (f in SLOW)) for f in FUNCTIONS])
def test_all_sizes_share_two_kernels(name: str, opened: FakeDriver) -> None:
    """One for any sizes, one for multiples of 16; the first graph met has its own."""
    made, counts = FUNCTIONS[name], list[int]()
    for size in SIZES:
        before = GlobalCounters.compiled
        found = made(Tensor(array(size), device="CUDA")).numpy()
        counts.append(GlobalCounters.compiled - before)
        with Context(DEVICE="NUMPY", OPEN=0):
            expected = made(Tensor(array(size), device="NUMPY")).numpy()
        np.testing.assert_allclose(found, expected, rtol=2e-3, atol=2e-4, err_msg=str(size))
    assert counts[0] and counts[1] and counts[3] <= counts[1], counts
    assert not counts[2] and not any(counts[4:]), counts


def test_plans_for_several_sizes_take_turns(opened: FakeDriver) -> None:
    """Each has arguments of its own."""
    arrays = [array(size) for size in SIZES[:3]]
    tensors = [Tensor(x, device="CUDA").realize() for x in arrays]
    for _ in range(3):
        found = [(x * 3).relu().numpy() for x in tensors]
        for x, y in zip(arrays, found):
            np.testing.assert_array_equal(y, np.maximum(x * 3, 0))
    ints = [call.values[2:-2] for call in opened.launched if call.function.program.numbers]
    assert len({tuple(numbers) for numbers in ints}) == 2, "one set for each size from the second on"


def test_graphs_take_sizes(opened: FakeDriver) -> None:
    with Context(GRAPHS=1):
        for size in SIZES[:3]:
            x = Tensor(array(size), device="CUDA").realize()
            for _ in range(3):
                y = (x.exp().sum(1) + 1).log().softmax(-1)
                z = (y.max(-1, keepdim=True) - y).sum(0)
                expected = np.log(np.exp(array(size)).sum(1) + 1)
                expected = np.exp(expected) / np.exp(expected).sum(-1, keepdims=True)
                expected = (expected.max(-1, keepdims=True) - expected).sum(0)
                np.testing.assert_allclose(z.numpy(), expected, rtol=1e-3, atol=1e-5)


def test_a_kernel_that_is_refused_is_planned_for_its_size(
    opened: FakeDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    runtime = Device["CUDA"]
    original = runtime.compile

    def compiled(programs):
        if any(program.numbers for program in programs):
            raise open_plans.Unfit
        return original(programs)

    monkeypatch.setattr(runtime, "compile", compiled)
    for size in SIZES[:4]:
        np.testing.assert_allclose((Tensor(array(size), device="CUDA") + 1).numpy(), array(size) + 1)


def test_scratch_is_taken_for_the_sizes_alone(opened: FakeDriver) -> None:
    taken: list[int] = []

    def allocate(nbytes: int) -> Memory:
        taken.append(nbytes)
        return Device["CUDA"].allocate(nbytes)

    program = replace(increment(64, language="triton"), numbers=("n",))
    binary = Binary(b"", "", program.entry, warps=4, shared=0, scratch=256)
    kernel = Compiled(opened, None, program, Loaded(None, binary), allocate)
    assert not taken
    kernel.sized(replace(program, grid=(3,)), (48,))
    assert taken == [3 * 256]


def test_names_that_rows_want_to_be_multiples() -> None:
    n, m = Formula(((1, ("n",)),)), Formula(((1, ("m",)), (16, ())))
    assert wanted_names([n, m]) == ("m", "n")
    assert wanted_names([Formula(((768, ("n",)),))]) == (), "multiples whatever n is"
    assert wanted_names([Formula(((1, ("n",)), (1, ())))]) == (), "no multiples where n is one"
    assert wanted_names([Formula(((3, ("m", "n")),))]) == ("m", "n")
