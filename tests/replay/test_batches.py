"""Passes over a DataLoader in captured functions: what the loader says of itself afterwards is what it would have."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from kernelforge import JitError, Tensor, jit
from kernelforge.data import DataLoader

pytestmark = pytest.mark.usefixtures("numpy_device")


def loader_of(count: int = 6, **options: Any) -> DataLoader:
    return DataLoader([np.float32(i) for i in range(count)], batch_size=2, **options)


def step_of(loader: DataLoader, most: int) -> Callable[[Tensor], Tensor]:
    """A function that draws numbers and reads some batches."""

    def step(x: Tensor) -> Tensor:
        total = x + Tensor.rand(1)
        for i, batch in enumerate(loader):
            total = total + batch.sum() * (i + 1)
            if i + 1 == most:
                break
        return total

    return step


def followed(most: int, wrap: Callable[[Any], Any]) -> list[Any]:
    """What a few steps give, where the loader is after each, with whole passes between some."""
    Tensor.manual_seed(7)
    loader, found = loader_of(), list[Any]()
    step = wrap(step_of(loader, most))
    for i in range(6):
        found.append((step(Tensor([1.0])).tolist(), loader.state_dict()))
        other = loader_of()
        other.load_state_dict(loader.state_dict())
        found.append([batch.tolist() for batch in other])
        if i % 2:
            found.append([batch.tolist() for batch in loader])
            Tensor.rand(3)
    return found


@pytest.mark.parametrize("most", [1, 2, 9])
def test_a_pass_that_is_replayed(most: int) -> None:
    made = list[Any]()

    def wrap(function: Any) -> Any:
        made.append(jit(function))
        return made[-1]

    assert followed(most, wrap) == followed(most, lambda function: function)
    assert [entry.replays for entry in made[0]._entries] == [5]


def test_the_state_is_refused_inside() -> None:
    loader = loader_of()

    def step(x: Tensor) -> Tensor:
        next(iter(loader))
        return x * loader.state_dict()["batches"]

    with pytest.raises(JitError, match="asks for the state of a DataLoader"):
        jit(step)(Tensor([1.0]))
