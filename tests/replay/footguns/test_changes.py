"""What captured functions change and return, and what becomes of it when they fail or call each other."""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import pytest

from kernelforge import JitError, Tensor, jit
from tests.replay.footguns.twins import agrees, tensor, values

pytestmark = pytest.mark.usefixtures("numpy_device")


def test_a_returned_argument() -> None:
    captured = jit(lambda x, y: (x, y + 1, x))
    for i in range(3):
        x = tensor(i)
        first, _, third = captured(x, tensor(5))
        assert first is x and third is x


def test_an_argument_changed_in_place() -> None:
    def make() -> Callable[..., Any]:
        def step(x: Tensor, y: Tensor) -> Tensor:
            old = x * 1
            x[0] = 7
            x += y
            return old

        return step

    plain, captured = make(), jit(make())
    for i in range(4):
        found = []
        for function in (plain, captured):
            x = tensor(i, i + 1)
            view = x[1:]
            found.append([function(x, tensor(1, 2)).tolist(), x.tolist(), view.tolist()])
        assert found[0] == found[1]


def test_two_tensors_exchanged() -> None:
    a, b = tensor(1), tensor(2)

    @jit
    def swap() -> None:
        old = a * 1
        a.assign(b)
        b.assign(old)

    for i in range(5):
        swap()
        assert (a.item(), b.item()) == ((2, 1) if i % 2 == 0 else (1, 2))


def test_results_stay_after_the_next_call() -> None:
    captured = jit(lambda x: x + 1)
    found = [captured(tensor(i)) for i in range(5)]
    assert [x.item() for x in found] == [1, 2, 3, 4, 5]


def test_structures_returned() -> None:
    class Pair(NamedTuple):
        a: Any
        b: Any

    @dataclass
    class State:
        x: Tensor
        step: int

    def make() -> Callable[..., Any]:
        return lambda x: {"pair": Pair(x + 1, (x, 3)), "state": State(x * 2, 7), "none": None, "list": [x - 1]}

    captured = jit(make())
    for i in range(3):
        found = captured(tensor(i))
        assert type(found["pair"]) is Pair and type(found["state"]) is State
        assert values(found) == values(make()(tensor(i)))


def test_an_unknown_kind_of_result_is_refused() -> None:
    class Box:
        def __init__(self, x: Tensor) -> None:
            self.x = x

    with pytest.raises(JitError, match="returns an object of Box"):
        jit(lambda x: Box(x + 1))(tensor(1))


def test_constants_made_inside() -> None:
    agrees(lambda: lambda x: x * Tensor([1.0, 2.0, 3.0]) + Tensor.arange(3), [(tensor(i, 1, 2),) for i in range(4)], 1)
    agrees(lambda: lambda: (Tensor([1, 2]), Tensor.zeros(2), Tensor.arange(3)), [()] * 3, captures=1)


def test_a_constant_that_is_read_and_returned() -> None:
    def make() -> Callable[..., Any]:
        def function(x: Tensor) -> Any:
            c, one = tensor(1, 2), tensor(5)
            early = (x + c).realize()
            return early * (c * 1).realize(), c.reshape(2, 1).contiguous(), x + one, one.sum(), c.detach() * 1

        return function

    agrees(make, [(tensor(i, 1),) for i in range(4)], captures=1)


def test_a_tensor_replaced_together_with_a_number() -> None:
    places = {"x": tensor(1), "n": 2.0}
    captured = jit(lambda: places["x"] * places["n"])
    first, second, found = places["x"], tensor(10), []
    for x, n in ((first, 2.0), (first, 2.0), (second, 3.0), (first, 2.0), (second, 2.0), (first, 3.0)):
        places.update(x=x, n=n)
        found.append(captured().item())
    assert found == [2, 2, 30, 2, 20, 3]


def test_a_constant_result_is_not_shared() -> None:
    captured = jit(lambda x: (x * 2, Tensor([1.0])))
    _, one = captured(tensor(1))
    one += 5
    assert captured(tensor(1))[1].item() == 1


def test_nested() -> None:
    inner = jit(lambda x: x * 2)
    outer = jit(lambda x: inner(x) + inner(x + 1))
    for i in range(3):
        assert outer(tensor(i)).item() == 4 * i + 2
        assert inner(tensor(i)).item() == 2 * i


def test_a_partial_function() -> None:
    captured = jit(functools.partial(lambda scale, x: x * scale, 3))
    assert [captured(tensor(i)).item() for i in range(3)] == [0, 3, 6]


def test_an_error_leaves_everything_as_it_was() -> None:
    total = tensor(0)

    @jit
    def step(x: Tensor) -> Tensor:
        nonlocal total
        if x.shape[0] > 1:
            raise ValueError("too long")
        total.assign(total + x)
        return total * 2

    for i in range(4):
        assert step(tensor(i)).tolist() == [2.0 * sum(range(i + 1))]
        with pytest.raises(ValueError, match="too long"):
            step(tensor(1, 2))
    assert total.tolist() == [6]
