"""Attention and sequences of functions."""

import numpy as np
import pytest

from kernelforge.errors import ShapeError
from kernelforge.tensor import Tensor
from tests.tensor.checks import assert_all_same, assert_gradient, assert_same, values

Q, K, V = values(2, 3, 5, 4), values(2, 3, 7, 4, seed=1), values(2, 3, 7, 6, seed=2)
MASK = values(5, 7, seed=3) > -0.5


def attention(q, k, v, allowed=None, added=0.0, scale=None):
    scores = q.astype(np.float64) @ k.swapaxes(-1, -2) * (q.shape[-1] ** -0.5 if scale is None else scale) + added
    if allowed is not None:
        scores = np.where(allowed, scores, -np.inf)
    e = np.exp(scores - scores.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True) @ v


def test_attention(device):
    q, k, v = Tensor(Q), Tensor(K), Tensor(V)
    bias = values(5, 7, seed=4)
    found = [
        q.scaled_dot_product_attention(k, v),
        q.scaled_dot_product_attention(k, v, is_causal=True),
        q.scaled_dot_product_attention(k, v, Tensor(MASK)),
        q.scaled_dot_product_attention(k, v, Tensor(bias)),
        q.scaled_dot_product_attention(k, v, scale=0.3),
        q.scaled_dot_product_attention(k[:, :1], v[:, :1], enable_gqa=True),
    ]
    expected = [
        attention(Q, K, V),
        attention(Q, K, V, np.tri(5, 7, dtype=bool)),
        attention(Q, K, V, MASK),
        attention(Q, K, V, added=bias),
        attention(Q, K, V, scale=0.3),
        attention(Q, K[:, :1], V[:, :1]),
    ]
    assert_all_same(found, expected, rtol=1e-4, atol=1e-5)


def test_gradient(numpy_device):
    assert_gradient(lambda q, k, v: q.scaled_dot_product_attention(k, v, Tensor(MASK)), Q, K, V)
    assert_gradient(lambda q, k, v: q.scaled_dot_product_attention(k, v, is_causal=True), Q, K, V)


def test_narrow_floats(numpy_device):
    q, k, v = (Tensor(x.astype(np.float16)) for x in (Q, K, V))
    found = q.scaled_dot_product_attention(k, v)
    assert str(found.dtype) == "float16"
    assert_same(found, attention(Q, K, V), rtol=1e-2, atol=5e-3)


def test_errors():
    with pytest.raises(ShapeError, match="attention of queries"):
        Tensor(Q).scaled_dot_product_attention(Tensor(V), Tensor(V))
    with pytest.raises(RuntimeError, match="not both"):
        Tensor(Q).scaled_dot_product_attention(Tensor(K), Tensor(V), Tensor(MASK), is_causal=True)


def test_sequential(numpy_device):
    assert Tensor([1.0, -2.0]).sequential([Tensor.relu, lambda x: x + 1]).tolist() == [2, 1]


def test_dropout_of_channels(numpy_device):
    x = Tensor.ones(8, 16, 3, 2)
    assert x.dropout2d(0.5) is x
    with Tensor.train():
        kept = x.dropout2d(0.5).numpy()
        assert x.dropout3d(1).numpy().max() == 0
    assert set(np.unique(kept)) == {0, 2}
    assert (kept == kept[:, :, :1, :1]).all()
    assert 0.3 < (kept == 0).mean() < 0.7


def test_alpha_dropout_keeps_mean_and_variance(numpy_device):
    x = Tensor.randn(20000)
    assert x.alpha_dropout(0.5) is x
    with Tensor.train():
        found = x.alpha_dropout(0.3).numpy()
    assert abs(found.mean()) < 0.05
    assert abs(found.std() - 1) < 0.05


def test_glu_and_prelu(numpy_device):
    x = values(2, 4)
    assert_same(Tensor(x).glu(), x[:, :2] / (1 + np.exp(-x[:, 2:])))
    weight = values(4, seed=1)
    assert_same(Tensor(x).prelu(Tensor(weight)), np.where(x > 0, x, x * weight))
    with pytest.raises(ShapeError, match="glu"):
        Tensor.ones(3).glu()
