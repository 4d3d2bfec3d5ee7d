"""More steps of random programs: optimisers, mixed types, steps backward, masks, nested captures, containers, views.

Each does to tensors what it does to NumPy arrays, which stand for float32 throughout.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any, Final

import numpy as np

from kernelforge import Tensor, dtypes, jit, optim
from tests.replay.state import State, Step

FEW: Final = 3  # values that are remembered


def remember(state: State, value: Any) -> None:
    """Keep a value to be compared in the end, and forget older ones."""
    state.seen.append(value)
    del state.seen[:-FEW]


def typed(x: Any, name: str) -> Any:
    """An array of another type."""
    return x.cast(getattr(dtypes, name)) if isinstance(x, Tensor) else x.astype(name)


def chosen(mask: Any, x: Any, y: float) -> Any:
    return mask.where(x, y) if isinstance(x, Tensor) else np.where(mask, x, np.float32(y))


def mixed_types(rng: random.Random, names: list[str]) -> Step:
    """A captured function of several types: comparisons, integers that divide, float64."""
    name, other, scalar = rng.choice(names), rng.choice(names), rng.choice((2, 3, 2.5))

    def make(state: State) -> Callable[..., Any]:
        def mix(x: Any, n: float) -> Any:
            large = x > 0.5
            count = typed(large, "int32") * 7 // 2 + 1
            return typed(typed(chosen(large, x, 0.25), "float64") * n + count, "float32"), typed(large, "float32").sum()

        return mix

    def step(state: State) -> None:
        state.arrays[other], found = state.called("mixed", make)(state.arrays[name], scalar)
        remember(state, found)

    return step


def backward_slices(rng: random.Random, names: list[str]) -> Step:
    """Parts that are read and replaced with steps, most of them negative; captured or not."""
    name, inside, way = rng.choice(names), rng.random() < 0.6, rng.choice((-1, -2, 2))

    def make(state: State) -> Callable[..., Any]:
        def turn(x: Any, way: int) -> Any:
            part = x[::way]
            part *= 0.5
            part[0] = 0.75
            x[::way] = part * 1 + 0.25
            return x[::-1] * 1

        return turn

    def step(state: State) -> None:
        function = state.called("turn", make) if inside else make(state)
        remember(state, function(state.arrays[name], way))

    return step


def masks(rng: random.Random, names: list[str]) -> Step:
    """Elements that are replaced where a mask says so."""
    name, inside, limit = rng.choice(names), rng.random() < 0.6, rng.choice((0.0, 0.5, 1.0))

    def make(state: State) -> Callable[..., Any]:
        def replace(x: Any, limit: float) -> None:
            x[x > limit] = 0.125

        return replace

    def step(state: State) -> None:
        function = state.called("mask", make) if inside else make(state)
        function(state.arrays[name], limit)

    return step


def containers(rng: random.Random, names: list[str]) -> Step:
    """A captured function of dicts and lists of any length that returns others."""
    some, scalar = [rng.choice(names) for _ in range(rng.randint(1, 3))], rng.choice((None, 1, 0.5))

    def make(state: State) -> Callable[..., Any]:
        def gather(given: dict[str, Any]) -> dict[str, Any]:
            total = sum([x.sum() for x in given["some"]][1:], given["some"][0].sum())
            n = given["n"]
            return {"total": total if n is None else total * n, "ends": [x[-1:] * 2 for x in given["some"]], "n": n}

        return gather

    def step(state: State) -> None:
        found = state.called("containers", make)({"some": [state.arrays[name] for name in some], "n": scalar})
        state.arrays[some[0]] = found["ends"][-1]
        remember(state, found["total"])

    return step


def nested(rng: random.Random, names: list[str]) -> Step:
    """A captured function that calls another, which is called on its own as well."""
    name, other, alone = rng.choice(names), rng.choice(names), rng.random() < 0.4

    def inner(state: State) -> Callable[..., Any]:
        def change(x: Any) -> Any:
            x += 0.5
            return x[:1] * 3

        return change

    def outer(state: State) -> Callable[..., Any]:
        change = jit(inner(state)) if state.captures else inner(state)
        return lambda x, y: change(x) + change(y) if len(y) > 1 else change(x)

    def step(state: State) -> None:
        if alone:
            remember(state, state.called("inner", inner)(state.arrays[name]))
        else:
            remember(state, state.called("outer", outer)(state.arrays[name], state.arrays[other]))

    return step


def returned_views(rng: random.Random, names: list[str]) -> Step:
    """A captured function that returns views of what it is given and of what it has made; they change afterwards."""
    name, other, way = rng.choice(names), rng.choice(names), rng.randrange(4)

    def make(state: State) -> Callable[..., Any]:
        def views(x: Any, way: int) -> tuple[Any, Any]:
            made = x * 2
            return [(x[::-1], x), (made, made[:1]), (x[:1], made[-1:]), (made[::-1], x.reshape(-1))][way]

        return views

    def step(state: State) -> None:
        first, second = state.called("views", make)(state.arrays[name], way)
        first += 1
        second[0] = -0.5
        remember(state, first)
        state.arrays[other] = second

    return step


def optimised(rng: random.Random, names: list[str]) -> Step:
    """A step of stochastic gradient descent with momentum, captured, on a weight the program keeps; rates change."""
    name, rate = rng.choice(names), rng.choice((0.1, 0.05))

    def tensors(state: State) -> Callable[..., Any]:
        weight = Tensor(np.array([0.5, -1.0], np.float32)).requires_grad_()
        optimizer = optim.SGD([weight], lr=0.1, momentum=0.5)
        state.functions["rate"] = lambda rate: optimizer.param_groups[0].update(lr=rate)

        def train(x: Any, rate: None) -> Any:
            optimizer.zero_grad()
            loss = (weight * weight * 0.5 + weight * x[:1].detach()).sum()
            loss.backward()
            optimizer.step()
            return weight.detach() * 1

        return train

    def arrays(state: State) -> Callable[..., Any]:
        weight, momentum = np.array([0.5, -1.0], np.float32), np.zeros(2, np.float32)

        def train(x: Any, rate: float) -> Any:
            momentum[:] = momentum * 0.5 + weight + x[:1]
            weight[:] -= np.float32(rate) * momentum
            return weight * 1

        return train

    def step(state: State) -> None:
        train = state.called("optimised", tensors if state.lazy else arrays)
        if state.lazy:
            state.functions["rate"](rate)
        remember(state, train(state.arrays[name], None if state.lazy else rate))

    return step


MAKERS: Final[list[Callable[[random.Random, list[str]], Step]]] = [
    mixed_types, backward_slices, masks, containers, nested, returned_views, returned_views, optimised,
]  # fmt: skip
