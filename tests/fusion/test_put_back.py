"""Sums of windows put back that share what they are put back from: each is one contraction, in a kernel of its own."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from codegen.target import CPU, SM90, Target
from kernelforge.tensor import Tensor
from tests.evaluate import evaluate_all
from tests.fused import interpreted, planned, tensor, to_compute


def gradients_of_one_weight(x: Tensor, weight: Tensor, dilations: list[int], stride: int) -> tuple[Tensor, ...]:
    """The gradients of a sum of convolutions with one weight, whose windows differ in their steps alone."""
    x.requires_grad = weight.requires_grad = True
    taps = weight.shape[-1]
    convolve = {3: x.conv1d, 4: x.conv2d}[x.ndim]
    results = [convolve(weight, padding=d * (taps // 2), dilation=d, stride=stride) for d in dilations]
    y = sum(results[1:], results[0])
    return tuple(y.gradient(x, weight, gradient=tensor(*y.shape)))


@given(
    sizes=st.lists(st.integers(6, 11), min_size=1, max_size=2),
    channels=st.tuples(st.integers(2, 5), st.integers(2, 5)),
    taps=st.sampled_from((1, 3, 5)),
    dilations=st.lists(st.integers(1, 3), min_size=2, max_size=3, unique=True),
    stride=st.integers(1, 2),
)
def test_values_of_sums_that_share_their_products(sizes, channels, taps, dilations, stride) -> None:
    x, weight = tensor(2, channels[0], *sizes), tensor(channels[1], channels[0], *(taps for _ in sizes))
    found = gradients_of_one_weight(x, weight, dilations, stride)
    nodes = to_compute(*found)
    for got, expected in zip(interpreted(planned(*found), nodes), evaluate_all(nodes), strict=True):
        np.testing.assert_allclose(got, expected, rtol=2e-3, atol=1e-3)


@pytest.mark.parametrize("target", [CPU, SM90], ids=lambda target: target.language)
@pytest.mark.parametrize("dilations", [[1, 2], [1, 3, 6], [1, 2, 3, 4]])
def test_products_are_not_stored_before_they_are_put_back(dilations: list[int], target: Target) -> None:
    x, weight = tensor(2, 8, 14, 13), tensor(8, 8, 3, 3)
    found, _ = gradients_of_one_weight(x, weight, dilations, 1)
    plan = planned(found, target=target)
    assert len(plan) == len(dilations)
    assert all(node.size == x.size for group in plan for node in group.outputs)


def test_what_many_sums_share_is_stored() -> None:
    x, weight = tensor(2, 4, 14, 13), tensor(4, 4, 3, 3)
    found, _ = gradients_of_one_weight(x, weight, [1, 2, 3, 4, 5], 1)
    plan = planned(found)
    assert max(node.size for group in plan for node in group.outputs) == 9 * x.size
