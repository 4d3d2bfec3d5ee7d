"""Inputs at the edge: no elements, NaN and infinities where places, limits and sizes are asked for."""

import math

import numpy as np
import pytest

import kernelforge
from kernelforge import DTypeError, ShapeError, Tensor
from kernelforge.nn import functional

torch = pytest.importorskip("torch")
FUNCTIONS = {kernelforge: functional, torch: torch.nn.functional}
PLACES = [-math.inf, math.inf, math.nan, -2.5, 2.5, 0.5, 100.0, -1.0, 0.0, -7.25]


def assert_as_in_torch(function, *arrays):
    found, expected = (function(lib, FUNCTIONS[lib], *map(lib.tensor, arrays)) for lib in (kernelforge, torch))
    for ours, theirs in zip(*[x if isinstance(x, tuple) else (x,) for x in (found, expected)], strict=True):
        np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=1e-5)
        assert ours.numpy().dtype == theirs.numpy().dtype


@pytest.mark.parametrize("padding", ["zeros", "border", "reflection"])
@pytest.mark.parametrize("mode", ["nearest", "bilinear", "bicubic"])
@pytest.mark.parametrize("align", [False, True])
def test_images_looked_up_nowhere(padding, mode, align, numpy_device):
    image = np.arange(12, dtype=np.float32).reshape(1, 1, 3, 4)
    grid = np.array([[x, y] for x in PLACES for y in (0.0, math.nan, math.inf)], np.float32).reshape(1, -1, 1, 2)
    assert_as_in_torch(lambda lib, f, x, g: f.grid_sample(x, g, mode, padding, align), image, grid)


@pytest.mark.parametrize("low, high", [(math.nan, None), (None, math.nan), (math.nan, 1.0), (0.0, math.nan)])
@pytest.mark.parametrize("dtype", ["float32", "int32", "bool"])
def test_limits_that_are_no_numbers(low, high, dtype, numpy_device):
    assert_as_in_torch(lambda lib, f, x: x.clamp(low, high), np.array([1, 0, 1]).astype(dtype))


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("kind", ["avg", "max"])
def test_pools_to_nothing(rank, kind, numpy_device):
    x = np.ones((2, 3, *[4] * rank), np.float32)
    pool = f"adaptive_{kind}_pool{rank}d"
    options = {"return_indices": True} if kind == "max" else {}
    assert_as_in_torch(lambda lib, f, x: getattr(f, pool)(x, 0, **options), x)


@pytest.mark.parametrize("features", [0, 3])
@pytest.mark.parametrize("causal", [False, True])
def test_attention_by_no_features(features, causal, numpy_device):
    q, v = np.zeros((2, 3, 0), np.float32), np.ones((2, 3, features), np.float32)
    assert_as_in_torch(lambda lib, f, q, v: f.scaled_dot_product_attention(q, q, v, is_causal=causal), q, v)


def test_norms_of_no_channels(numpy_device):
    assert_as_in_torch(lambda lib, f, x: f.instance_norm(x), np.zeros((2, 0, 4), np.float32))


@pytest.mark.parametrize("p", [-1, -2, -0.5])
def test_norms_of_infinite_elements(p, numpy_device):
    x = np.array([[math.inf, -math.inf], [2, math.inf], [0, 1], [0, math.inf]], np.float32)
    assert_as_in_torch(lambda lib, f, x: lib.linalg.vector_norm(x, p, -1), x)


def test_squares_of_truth_values_are_integers(numpy_device):
    assert_as_in_torch(lambda lib, f, x: x.square(), np.array([True, False]))


def test_norms_of_integers_are_refused(numpy_device):
    with pytest.raises(DTypeError, match="rms_norm of int16"):
        functional.rms_norm(Tensor([[1, 2, 3]], dtype="int16"), (3,))


@pytest.mark.parametrize("target", [0.0, 1.0, 0.5])
def test_slopes_of_losses_at_certain_probabilities(target, device):
    """Scores so large that their probabilities are 0 and 1 have gradients that are numbers."""
    gradients = []
    for lib in (kernelforge, torch):
        scores = lib.tensor([30.0, -200.0, 0.0, 200.0, 3.0], requires_grad=True)
        loss = FUNCTIONS[lib].binary_cross_entropy(scores.sigmoid(), lib.tensor([target] * 5))
        loss.backward()
        chances = lib.tensor([0.0, 1.0, 0.25, 1e-10], requires_grad=True)
        targets = lib.tensor([target] * 4)
        FUNCTIONS[lib].binary_cross_entropy(chances, targets, reduction="none").sum().backward()
        gradients.append((loss.item(), scores.grad.numpy(), chances.grad.numpy()))
    (loss, of_scores, of_chances), (their_loss, of_their_scores, of_their_chances) = gradients
    assert loss == pytest.approx(their_loss)
    np.testing.assert_allclose(of_scores[[2, 4]], of_their_scores[[2, 4]], rtol=1e-5)
    exact = (1 / (1 + np.exp(-np.array([30.0, -200, 0, 200, 3]))) - target) / 5  # torch has 0 where sigmoid() is flat
    assert (of_scores >= np.minimum(exact, 0) - 1e-6).all() and (of_scores <= np.maximum(exact, 0) + 1e-6).all()
    np.testing.assert_allclose(of_chances[2:], of_their_chances[2:], rtol=1e-5)
    np.testing.assert_allclose(of_chances[:2], of_their_chances[:2], rtol=1e-5, atol=1)  # torch has 0 where 1 is right


def test_limits_that_are_no_numbers_have_no_slope(numpy_device):
    x = Tensor([1.0, 2.0], requires_grad=True)
    x.clamp(math.nan).sum().backward()
    assert x.grad.tolist() == [0, 0]


@pytest.mark.parametrize("name, inputs, options", [
    ("margin_ranking_loss", [[1.0, 3.0], [2.0, 3.0], [1.0, 1.0]], {"margin": -1.0}),
    ("hinge_embedding_loss", [[1.0, 2.0], [-1.0, -1.0]], {"margin": 1.0}),
    ("triplet_margin_loss", [[[0.0], [0.0]], [[1.0], [2.0]], [[2.0], [9.0]]], {"margin": 1.0}),
    ("multi_margin_loss", [[[1.0, 2.0]], [1]], {}),
])  # fmt: skip
def test_losses_just_at_their_margins_have_slopes(name, inputs, options, numpy_device):
    gradients = []
    for lib in (kernelforge, torch):
        first, *rest = map(lib.tensor, inputs)
        getattr(FUNCTIONS[lib], name)(first.requires_grad_(), *rest, **options).backward()
        gradients.append(first.grad.numpy())
    np.testing.assert_allclose(*gradients, rtol=1e-5, atol=1e-6)


def test_inner_products_of_two_sizes_are_refused(numpy_device):
    with pytest.raises(ShapeError, match="last sizes"):
        Tensor.ones(3, 1).inner(Tensor.ones(2, 3))
