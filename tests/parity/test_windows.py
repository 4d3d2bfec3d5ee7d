"""Pooling of every kind, resizing and looking up in grids give torch's values and gradients."""

import numpy as np
import pytest

from kernelforge import ShapeError, Tensor
from kernelforge.nn import functional
from tests.parity.checks import assert_equal, assert_gradients_equal

torch = pytest.importorskip("torch")
F = torch.nn.functional
RNG = np.random.default_rng(0)


def image(*shape):
    return RNG.normal(size=shape)


def both(name):
    """The function of torch, or the method, by the library a tensor is of."""
    return lambda x, *args, **options: getattr(x if isinstance(x, Tensor) else F, name)(
        *(() if isinstance(x, Tensor) else (x,)), *args, **options
    )


POOLING = [
    ("max_pool1d", (2, 3, 9), (2,)),
    ("avg_pool1d", (2, 3, 9), (3, 2)),
    ("max_pool3d", (2, 3, 5, 6, 7), (2,)),
    ("avg_pool3d", (2, 3, 5, 6, 7), (2, (1, 2, 3))),
    ("adaptive_avg_pool1d", (2, 3, 9), (4,)),
    ("adaptive_max_pool1d", (2, 3, 9), (5,)),
    ("adaptive_avg_pool3d", (1, 2, 5, 6, 7), ((2, 3, None),)),
    ("adaptive_max_pool3d", (1, 2, 5, 6, 4), (2,)),
    ("lp_pool1d", (2, 3, 9), (2.0, 3)),
    ("lp_pool2d", (2, 3, 6, 7), (3.0, 2, 1)),
    ("local_response_norm", (2, 5, 4), (3, 0.5, 0.75, 2.0)),
    ("local_response_norm", (2, 5, 4, 3), (2,)),
    ("fold", (2, 12, 12), ((4, 5), (2, 2))),
    ("fold", (2, 12, 9), ((6, 5), (3, 2), 1, 1, (2, 2))),
    ("channel_shuffle", (2, 6, 3), (3,)),
    ("softmin", (2, 6, 3), (1,)),
]


@pytest.mark.parametrize("name, shape, arguments", POOLING, ids=str)
def test_pooling(name, shape, arguments, numpy_device):
    x = np.abs(image(*shape)) + 0.1 if name.startswith("lp") else image(*shape)
    assert_gradients_equal(lambda t: both(name)(t, *arguments), x)


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_unpooling(rank, device):
    x = image(2, 3, *(6, 4, 4)[:rank]).astype(np.float32)
    theirs, indices = getattr(F, f"max_pool{rank}d")(torch.tensor(x), 2, return_indices=True)
    ours, places = Tensor(x).max_pool2d((2,) * rank, return_indices=True)
    assert_equal(places, indices)
    expected = getattr(F, f"max_unpool{rank}d")(theirs, indices, 2)
    assert_equal(getattr(ours, f"max_unpool{rank}d")(places, 2), expected)
    with pytest.raises(ShapeError, match="must be equal"):
        ours.max_unpool2d(places[:1], 2)


@pytest.mark.parametrize("mode", ["bicubic", "area", "bilinear", "nearest", "nearest-exact"])
@pytest.mark.parametrize("size", [(3, 9), (8, 2), (5, 6)], ids=str)
def test_resizing(mode, size, numpy_device):
    x = image(1, 2, 5, 6)
    for align in (False, True) if mode in ("bicubic", "bilinear") else (None,):
        options = {} if align is None else {"align_corners": align}
        assert_gradients_equal(lambda t, o=options: both("interpolate")(t, size=size, mode=mode, **o), x)


@pytest.mark.parametrize("align", [False, True])
@pytest.mark.parametrize("padding", ["zeros", "border", "reflection"])
@pytest.mark.parametrize("mode", ["bilinear", "nearest", "bicubic"])
def test_grids(mode, padding, align, numpy_device):
    options = {"mode": mode, "padding_mode": padding, "align_corners": align}
    grid = RNG.uniform(-1.7, 1.7, (2, 3, 4, 2))
    assert_gradients_equal(lambda x, g: both("grid_sample")(x, g, **options), image(2, 2, 4, 5), grid)
    if mode != "bicubic":
        grid = RNG.uniform(-1.7, 1.7, (1, 2, 3, 2, 3))
        assert_gradients_equal(lambda x, g: both("grid_sample")(x, g, **options), image(1, 2, 3, 4, 2), grid)


@pytest.mark.parametrize("align", [False, True])
def test_affine_grids(align, device):
    for size in ((2, 3, 4, 5), (2, 1, 2, 3, 1)):
        theta = image(2, len(size) - 2, len(size) - 1).astype(np.float32)
        assert_equal(Tensor(theta).affine_grid(size, align), F.affine_grid(torch.tensor(theta), list(size), align))


def test_random_choices(numpy_device):
    x = Tensor(np.log(np.array([[0.2, 0.5, 0.3]] * 4000, np.float32)), requires_grad=True)
    chosen = x.gumbel_softmax(tau=0.5, hard=True)
    assert set(np.unique(chosen.numpy().round(5))) == {0, 1}
    np.testing.assert_allclose(chosen.numpy().mean(0), [0.2, 0.5, 0.3], atol=0.03)
    chosen.square().sum().backward()
    assert np.abs(x.grad.numpy()).max() > 0
    soft = x.gumbel_softmax()
    np.testing.assert_allclose(soft.sum(1).numpy(), 1, rtol=1e-5)


@pytest.mark.parametrize("formula, shapes", [
    ("ij,jk,kl->il", [(2, 30), (30, 3), (3, 40)]),
    ("i,j,k->", [(3,), (4,), (5,)]),
    ("bij,bjk,bk,kl->bl", [(2, 3, 4), (2, 4, 5), (2, 5), (5, 2)]),
    ("ab,cd,bc->ad", [(2, 3), (4, 5), (3, 4)]),
])  # fmt: skip
def test_products_of_several_operands(formula, shapes, numpy_device):
    arrays = [image(*shape) for shape in shapes]
    library = {True: Tensor, False: torch}
    assert_gradients_equal(lambda *xs: library[isinstance(xs[0], Tensor)].einsum(formula, *xs), *arrays)


@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
@pytest.mark.parametrize("factor", [1.5, 2.7, 0.7, (0.4, 1.3)])
@pytest.mark.parametrize("recompute", [False, True])
@pytest.mark.parametrize("align", [False, True])
def test_smooth_resizing_by_factors(mode, factor, recompute, align, numpy_device):
    x = np.random.default_rng(0).normal(size=(1, 2, 7, 5)).astype(np.float32)
    options = {
        "scale_factor": factor, "mode": mode, "align_corners": align, "antialias": True,
        "recompute_scale_factor": recompute,
    }  # fmt: skip
    found = functional.interpolate(Tensor(x), **options)
    expected = torch.nn.functional.interpolate(torch.tensor(x), **options)
    np.testing.assert_allclose(found.numpy(), expected.numpy(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("pads", [(-1, 2), (2, -1), (-1, -2), (-2, 6), (-3, 4), (-4, 5), (0, 6), (-2, -4)])
def test_circular_pads_that_crop(pads, numpy_device):
    x = np.arange(24, dtype=np.float32).reshape(1, 4, 6)
    found = functional.pad(Tensor(x), pads, "circular")
    np.testing.assert_array_equal(found.numpy(), F.pad(torch.tensor(x), pads, "circular").numpy())


def test_circular_pads_go_round_as_often_as_it_takes(numpy_device):
    x = Tensor([[0.0, 1, 2, 3, 4, 5]])  # torch reads of such a pad before the elements what it has not written
    assert functional.pad(x, (6, -1), "circular").tolist() == [[4, 0, 1, 2, 3, 4, 0, 1, 2, 3, 4]]
    assert functional.pad(x, (6, -4), "circular").tolist() == [[0, 1, 0, 1, 0, 1, 0, 1]]
    for pads in [(6, -6), (7, 0), (-7, 2)]:
        with pytest.raises(ShapeError):
            functional.pad(x, pads, "circular")
