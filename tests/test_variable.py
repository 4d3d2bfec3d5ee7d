"""Variables, and captured functions that are given them."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from kernelforge import GlobalCounters, ShapeError, Tensor, Variable, jit


def test_a_bound_variable_is_an_int() -> None:
    variable = Variable("n", 1, 10)
    bound = variable.bind(4)
    assert bound == 4 and bound + 1 == 5 and bound.val == 4 and bound.unbind() == (variable, 4)
    assert (variable.vmin, variable.vmax, repr(variable)) == (1, 10, "Variable('n', 1, 10)")
    assert pickle.loads(pickle.dumps((variable, bound)))[1] == 4


@pytest.mark.parametrize("value", [0, 11])
def test_values_outside_the_bounds_are_refused(value: int) -> None:
    with pytest.raises(ShapeError, match="between 1 and 10"):
        Variable("n", 1, 10).bind(value)
    with pytest.raises(ShapeError, match="<= min <= max"):
        Variable("n", 3, 2)


def test_a_variable_without_a_value_is_no_number() -> None:
    with pytest.raises((TypeError, IndexError), match="Variable"):
        Tensor.ones(2, 10)[:, : Variable("n", 1, 10)]
    with pytest.raises(TypeError, match="bind"):
        range(Variable("n", 1, 10))


def test_shapes_parts_and_indices() -> None:
    x, n = Tensor.arange(30).reshape(3, 10), Variable("n", 1, 10).bind(5)
    assert x[:, :n].shape == x.shrink(((0, 3), (0, n))).shape == (3, 5)
    assert x[:, :n].reshape(n, 3).shape == (5, 3) and Tensor.ones(n).expand(2, n).shape == (2, 5)
    assert x[1, n].item() == 15 and (x[:, n - 1 : n + 1].numpy() == x.numpy()[:, 4:6]).all()


def test_a_captured_function_of_a_variable_compiles_nothing_new() -> None:
    cache, place = Tensor.zeros(40, 6, device="CPU").contiguous().realize(), Variable("place", 0, 39)

    @jit
    def step(key: Tensor, at: int) -> Tensor:
        cache[at : at + 1] = key
        return (cache[: at + 1] * key).sum(1).softmax(0)

    expected = np.zeros((40, 6), np.float32)
    late = 0
    for position in range(30):
        key = np.random.default_rng(position).standard_normal((1, 6)).astype(np.float32)
        before = GlobalCounters.compiled
        found = step(Tensor(key, device="CPU"), place.bind(position)).numpy()
        late += (GlobalCounters.compiled - before) * (position > 2)
        expected[position] = key
        scores = np.exp((expected[: position + 1] * key).sum(1))
        np.testing.assert_allclose(found, scores / scores.sum(), rtol=1e-5)
    assert late == 0


def test_more_sizes_than_captures() -> None:
    @jit(captures=2)
    def total(x: Tensor) -> Tensor:
        return (x * 2).sum()

    for size in range(2, 12):
        assert total(Tensor.ones(size)).item() == 2 * size
