"""Sums of products that are added and then summed on: each is one contraction, and the values are the same."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernelforge.calls import expanded
from kernelforge.graph import Node, toposort
from kernelforge.rewrites.apart import apart
from kernelforge.rewrites.simplify import simplify
from kernelforge.seen import contraction_operands
from kernelforge.tensor import Tensor
from tests.evaluate import evaluate_all
from tests.fused import tensor


def input_gradient(x: Tensor, weights: list[Tensor], **options: int) -> list[Node]:
    """The gradient of a value that convolutions read through the same windows."""
    x.requires_grad = True
    results = [getattr(x, f"conv{x.ndim - 2}d")(weight, **options) for weight in weights]
    product = results[0] * results[0]
    for y in results[1:]:
        product = product * y
    return simplify(expanded([product.gradient(x, gradient=tensor(*product.shape))[0]._node]))


def added_before(nodes: list[Node]) -> int:
    """Additions of values of each tap."""
    return sum(x.op == "add" and x.size > 4 * nodes[0].size for x in toposort(nodes))


@given(
    sizes=st.lists(st.integers(5, 9), min_size=1, max_size=3),
    channels=st.tuples(st.integers(2, 4), st.integers(2, 4)),
    taps=st.integers(2, 3),
    count=st.integers(2, 4),
    stride=st.integers(1, 2),
    dilation=st.integers(1, 2),
    padding=st.integers(0, 2),
)
def test_values_are_those_of_the_sum(
    sizes: list[int], channels: tuple[int, int], taps: int, count: int, stride: int, dilation: int, padding: int
) -> None:
    x = tensor(2, channels[0], *sizes)
    weights = [tensor(channels[1], channels[0], *(taps for _ in sizes), seed=i) for i in range(count)]
    nodes = input_gradient(x, weights, stride=stride, dilation=dilation, padding=padding)
    changed = apart(nodes)
    for got, expected in zip(evaluate_all(changed), evaluate_all(nodes), strict=True):
        np.testing.assert_allclose(got, expected, rtol=2e-3, atol=2e-3 * max(1.0, float(np.abs(expected).max())))


@pytest.mark.parametrize("count", [2, 3])
def test_nothing_is_added_before_it_is_put_back(count: int) -> None:
    x, weights = tensor(2, 4, 9, 8), [tensor(5, 4, 3, 3, seed=i) for i in range(count)]
    nodes = input_gradient(x, weights, padding=1)
    changed = apart(nodes)
    assert added_before(nodes) and not added_before(changed)
    assert sum(bool(contraction_operands(x)) for x in toposort(changed)) == sum(
        bool(contraction_operands(x)) for x in toposort(nodes)
    )


def test_what_is_used_otherwise_stays() -> None:
    x = tensor(6, 7)
    y = x @ tensor(7, 8) + x @ tensor(7, 8, seed=1)
    nodes = simplify(expanded([y.sum(0)._node, y._node]))
    assert apart(nodes) == nodes


def test_as_many_products_as_one_likes_are_added() -> None:
    weights = [tensor(2, 3, seed=i) for i in range(3)]
    total = tensor(2, 2)
    for i in range(2000):
        total = total + weights[i % 3] @ weights[(i + 1) % 3].T
    assert len(toposort(apart(simplify(expanded([total.sum()._node]))))) > 2000
