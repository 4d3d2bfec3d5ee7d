"""A rule that was recorded gives what the rule itself gives, to the last bit, and is recorded only where it may be."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from kernelforge import Tensor, optim
from kernelforge.optim.optimizer import Optimizer
from kernelforge.optim.updates import of_arguments_alone
from kernelforge.tensor.registry import pending

MAKERS: dict[str, Callable[[list[Tensor]], Optimizer]] = {
    "SGD": lambda params: optim.SGD(params, 0.1),
    "momentum": lambda params: optim.SGD(params, 0.1, momentum=0.9, dampening=0.2, weight_decay=0.1, maximize=True),
    "LARS": lambda params: optim.LARS(params, 0.1),
    "Lion": lambda params: optim.Lion(params, 0.1, weight_decay=0.1),
    "Adam": lambda params: optim.Adam(params, 0.1, amsgrad=True, weight_decay=0.1),
    "AdamW": lambda params: optim.AdamW([{"params": params[:1]}, {"params": params[1:], "lr": 0.2}], 0.1),
    "NAdam": lambda params: optim.NAdam(params, 0.1),
    "RAdam": lambda params: optim.RAdam(params, 0.1),
    "Adagrad": lambda params: optim.Adagrad(params, 0.1, lr_decay=0.1),
    "RMSprop": lambda params: optim.RMSprop(params, 0.1, momentum=0.5, centered=True),
    "Adafactor": lambda params: optim.Adafactor(params, 0.1),
}


def trained(make: Callable[[list[Tensor]], Optimizer], dtype: str = "float32") -> list[np.ndarray]:
    """Parameters and state after steps, with options that change on the way."""
    values = np.random.default_rng(0).standard_normal((5, 6)).astype(np.float32)
    params = [Tensor(x, dtype=dtype, requires_grad=True) for x in (values, values[0], values[:2] * 2)]
    optimizer = make(params)
    for number in range(6):
        optimizer.zero_grad()
        (params[0] @ params[2].T + params[1].sum()).square().mean().backward()
        if number == 3:
            optimizer.param_groups[0]["lr"] = 0.05
            optimizer.param_groups[0]["weight_decay"] = 0.02
        optimizer.step()
    state = [x for param in params for x in optimizer.state.get(param, {}).values()]
    return [x.numpy() for x in (*params, *state)]


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("name", MAKERS)
def test_a_recorded_rule_gives_what_the_rule_gives(name: str, dtype: str, monkeypatch: pytest.MonkeyPatch) -> None:
    found = trained(MAKERS[name], dtype)
    monkeypatch.setattr(Optimizer, "_spelled", lambda self, taking_part: {})
    wanted = trained(MAKERS[name], dtype)
    assert len(found) == len(wanted) and all(map(np.array_equal, found, wanted))


class Slower(optim.SGD):
    """A rule of a user's that depends on more than its arguments."""

    rate = 1.0

    def _updated(self, options: Any, state: Any, value: Tensor, gradient: Tensor, fresh: bool) -> Tensor:
        self.rate /= 2
        return value - gradient * self.rate


def test_a_rule_that_depends_on_more_than_its_arguments_is_followed_each_time() -> None:
    w = Tensor([8.0, 8.0], requires_grad=True)
    optimizer = Slower([w], 0.1)
    for wanted in (7.5, 7.25, 7.125):
        w.grad = Tensor([1.0, 1.0])
        optimizer.step()
        assert w.tolist() == [wanted] * 2

    class Guessing(optim.SGD):
        """Marked, but it gives what is made of something else, so it is followed itself all the same."""

        given: Tensor

        @of_arguments_alone
        def _updated(self, options: Any, state: Any, value: Tensor, gradient: Tensor, fresh: bool) -> Tensor:
            return value - self.given

    guessing = Guessing([w], 0.1)
    for change in ([1.0, 2.0], [4.0, 4.0]):
        before, Guessing.given, w.grad = w.numpy(), Tensor(change).realize(), Tensor([1.0, 1.0])
        guessing.step()
        assert w.tolist() == list(before - np.array(change))


def test_recording_leaves_nothing_to_compute_and_views_follow() -> None:
    w = Tensor(np.ones((2, 3), np.float32), requires_grad=True)
    view, history = w.detach()[1], w.detach()
    optimizer = optim.Adam([w], 0.5)
    for number in range(3):
        w.grad = Tensor(np.full((2, 3), number + 1.0, np.float32))
        optimizer.step()
        assert not pending
        np.testing.assert_array_equal(view.numpy(), w.numpy()[1])
        np.testing.assert_array_equal(history.numpy(), w.numpy())
    assert w.requires_grad and w.is_leaf
    (w * 2).sum().backward()
    assert w.grad is not None


@pytest.mark.parametrize("name", MAKERS)
def test_a_parameter_that_begins_later_leaves_the_others_alone(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def values() -> list[np.ndarray]:
        numbers = np.random.default_rng(0)
        params = [Tensor(numbers.random(shape), dtype="float32", requires_grad=True) for shape in ((2, 3), (4,), ())]
        optimizer = MAKERS[name](params)
        for number in range(5):
            for place, param in enumerate(params):
                gradient = numbers.standard_normal(param.shape).astype(np.float32)
                param.grad = None if number < 2 * place else Tensor(gradient)
            optimizer.step()
        return [param.numpy() for param in params]

    found = values()
    monkeypatch.setattr(Optimizer, "_spelled", lambda self, taking_part: {})
    assert all(map(np.array_equal, found, values()))


def test_options_of_any_kind_and_rules_that_look_at_values() -> None:
    values = []
    for more in ({}, {"tags": np.arange(2), "names": ((["w"],),), "what": slice(1)}):
        w = Tensor([1.0, 2.0], requires_grad=True)
        optimizer = optim.LARS([{"params": [w], **more}], 0.1)
        for factor in (0.001, 0.002, 0.0):  # a tensor the second time, by whose value the rule goes
            optimizer.param_groups[0]["tcoef"], w.grad = factor, Tensor([1.0, -1.0])
            optimizer.step()
        values.append(w.tolist())
    assert values[0] == values[1] != [1.0, 2.0]
