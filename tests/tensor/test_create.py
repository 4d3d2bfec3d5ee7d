"""Constants that are made again: the same nodes, types and errors as those made first, and memory of their own."""

from __future__ import annotations

from collections.abc import Callable
from inspect import signature
from typing import Any

import numpy as np
import pytest

import kernelforge
from codegen.dtypes import dtypes
from kernelforge import Device, Tensor
from kernelforge.errors import ArgumentError, ShapeError
from kernelforge.graph import toposort

MADE: dict[str, Callable[[], Tensor]] = {
    "zeros": lambda: Tensor.zeros(3, 2),
    "ones of a type": lambda: Tensor.ones((3, 2), dtype="int64"),
    "full": lambda: Tensor.full((2, 2), 1.5),
    "arange": lambda: Tensor.arange(1, 8, 2),
    "linspace": lambda: Tensor.linspace(0, 1, 5),
    "eye": lambda: Tensor.eye(3, dtype=dtypes.float64),
    "by name": lambda: kernelforge.zeros(size=(2, 3)),
}


@pytest.mark.parametrize("name", MADE)
def test_what_is_made_again_is_the_same(name: str) -> None:
    first = MADE[name]()
    again = MADE[name]()
    assert first._node is again._node and first is not again
    for _ in range(3):
        np.testing.assert_array_equal(MADE[name]().numpy(), first.numpy())


def test_arguments_that_are_equal_and_not_the_same() -> None:
    for _ in range(3):
        kinds = [Tensor.full((2,), value).dtype for value in (1, 1.0, True)]
        assert kinds == [dtypes.int32, dtypes.float32, dtypes.bool]
        assert [bool(np.signbit(Tensor.full((1,), value).numpy()[0])) for value in (0.0, -0.0)] == [False, True]
        assert Tensor.arange(3).dtype is dtypes.int32 and Tensor.arange(3.0).dtype is dtypes.float32


def test_the_default_types_count(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Tensor.zeros(2).dtype is dtypes.float32
    monkeypatch.setattr(dtypes, "default_float", dtypes.float64)
    assert Tensor.zeros(2).dtype is dtypes.float64 and Tensor.linspace(0, 1, 3).dtype is dtypes.float64


def test_leaves_are_their_own() -> None:
    a, b = (Tensor.zeros(2, requires_grad=True) for _ in range(2))
    (a * 2 + b).sum().backward()
    assert a.grad is not None and b.grad is not None and a._node is not b._node
    assert a.grad.tolist() == [2, 2] and b.grad.tolist() == [1, 1]


def test_errors_are_told_each_time() -> None:
    for _ in range(2):
        with pytest.raises(ShapeError):
            Tensor.zeros(2, -1)
        with pytest.raises(ArgumentError):
            Tensor.arange(0, 1, 0)


def test_other_classes_and_devices() -> None:
    class Own(Tensor):
        pass

    for _ in range(2):
        assert type(Own.ones(2)) is Own and type(Tensor.ones(2)) is Tensor
        assert Tensor.ones(2, device="NUMPY").device == "NUMPY" and Tensor.ones(2).device == Device.DEFAULT
    assert list(signature(Tensor.eye).parameters)[:2] == ["n", "m"]


def test_values_that_are_computed_are_changed_alone() -> None:
    (Tensor([1.0]).realize() + 1).realize()
    tensors = [Tensor.zeros(5).realize() for _ in range(4)]
    tensors[1] += 1
    tensors[2].fill_(3).realize()
    tensors[3][0] = 7
    assert [x.tolist() for x in tensors] == [[0] * 5, [1] * 5, [3] * 5, [7, 0, 0, 0, 0]]
    again = Tensor.zeros(5).realize()
    array = again.numpy()
    array += 1
    assert again.tolist() == [0] * 5 and Tensor.zeros(5).realize().tolist() == [0] * 5


def test_what_is_made_again_keeps_no_memory() -> None:
    for _ in range(12):
        assert Tensor.arange(347).realize().tolist() == list(range(347))
        assert Tensor.eye(347).realize().shape == (347, 347)
    assert Tensor.eye(347)._node.src and not [x for x in toposort([Tensor.eye(347)._node]) if x.realized is not None]


@pytest.mark.parametrize(
    "numbers",
    [(0, 2, np.float32(0.5)), (np.float16(2.5),), (np.uint8(5), np.uint8(2), np.int8(-1)), (np.int64(1), np.int16(4))],
)
def test_scalars_of_numpy_are_numbers(numbers: tuple[Any, ...]) -> None:
    plain = [number.item() if isinstance(number, np.generic) else number for number in numbers]
    found, wanted = Tensor.arange(*numbers), Tensor.arange(*plain)
    assert found.dtype is wanted.dtype and found.tolist() == wanted.tolist() == np.arange(*plain).tolist()
    assert Tensor.linspace(np.uint8(5), np.uint8(2), 4).tolist() == [5, 4, 3, 2]
