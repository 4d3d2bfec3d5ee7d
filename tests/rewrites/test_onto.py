"""What is scattered into zeros and added to something is scattered into that: the same sums, in fewer passes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernelforge import GlobalCounters, Tensor
from kernelforge.calls import expanded
from kernelforge.graph import Node, toposort
from kernelforge.rewrites.onto import onto
from kernelforge.rewrites.simplify import simplify


def scattered(seed: int, dim: int, rows: int = 7, width: int = 5) -> tuple[Tensor, np.ndarray]:
    """Numbers added at places of zeros, and what that is."""
    random = np.random.default_rng(seed)
    places, values = random.integers(0, (rows, width)[dim], (6, 4)), random.normal(0, 1, (6, 4)).astype(np.float32)
    expected = np.zeros((rows, width), np.float32)
    here = list(np.indices((6, 4)))
    here[dim] = places
    np.add.at(expected, tuple(here), values)
    return Tensor.zeros(rows, width).scatter_add(dim, Tensor(places), Tensor(values)), expected


def additions(*tensors: Tensor) -> list[Node]:
    """The additions that are left."""
    nodes = toposort(onto(simplify(expanded([x._node for x in tensors]))))
    return [x for x in nodes if x.op == "add" and x.shape == (7, 5)]


@given(st.lists(st.tuples(st.integers(0, 99), st.integers(0, 1)), min_size=1, max_size=4), st.booleans())
@pytest.mark.usefixtures("numpy_device")
def test_sums_of_scatters(parts: list[tuple[int, int]], dense: bool) -> None:
    x = np.random.default_rng(7).normal(0, 1, (7, 5)).astype(np.float32)
    total, expected = (Tensor(x).sin(), np.sin(x)) if dense else (Tensor.zeros(7, 5), np.zeros((7, 5), np.float32))
    for part in parts:
        found, sums = scattered(*part)
        total, expected = total + found, expected + sums
    np.testing.assert_allclose(total.numpy(), expected, rtol=1e-5, atol=1e-5)


def test_nothing_is_added_afterwards() -> None:
    (a, _), (b, _), (c, _) = scattered(0, 0), scattered(1, 1), scattered(2, 0)
    assert not additions(a + b + c)
    assert additions(Tensor.rand(7, 5).realize().exp() + b, b * 2), "b is needed as it is"


def test_each_is_scattered_into_what_is_there() -> None:
    """One launch computes what comes first, each other one adds to it: nothing is copied."""
    x = Tensor.rand(7, 5).realize()
    (a, first), (b, second) = scattered(0, 0), scattered(1, 1)
    Tensor.realize(a.detach() * 1, b.detach() * 1)
    (a, first), (b, second) = scattered(0, 0), scattered(1, 1)
    before = GlobalCounters.kernel_count
    found = (x.exp() + a + b).realize()
    assert GlobalCounters.kernel_count - before == 3
    np.testing.assert_allclose(found.numpy(), np.exp(x.numpy()) + first + second, rtol=1e-5, atol=1e-5)


def test_what_is_asked_for_is_not_changed() -> None:
    base = Tensor.rand(7, 5).realize().exp()
    (a, expected) = scattered(0, 0)
    total = base + a
    Tensor.realize(base, total)
    np.testing.assert_allclose(total.numpy() - base.numpy(), expected, rtol=1e-4, atol=1e-5)
