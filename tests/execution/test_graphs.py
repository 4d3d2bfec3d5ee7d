"""Plans as CUDA graphs, on a driver of host memory: the same results, from the second run on with one call."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from kernelforge import Context, Tensor, nn, optim
from kernelforge.execution import graphs
from kernelforge.realize import synchronize
from tests.fake_cuda import FakeDriver, installed


@pytest.fixture
def cuda(tmp_path: Path) -> Iterator[FakeDriver]:
    """A driver of host memory."""
    with installed(FakeDriver(), str(tmp_path)) as fake:
        yield fake
        graphs._known.clear()


def losses(steps: int = 6) -> list[float]:
    """Of a small network that is trained."""
    model = nn.Sequential(nn.Linear(6, 16), nn.Tanh(), nn.Linear(16, 3))
    for seed, parameter in enumerate(model.parameters()):
        values = np.random.default_rng(seed).standard_normal(parameter.shape).astype(np.float32)
        parameter.assign(Tensor(values / 4))
    adam = optim.Adam(model.parameters(), lr=0.05)
    random, found = np.random.default_rng(9), []
    for _ in range(steps):
        x = Tensor(random.standard_normal((8, 6)).astype(np.float32))
        adam.zero_grad()
        loss = model(x).cross_entropy(Tensor(np.arange(8, dtype=np.int32) % 3))
        loss.backward()
        adam.step()
        found.append(float(loss.item()))
    return found


def test_training_is_the_same_in_graphs(cuda: FakeDriver) -> None:
    with Context(DEVICE="CUDA"):
        expected = losses()
        assert "cuGraphLaunch" not in cuda.calls
        with Context(GRAPHS=1):
            assert losses() == pytest.approx(expected, rel=1e-6)
    assert cuda.calls.count("cuGraphLaunch") >= 4 and cuda.calls.count("cuGraphInstantiate") <= 2


def test_faults_are_found_in_graphs(cuda: FakeDriver) -> None:
    table = np.arange(12, dtype=np.float32).reshape(4, 3)
    with Context(DEVICE="CUDA", GRAPHS=1):
        for number, index in enumerate(([0, 1], [3, 2], [1, 7])):
            rows = Tensor(table)[Tensor(np.array(index, np.int32))]
            norms = [rows.softmax(axis).contiguous() for axis in (0, 1)]
            Tensor.realize(rows.contiguous(), *norms, (rows @ rows.transpose(0, 1)).softmax(0))
            if number < 2:
                synchronize()
        assert "cuGraphLaunch" in cuda.calls
        with pytest.raises(IndexError, match="0 <= index < 4"):
            synchronize()


def test_graphs_in_excess_are_closed(cuda: FakeDriver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graphs, "MOST", 1)
    with Context(DEVICE="CUDA", GRAPHS=1):
        for size in (4, 4, 5, 5):
            x = Tensor(np.ones((size, size), np.float32))
            assert (x @ x @ x).softmax(1).sum().item() == pytest.approx(size)
    assert len(graphs._known) == 1 and cuda.calls.count("cuGraphExecDestroy") == 1
