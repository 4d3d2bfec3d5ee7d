"""Graphs some of whose nodes happen to be computed already: their plans serve others of the same structure."""

import random
from collections.abc import Callable
from typing import Any, Final

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codegen.dtypes import dtypes
from kernelforge import Context, Tensor, graph, realize
from kernelforge.kernels import Device

Step = tuple[int, Callable[..., Any], Callable[..., Any]]
SIZE: Final = 4
STEPS: Final[tuple[Step, ...]] = (
    (1, lambda x: x.T, np.transpose),
    (1, lambda x: x.flip(0), lambda x: x[::-1]),
    (1, lambda x: x.reshape(2, 8).T.reshape(4, 4), lambda x: x.reshape(2, 8).T.reshape(4, 4)),
    (1, lambda x: x[1:3].sum(0, keepdim=True).expand(4, 4), lambda x: np.broadcast_to(x[1:3].sum(0), (4, 4))),
    (1, lambda x: x.softmax(-1), lambda x: np.exp(x - x.max(-1, keepdims=True)) / _total(x)),
    (1, lambda x: x.cumsum(0), lambda x: x.cumsum(0)),
    (2, lambda x, y: (x @ y) / 4, lambda x, y: (x @ y) / 4),
    (2, lambda x, y: x - y, np.subtract),
    (2, lambda x, y: x * y, np.multiply),
)


def _total(x: Any) -> Any:
    return np.exp(x - x.max(-1, keepdims=True)).sum(-1, keepdims=True)


def program(seed: int, data: int, computed: int, device: str) -> None:
    """A random program on some data, of whose values a random part is computed on the way."""
    rng, when, numbers = random.Random(seed), random.Random(computed), np.random.default_rng(data)
    arrays = [numbers.standard_normal((SIZE, SIZE)) for _ in range(2)]
    tensors = [Tensor(array, device=device) for array in arrays]
    for _ in range(rng.randint(2, 7)):
        arity, ours, numpys = rng.choice(STEPS)
        places = [rng.randrange(len(arrays)) for _ in range(arity)]
        arrays.append(numpys(*[arrays[place] for place in places]))
        tensors.append(ours(*[tensors[place] for place in places]))
        if when.random() < 0.4:
            when.choice(tensors).realize()
    order = list(range(len(arrays)))
    when.shuffle(order)
    for place in order:
        np.testing.assert_allclose(tensors[place].numpy(), arrays[place], 1e-9, 1e-9)


@pytest.mark.parametrize("device", Device.available())
@settings(max_examples=40, deadline=None)
@given(st.integers(0, 40), st.integers(0, 5), st.integers(0, 2**32 - 1))
def test_plans_serve_graphs_in_which_nothing_happens_to_be_computed(
    device: str, seed: int, data: int, computed: int
) -> None:
    for other in range(3):
        program(seed, data + other, computed + other, device)


@pytest.mark.parametrize("device", Device.available())
def test_an_operand_that_is_the_other_one_turned_and_computed(device: str) -> None:
    x, y = (np.random.default_rng(i).standard_normal((5, 5)) for i in range(2))
    tensor = Tensor(x, device=device)
    turned = tensor.T
    product = turned @ tensor
    turned.realize()
    np.testing.assert_allclose(product.numpy(), x.T @ x)
    np.testing.assert_allclose((Tensor(x, device=device) @ Tensor(y, device=device)).numpy(), x @ y)


@pytest.mark.parametrize("device", Device.available())
def test_constants_made_of_one_that_is_computed(device: str) -> None:
    """A constant is told by its value: what it is made of may be in memory for somebody else."""
    part = graph.reshape(graph.const(3.0, dtypes.float32), (1,))
    whole = graph.expand(part, (7,))
    with Context(DEVICE=device):
        realize.realize([part])
        assert part.realized is not None and whole.realized is None
        x = Tensor(np.arange(7, dtype=np.float32), device=device)
        turned = x.flip(0)
        total = turned * Tensor(whole) + x
        turned.realize()
        np.testing.assert_array_equal(total.numpy(), np.arange(7)[::-1] * 3 + np.arange(7))
