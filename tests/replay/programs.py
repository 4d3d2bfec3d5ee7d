"""Random programs over a few tensors: views, changes of parts and in place, random numbers, captured calls.

A program is a list of steps that only look at a `State`, whose arrays are either tensors or NumPy arrays; so one
program runs eagerly, lazily, captured, and as NumPy.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from kernelforge import Tensor
from kernelforge.tensor.generators import default
from tests.replay import wider
from tests.replay.state import State, Step

SIZES = (1, 2, 3)
LARGER = (1, 2, 5, 8)
VALUES = (-1.5, 0.5, 2.0)


def program(seed: int, wide: bool = False) -> list[Step]:
    """A program of some thirty steps: a few, three times over; wide: of all kinds, on larger arrays."""
    rng = random.Random(seed)
    names, makers, sizes = ["a", "b", "c"], MAKERS + wider.MAKERS if wide else MAKERS, LARGER if wide else SIZES
    steps = [_start(name, [rng.choice(VALUES) for _ in range(rng.choice(sizes))]) for name in names]
    return steps + [rng.choice(makers)(rng, names) for _ in range(rng.randint(3, 9))] * 3


def run(steps: list[Step], lazy: bool, captures: bool = False, seed: int = 0) -> list[Any]:
    """What a program leaves and has read."""
    Tensor.manual_seed(seed)
    state = State(lazy, captures)
    for step in steps:
        step(state)
    return [*state.values(), default.get_state()[1]]


# ---------------------------------------------------------------------------------------------------------- steps


def _start(name: str, values: list[float]) -> Step:
    def step(state: State) -> None:
        state.arrays[name] = state.array(values)

    return step


def _renewed(rng: random.Random, names: list[str]) -> Step:
    return _start(rng.choice(names), [rng.choice(VALUES) for _ in range(rng.choice(SIZES))])


def _view(rng: random.Random, names: list[str]) -> Step:
    name, source, way, copied = rng.choice(names), rng.choice(names), rng.randrange(4), rng.random() < 0.5

    def step(state: State) -> None:
        x = state.arrays[source]
        view = (x[::-1], x[: max(1, len(x) // 2)], x.reshape(len(x), 1)[:, 0], x[-1:])[way]
        state.arrays[name] = view * 1 if copied else view

    return step


def _set_part(rng: random.Random, names: list[str]) -> Step:
    name, source, scalar = rng.choice(names), rng.choice(names), rng.random() < 0.5

    def step(state: State) -> None:
        x, y = state.arrays[name], state.arrays[source]
        if scalar:
            x[0] = 0.5
        else:
            x[-1:] = y[:1]

    return step


def _in_place(rng: random.Random, names: list[str]) -> Step:
    name, scalar, way = rng.choice(names), rng.choice((0.5, 2.0, -1.0)), rng.randrange(3)

    def step(state: State) -> None:
        x = state.arrays[name]
        view = x[:1]
        if way == 0:
            x += scalar
        elif way == 1:
            x *= scalar
        else:
            x -= x.sum() * 0.125
        state.seen.append(view)
        del state.seen[:-3]

    return step


def _random(rng: random.Random, names: list[str]) -> Step:
    name = rng.choice(names)

    def step(state: State) -> None:
        state.arrays[name] = state.arrays[name] + state.rand(len(state.arrays[name]))

    return step


def _read(rng: random.Random, names: list[str]) -> Step:
    name = rng.choice(names)

    def step(state: State) -> None:
        x = state.arrays[name]
        state.seen.append(float(x.sum().item()))
        del state.seen[:-3]

    return step


def _called(rng: random.Random, names: list[str]) -> Step:
    """A captured function of one array and a number that returns two."""
    name, other, scalar = rng.choice(names), rng.choice(names), rng.choice((1, 2, 0.5, True))

    def make(state: State) -> Callable[..., Any]:
        return lambda x, n: {"twice": x * n + 1, "sum": [x.sum() * n, n]}

    def step(state: State) -> None:
        found = state.called("pure", make)(state.arrays[name], scalar)
        state.arrays[other] = found["twice"]
        state.seen.append(found["sum"][0])
        del state.seen[:-3]

    return step


def _called_in_place(rng: random.Random, names: list[str]) -> Step:
    """A captured function that changes one of its arguments, which may be the same one twice."""
    name, other = rng.choice(names), rng.choice(names)

    def make(state: State) -> Callable[..., Any]:
        def add(x: Any, y: Any) -> Any:
            old = x[:1]
            x += 1
            x[0] = y[-1]
            return old * 2

        return add

    def step(state: State) -> None:
        state.seen.append(state.called("in place", make)(state.arrays[name], state.arrays[other]))
        del state.seen[:-3]

    return step


def _called_on_state(rng: random.Random, names: list[str]) -> Step:
    """A captured function that reads and replaces what it finds in the state, and draws random numbers."""
    name, branch = rng.choice(names), rng.random() < 0.3

    def make(state: State) -> Callable[..., Any]:
        arrays, rand = state.arrays, state.rand

        def move() -> Any:
            x = arrays[name]
            if branch and bool((x.sum() > 1).item()):
                arrays[name] = x * 0.5
            else:
                arrays[name] = x + rand(len(x))
            return x - 1

        return move

    def step(state: State) -> None:
        state.seen.append(state.called(("state", name, branch), make)())
        del state.seen[:-3]

    return step


MAKERS: list[Callable[[random.Random, list[str]], Step]] = [
    _renewed, _view, _set_part, _in_place, _random, _read, _called, _called, _called_in_place, _called_on_state,
    _called_on_state,
]  # fmt: skip
