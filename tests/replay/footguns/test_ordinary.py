"""Ordinary programs: tensors held in two places, layers made late, results remembered, copies, streams in memory."""

from __future__ import annotations

import collections
import contextlib
import copy
import dataclasses
import functools
import io
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import kernelforge
from kernelforge import Tensor, jit, nn
from tests.replay.footguns.twins import Wrap, tensor, told

pytestmark = pytest.mark.usefixtures("numpy_device")
Held = collections.namedtuple("Held", "tensor")


def _in_an_array(found: Tensor) -> Any:
    made = np.empty(1, object)
    made[0] = found
    return made


FIXED: dict[str, tuple[Callable[[Tensor], Any], Callable[[Any], Tensor]]] = {
    "a tuple": (lambda x: (x,), lambda held: held[0]),
    "a named tuple": (Held, lambda held: held.tensor),
    "a set": (lambda x: {x}, lambda held: next(iter(held))),
    "a frozen set": (lambda x: frozenset((x,)), lambda held: next(iter(held))),
    "a key": (lambda x: {x: 2.0}, lambda held: sum((key * value for key, value in held.items()), tensor(0))),
    "an array of objects": (_in_an_array, lambda held: held[0]),
    "a method": (lambda x: x.sum, lambda held: held()),
    "an argument of a partial": (lambda x: functools.partial(lambda y: y, x), lambda held: held()),
}


@pytest.mark.parametrize("name", FIXED)
def test_a_tensor_in_two_places_of_which_one_gets_another(name: str) -> None:
    hold, take = FIXED[name]

    def story(wrap: Wrap) -> Iterator[Any]:
        first = tensor(1)
        place = SimpleNamespace(tensor=first, held=hold(first))
        function = wrap(lambda: place.tensor + take(place.held) * 10)
        yield function()
        yield function()
        place.tensor = tensor(5)
        yield function()
        first += 1
        yield function()

    told(story)


def test_a_gradient_that_is_in_a_tuple_as_well() -> None:
    def story(wrap: Wrap) -> Iterator[Any]:
        weight = Tensor([1.0, 2.0], requires_grad=True)
        weight.grad = tensor(7, 7)
        held = (weight.grad,)

        def step(x: Tensor) -> Tensor:
            old = held[0].sum()
            weight.grad = None
            (weight * x).sum().backward()
            return old

        function = wrap(step)
        for i in range(4):
            yield function(tensor(i, 1)), weight.grad

    told(story)


@pytest.mark.parametrize("remember", [functools.cache, functools.lru_cache])
def test_tensors_in_what_is_remembered_change(remember: Callable[..., Any]) -> None:
    def story(wrap: Wrap) -> Iterator[Any]:
        @remember
        def table(n: int) -> dict[str, list[Tensor]]:
            return {"all": [Tensor.arange(n).cast("float32")]}

        function = wrap(lambda x: x * table(2)["all"][0])
        yield function(tensor(1, 1))
        for _ in range(2):
            table(2)["all"][0].assign(tensor(3, 4))
            yield function(tensor(1, 1))
            table.cache_clear()
            yield function(tensor(1, 1))

    told(story)


def test_layers_are_made_in_the_first_call() -> None:
    def story(wrap: Wrap) -> Iterator[Any]:
        Tensor.manual_seed(1)
        model, count = nn.Sequential(nn.LazyLinear(3), nn.LazyBatchNorm1d(), nn.LazyLinear(1)), tensor(0)

        def step(x: Tensor) -> Tensor:
            count.assign(count + 1)
            loss = (model(x) ** 2).sum()
            loss.backward()
            return loss

        function = wrap(step)
        for i in range(4):
            yield function(tensor(1, i, 3, 4).reshape(2, 2)), count, [one.grad for one in model.parameters()]

    (captured,) = told(story)
    assert sum(entry.replays for entry in captured._entries) >= 1


def test_layers_that_are_made_late_or_never() -> None:
    def story(wrap: Wrap) -> Iterator[Any]:
        Tensor.manual_seed(1)
        parts = nn.ModuleDict({"a": nn.LazyLinear(2), "b": nn.LazyLinear(1), "c": nn.LazyLinear(1)})
        which = SimpleNamespace(name="a")

        def step(x: Tensor) -> Tensor:
            made: Tensor = parts[which.name](x)
            return made

        function = wrap(step)
        for name in "aaabbbab":
            which.name = name
            yield function(tensor(1, 2))

    (captured,) = told(story)
    assert sum(entry.replays for entry in captured._entries) >= 3


@dataclasses.dataclass(frozen=True)
class Batch:
    x: Tensor
    y: Tensor


def test_copies_of_what_is_given_need_no_capture_each() -> None:
    def story(wrap: Wrap) -> Iterator[Any]:
        copied = wrap(lambda batch: dataclasses.asdict(batch)["x"] * copy.deepcopy(batch.y))
        for i in range(4):
            yield copied(Batch(tensor(i), tensor(i + 1)))

    (captured,) = told(story)
    assert captured._entries[0].replays == 3


def test_streams_in_memory() -> None:
    def story(wrap: Wrap) -> Iterator[Any]:
        log = io.StringIO()

        class Program:
            def __init__(self) -> None:
                self.log = log

            def step(self, x: Tensor) -> Tensor:
                print("a step of", x.shape)
                return x * 2

        program = Program()
        function = wrap(program.step)
        with contextlib.redirect_stdout(io.StringIO()) as said:
            for i in range(4):
                yield function(tensor(i))
                log.write("one more")
        yield said.getvalue()

    (captured,) = told(story)
    assert captured._entries[0].replays == 3


def test_what_a_stream_in_memory_holds_is_seen() -> None:
    log = io.StringIO()
    captured = jit(lambda x: x * len(log.getvalue()))
    for _ in range(3):
        log.write("a")
        assert captured(tensor(1)).item() == captured(tensor(1)).item() == len(log.getvalue())


def test_a_function_of_the_library_meets_another_shape() -> None:
    """Functions such as kernelforge.einsum are methods of the class of tensors, which keep books of their own."""
    replayed = jit(lambda x: kernelforge.einsum("i,j->ij", x, x) + kernelforge.softmax(x, 0))
    for size in (3, 4, 4, 5, 5):
        x = np.arange(size, dtype=np.float32)
        softmax = np.exp(x) / np.exp(x).sum()
        np.testing.assert_allclose(replayed(Tensor(x)).numpy(), np.outer(x, x) + softmax, rtol=1e-6)
