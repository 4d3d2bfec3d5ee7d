"""Modes captured functions are called in, and ways they go by the values of tensors."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from kernelforge import Context, JitError, Tensor, jit, nn
from kernelforge.replay import TinyJit
from tests.replay.footguns.twins import agrees, tensor

pytestmark = pytest.mark.usefixtures("numpy_device")


def test_training_mode() -> None:
    layer = nn.Dropout(0.5)
    captured = jit(layer)
    x = Tensor.ones(100)
    with Tensor.train():
        assert set(captured(x).tolist()) == {0.0, 2.0}
    assert set(captured(x).tolist()) == {1.0}
    layer.train()
    assert set(captured(x).tolist()) == {0.0, 2.0}
    layer.eval()
    assert set(captured(x).tolist()) == {1.0}


def test_a_branch_on_a_value() -> None:
    def make() -> Callable[..., Any]:
        return lambda x: x * 2 if x.sum() > 0 else x - 1

    agrees(make, [(tensor(v),) for v in (1, -1, 2, -2, 3)], captures=2)


def test_a_value_that_always_differs_is_named() -> None:
    captured = jit(lambda x: x * x.sum().item())
    with pytest.raises(JitError, match=r"a value read in .*test_branches.py, line \d+ was"):
        for i in range(20):
            assert captured(tensor(i)).item() == i * i


def test_a_loop_until_a_value_is_small() -> None:
    def make() -> Callable[..., Any]:
        def halved(x: Tensor) -> Tensor:
            while x.max() > 1:
                x = x / 2
            return x

        return halved

    agrees(make, [(tensor(v),) for v in (5, 9, 0.5, 7, 10)], captures=4 - 1)


def test_a_method_of_two_objects() -> None:
    class Model:
        def __init__(self, scale: float) -> None:
            self.weight = tensor(scale)

        @TinyJit
        def __call__(self, x: Tensor) -> Tensor:
            return x * self.weight

    first, second = Model(2), Model(3)
    for _ in range(3):
        assert (first(tensor(1)).item(), second(tensor(1)).item()) == (2, 3)


def test_an_object_as_argument() -> None:
    captured = jit(lambda model, x: model.weight * x)
    first, second = SimpleNamespace(weight=tensor(2)), SimpleNamespace(weight=tensor(3))
    for _ in range(3):
        assert (captured(first, tensor(1)).item(), captured(second, tensor(1)).item()) == (2, 3)
    first.weight.assign(tensor(9))
    assert captured(first, tensor(1)).item() == 9


def test_settings() -> None:
    captured = jit(lambda x: x * (2 if Tensor.training else 3))
    assert captured(tensor(1)).item() == 3
    with Context(TRAINING=1):
        assert captured(tensor(1)).item() == 2
    with Context(JIT=0):
        assert captured(tensor(1)).item() == 3
