"""Checkpoints: training continues as if it had not stopped, and a bad file is left out."""

import random
from pathlib import Path

import numpy as np
import pytest

from kernelforge import Tensor, nn
from kernelforge.checkpoint import Checkpoints, load_checkpoint, save_checkpoint
from kernelforge.data import DataLoader, TensorDataset
from kernelforge.errors import FileFormatError
from kernelforge.io import safe_save
from kernelforge.nn import optim


@pytest.fixture(autouse=True)
def _interpreted(numpy_device: None) -> None:
    Tensor.manual_seed(3)


class Counter:
    """Something with a state of its own."""

    def __init__(self) -> None:
        self.count = 0

    def state_dict(self) -> dict[str, int]:
        return {"count": self.count}

    def load_state_dict(self, state: dict[str, int]) -> None:
        self.count = state["count"]


class Plain:
    """An object in tinygrad's style: tensors in attributes and lists."""

    def __init__(self, value: float) -> None:
        self.layers = [Tensor([value, value]), Tensor([[value]])]


def draws() -> list:
    return [Tensor.rand(3).tolist(), np.random.rand(), random.random(), Tensor.randperm(5).tolist()]


def test_state_comes_back(tmp_path: Path) -> None:
    model, other, plain, counter = nn.Linear(3, 2), nn.Linear(3, 2), Plain(2.0), Counter()
    counter.count = 7
    save_checkpoint(tmp_path / "x", model=model, plain=plain, counter=counter, step=3, history=[0.5, 0.25])
    again, fresh = Plain(0.0), Counter()
    found = load_checkpoint(tmp_path / "x", model=other, plain=again, counter=fresh)
    assert found == {"step": 3, "history": [0.5, 0.25]} and fresh.count == 7
    assert other.weight.tolist() == model.weight.tolist() and other.bias.tolist() == model.bias.tolist()
    assert [tensor.tolist() for tensor in again.layers] == [[2, 2], [[2]]]


def test_random_numbers_go_on(tmp_path: Path) -> None:
    draws()
    save_checkpoint(tmp_path / "x")
    expected = [draws(), draws()]
    Tensor.manual_seed(99)
    load_checkpoint(tmp_path / "x")
    assert [draws(), draws()] == expected


def test_a_part_that_is_not_there(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "x", step=3)
    with pytest.raises(KeyError, match="holds no model; it holds step"):
        load_checkpoint(tmp_path / "x", model=nn.Linear(1, 1))
    safe_save({"a": np.ones(1)}, tmp_path / "y")
    with pytest.raises(FileFormatError, match="not one written by"):
        load_checkpoint(tmp_path / "y")


def test_a_run_keeps_its_newest_and_leaves_out_what_is_broken(tmp_path: Path) -> None:
    run = Checkpoints(tmp_path / "run", keep=2)
    counter = Counter()
    assert run.resume(counter=counter) == {"step": 0}
    for step in (1, 2, 10):
        counter.count = step
        run.save(step, counter=counter, loss=step / 2)
    assert [path.name for path in run.paths()] == ["step-00000002.ckpt", "step-00000010.ckpt"]
    counter.count = 0
    assert run.resume(counter=counter) == {"step": 10, "loss": 5.0} and counter.count == 10
    run.paths()[-1].write_bytes(run.paths()[-1].read_bytes()[:50])
    with pytest.warns(UserWarning, match="left out: .*step-00000010.ckpt"):
        assert run.resume(counter=counter) == {"step": 2, "loss": 1.0}
    assert counter.count == 2
    with pytest.raises(ValueError, match="keep=0"):
        Checkpoints(tmp_path, keep=0)


def losses(model: nn.Module, optimizer, schedule, loader: DataLoader, steps: int) -> list[float]:
    """The losses of some training steps, pass after pass."""
    found: list[float] = []
    with Tensor.train():
        while len(found) < steps:
            for x, y in loader:
                optimizer.zero_grad()
                loss = (model(x).dropout(0.3) - y).pow(2).mean()
                loss.backward()
                optimizer.step()
                schedule.step()
                found.append(loss.item())
                if len(found) == steps:
                    break
    return found


def training(seed: int) -> dict:
    """Model, optimiser, schedule and loader, all of them with a state."""
    Tensor.manual_seed(seed)
    random = np.random.default_rng(0)
    data = TensorDataset(random.random((20, 4), np.float32), random.random((20, 2), np.float32))
    model = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Linear(8, 2))
    optimizer = optim.Adam(model.parameters(), lr=0.05)
    schedule = optim.StepLR(optimizer, step_size=3, gamma=0.5)
    loader = DataLoader(data, batch_size=4, shuffle=True)
    return {"model": model, "optimizer": optimizer, "schedule": schedule, "loader": loader}


@pytest.mark.parametrize("stop", [3, 5, 7])
def test_training_goes_on_to_the_last_bit(tmp_path: Path, stop: int) -> None:
    whole = losses(**training(1), steps=12)
    parts = training(1)
    begun = losses(**parts, steps=stop)
    save_checkpoint(tmp_path / "x", **parts)
    again = training(2)
    load_checkpoint(tmp_path / "x", **again)
    assert begun + losses(**again, steps=12 - stop) == whole
