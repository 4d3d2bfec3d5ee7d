"""Choices, loops and recurrences: Python's own results, also captured, differentiated and in batches."""

from typing import Any

import numpy as np
import pytest

from kernelforge import Tensor, jit
from kernelforge.errors import ShapeError
from kernelforge.func import cond, grad, scan, vmap

pytestmark = pytest.mark.usefixtures("numpy_device")


def chosen(x: Tensor) -> Tensor:
    result: Tensor = cond(x.sum() > 0, lambda x: x * 2, lambda x: x - 1, x)
    return result


def test_cond() -> None:
    captured = jit(chosen)
    for value in (1.0, -1.0, 3.0):
        expected = value * 2 if value > 0 else value - 1
        assert chosen(Tensor([value])).tolist() == captured(Tensor([value])).tolist() == [expected]
    assert len(captured._entries) == 1
    assert vmap(chosen)(Tensor([[1.0], [-1.0]])).tolist() == [[2], [-2]]
    assert [grad(lambda x: chosen(x).sum())(Tensor([v])).item() for v in (1.0, -1.0)] == [2, 1]
    assert cond(True, lambda: 3, lambda: 4) == 3


def test_cond_of_different_results() -> None:
    with pytest.raises(ShapeError, match="must be equal"):
        cond(Tensor(True), lambda: Tensor([1.0]), lambda: Tensor([1]))
    with pytest.raises(ShapeError, match="one element"):
        cond(Tensor([True, False]), lambda: 1, lambda: 1)


@pytest.mark.parametrize("reverse", [False, True])
def test_scan(reverse: bool) -> None:
    def step(carry: Any, x: Any) -> Any:
        state = (carry["state"] * 0.5 + x[0]).tanh()
        return {"state": state}, (state, x[1] * 2)

    xs = np.random.default_rng(0).normal(size=(2, 5, 3)).astype(np.float32)
    carry, (states, twice) = scan(step, {"state": Tensor.zeros(3)}, (Tensor(xs[0]), Tensor(xs[1])), reverse=reverse)
    state, expected = np.zeros(3, np.float32), {}
    for i in range(5)[:: -1 if reverse else 1]:
        state = expected[i] = np.tanh(state * 0.5 + xs[0, i])
    np.testing.assert_allclose(states.numpy(), [expected[i] for i in range(5)], rtol=1e-5)
    np.testing.assert_allclose(carry["state"].numpy(), state, rtol=1e-5)
    np.testing.assert_allclose(twice.numpy(), xs[1] * 2)


def test_scan_along_another_dimension() -> None:
    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    _, found = scan(lambda c, x: (c + x, c + x), Tensor.zeros(2), Tensor(x), dim=1)
    np.testing.assert_allclose(found.numpy(), x.cumsum(1))
    slopes = grad(lambda x: scan(lambda c, x: (c * x, c), Tensor(1.0), x)[0])(Tensor([2.0, 3.0, 4.0]))
    assert slopes.tolist() == [12, 8, 6]


def test_scan_of_nothing() -> None:
    with pytest.raises(ValueError, match="without elements"):
        scan(lambda c, x: (c, x), 0, Tensor.zeros(0, 2))
    with pytest.raises(ShapeError, match="different lengths"):
        scan(lambda c, x: (c, x), 0, (Tensor.zeros(3), Tensor.zeros(2)))
