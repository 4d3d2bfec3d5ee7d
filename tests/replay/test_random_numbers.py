"""Captured functions and random numbers: replays draw what calls would, or an error names what they cannot draw."""

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from kernelforge import Generator, JitError, Tensor, jit
from kernelforge.data import DataLoader, RandomSampler, TensorDataset, random_split
from kernelforge.func import scan, vmap, while_loop

pytestmark = pytest.mark.usefixtures("numpy_device")


def tensor(*values: float) -> Tensor:
    return Tensor(np.array(values, np.float32))


def drawn_by(function: Callable[[], Any], times: int = 4) -> list[Any]:
    """What calls give, and a number drawn after them."""
    Tensor.manual_seed(5)
    return [*(function().tolist() for _ in range(times)), Tensor.rand(1).tolist()]


def test_random_numbers_go_on() -> None:
    def draw() -> Tensor:
        parts = Tensor.rand(4), Tensor.randn(2), Tensor.randint(3), Tensor.randperm(5)
        return Tensor.cat(*[part.cast("float32") for part in parts])

    found = drawn_by(draw)
    assert found == drawn_by(jit(draw)) and found[0] != found[1]


def test_a_seed_inside() -> None:
    @jit
    def drawn() -> Tensor:
        Tensor.manual_seed(7)
        return Tensor.rand(3)

    assert drawn().tolist() == drawn().tolist() == drawn().tolist()


@pytest.mark.parametrize("draw", [random.random, lambda: float(np.random.rand())])
def test_numbers_of_the_host_are_refused(draw: Callable[[], float]) -> None:
    with pytest.raises(JitError, match="random state"):
        jit(lambda x: x * draw())(tensor(1))


@pytest.mark.parametrize("rng", [np.random.default_rng(1), np.random.RandomState(1), random.Random(1)])
def test_a_generator_of_the_host_is_refused(rng: Any) -> None:
    with pytest.raises(JitError, match="random generator of the host"):
        jit(lambda x: x * float(rng.uniform(0, 1)))(tensor(1))
    assert jit(lambda x: x if rng is None else x * 2)(tensor(1)).item() == 2


def test_a_branch_after_random_numbers() -> None:
    def make() -> Callable[[Tensor], Tensor]:
        def step(x: Tensor) -> Tensor:
            noise = Tensor.rand(3)
            y = x + noise
            return y * 2 if bool(y.sum() > 0) else y - Tensor.rand(3)

        return step

    found = []
    for function in (make(), jit(make())):
        Tensor.manual_seed(3)
        found.append([function(tensor(v, v, v)).tolist() for v in (5, -5, 5, -5, 4)] + [Tensor.rand(2).tolist()])
    assert found[0] == found[1]


def test_what_may_not_draw_has_drawn_nothing() -> None:
    def tried() -> Tensor:
        with pytest.raises(RuntimeError, match="randomness='same'"):
            vmap(lambda x: x + Tensor.rand(1))(Tensor.zeros(3, 1))
        with pytest.raises(RuntimeError, match="random numbers"):
            while_loop(lambda x: x < 3, lambda x: x + Tensor.randperm(2).sum(), (Tensor(0),))
        with pytest.raises(RuntimeError, match="seed"):
            while_loop(lambda x: x < 3, lambda x: x + Generator().manual_seed(3).initial_seed(), (Tensor(0),))
        return Tensor.rand(3)

    assert drawn_by(tried) == drawn_by(lambda: Tensor.rand(3)) == drawn_by(jit(tried))


def test_a_scan_that_draws() -> None:
    def walk() -> Tensor:
        return scan(lambda c, x: (c + Tensor.rand(1), c), Tensor.zeros(1), Tensor.zeros(4, 1))[1]

    assert drawn_by(walk) == drawn_by(jit(walk))


def test_going_on_from_a_state() -> None:
    state = Generator().manual_seed(3).get_state()
    generator = Generator()

    def again() -> Tensor:
        first = Tensor.rand(2, generator=generator)
        generator.set_state(state)
        return first.cat(Tensor.rand(2, generator=generator))

    captured, expected = jit(again), again().tolist()
    assert expected[:2] != expected[2:] == captured().tolist()[2:]
    assert captured().tolist() == captured().tolist() == again().tolist()
    assert captured._entries[0].replays == 2


@pytest.mark.parametrize("asked", [Generator.get_state, Generator.initial_seed, lambda _: Tensor.initial_seed()])
def test_what_a_generator_has_come_to_is_no_constant(asked: Callable[[Generator], Any]) -> None:
    generator = Generator()
    with pytest.raises(JitError, match=r"test_random_numbers.py, line \d+: .* random numbers"):
        jit(lambda x: x * (asked(generator) is not None))(tensor(1))


def loader(**options: Any) -> DataLoader:
    return DataLoader(TensorDataset(Tensor.arange(12.0).reshape(6, 2)), batch_size=2, **options)


def test_a_pass_in_order_is_repeated_and_draws_as_ever() -> None:
    def summed(batches: DataLoader) -> Callable[[], Tensor]:
        return lambda: sum((x * 0.5 for (x,) in batches), Tensor.rand(2, 2))

    captured = jit(summed(loader()))
    assert drawn_by(summed(loader())) == drawn_by(captured)
    assert captured._entries[0].replays


@pytest.mark.parametrize("order", [
    lambda: list(RandomSampler(range(6))),
    lambda: [int(x[0, 0].item()) for (x,) in loader(shuffle=True)],
    lambda: random_split(range(6), [2, 4])[0][0],
    lambda: list(RandomSampler(range(6), generator=Generator())),
])  # fmt: skip
def test_an_order_of_the_host_is_refused(order: Callable[[], Any]) -> None:
    with pytest.raises(JitError, match=r"line \d+: a captured function draws an order"):
        jit(lambda x: x * len(str(order())))(tensor(1))
