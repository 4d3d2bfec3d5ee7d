"""Updates written where the old values were: only while nothing else needs them, with the same results."""

from typing import Any
from weakref import ref

import numpy as np
import pytest

from kernelforge import Tensor, graph, jit, met, nn
from kernelforge.kernels.pool import MOST_SPARED
from kernelforge.nn import optim
from kernelforge.replay import capture
from kernelforge.replay.capture import LARGE, Filled
from kernelforge.replay.taking import are_alone

SIZE = 600  # float32 matrices of this size are large enough to save


def test_memory_stays_where_it_was(device: str) -> None:
    w, m = Tensor(np.ones((SIZE, SIZE), np.float32)).realize(), Tensor(np.zeros((SIZE, SIZE), np.float32)).realize()

    @jit
    def step(x: Tensor) -> Tensor:
        m.assign(m * 0.5 + x)
        w.assign(w - m * 0.25)
        return x * 2

    expected_w, expected_m = np.ones((SIZE, SIZE)), np.zeros((SIZE, SIZE))
    places, views = [], []
    for i in range(7):
        if i == 4:
            views.append((Tensor(w), w.numpy()))  # now somebody else needs the old values
        found = step(Tensor([float(i)]))
        expected_m = expected_m * 0.5 + i
        expected_w = expected_w - expected_m * 0.25
        assert found.item() == 2 * i
        np.testing.assert_allclose(w.numpy()[0, :3], expected_w[0, :3], rtol=1e-5)
        assert w._stored is not None and w._stored.memory is not None
        places.append(w._stored.memory.block.serial)
    assert step._entries[0].capture.taken
    assert places[1] == places[2] == places[3]
    assert places[4] != places[3] and places[5] == places[4]
    for view, values in views:
        np.testing.assert_array_equal(view.numpy(), values)


def test_old_values_that_are_returned_stay() -> None:
    w = Tensor(np.ones((SIZE, SIZE), np.float32)).realize()

    @jit
    def step() -> Tensor:
        old = Tensor(w)
        w.assign(w + 1)
        return old

    assert [step()[0, 0].item() for _ in range(4)] == [1, 2, 3, 4]


@pytest.mark.parametrize("hold", [lambda x: x.detach(), lambda x: x * 2, lambda x: x[:1], lambda x: x._stored])
def test_what_holds_values(hold: Any) -> None:
    x = (Tensor(np.ones(2 * MOST_SPARED, np.uint8)) * 2).realize()  # more than plans keep in reserve, which holds it
    assert are_alone([x])
    held = hold(x)
    assert not are_alone([x])
    del held
    assert are_alone([x])


def layers() -> tuple[nn.Module, Tensor]:
    """Three layers whose weights are larger than what passes between them."""
    model = nn.Sequential(nn.Linear(SIZE, SIZE), nn.ReLU(), nn.Linear(SIZE, SIZE), nn.Tanh(), nn.Linear(SIZE, 40))
    return model, Tensor(np.random.default_rng(0).standard_normal((24, SIZE)).astype(np.float32)).realize()


def trained(model: nn.Module, optimizer: optim.Optimizer) -> Any:
    def step(x: Tensor) -> Tensor:
        optimizer.zero_grad()
        loss = model(x).square().mean()
        loss.backward()
        optimizer.step()
        return loss.detach()

    return step


def serial(x: Tensor) -> int:
    assert x._stored is not None and x._stored.memory is not None
    return int(x._stored.memory.block.serial)


@pytest.mark.parametrize("name", ["SGD", "AdamW"])
def test_weights_whose_gradients_are_products_stay_where_they_were(name: str, device: str) -> None:
    """Also those the step still multiplies by after their gradient is known."""
    model, x = layers()
    plain, _ = layers()
    plain.load_state_dict(model.state_dict())
    optimizer, other = (getattr(optim, name)(m.parameters(), lr=0.01) for m in (model, plain))
    step, expected = jit(trained(model, optimizer)), trained(plain, other)
    places = []
    for _ in range(6):
        assert abs(step(x).item() - expected(x).item()) < 1e-5
        places.append([serial(p) for p in model.parameters() if p.ndim == 2 and p.shape[0] == SIZE])
    assert places[3] == places[4] == places[5]
    for p, q in zip(model.parameters(), plain.parameters()):
        np.testing.assert_allclose(p.detach().numpy(), q.detach().numpy(), rtol=1e-3, atol=1e-5)


def test_gradients_that_are_replaced_are_not_kept(device: str) -> None:
    model, x = layers()
    step = jit(trained(model, optim.SGD(model.parameters(), lr=0.01)))
    for _ in range(4):
        step(x).item()
        seen = [ref(p.grad._stored) for p in model.parameters() if p.grad is not None]
        assert seen and all(r() is not None for r in seen)
        step(x).item()
        assert all(r() is None for r in seen)


def test_gradients_somebody_holds_keep_their_values() -> None:
    model, x = layers()
    step = jit(trained(model, optim.SGD(model.parameters(), lr=0.01)))
    weight = next(iter(model.parameters()))
    held: list[tuple[Tensor, Any]] = []
    for i in range(6):
        step(x)
        assert weight.grad is not None
        held.append((weight.grad, weight.grad.numpy()))
        if i == 3:
            weight.grad = held[0][0]  # an old one in its place again
    for gradient, values in held:
        np.testing.assert_array_equal(gradient.numpy(), values)
    assert step._entries[0].replays


def test_gradients_that_are_added_to_are_given() -> None:
    x = Tensor(np.arange(4, dtype=np.float32))
    w = Tensor(np.ones(4, np.float32), requires_grad=True)

    @jit
    def step() -> None:
        (w * x).sum().backward()

    for i in range(5):
        step()
        assert w.grad is not None
        np.testing.assert_array_equal(w.grad.numpy(), np.arange(4) * (i + 1))


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "int8", "bool"])
def test_large_constants_of_one_value_are_that_value(dtype: str) -> None:
    size = LARGE + 3

    @jit
    def captured(x: Tensor) -> Tensor:
        ones = Tensor(np.ones(size, np.float32)).cast(dtype).contiguous()
        steps = Tensor(np.arange(size, dtype=np.int32))
        return ones.cast("float32") * x + Tensor(np.full(size, 0.5, np.float32)) + steps

    for i in range(5):
        found = captured(Tensor([float(i)]))
        np.testing.assert_array_equal(found.numpy(), i + 0.5 + np.arange(size))
        (entry,) = captured._entries
        kinds = {type(x) for x in entry.capture.constants}
        assert (Filled in kinds) == (i == 0)  # all elements from the first replay on


def test_updates_stay_in_place_once_their_plan_is_a_function(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where some results are in new memory: nothing else holds that."""
    monkeypatch.setattr(met, "LEAST_SPARED", 0)
    alone, asked = [], capture.are_alone
    monkeypatch.setattr(capture, "are_alone", lambda tensors: [alone.append(asked(tensors)), alone[-1]][1])
    first, second = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 8, 3, padding=1)
    model = nn.Sequential(first, nn.BatchNorm2d(8), nn.ReLU(), second, nn.BatchNorm2d(8), nn.ReLU())
    x = Tensor(np.random.default_rng(0).standard_normal((4, 3, 8, 8)).astype(np.float32)).realize()
    step = jit(trained(model, optim.AdamW(model.parameters(), lr=0.01)))
    for _ in range(10):
        step(x).item()
    assert len(alone) > 7 and all(alone)


def test_weights_that_are_prepared_stay_where_they_were(monkeypatch: pytest.MonkeyPatch) -> None:
    """A form that weights are brought into is not kept where the weights are overwritten."""
    monkeypatch.setattr(met, "LEAST_SPARED", 0)
    w = Tensor(np.random.default_rng(1).standard_normal((40, 24)).astype(np.float32)).realize()
    before = w.numpy()

    @jit
    def step(x: Tensor) -> Tensor:
        prepared = Tensor._wrap(graph.contiguous(w.transpose(0, 1)._node, "weight"), False)
        loss = (x @ prepared).square().sum()
        w.assign(w * 0.5)
        return loss

    x = np.ones((3, 24), np.float32)
    places = []
    for i in range(6):
        expected = ((x @ (before * 0.5**i).T) ** 2).sum()
        np.testing.assert_allclose(step(Tensor(x)).item(), expected, rtol=1e-4)
        places.append(serial(w))
    assert places[2] == places[3] == places[4] == places[5]
