"""Functions and their captured twins: called with the same arguments they give the same, which is compared."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from kernelforge import Tensor, jit
from kernelforge.replay import Jit


def tensor(*values: float) -> Tensor:
    return Tensor(np.array(values, np.float32))


def values(x: Any) -> Any:
    """A result with arrays for tensors."""
    if isinstance(x, Tensor):
        return x.numpy().tolist(), str(x.dtype)
    if isinstance(x, dict):
        return {key: values(item) for key, item in x.items()}
    if isinstance(x, list | tuple):
        return [values(item) for item in x]
    return values(vars(x)) if hasattr(x, "__dict__") else x


def agrees(make: Callable[[], Callable[..., Any]], calls: list[tuple[Any, ...]], captures: int | None = None) -> None:
    """A function and its captured twin, made anew, give equal results for every call."""
    plain, inner = make(), make()
    captured = jit(inner)
    for args in calls:
        assert values(captured(*args)) == values(plain(*args))
    if captures is not None:
        assert len(captured._entries) == captures


Wrap = Callable[[Callable[..., Any]], Callable[..., Any]]
"""Captures a function, or gives the function itself."""
Story = Callable[[Wrap], Iterator[Any]]
"""What a program sees that calls a function time and again while things change."""


def told(story: Story) -> list[Jit[..., Any]]:
    """A program sees the same whether its functions are captured or not; these."""
    made: list[Jit[..., Any]] = []

    def wrap(function: Callable[..., Any]) -> Callable[..., Any]:
        made.append(jit(function))
        return made[-1]

    expected = [values(x) for x in story(lambda function: function)]
    assert [values(x) for x in story(wrap)] == expected
    return made
