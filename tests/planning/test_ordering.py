"""Updates that come after the last kernel that reads what they replace give what they would before."""

from __future__ import annotations

import numpy as np
import pytest

from kernelforge import Tensor, jit
from kernelforge.met import LEAST_SPARED

ROWS, COLUMNS = 1024, LEAST_SPARED // 4 // 512  # of a float32 matrix that is large enough to save


def matrix(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize("form", ["index_add", "scatter_add", "index_put"])
def test_a_scatter_waits_for_its_base(form: str, device: str) -> None:
    """The base takes the place of what another kernel reads after it, too."""
    w, x, index = matrix(0, ROWS, COLUMNS), matrix(1, 40, COLUMNS), np.arange(40) * 7 % ROWS
    values = Tensor(x, device=device).realize()
    places = Tensor(index, device=device).realize()

    def update(given: Tensor) -> Tensor:
        if form == "index_add":
            return given.index_add(0, places, values)
        if form == "scatter_add":
            return given.scatter_add(0, places.unsqueeze(1).expand(40, COLUMNS), values)
        return given.index_put((places,), values, accumulate=True)

    expected = w.copy()
    np.add.at(expected, index, x)
    for _ in range(3):
        given = (Tensor(w, device=device) * 1).realize()
        found = update(given)
        product = (values @ given.T) @ (given * 0.5)
        del given
        product.realize(found)
        np.testing.assert_allclose(found.numpy(), expected, rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(product.numpy(), (x @ w.T) @ (w * 0.5), rtol=1e-3, atol=5e-2)


def test_rows_that_are_changed_by_what_they_were(device: str) -> None:
    w, index = matrix(0, ROWS, COLUMNS), np.arange(40) * 7 % ROWS
    for way in range(3):
        x = (Tensor(w, device=device) * 1).realize()
        places, expected = Tensor(index, device=device).realize(), w.copy()
        if way == 0:
            x[places] = x[places] * 2
            expected[index] *= 2
        elif way == 1:
            x.index_add_(0, places, x[:40] * 3)
            np.add.at(expected, index, w[:40] * 3)
        else:
            x[places, 3:5] += x.sum(1)[places].unsqueeze(1)
            expected[index, 3:5] += w.sum(1)[index][:, None]
        np.testing.assert_allclose(x.numpy(), expected, rtol=1e-4, atol=1e-4)


def test_tied_weights_whose_gradients_are_scattered(device: str) -> None:
    """A table that is looked up, updated by the gradient of that, and multiplied by."""
    table = Tensor(matrix(2, ROWS, COLUMNS), device=device).realize()
    expected, index = table.numpy().astype(np.float64), np.arange(24) * 5 % ROWS

    @jit
    def step(places: Tensor, given: Tensor) -> Tensor:
        gradient = table.zeros_like().index_add(0, places, given)
        passed = (given @ table.T) @ table
        table.assign(table + gradient * 1.0)
        return passed

    for i in range(5):
        given = matrix(3 + i, 24, COLUMNS)
        found = step(Tensor(index, device=device), Tensor(given, device=device)).numpy()
        np.testing.assert_allclose(found, (given @ expected.T) @ expected, rtol=2e-3, atol=0.5)
        np.add.at(expected, index, given)
        np.testing.assert_allclose(table.numpy(), expected, rtol=1e-4, atol=1e-4)
