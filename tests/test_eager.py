"""Operations that run as they are made: a sample of the tests passes with KF_EAGER=1, and nothing waits."""

import os
import subprocess
import sys
from collections.abc import Callable
from inspect import isfunction, signature
from pathlib import Path

import numpy as np
import pytest

from kernelforge import Context, Tensor, optim
from kernelforge.counters import GlobalCounters
from kernelforge.errors import ArgumentError
from kernelforge.nn import functional as F
from kernelforge.tensor.pressure import PATIENCE

ROOT = Path(__file__).parent.parent
SAMPLE = ["tests/tensor/test_inplace.py", "tests/tensor/test_autograd.py"]


@pytest.mark.parametrize("file", SAMPLE)
def test_a_sample_of_the_tests(file: str) -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-x", "--cases", "3", file]
    done = subprocess.run(command, cwd=ROOT, env={**os.environ, "KF_EAGER": "1"}, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:]


@pytest.mark.usefixtures("numpy_device")
def test_nothing_waits() -> None:
    with Context(EAGER=1):
        x = Tensor([1.0, 2.0]) * 3
        assert x._node.realized is not None
        assert (x.softmax() + x[:1]).reshape(2, 1)._stored is not None
        x[0] = 5
        assert x._stored is not None and x.tolist() == [5, 6]


@pytest.mark.usefixtures("numpy_device")
def test_histories_are_bounded() -> None:
    with Context(EAGER=1):
        x = Tensor([1.0])
        deepest = 0
        for _ in range(2 * PATIENCE):
            x = x * 0.5
            deepest = max(deepest, x._node.depth)
        assert deepest < 2 * PATIENCE


@pytest.mark.usefixtures("numpy_device")
def test_training_as_ever() -> None:
    def run() -> list[float]:
        w = Tensor(np.array([[0.5, -1.0], [2.0, 0.25]], np.float32)).requires_grad_()
        optimizer, losses = optim.Adam([w], lr=0.1), []
        for i in range(3):
            optimizer.zero_grad()
            loss = (Tensor([[1.0, i + 1.0]]) @ w).tanh().square().sum()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        return [*losses, *w.flatten().tolist()]

    lazy = run()
    with Context(EAGER=1):
        np.testing.assert_allclose(run(), lazy, rtol=1e-5)


def arguments(loss: Callable[..., Tensor]) -> list[Tensor]:
    """Values for a loss, as many as it must have; targets are in no range."""
    needed = [p for p in signature(loss).parameters.values() if p.default is p.empty]
    if loss is F.ctc_loss:
        return [Tensor.zeros(3, 2, 4), *(Tensor([9, 9], dtype="int64") for _ in needed[1:])]
    return [Tensor([[7 + i, 5.0, -3.0, 9.0]] * 4) for i, _ in enumerate(needed)]


@pytest.mark.lazy_only
@pytest.mark.parametrize("name", [name for name, f in vars(F).items() if not name.startswith("_")
                                  and isfunction(f) and "reduction" in signature(f).parameters])  # fmt: skip
def test_a_loss_is_refused_before_anything_is_computed(name: str) -> None:
    """What it would compute may be an error by itself, which would be told of another operation, later."""
    loss: Callable[..., Tensor] = getattr(F, name)
    given = [x.realize() for x in arguments(loss)]
    with Context(EAGER=1):
        before = GlobalCounters.kernel_count
        with pytest.raises(ArgumentError, match="reduction"):
            loss(*given, reduction="abc")
        assert GlobalCounters.kernel_count == before
        Tensor([1.0]).numpy()
