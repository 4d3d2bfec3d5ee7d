"""A few singular vectors and eigenvectors: they make up the matrix, and solve the equations they are to solve."""

import numpy as np
import pytest

from kernelforge import ShapeError, Tensor
from kernelforge.errors import ArgumentError

RNG = np.random.default_rng(0)
LOW = RNG.normal(size=(20, 3)) @ RNG.normal(size=(3, 15))


MATRICES = [LOW, LOW.T, np.stack([LOW, 2 * LOW]), LOW + 1j * LOW[::-1]]


@pytest.mark.parametrize("x", MATRICES, ids=["tall", "wide", "batch", "complex"])
def test_singular_vectors_make_up_a_matrix_of_small_rank(x, numpy_device):
    u, s, v = Tensor(x).svd_lowrank(7)
    assert u.shape[-1] == s.shape[-1] == v.shape[-1] == 7
    np.testing.assert_allclose((u * s.unsqueeze(-2) @ v.mH).numpy(), x, atol=1e-10)


def test_principal_directions_are_those_of_the_centred_rows(numpy_device):
    x = LOW + 5
    for center in (True, False):
        _, s, v = Tensor(x).pca_lowrank(4, center)
        values = np.linalg.svd(x - x.mean(0) if center else x)[1]
        np.testing.assert_allclose(s.numpy(), values[:4], atol=1e-10)
        np.testing.assert_allclose((v.mT @ v).numpy(), np.eye(4), atol=1e-10)


@pytest.mark.parametrize("largest", [None, False])
def test_eigenvectors(largest, numpy_device):
    a, b = RNG.normal(size=(2, 12, 12))
    a, b = a + a.T, b @ b.T + np.eye(12)
    for metric in (None, b):
        values, x = Tensor(a).lobpcg(3, None if metric is None else Tensor(metric), largest=largest)
        values, x, m = values.numpy(), x.numpy(), np.eye(12) if metric is None else metric
        np.testing.assert_allclose(a @ x, m @ x * values, atol=1e-9)
        np.testing.assert_allclose(x.T @ m @ x, np.eye(3), atol=1e-9)
        every = np.sort(np.linalg.eigvals(np.linalg.solve(m, a)).real)
        np.testing.assert_allclose(values, every[:3] if largest is False else every[:-4:-1], atol=1e-9)


def test_what_is_none():
    with pytest.raises(ArgumentError, match="q=16"):
        Tensor(LOW).svd_lowrank(16)
    with pytest.raises(ShapeError, match="square"):
        Tensor(LOW).lobpcg()
