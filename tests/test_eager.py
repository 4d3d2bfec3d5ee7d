"""Operations that run as they are made: a sample of the tests passes with KF_EAGER=1, and nothing waits."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from kernelforge import Context, Tensor, optim
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
