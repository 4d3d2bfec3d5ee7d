"""Where floats and indices have edges, the results are torch's: signs of zeros, infinities, ties, masked rows."""

import math

import numpy as np
import pytest

from kernelforge import Tensor

torch = pytest.importorskip("torch")
F = torch.nn.functional
INF = math.inf
ROWS = np.array(
    [[1, INF, 2], [-INF, 0, 1], [-INF, -INF, -INF], [INF, INF, 0], [math.nan, 0, 1], [88, -103, 3e38]], np.float32
)


def assert_equal(ours, theirs, rtol=1e-5, atol=1e-6):
    assert ours.shape == tuple(theirs.shape)
    np.testing.assert_allclose(ours.numpy(), theirs.detach().numpy(), rtol=rtol, atol=atol, equal_nan=True)


def assert_gradients_equal(function, *arrays):
    """function, which works on tensors of both libraries, has one value and one gradient in both."""
    ours = [Tensor(x, requires_grad=True) for x in arrays]
    theirs = [torch.tensor(x, requires_grad=True) for x in arrays]
    found, expected = function(*ours), function(*theirs)
    assert_equal(found, expected)
    (found * found).sum().backward()
    (expected * expected).sum().backward()
    for x, y in zip(ours, theirs):
        assert_equal(x.grad, y.grad)


def test_neutral_operands_keep_the_sign_of_zero(device):
    zeros = np.array([-0.0, 0.0], np.float32)
    for function in (
        lambda x: x + 0.0, lambda x: 0.0 + x, lambda x: x + (-0.0), lambda x: x - 0.0, lambda x: x - (-0.0),
        lambda x: x * 1, lambda x: x / 1, lambda x: 0.0 - x, lambda x: -x, lambda x: x * -1, lambda x: x * 0.0,
    ):  # fmt: skip
        found, expected = function(Tensor(zeros)).numpy(), function(torch.tensor(zeros)).numpy()
        assert np.array_equal(np.signbit(found), np.signbit(expected))


@pytest.mark.parametrize("name", ["softmax", "log_softmax", "logsumexp"])
def test_infinite_rows(name, device):
    assert_equal(getattr(Tensor(ROWS), name)(1), getattr(torch.tensor(ROWS), name)(1))


@pytest.mark.parametrize("kind", ["bool", "float"])
def test_attention_of_queries_that_may_look_nowhere(kind, device):
    """They get 0, and no gradient."""
    allowed = np.array([[True, False, True], [False, False, False], [True, True, True]])
    mask = allowed if kind == "bool" else np.where(allowed, np.float32(0.5), np.float32(-INF))
    rng = np.random.default_rng(0)
    q, k, v = (rng.normal(size=(2, 2, 3, 4)).astype(np.float32) for _ in range(3))
    ours = [Tensor(x, requires_grad=True) for x in (q, k, v)]
    theirs = [torch.tensor(x, requires_grad=True) for x in (q, k, v)]
    found = ours[0].scaled_dot_product_attention(*ours[1:], attn_mask=Tensor(mask))
    expected = F.scaled_dot_product_attention(*theirs, attn_mask=torch.tensor(mask))
    assert_equal(found, expected)
    assert not found.numpy()[:, :, 1].any()
    found.square().sum().backward()
    expected.square().sum().backward()
    for x, y in zip(ours, theirs):
        assert_equal(x.grad, y.grad, atol=1e-5)
