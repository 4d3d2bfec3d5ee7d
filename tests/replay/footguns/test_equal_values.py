"""Arguments and places whose values equal each other and are not the same, told apart by what the function does."""

from __future__ import annotations

import collections
import enum
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from kernelforge import Tensor, jit


class Level(enum.IntEnum):
    LOW = 1


Point = collections.namedtuple("Point", "a b")
ALIKE: list[list[Any]] = [
    [1, True, 1.0, 1 + 0j, Level.LOW, np.int64(1), np.float32(1), np.bool_(True)],
    [0.0, -0.0, 0, False],
    [(0.0,), (-0.0,), (0,), (False,)],
    [(1, 2), Point(1, 2), [1, 2], (1.0, 2.0)],
    [{1: 2}, {True: 2}, {1.0: 2}, {1: 2.0}],
    [{"a": 1, "b": 2}, {"b": 2, "a": 1}],
    [frozenset((1,)), frozenset((True,)), {1}, {1.0}],
    [10**30, 10**30 + 1, 1e30],
    [float("nan"), -float("nan"), float("inf")],
    [None, ..., "None", b"None"],
    [slice(0, 2), slice(0, 2, 1), slice(0, 2, None), range(2), range(0, 2, 1)],
]


def told(value: Any) -> float:
    """A number that says which value it was."""
    return float(sum(map(ord, f"{type(value).__name__} {value!r}")))


def alike(call: Callable[[Callable[[Tensor, Any], Tensor], Any], Tensor], values: list[Any]) -> None:
    captured = jit(lambda x, value: x + told(value))
    for value in (*values, *reversed(values)):
        assert call(captured, value).tolist() == [1 + told(value)]


@pytest.mark.parametrize("values", ALIKE, ids=repr)
def test_as_arguments(values: list[Any]) -> None:
    alike(lambda captured, value: captured(Tensor([1.0]), value), values)
    alike(lambda captured, value: captured(Tensor([1.0]), value=value), values)


@pytest.mark.parametrize("values", ALIKE, ids=repr)
def test_in_places(values: list[Any]) -> None:
    box = [values[0]]
    captured = jit(lambda x: x + told(box[0]))
    for value in (*values, *reversed(values)):
        box[0] = value
        assert captured(Tensor([1.0])).tolist() == [1 + told(value)]
