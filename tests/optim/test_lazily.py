"""Steps on gradients that are not computed yet: made again without the rule, they give what the rule gives, to the
last bit, whatever happens between them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kernelforge import Tensor, nn, no_grad, optim, realize
from kernelforge.errors import PlaceError
from kernelforge.optim.lazily import Steps
from kernelforge.optim.optimizer import Optimizer
from tests.optim.test_updates import MAKERS
from tests.optim.test_updates import trained as updated

ROUNDS = 9


def model() -> nn.Sequential:
    random = np.random.default_rng(1)
    layers = nn.Sequential(nn.Linear(6, 3), nn.BatchNorm1d(3))
    for tensor in layers.parameters():
        with no_grad():
            tensor.assign(Tensor(random.standard_normal(tensor.shape).astype(np.float32)))
    return layers


def trained(make: Callable[[list[Tensor]], Optimizer], between: Callable[[int, Any, Optimizer], object]) -> list[Any]:
    """Losses, parameters, buffers and state of steps between which something happens."""
    random, layers, found = np.random.default_rng(0), model(), []
    optimizer = make(list(layers.parameters()))
    for number in range(ROUNDS):
        x, labels = random.standard_normal((4, 6)).astype(np.float32), random.integers(0, 3, 4)
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(layers(Tensor(x)), Tensor(labels))
        loss.backward()
        between(number, layers, optimizer)
        optimizer.step()
        found.append(loss)
    state = [x for tensor in layers.parameters() for x in optimizer.state.get(tensor, {}).values()]
    return [x.numpy() for x in (*found, *layers.state_dict().values(), *state)]


def nothing(number: int, layers: Any, optimizer: Optimizer) -> None:
    """Steps one after another."""


def rates(number: int, layers: Any, optimizer: Optimizer) -> None:
    optimizer.param_groups[0]["lr"] = 0.1 / (1 + number // 3)


def decays(number: int, layers: Any, optimizer: Optimizer) -> None:
    if "weight_decay" in optimizer.param_groups[0]:
        optimizer.param_groups[0]["weight_decay"] = 0.1 * (number // 5)


def absent(number: int, layers: Any, optimizer: Optimizer) -> None:
    if number % 4 == 2:
        layers[0].bias.grad = None


def looks(number: int, layers: Any, optimizer: Optimizer) -> None:
    if number % 3 == 1:
        layers[1].weight.grad.numpy()


def clips(number: int, layers: Any, optimizer: Optimizer) -> None:
    if number >= 5:
        nn.utils.clip_grad_norm_(list(layers.parameters()), 0.5)


def saves(number: int, layers: Any, optimizer: Optimizer) -> None:
    if number == 6:
        optimizer.load_state_dict(optimizer.state_dict())


def changes(number: int, layers: Any, optimizer: Optimizer) -> None:
    if number in (4, 7):
        with no_grad():
            layers[0].weight.mul_(0.5)


HAPPENINGS = [nothing, rates, decays, absent, looks, clips, saves, changes]


def counted(monkeypatch: pytest.MonkeyPatch) -> list[Optimizer]:
    """Gets each optimiser whose rule is followed, each time."""
    followed: list[Optimizer] = []
    first = Optimizer._first

    def follow(self: Optimizer, *args: Any, **kwargs: Any) -> Any:
        followed.append(self)
        return first(self, *args, **kwargs)

    monkeypatch.setattr(Optimizer, "_first", follow)
    return followed


@pytest.mark.parametrize("between", HAPPENINGS)
def test_steps_give_what_the_rule_gives(between: Callable[..., object], monkeypatch: pytest.MonkeyPatch) -> None:
    followed = counted(monkeypatch)
    found = trained(MAKERS["AdamW"], between)
    assert len(followed) < ROUNDS
    monkeypatch.setattr(Steps, "seen", lambda self, key, changed, read: None)
    wanted = trained(MAKERS["AdamW"], between)
    assert len(found) == len(wanted) and all(map(np.array_equal, found, wanted))


@pytest.mark.parametrize("name", MAKERS)
def test_all_rules_made_again(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    found = updated(MAKERS[name])
    monkeypatch.setattr(Steps, "seen", lambda self, key, changed, read: None)
    assert all(map(np.array_equal, found, updated(MAKERS[name])))


def test_a_step_met_before_follows_no_rule(monkeypatch: pytest.MonkeyPatch) -> None:
    followed = counted(monkeypatch)
    trained(MAKERS["AdamW"], nothing)
    assert len(followed) <= 3


def test_views_of_parameters_show_their_new_values() -> None:
    w = Tensor(np.arange(6, dtype=np.float32).reshape(2, 3), requires_grad=True)
    optimizer = optim.SGD([w], 1.0)
    row = w.detach()[1]
    for number in range(1, 6):
        optimizer.zero_grad()
        (w * 2).sum().backward()
        optimizer.step()
        assert row.tolist() == [3 - 2 * number, 4 - 2 * number, 5 - 2 * number]
        if number == 3:
            row = w.detach()[1]


def test_what_waits_is_computed_with_a_step() -> None:
    w, average = Tensor([1.0, 2.0], requires_grad=True), Tensor([0.0, 0.0]).realize()
    optimizer = optim.SGD([w], 0.5)
    for number in range(5):
        optimizer.zero_grad()
        (w * w).sum().backward()
        average += 1
        optimizer.step()
        assert average._stored is not None and average.tolist() == [number + 1] * 2
        assert np.allclose(w.numpy(), 0)
        with no_grad():
            w.assign(Tensor([1.0, 2.0]))


def test_values_from_before_a_step_stay() -> None:
    w = Tensor([1.0, 2.0], requires_grad=True)
    optimizer, before = optim.AdamW([w], 0.1), []
    for _ in range(6):
        optimizer.zero_grad()
        (w * w).sum().backward()
        assert w.grad is not None
        before.append((w.detach() * 1, w.numpy(), w.grad, 2 * w.numpy()))
        optimizer.step()
    for lazily, value, gradient, wanted in before:
        assert np.array_equal(lazily.numpy(), value) and np.array_equal(gradient.numpy(), wanted)


def test_another_optimiser_of_the_same_tensors() -> None:
    w = Tensor([4.0], requires_grad=True)
    steps = [optim.SGD([w], 0.5), optim.SGD([w], 0.25)]
    for number in range(8):
        for optimizer in steps:
            optimizer.zero_grad()
            (w * w / 2).sum().backward()
            optimizer.step()
        assert np.allclose(w.numpy(), 4 * (0.5 * 0.75) ** (number + 1), rtol=1e-5)


def test_an_index_out_of_range_is_told_with_the_line_of_its_step() -> None:
    w = Tensor(np.ones((3, 2), np.float32), requires_grad=True)
    optimizer = optim.SGD([w], 0.1)

    def step(places: list[int], elsewhere: bool) -> None:
        optimizer.zero_grad()
        index = Tensor(places)
        if elsewhere:
            rows = w[index]  # here
        else:
            rows = w[index]
        rows.sum().backward()
        optimizer.step()

    for _ in range(5):
        step([0, 2], False)
    w.numpy()
    step([0, 3], True)
    with pytest.raises(PlaceError) as caught:
        w.numpy()
    text = Path(__file__).read_text().splitlines()
    line = next(number for number, row in enumerate(text, 1) if row.endswith("# here"))
    assert f":{line}" in str(caught.value) or f"line {line}" in str(caught.value)
    w.numpy()
    step([0, 1], False)
    assert w.numpy().shape == (3, 2)


def test_what_is_known_of_a_step_holds_nothing_that_may_be_overwritten(monkeypatch: pytest.MonkeyPatch) -> None:
    found: list[int] = []
    asked = realize.dying
    monkeypatch.setattr(realize, "dying", lambda *given: [dying := asked(*given), found.append(len(dying))][0])
    layers = nn.Sequential(nn.Linear(600, 600), nn.Tanh(), nn.Linear(600, 600))
    optimizer = optim.AdamW(layers.parameters(), lr=0.01)
    x = Tensor(np.ones((4, 600), np.float32)).realize()
    for _ in range(3):
        found.clear()
        optimizer.zero_grad()
        loss = layers(x).square().mean()
        loss.backward()
        optimizer.step()
        loss.item()
    assert max(found) > 2
