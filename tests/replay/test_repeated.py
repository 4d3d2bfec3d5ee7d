"""Plans done again with arguments that stay: the same results whatever memory they are on, and as many launches."""

import numpy as np
import pytest

from kernelforge import Context, GlobalCounters, Tensor, jit


def test_a_step_of_many_kernels(device: str) -> None:
    def step(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        for _ in range(6):
            x = (x + y.sum()).contiguous()
            y = (y - x.mean()).contiguous()
        return x, y

    captured, rng = jit(step), np.random.default_rng(0)
    held = []
    for i in range(8):
        x, y = (Tensor(rng.normal(size=9).astype(np.float32)) for _ in range(2))
        found, expected = captured(x, y), step(x, y)
        if i % 2:
            held.append(found)  # so that the next results lie elsewhere
        for one, other in zip(found, expected):
            np.testing.assert_allclose(one.numpy(), other.numpy(), rtol=1e-5)


def test_launches_are_counted() -> None:
    captured = jit(lambda x: (x + x.sum()).contiguous().cumsum(0).contiguous().sum())
    counts = []
    for i in range(4):
        before = GlobalCounters.kernel_count
        captured(Tensor(np.arange(50, dtype=np.float32) + i))
        counts.append(GlobalCounters.kernel_count - before)
    assert counts[0] > 1 and len(set(counts)) == 1


def test_one_launch_after_another_is_shown(capfd: pytest.CaptureFixture[str]) -> None:
    captured = jit(lambda x: (x + x.sum()).contiguous().sum())
    for i in range(3):
        captured(Tensor([float(i), 1.0]))
    with Context(DEBUG=2):
        assert captured(Tensor([1.0, 2.0])).item() == 9
    assert "GFLOP/s" in capfd.readouterr().err
