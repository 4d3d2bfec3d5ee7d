"""Sizes are followed through a graph: what its numbers would be for another size of one dimension is what they are."""

from __future__ import annotations

import numpy as np
import pytest

from kernelforge import Tensor, nn
from kernelforge.calls import memory_forms
from kernelforge.func import scan
from kernelforge.graph import toposort
from kernelforge.planning.numbered import Numbered, numbered
from kernelforge.planning.varied import Factor, dim_of, equate, factors, guesses, likely_places
from tests.planning.test_open_plans import FUNCTIONS, Made

SIZE = 4, 16  # four heads of as many features: sizes that are equal here, and nowhere else
WIDTH = 24
FOLLOWED = ("stride", "windows")  # of which a size is cut in halves, or in packs of what could be another's length


def met(made: Made, sizes: tuple[int, int]) -> Numbered:
    x = Tensor(np.ones((*sizes, WIDTH), np.float32)).realize()
    nodes = memory_forms([made(x)._node])
    leaves = [node.realized or node.attr for node in toposort(nodes, False) if node.realized or node.op == "buffer"]
    return numbered(nodes, list(dict.fromkeys(leaves)))


def heads(x: Tensor) -> Tensor:
    batch, length, _ = x.shape
    return x.reshape(batch, length, 4, 6).transpose(1, 2).softmax(-1).reshape(batch * 4, length * 6).tanh() + 1


def walked(x: Tensor) -> Tensor:
    return scan(lambda s, r: ((s + r).tanh(), s), Tensor.zeros(x.shape[0], WIDTH), x, dim=1)[1]


def stacked(x: Tensor) -> Tensor:
    first, second = x.cat(x * 2, dim=0).tanh().chunk(2)
    return first + second


MORE: dict[str, Made] = {
    "heads": heads,
    "all but the last": lambda x: x[:, :-1] * x[:, 1:],
    "the last": lambda x: x[:, -1] + x[:, 0],
    "a mean of batches": lambda x: x - x.mean(0),
    "a loop": walked,
    "parts of equal length": stacked,
    "a layer": lambda x: nn.functional.relu(x.reshape(-1, WIDTH) @ Tensor.ones(WIDTH, 4)).reshape(*x.shape[:2], 4),
}


@pytest.mark.parametrize("name", [*(name for name in FUNCTIONS if name not in FOLLOWED), *MORE])
@pytest.mark.parametrize("place", [0, 1])
def test_guessed_numbers_are_those_of_a_graph_of_such_a_size(name: str, place: int) -> None:
    made = FUNCTIONS.get(name) or MORE[name]
    other, wanted = list(SIZE), list(SIZE)
    other[1 - place], wanted[place] = 21, 2 * SIZE[place] + 1
    first, now = met(made, (other[0], other[1])), met(made, SIZE)
    assert first.key == now.key
    found, _ = guesses(now, likely_places(now, [first.numbers, now.numbers]), 3)
    assert list(met(made, (wanted[0], wanted[1])).numbers) in found


def test_nothing_that_weights_are_as_long_as_is_guessed() -> None:
    weight = Tensor.ones(WIDTH, 7).realize()
    first, now = (met(lambda x: x[:, 0] @ weight, size) for size in ((5, 3), SIZE))
    found, _ = guesses(now, likely_places(now, [first.numbers, now.numbers]), 3)
    assert not found, "both sizes changed, and the last is the weight's"


def test_dimensions_put_together_have_the_factors_of_these() -> None:
    a, b, c = dim_of(4), dim_of(16), dim_of(6)
    together, parts = dim_of(64 * 6), [dim_of(4), dim_of(32), dim_of(3)]
    equate([*a, *b, *c], together)
    equate(together, [factor for part in parts for factor in part])
    assert [x.value for x in factors(together)] == [4, 16, 2, 3]
    assert factors(parts[0]) == factors(a) and factors(b) == factors(parts[1])[:1]
    one, other = Factor(6), [Factor(4), Factor(9)]
    equate([one, Factor(6)], other)
    assert one.rigid and all(factor.rigid for factor in other)
