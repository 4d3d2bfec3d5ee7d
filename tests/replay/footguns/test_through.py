"""Gradients through captured functions whose results are what they were given, whole or in another form."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from kernelforge import Tensor, jit

pytestmark = pytest.mark.usefixtures("numpy_device")

FUNCTIONS: list[Callable[[Tensor], Any]] = [
    lambda x: x, lambda x: x.clone(), lambda x: x.contiguous(), lambda x: x * 1, lambda x: x.reshape(4, 1),
    lambda x: x.reshape(2, 2).reshape(4), lambda x: x.reshape(2, 2).T, lambda x: x[1:3], lambda x: x.flip(0),
    lambda x: x.expand(3, 4), lambda x: x.reshape(2, 2).view_as_complex().real,
    lambda x: (x.clone(), x * 2), lambda x: [x.reshape(4), x.reshape(1, 4)],
    lambda x: {"x": x.detach(), "y": x.clone()},
]  # fmt: skip


def tensors(result: Any) -> list[Tensor]:
    if isinstance(result, Tensor):
        return [result]
    return [part for one in (result.values() if isinstance(result, dict) else result) for part in tensors(one)]


def total(result: Any) -> Tensor:
    """A number that depends on each element in its own way."""
    return sum(
        ((part * Tensor(np.arange(1, part.numel() + 1, dtype=np.float32)).reshape(part.shape) ** (i + 1)).sum()
         for i, part in enumerate(tensors(result))),
        start=Tensor(0.0),
    )  # fmt: skip


@pytest.mark.parametrize("number", range(len(FUNCTIONS)))
@pytest.mark.parametrize("of", ["leaf", "computed"])
def test_gradients_are_those_of_the_function(number: int, of: str) -> None:
    function = FUNCTIONS[number]
    captured = jit(function)
    for time in range(3):
        found = []
        for called in (function, captured):
            x = Tensor(np.arange(4, dtype=np.float32) + time, requires_grad=True)
            result = called(x if of == "leaf" else x * 3)
            total(result).backward()
            assert x.grad is not None
            found.append([x.grad.tolist(), [(part.tolist(), part.requires_grad) for part in tensors(result)]])
        assert found[0] == found[1], (time, captured.explain())
    assert [entry.replays for entry in captured._entries] == [2]


@pytest.mark.parametrize("number", range(len(FUNCTIONS)))
def test_a_leaf_it_sees(number: int) -> None:
    x = Tensor(np.arange(4, dtype=np.float32), requires_grad=True)
    function = FUNCTIONS[number]
    captured = jit(lambda scale: [part * scale for part in tensors(function(x))])
    for _ in range(3):
        found = []
        for called in (lambda scale: [part * scale for part in tensors(function(x))], captured):
            x.grad = None
            total(called(Tensor(2.0))).backward()
            assert x.grad is not None
            found.append(x.grad.tolist())
        assert found[0] == found[1]
