"""Look-ups at places that are looked up themselves, many times over: kernels hold a few of them each."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernelforge import Tensor

random = np.random.default_rng(0)


@pytest.mark.parametrize("count", [3, 5, 9, 40])
def test_a_long_way_of_permutations(count: int) -> None:
    x, orders = random.random((5, 3), np.float32), [random.permutation(5) for _ in range(count)]
    found, expected = Tensor(x), x
    for order in orders:
        found, expected = found[Tensor(order)], expected[order]
    np.testing.assert_array_equal(found.numpy(), expected)


@pytest.mark.parametrize("rounds", [2, 4, 10])
def test_places_that_jump_to_where_they_point(rounds: int) -> None:
    parents = np.maximum(np.arange(1000) - 1, 0)
    found = Tensor(parents)
    for _ in range(rounds):
        found = found[found]
    np.testing.assert_array_equal(found.numpy(), np.maximum(np.arange(1000) - 2**rounds, 0))


@given(st.lists(st.tuples(st.sampled_from(["rows", "columns", "pointed", "own"]), st.booleans()), max_size=14))
def test_any_look_ups_of_look_ups(steps: list[tuple[str, bool]]) -> None:
    expected = random.integers(0, 4, (4, 4))
    order = random.permutation(4)
    found, taken = Tensor(expected), Tensor(order)
    for kind, adds in steps:
        if kind == "rows":
            found, expected = found[taken], expected[order]
        elif kind == "columns":
            found, expected = found[:, taken], expected[:, order]
        elif kind == "pointed":
            found, expected = taken[found], order[expected]
        else:
            found, expected = found.gather(1, found), np.take_along_axis(expected, expected, 1)
        if adds:
            found, expected = (found + 1) % 4, (expected + 1) % 4
    np.testing.assert_array_equal(found.numpy(), expected)


def test_a_wrong_place_behind_others_is_told() -> None:
    found = Tensor(np.arange(6))
    for _ in range(9):
        found = found[Tensor([1, 2, 3, 4, 5, 6])[:6] - 1]
    wrong = Tensor([0, 1, 2, 3, 4, 6])
    with pytest.raises(IndexError, match="6"):
        found[wrong][Tensor([5])].numpy()
