"""Which object is which: tensors as keys, containers given twice, what functions remember, what is given out."""

from __future__ import annotations

import collections
import functools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from kernelforge import JitError, Tensor, jit
from tests.replay.footguns.twins import Story, Wrap, tensor, told

pytestmark = pytest.mark.usefixtures("numpy_device")


def the_same_list(wrap: Wrap) -> Iterator[Any]:
    w = tensor(2)
    seen, function = [w], wrap(lambda xs: xs[0] * (2 if xs is seen else 3))
    for xs in ([w], seen, [w], seen):
        yield function(xs)


def two_lists(wrap: Wrap) -> Iterator[Any]:
    w = tensor(2)
    one, function = [w], wrap(lambda a, b: a[0] * (2 if a is b else 3))
    for a, b in (([w], [w]), (one, one), ([w], [w]), (one, one)):
        yield function(a, b)


def the_same_dict(wrap: Wrap) -> Iterator[Any]:
    w = tensor(2)
    seen, function = {"a": w}, wrap(lambda xs: xs["a"] * (2 if xs is seen else 3))
    for xs in ({"a": w}, seen, {"a": w}, seen):
        yield function(xs)


def _looked_up(found: Callable[[Tensor, Tensor], Any], take: Callable[[Any, Tensor], Any]) -> Story:
    def story(wrap: Wrap) -> Iterator[Any]:
        a, b = tensor(1), tensor(10)
        kept = found(a, b)
        function = wrap(lambda p: p * take(kept, p))
        for p in (b, a, b, a):
            yield function(p)

    return story


BY_TENSORS: dict[str, Story] = {
    "a dict": _looked_up(lambda a, b: {a: 2.0, b: 3.0}, lambda kept, p: kept[p]),
    "a dict with one of them": _looked_up(lambda a, b: {a: 2.0}, lambda kept, p: kept.get(p, 5.0)),
    "identities": _looked_up(lambda a, b: {id(a): 2.0, id(b): 3.0}, lambda kept, p: kept[id(p)]),
    "a tuple": _looked_up(lambda a, b: (a, 1), lambda kept, p: 2.0 if p is kept[0] else 3.0),
    "a set": _looked_up(lambda a, b: {a}, lambda kept, p: 2.0 if p in kept else 3.0),
    "a list": _looked_up(lambda a, b: [a], lambda kept, p: 2.0 if any(p is one for one in kept) else 3.0),
}


@pytest.mark.parametrize("story", [the_same_list, two_lists, the_same_dict])
def test_containers(story: Story) -> None:
    (captured,) = told(story)
    assert sum(entry.replays for entry in captured._entries) == 2


@pytest.mark.parametrize("name", BY_TENSORS)
def test_tensors_that_are_looked_up(name: str) -> None:
    (captured,) = told(BY_TENSORS[name])
    assert sum(entry.replays for entry in captured._entries) == 2


def test_a_tensor_that_becomes_a_key_is_refused() -> None:
    kept: dict[Tensor, Tensor] = {}

    def step(x: Tensor) -> Tensor:
        kept[x] = x * 2
        return x + 1

    with pytest.raises(JitError, match="stores in closure variable kept under a tensor"):
        jit(step)(tensor(1))


def tensors_that_are_remembered(wrap: Wrap) -> Iterator[Any]:
    @functools.lru_cache
    def mask(n: int) -> Tensor:
        return Tensor.arange(n).cast("float32") * 2

    @functools.lru_cache(maxsize=4)
    def pair(n: int) -> tuple[Tensor, Tensor]:
        return mask(n) + 1, mask(n) + 2

    function = wrap(lambda x: x * mask(x.shape[0]) + pair(x.shape[0])[1])
    yield function(tensor(1, 1))
    yield function(tensor(1, 1))
    yield mask(2)
    found = mask(2)
    found += 1
    yield function(tensor(1, 1))
    other = pair(2)[1]
    other += 1
    yield function(tensor(1, 1))
    mask.cache_clear()
    yield function(tensor(1, 1))
    yield function(tensor(2, 2, 2))


def arrays_that_are_given_out(wrap: Wrap) -> Iterator[Any]:
    function = wrap(lambda x: (np.ones(2), x.numpy(), x * 2))
    for _ in range(3):
        first, second, _ = function(tensor(1, 2))
        yield first.tolist(), second.tolist()
        first += 1


def lists_that_are_given_out(wrap: Wrap) -> Iterator[Any]:
    kept, array = [1, 2], np.ones(2)
    function = wrap(lambda x: (kept, [1], {"a": [2]}, array, x * 2))
    for _ in range(3):
        same, fresh, inside, also, _ = function(tensor(1))
        yield same is kept, also is array, list(fresh), list(inside["a"])
        fresh.append(3)
        inside["a"].append(4)


def a_method_that_appends(wrap: Wrap) -> Iterator[Any]:
    found: list[Any] = []
    append = found.append
    function = wrap(lambda x: append(x * 2))
    for i in range(4):
        function(tensor(i))
        yield list(found)


def ends_of_a_queue(wrap: Wrap) -> Iterator[Any]:
    last: collections.deque[Tensor] = collections.deque(maxlen=2)

    def step(x: Tensor) -> Tensor:
        last.append(x * 2)
        return sum(last, tensor(0))

    function = wrap(step)
    for i in range(7):
        yield function(tensor(i)), list(last)


def one_result_twice(wrap: Wrap) -> Iterator[Any]:
    def step(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        y = x * 2
        return y, y, y[:1]

    function = wrap(step)
    for i in range(3):
        first, second, part = function(tensor(i, 1))
        first += 1
        part += 5
        yield first is second, first, second


@pytest.mark.parametrize("story", [
    tensors_that_are_remembered, arrays_that_are_given_out, lists_that_are_given_out, a_method_that_appends,
    ends_of_a_queue, one_result_twice,
])  # fmt: skip
def test_what_is_kept_and_given_out(story: Story) -> None:
    told(story)
