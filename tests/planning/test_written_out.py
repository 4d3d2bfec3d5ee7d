"""Loops that are written out over the places of an array: their steps have one kernel, wherever they read."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernelforge import Tensor
from kernelforge.counters import GlobalCounters
from tests.forgotten import forget

random = np.random.default_rng(0)
WIDTH = 128  # of float32: places begin where memory can be divided


def of_rows(x: Tensor, i: int) -> Tensor:
    return x[:, i]


def of_steps(x: Tensor, i: int) -> Tensor:
    return x.transpose(0, 1)[i]


def of_two(x: Tensor, i: int) -> Tensor:
    return x[:, i : i + 2].sum(1)


def kernels_compiled(work: Callable[[], object]) -> int:
    GlobalCounters.reset()
    work()
    return GlobalCounters.compiled


@pytest.mark.parametrize("taken", [of_rows, of_steps, of_two])
def test_steps_of_a_recurrent_network(taken: Callable[[Tensor, int], Tensor]) -> None:
    def trained(steps: int, device: str = "CPU") -> list[np.ndarray]:
        x = Tensor(np.random.default_rng(1).standard_normal((3, steps + 1, WIDTH), np.float32), device=device)
        w, u = (Tensor(np.random.default_rng(n).standard_normal((n, 32), np.float32) / 20, device=device)
                for n in (WIDTH, 32))  # fmt: skip
        h = Tensor.zeros(3, 32, device=device)
        for i in range(steps):
            h = (taken(x, i) @ w + h @ u).tanh()
        loss = h.square().sum()
        return [t.numpy() for t in (loss, *loss.gradient(w, u))]

    forget()
    few = kernels_compiled(lambda: trained(5))
    forget()
    many = kernels_compiled(lambda: trained(12))
    assert many <= few + 2
    for found, expected in zip(trained(12), trained(12, "NUMPY")):
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


@given(st.data())
def test_any_places_of_an_array(data: st.DataObject) -> None:
    """The steps of a program that walks over an array in any way, beside NumPy's."""
    shape = tuple(data.draw(st.lists(st.sampled_from([1, 3, 8, 130]), min_size=2, max_size=3)))
    dtype = data.draw(st.sampled_from([np.float32, np.int32, np.int8, np.float64]))
    dim = data.draw(st.integers(0, len(shape) - 1))
    x = (random.standard_normal(shape) * 8).astype(dtype)
    size = data.draw(st.integers(1, shape[dim]))
    starts = data.draw(st.lists(st.integers(0, shape[dim] - size), min_size=3, max_size=8))
    given = Tensor(x) if data.draw(st.booleans()) else Tensor(x) * 1 + 0
    stores = data.draw(st.booleans())
    expected, found = np.zeros((), dtype), Tensor(np.zeros((), dtype))
    every = []
    for start in starts:
        place = (*[slice(None)] * dim, slice(start, start + size))
        expected, found = expected + x[place].sum(dtype=dtype), found + given[place].sum(dtype=found.dtype)
        if stores:
            found = found.contiguous()
        every.append((expected, found))
    for value, tensor in every:
        np.testing.assert_allclose(tensor.numpy(), value, rtol=1e-4, atol=1e-3)
