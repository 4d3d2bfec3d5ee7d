"""Sorting, largest elements and medians against NumPy and torch."""

import numpy as np
import pytest

from kernelforge.errors import ShapeError
from kernelforge.tensor import Tensor
from tests.tensor.checks import assert_all_same, assert_gradient, assert_same, values


def test_sort(device):
    x = values(3, 7, 4)
    ties = values(40, low=0, high=5, dtype=np.int32)
    t, s = Tensor(x), Tensor(ties)
    found = [t.sort()[0], *t.sort(1), t.sort(0, descending=True)[0], s.argsort(), s.argsort(descending=True)]
    expected = [
        np.sort(x),
        np.sort(x, 1),
        x.argsort(1),
        -np.sort(-x, 0),
        ties.argsort(kind="stable"),
        (-ties).argsort(kind="stable"),
    ]
    assert_all_same(found, expected, 0, 0)


def test_sort_of_few_and_odd(numpy_device):
    x = np.array([np.nan, 1, np.inf, -np.inf, np.nan, 0], np.float32)
    assert_same(Tensor(x).sort()[0], np.sort(x))
    assert_same(Tensor(x).sort(descending=True)[0], np.sort(x)[::-1])
    assert Tensor(3.0).sort()[0].item() == 3
    assert Tensor(np.zeros((0, 2), np.float32)).sort(0)[0].shape == (0, 2)


def test_topk(device):
    x = values(4, 9)
    largest, places = Tensor(x).topk(3)
    smallest, _ = Tensor(x).topk(2, dim=0, largest=False)
    expected = (-x).argsort(1)[:, :3]
    best = np.take_along_axis(x, expected, 1)
    assert_all_same([largest, places, smallest], [best, expected, np.sort(x, 0)[:2]], 0, 0)


@pytest.mark.parametrize(("shape", "k"), [((1, 50_000), 50), ((3, 1000), 5), ((4, 513), 64)])
@pytest.mark.parametrize("dtype", [np.float32, np.int64])
def test_topk_of_few_rows_keeps_the_order_of_equal_ones(device, shape, k, dtype):
    x = np.random.default_rng(k).integers(0, 40, shape).astype(dtype)
    if dtype is np.float32:
        x[0, 3] = np.nan
    for largest in (True, False):
        wide = np.where(np.isnan(x), np.inf, x) if dtype is np.float32 else x.astype(np.int64)
        expected = np.argsort(-wide if largest else wide, axis=1, kind="stable")[:, :k]
        values, places = Tensor(x).topk(k, largest=largest)
        np.testing.assert_array_equal(places.numpy(), expected)
        np.testing.assert_array_equal(values.numpy(), np.take_along_axis(x, expected, 1))


def test_gradients(numpy_device):
    x = values(3, 5)
    assert_gradient(lambda t: t.sort()[0], x)
    assert_gradient(lambda t: t.topk(2, dim=0)[0], x)
    assert_gradient(lambda t: t.kthvalue(2)[0], x)
    assert_gradient(lambda t: t.median(0)[0], x)


def test_topk_looks_into_few_blocks(device):
    """Small k of many: ties are those of the stable order, and NaN is the largest."""
    x = values(2, 700, low=-9, high=9).round()
    x[0, 5:60:7] = np.nan
    ranks = np.unique(x, return_inverse=True)[1].reshape(x.shape)
    found, expected = [], []
    for k in (1, 5, 30):
        for largest in (False, True):
            found.append(Tensor(x).topk(k, largest=largest)[1])
            expected.append(np.argsort(-ranks if largest else ranks, 1, kind="stable")[:, :k])
    assert_all_same(found, expected, 0, 0)


def test_kthvalue_and_median(numpy_device):
    torch = pytest.importorskip("torch")
    x = values(5, 8, 3)
    x[1, 2, 0] = np.nan
    t = torch.tensor(x)
    found = [Tensor(x).median(), Tensor(x[0]).median(), Tensor(x).msort()]
    expected = [t.median(), t[0].median(), t.msort()]
    for dim in range(3):
        found += [*Tensor(x).kthvalue(2, dim), *Tensor(x).median(dim, keepdim=True)]
        expected += [*t.kthvalue(2, dim), *t.median(dim, keepdim=True)]
    assert_all_same(found, [e.numpy() for e in expected], 0, 0)


def test_errors():
    with pytest.raises(ShapeError, match="there are 3 elements"):
        Tensor([1, 2, 3]).topk(4)
    with pytest.raises(ShapeError, match="k is from 1 to 3"):
        Tensor([1, 2, 3]).kthvalue(0)
    with pytest.raises(ShapeError, match="no elements"):
        Tensor(np.zeros((0,))).median()


@pytest.mark.parametrize("name", ["sort", "argsort", "topk", "kthvalue", "median", "mode", "cummax", "nanmedian"])
def test_numbers_have_one_dimension_at_most(name, numpy_device):
    arguments = (1,) if name in ("topk", "kthvalue") else ()
    for dim in (0, -1):
        getattr(Tensor(3.0), name)(*arguments, dim)
    for dim in (1, -2):
        with pytest.raises(IndexError, match=f"axis {dim}"):
            getattr(Tensor(3.0), name)(*arguments, dim)
