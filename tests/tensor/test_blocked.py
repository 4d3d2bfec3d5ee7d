"""Triangular systems and Cholesky factors in blocks, beside NumPy's general functions."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernelforge.tensor.blocked import BLOCK, WIDE, cholesky, solved

TYPES = st.sampled_from([np.float32, np.float64, np.complex64, np.complex128])
BATCHES = st.sampled_from([(), (1,), (3,), (2, 1), (2, 3)])


def values(rng: np.random.Generator, shape: tuple[int, ...], dtype: type) -> np.ndarray:
    found = rng.standard_normal(shape)
    if np.issubdtype(dtype, np.complexfloating):
        found = found + 1j * rng.standard_normal(shape)
    return found.astype(dtype)


@given(st.sampled_from([0, 1, 2, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK + 5]), st.sampled_from([0, 1, 7]), BATCHES,
       BATCHES, TYPES, st.booleans(), st.booleans(), st.integers(0, 99))  # fmt: skip
def test_solutions(
    n: int, columns: int, batch: tuple[int, ...], other: tuple[int, ...], dtype: type, upper: bool, unit: bool,
    seed: int,
) -> None:  # fmt: skip
    if len(batch) and len(other) and batch[-1] != other[-1]:
        other = ()
    rng = np.random.default_rng(seed)
    a, b = values(rng, (*batch, n, n), dtype), values(rng, (*other, n, columns), dtype)
    a = a / max(1, n) + 2 * np.eye(n, dtype=dtype)
    before = a.copy(), b.copy()
    found = solved(a, b, upper, unit)
    np.testing.assert_array_equal(a, before[0])
    np.testing.assert_array_equal(b, before[1])
    read = (np.triu if upper else np.tril)(a, (1 if upper else -1) if unit else 0) + (np.eye(n) if unit else 0)
    tolerance = 1e-4 if np.finfo(dtype).bits == 32 else 1e-10
    assert found.dtype == dtype
    np.testing.assert_allclose(read.astype(dtype) @ found, np.broadcast_to(b, found.shape), tolerance, tolerance)


@given(st.sampled_from([0, 1, 2 * WIDE - 1, 2 * WIDE, 2 * WIDE + 1, 3 * WIDE + 7]), st.sampled_from([(), (2,)]), TYPES,
       st.integers(0, 99))  # fmt: skip
def test_factors(n: int, batch: tuple[int, ...], dtype: type, seed: int) -> None:
    a = values(np.random.default_rng(seed), (*batch, n, n), dtype)
    a = a @ a.conj().swapaxes(-1, -2) / max(1, n) + np.eye(n, dtype=dtype)
    found = cholesky(np.tril(a) + np.triu(np.full_like(a, 5), 1))  # of the upper triangle nothing is read
    assert found.dtype == dtype and not np.triu(found, 1).any()
    tolerance = 1e-4 if np.finfo(dtype).bits == 32 else 1e-10
    np.testing.assert_allclose(found @ found.conj().swapaxes(-1, -2), a, tolerance, tolerance)


@pytest.mark.parametrize("n", [1, 40, 300])
@pytest.mark.parametrize("place", [0, -1])
def test_what_has_no_solution_is_an_error(n: int, place: int) -> None:
    a = np.eye(n)
    a[place, place] = 0
    with pytest.raises(np.linalg.LinAlgError):
        solved(a, np.ones((n, 1)), True, False)
    a[place, place] = -1
    with pytest.raises(np.linalg.LinAlgError):
        cholesky(a)
