"""Generators of random numbers beside the one that all calls share."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from kernelforge import Tensor, data, jit, nn
from kernelforge.errors import KindError
from kernelforge.tensor.generators import Generator

pytestmark = pytest.mark.usefixtures("numpy_device")

DRAWS: dict[str, Callable[[Generator | None], Tensor]] = {
    "rand": lambda g: Tensor.rand(3, generator=g),
    "randn": lambda g: Tensor.randn(3, generator=g),
    "uniform": lambda g: Tensor.uniform(3, low=-1, generator=g),
    "normal": lambda g: Tensor.normal(3, std=2, generator=g),
    "randint": lambda g: Tensor.randint(3, high=1000, generator=g),
    "randperm": lambda g: Tensor.randperm(30, generator=g),
    "rand_like": lambda g: Tensor.zeros(3).rand_like(generator=g),
    "randint_like": lambda g: Tensor.zeros(3).randint_like(1000, generator=g),
    "kaiming_uniform": lambda g: Tensor.kaiming_uniform(3, 3, generator=g),
    "bernoulli": lambda g: Tensor.zeros(64).bernoulli(0.5, generator=g),
    "poisson": lambda g: Tensor.full((9,), 50.0).poisson(generator=g),
    "binomial": lambda g: Tensor.full((9,), 50.0).binomial(Tensor([0.5]), generator=g),
    "multinomial": lambda g: Tensor.ones(64).multinomial(20, generator=g),
    "uniform_": lambda g: Tensor.zeros(3).uniform_(generator=g),
    "normal_": lambda g: Tensor.zeros(3).normal_(0, 1, generator=g),
    "exponential_": lambda g: Tensor.zeros(3).exponential_(generator=g),
    "random_": lambda g: Tensor.zeros(3).random_(1000, generator=g),
    "init.uniform_": lambda g: nn.init.uniform_(Tensor.zeros(3), 0.0, 1.0, g),
    "init.trunc_normal_": lambda g: nn.init.trunc_normal_(Tensor.zeros(3), generator=g),
    "init.orthogonal_": lambda g: nn.init.orthogonal_(Tensor.zeros(3, 3), 1, g),
}


@pytest.mark.parametrize("name", DRAWS)
def test_a_generator_has_numbers_of_its_own(name: str) -> None:
    """They depend on its seed and its calls alone, and leave those of others as they are."""
    draw = DRAWS[name]
    Tensor.manual_seed(1)
    others = [draw(None).tolist() for _ in range(2)]
    Tensor.manual_seed(1)
    generator = Generator().manual_seed(5)
    one, mine, two = draw(None).tolist(), draw(generator).tolist(), draw(None).tolist()
    assert [one, two] == others and mine not in others
    assert draw(generator).tolist() != mine
    assert draw(generator.manual_seed(5)).tolist() == mine


def test_states() -> None:
    generator = Generator()
    assert generator.manual_seed(7).initial_seed() == 7
    state = generator.get_state()
    x = Tensor.rand(4, generator=generator)
    assert Tensor.rand(4, generator=generator.set_state(state)).equal(x)
    seed = generator.seed()
    y = Tensor.rand(4, generator=generator)
    assert generator.initial_seed() == seed and not y.equal(x)
    assert Tensor.rand(4, generator=Generator().manual_seed(seed)).equal(y)


@pytest.mark.parametrize("given", [0, np.random.default_rng(0), "cpu"])
def test_what_is_no_generator_is_refused(given: object) -> None:
    for draw in DRAWS.values():
        with pytest.raises(KindError, match="draws from a Generator"):
            draw(given)  # type: ignore[arg-type]


def test_a_captured_function_goes_on_drawing() -> None:
    generator = Generator().manual_seed(3)
    captured = jit(lambda x: x + Tensor.rand(4, generator=generator))
    found = [captured(Tensor.zeros(4)).tolist() for _ in range(5)]
    generator.manual_seed(3)
    assert found == [Tensor.rand(4, generator=generator).tolist() for _ in range(5)]
    generator.manual_seed(3)
    assert captured(Tensor.zeros(4)).tolist() == found[0]


def test_orders_of_data() -> None:
    for order in (
        lambda g: list(data.RandomSampler(range(50), generator=g)),
        lambda g: [list(part) for part in data.random_split(range(50), [20, 30], generator=g)],
        lambda g: [b[0].tolist() for b in data.DataLoader(data.TensorDataset(Tensor.arange(50)), 7, True, generator=g)],
    ):
        first = order(Generator().manual_seed(2))
        assert first == order(Generator().manual_seed(2)) != order(Generator().manual_seed(3))


def test_states_have_the_seeds_that_generators_have():
    """A seed in a state is one of 64 bits, whatever its sign."""
    first, second = Generator().set_state((-1, 2)), Generator().set_state((2**64 - 1, 2))
    assert first.get_state() == second.get_state() == (2**64 - 1, 2)
    assert Tensor.rand(3, generator=first).equal(Tensor.rand(3, generator=second))
