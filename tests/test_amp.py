"""Mixed precision: types under autocast, training of narrow floats, the scaler and infinite gradients."""

import numpy as np
import pytest

from kernelforge import Tensor, nn, optim
from kernelforge.amp import GradScaler, autocast


@pytest.fixture(autouse=True)
def _interpreted(numpy_device: None) -> None:
    Tensor.manual_seed(0)


@pytest.mark.parametrize("name", ["float16", "bfloat16"])
def test_products_are_narrow_and_sensitive_functions_wide(name: str) -> None:
    x, image = Tensor.randn(4, 4), Tensor.randn(1, 2, 5, 5)
    with autocast(dtype=name):
        assert str((x @ x).dtype) == str(nn.Linear(4, 2)(x).dtype) == str(nn.Conv2d(2, 3, 3)(image).dtype) == name
        assert str((x @ x).softmax().dtype) == str(nn.functional.mse_loss(x @ x, x @ x).dtype) == "float32"
        assert str((x @ x).relu().dtype) == name and str((x.double() @ x.double()).dtype) == "float64"
        with autocast(enabled=False):
            assert str((x @ x).dtype) == "float32"
    assert str((x @ x).dtype) == "float32"


def test_training_in_float16_follows_float32() -> None:
    x, y = Tensor.randn(16, 4), Tensor.randint(16, high=3)
    losses = []
    for narrow in (False, True):
        Tensor.manual_seed(1)
        model = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 3))
        optimizer, scaler = optim.Adam(model.parameters(), 0.05), GradScaler(enabled=narrow)
        for _ in range(8):
            optimizer.zero_grad()
            with autocast(dtype="float16", enabled=narrow):
                loss = nn.functional.cross_entropy(model(x), y)
            scaler.scale(loss).backward()
            scaler.step(optimizer)
            scaler.update()
        losses.append(loss.item())
        assert str(model[0].weight.dtype) == "float32"
    assert losses[1] == pytest.approx(losses[0], rel=0.02)


def test_infinite_gradients_are_no_step() -> None:
    x = Tensor([1.0], requires_grad=True)
    optimizer, scaler = optim.SGD([x], 1.0), GradScaler(init_scale=8.0, growth_interval=2)
    x.grad = Tensor([np.inf])
    scaler.step(optimizer)
    scaler.update()
    assert x.item() == 1.0 and scaler.get_scale() == 4.0
    for expected in (4.0, 8.0):
        x.grad = Tensor([2.0])
        scaler.unscale_(optimizer)
        assert x.grad.item() == pytest.approx(0.5)
        with pytest.raises(RuntimeError, match="already"):
            scaler.unscale_(optimizer)
        scaler.step(optimizer)
        scaler.update()
        assert scaler.get_scale() == expected
    other = GradScaler()
    other.load_state_dict(scaler.state_dict())
    assert other.state_dict() == scaler.state_dict()


@pytest.mark.parametrize("name", ["", "float16", "bfloat16"])
@pytest.mark.parametrize("pieces", [1, 2, 4])
def test_gradients_of_pieces_add_up_to_those_of_the_whole(name: str, pieces: int) -> None:
    x, y = Tensor.randn(16, 4), Tensor.randint(16, high=3)
    found = []
    for count in (1, pieces):
        Tensor.manual_seed(1)
        model = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 3))
        optimizer, scaler = optim.SGD(model.parameters(), 0.1, momentum=0.9), GradScaler(enabled=name == "float16")
        for _ in range(3):
            optimizer.zero_grad()
            for rows in range(0, 16, 16 // count):
                part = slice(rows, rows + 16 // count)
                with autocast(dtype=name or "bfloat16", enabled=bool(name)):
                    loss = nn.functional.cross_entropy(model(x[part]), y[part]) / count
                scaler.scale(loss).backward()
            scaler.step(optimizer)
            scaler.update()
        found.append([weight.numpy() for weight in model.parameters()])
    for whole, added in zip(*found, strict=True):
        np.testing.assert_allclose(added, whole, rtol=0, atol=1e-6 if not name else 2e-3)


def test_an_infinite_piece_is_no_step() -> None:
    """One piece of an accumulated gradient overflows: the step is left out and the scale halved, then all goes on."""
    x = Tensor([1.0], requires_grad=True)
    optimizer, scaler = optim.SGD([x], 1.0), GradScaler(init_scale=8.0)
    for values, expected in (((1.0, np.inf), 1.0), ((1.0, 2.0), -2.0)):
        optimizer.zero_grad()
        for value in values:
            scaler.scale((x * value).sum()).backward()
        scaler.step(optimizer)
        scaler.update()
        assert x.item() == expected
    assert scaler.get_scale() == 4.0
