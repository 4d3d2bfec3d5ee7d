"""Modules that are changed between calls of a captured function: their arguments, parts and tensors."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from kernelforge import Tensor, jit, nn
from tests.replay.footguns.twins import Wrap, tensor, told

pytestmark = pytest.mark.usefixtures("numpy_device")

ARGUMENTS: dict[str, tuple[Callable[[], nn.Module], str, Any]] = {
    "Dropout.p": (lambda: nn.Dropout(0.5), "p", 0.9),
    "LeakyReLU.negative_slope": (lambda: nn.LeakyReLU(0.5), "negative_slope", 0.25),
    "ELU.alpha": (nn.ELU, "alpha", 3.0),
    "Hardtanh.max_val": (nn.Hardtanh, "max_val", 0.5),
    "Softmax.dim": (lambda: nn.Softmax(0), "dim", 1),
    "Threshold.value": (lambda: nn.Threshold(0.5, 2.0), "value", 7.0),
    "AvgPool1d.kernel_size": (lambda: nn.AvgPool1d(2, 1), "kernel_size", 1),
    "BatchNorm1d.momentum": (lambda: nn.BatchNorm1d(2), "momentum", 0.5),
    "LayerNorm.eps": (lambda: nn.LayerNorm(2), "eps", 1.0),
    "Linear.bias": (lambda: nn.Linear(2, 2), "bias", None),
    "GroupNorm.num_groups": (lambda: nn.GroupNorm(2, 2), "num_groups", 1),
}


@pytest.mark.parametrize("name", ARGUMENTS)
@pytest.mark.parametrize("inside", [False, True])
def test_an_argument_of_a_module(name: str, inside: bool) -> None:
    make, attribute, other = ARGUMENTS[name]

    def story(wrap: Wrap) -> Iterator[Any]:
        Tensor.manual_seed(1)
        layer = make()
        module = nn.Sequential(nn.Identity(), layer) if inside else layer
        function, x = wrap(module), Tensor(np.linspace(-1, 2, 4, dtype=np.float32).reshape(2, 2))
        before = getattr(layer, attribute)
        for value in (before, before, other, other, before):
            setattr(layer, attribute, value)
            Tensor.manual_seed(2)
            yield function(x)
        yield list(layer.buffers())

    (captured,) = told(story)
    assert len(captured._entries) == 2 and sum(entry.replays for entry in captured._entries) == 3


@pytest.mark.parametrize("loss", [nn.CrossEntropyLoss(), nn.MSELoss(), nn.HuberLoss()])
def test_an_argument_of_a_loss(loss: nn.Module) -> None:
    changes = {"label_smoothing": 0.5, "delta": 0.1, "reduction": "sum"}

    def story(wrap: Wrap) -> Iterator[Any]:
        function = wrap(loss)
        x, y = tensor(1, 2, 4).reshape(1, 3), tensor(0.5, 0.25, 0.25).reshape(1, 3)
        for name in (name for name in changes if hasattr(loss, name)):
            before = getattr(loss, name)
            for value in (before, before, changes[name], changes[name], before):
                setattr(loss, name, value)
                yield function(x, y)

    told(story)


def test_what_a_trainer_counts_is_no_business_of_its_modules() -> None:
    """Modules look at all of their own attributes, and at nobody else's."""

    class Trainer:
        def __init__(self) -> None:
            self.model = nn.Sequential(nn.Linear(1, 2), nn.Linear(2, 1))
            self.history: list[float] = []
            self.step = jit(self.loss)

        def loss(self, x: Tensor) -> Tensor:
            return self.model(x).square().mean()

    trainer = Trainer()
    for i in range(20):
        trainer.history.append(trainer.step(tensor(i).reshape(1, 1)).item())
    assert len(trainer.step._entries) == 1


def _found(function: Any, x: Tensor) -> list[float]:
    found: list[float] = function(x).tolist()
    return found


METHODS: dict[str, tuple[Callable[[], Callable[[Tensor], Tensor]], Any, str, Any]] = {
    "a method of tensors": (lambda: lambda x: x.relu() + 1, Tensor, "relu", lambda self: self * 7),
    "a property of tensors": (lambda: lambda x: x * x.ndim, Tensor, "ndim", property(lambda self: 5)),
    "a new method of tensors": (lambda: lambda x: x.times() + 1, Tensor, "times", lambda self: self * FACTOR["x"]),
    "a number of all tensors": (lambda: lambda x: x * Tensor.gain, Tensor, "gain", 5.0),  # type: ignore[attr-defined]
    "what a layer does": (nn.ReLU, nn.ReLU, "forward", lambda self, x: x * 7),
    "what a layer in another does": (lambda: nn.Sequential(nn.ReLU()), nn.ReLU, "forward", lambda self, x: x * 7),
    "a number of a class": (lambda: lambda x: x * nn.ReLU.gain, nn.ReLU, "gain", 5.0),  # type: ignore[attr-defined]
}
FACTOR = {"x": 2.0}


@pytest.mark.parametrize("name", METHODS)
def test_a_class_of_this_library_that_users_change(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    make, cls, attribute, other = METHODS[name]
    first = 2.0 if isinstance(other, float) else other
    monkeypatch.setattr(cls, attribute, getattr(cls, attribute, first), raising=False)
    function, x = make(), tensor(1, -2)
    captured = jit(function)
    before = _found(function, x)
    assert _found(captured, x) == _found(captured, x) == before
    assert captured._entries[0].replays == 1
    with monkeypatch.context() as patch:
        patch.setattr(cls, attribute, other)
        patch.setitem(FACTOR, "x", 3.0)
        assert _found(captured, x) == _found(captured, x) == _found(function, x) != before
    assert _found(captured, x) == before
