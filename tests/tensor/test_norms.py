"""Normalisation and norms by torch's names: its values and gradients."""

import math

import numpy as np
import pytest

from kernelforge import DTypeError, ShapeError, Tensor, linalg
from tests.parity.checks import assert_equal, assert_gradients_equal

torch = pytest.importorskip("torch")
F = torch.nn.functional
RNG = np.random.default_rng(0)
X, W, B = RNG.normal(size=(3, 4, 5)), RNG.normal(size=4), RNG.normal(size=4)


def both(name, module=F):
    """The function of torch, or the method, by the library a tensor is of."""
    return lambda x, *rest: getattr(x, name)(*rest) if isinstance(x, Tensor) else getattr(module, name)(x, *rest)


def test_normalisation(numpy_device):
    row = RNG.normal(size=(4, 5))
    assert_gradients_equal(lambda x, w, b: both("layer_norm")(x, (4, 5), w, b), X, row, row + 1)
    assert_gradients_equal(lambda x, w: both("rms_norm")(x, (5,), w), X, row[0])
    assert_gradients_equal(lambda x, w, b: both("group_norm")(x, 2, w, b, 1e-3), X, W, B)
    assert_equal(Tensor(X).instance_norm(Tensor(W), Tensor(B)),
                 F.instance_norm(torch.tensor(X), weight=torch.tensor(W), bias=torch.tensor(B)))  # fmt: skip
    with pytest.raises(ShapeError, match="last sizes"):
        Tensor(X).layer_norm(4)
    with pytest.raises(ShapeError, match="divide the channels"):
        Tensor(X).group_norm(3)


@pytest.mark.parametrize("order", ["fro", "nuc", 1, -1, 2, -2, math.inf, -math.inf])
def test_norms_of_matrices(order, numpy_device):
    assert_gradients_equal(lambda x: both("matrix_norm", torch.linalg)(x, order), X)
    expected = torch.linalg.matrix_norm(torch.tensor(X), order, (0, 2), True)
    assert_equal(Tensor(X).matrix_norm(order, (0, 2), keepdim=True), expected)


@pytest.mark.parametrize("order", [0, 1, 2, 3.5, math.inf, -math.inf])
def test_norms_of_vectors(order, numpy_device):
    for dims in (None, 1, (0, 2)):
        assert_equal(Tensor(X).vector_norm(order, dims), torch.linalg.vector_norm(torch.tensor(X), order, dims))


def test_the_rest(numpy_device):
    assert_gradients_equal(both("vecdot", torch.linalg), X, X[::-1].copy())
    y, w, b = RNG.normal(size=(3, 4, 2)), RNG.normal(size=(6, 5, 2)), RNG.normal(size=6)
    assert_gradients_equal(both("bilinear"), X, y, w, b)
    values = np.array([-2.0, -0.0, 3.0, math.nan])
    assert_equal(Tensor(values).angle(), torch.tensor(values).angle())
    assert_equal(Tensor(values).isreal(), torch.tensor(values).isreal())
    assert_equal(Tensor([[1, 0]]).embedding(Tensor(X[0])), F.embedding(torch.tensor([[1, 0]]), torch.tensor(X[0])))


@pytest.mark.parametrize("order", [None, 2, 1, float("inf"), "fro", "nuc"])
@pytest.mark.parametrize("kind", ["float64", "float16"])
def test_norms_are_computed_in_the_type_asked_for(order, kind):
    x = Tensor(np.eye(3, dtype=np.float32))
    assert linalg.norm(x, order, dtype=kind).dtype.name == kind
    assert linalg.matrix_norm(x, "fro" if order is None else order, dtype=kind).dtype.name == kind
    assert x.vector_norm(dtype=kind).dtype.name == kind


def test_norms_keep_the_kind_of_number():
    for norm in (linalg.norm, linalg.matrix_norm, linalg.vector_norm):
        with pytest.raises(DTypeError, match="computed in a complex type"):
            norm(Tensor(np.ones((2, 2)) * 1j), dtype="float32")
        for kind in ("complex64", "int32"):
            with pytest.raises(DTypeError, match="computed in a real floating-point type"):
                norm(Tensor(np.ones((2, 2))), dtype=kind)
    with pytest.raises(ShapeError, match="name its dimension"):
        linalg.norm(Tensor(np.ones((2, 2, 2))), 2)
