"""Joining, splitting, listing and small tables, against NumPy and torch."""

import numpy as np
import pytest

from kernelforge import ShapeError, Tensor
from tests.tensor.checks import assert_all_same, assert_gradient, assert_same, values

SHAPES = [[(), ()], [(3,), (2,)], [(2, 3), (2, 3)], [(2, 3, 1), (2, 3, 1)], [(0, 3), (0, 3)]]


@pytest.mark.parametrize("name", ["hstack", "vstack", "dstack", "column_stack"])
@pytest.mark.parametrize("shapes", SHAPES, ids=str)
def test_stacks(name, shapes, numpy_device):
    torch = pytest.importorskip("torch")
    arrays = [values(*shape, seed=i) for i, shape in enumerate(shapes)]
    try:
        expected = getattr(torch, name)([torch.tensor(x) for x in arrays]).numpy()
    except RuntimeError:
        with pytest.raises(ShapeError):
            getattr(Tensor(arrays[0]), name)(Tensor(arrays[1]))
        return
    assert_same(getattr(Tensor(arrays[0]), name)(Tensor(arrays[1])), expected)


@pytest.mark.parametrize("name", ["hsplit", "vsplit", "dsplit"])
@pytest.mark.parametrize("shape", [(4,), (4, 6), (4, 2, 6), ()], ids=str)
def test_splits(name, shape, numpy_device):
    torch = pytest.importorskip("torch")
    x = values(*shape)
    for parts in (2, 5, (1, 3)):
        try:
            expected = [part.numpy() for part in getattr(torch.tensor(x), name)(parts)]
        except RuntimeError:
            with pytest.raises(ShapeError, match=name):
                getattr(Tensor(x), name)(parts)
            continue
        assert_all_same(getattr(Tensor(x), name)(parts), expected)


@pytest.mark.parametrize("name", ["hstack", "vstack", "dstack", "column_stack"])
def test_tensors_in_a_list_are_joined(name, device):
    arrays = [values(3), values(3)]
    assert_same(getattr(Tensor, name)([Tensor(x) for x in arrays]), getattr(np, name)(arrays))


def test_lists_of_choices(device):
    torch = pytest.importorskip("torch")
    x = torch.tensor([1.0, 2.0, 4.0])
    assert_same(Tensor(x).combinations(), torch.combinations(x))
    assert_same(Tensor(x).combinations(3, True), torch.combinations(x, 3, True))
    assert_same(Tensor(x).cartesian_prod(Tensor([5.0, 6.0])), torch.cartesian_prod(x, torch.tensor([5.0, 6.0])))
    assert_same(Tensor.tril_indices(3, 4, 1), torch.tril_indices(3, 4, 1))
    assert_same(Tensor.triu_indices(3, 4, -1), torch.triu_indices(3, 4, -1))
    assert_same(Tensor(x).vander(), torch.vander(x))
    assert_same(Tensor(x).vander(2, True), torch.vander(x, 2, True))
    assert_same(Tensor.logspace(-1, 2, 7), torch.logspace(-1, 2, 7), 1e-6)
    for base in (2.0, 10.0, 2.5):
        for ours, theirs in (("int64", torch.int64), ("uint8", torch.uint8), ("int32", torch.int32)):
            expected = torch.logspace(0, 2, 5, base, dtype=theirs)
            assert Tensor.logspace(0, 2, 5, base, dtype=ours).tolist() == expected.tolist()


def test_numbers_in_a_row_from_fractions() -> None:
    torch = pytest.importorskip("torch")
    for given in ((3.1,), (0.5, 3.5), (0, 5, 1.5), (5, 0, -1.7), (1.5, 7.9, 2.5), (-2.5, 2.5)):
        for ours, theirs in (("int64", torch.int64), ("int32", torch.int32)):
            assert Tensor.arange(*given, dtype=ours).tolist() == torch.arange(*given, dtype=theirs).tolist()


def test_elements(device):
    x = values(3, 4)
    assert_same(Tensor(x).isin(Tensor(x[:1])), np.isin(x, x[:1]))
    assert_same(Tensor(x).isin(Tensor(x[:1]), invert=True), ~np.isin(x, x[:1]))
    torch = pytest.importorskip("torch")
    assert_same(Tensor(x).renorm(1, 1, 2.0), torch.tensor(x).renorm(1, 1, 2.0), 1e-5)
    assert_same(Tensor(x).pdist(), torch.nn.functional.pdist(torch.tensor(x)), 1e-5)
    assert_same(Tensor(x).block_diag(Tensor(x[0])), torch.block_diag(torch.tensor(x), torch.tensor(x[0])))
    found = np.unravel_index(np.array([5, 11]), (2, 3, 2))
    assert_all_same(Tensor([5, 11]).unravel_index((2, 3, 2)), found)


@pytest.mark.parametrize("reduce", ["sum", "mean", "max", "min", "prod"])
def test_segments(reduce, device):
    torch = pytest.importorskip("torch")
    x, lengths = values(6, 3).astype(np.float64), np.array([2, 0, 3, 1])
    for initial in (None, 0.5):
        expected = torch.segment_reduce(torch.tensor(x), reduce, lengths=torch.tensor(lengths), initial=initial)
        assert_same(Tensor(x).segment_reduce(reduce, lengths=Tensor(lengths), initial=initial), expected, 1e-12)
        offsets = np.cumsum([0, *lengths])
        assert_same(Tensor(x).segment_reduce(reduce, offsets=Tensor(offsets), initial=initial), expected, 1e-12)
    rows = np.array([[1, 2], [3, 0], [0, 3]])
    y = x.reshape(3, 3, 2)[:, :, ::-1].copy()
    expected = torch.segment_reduce(torch.tensor(y), reduce, lengths=torch.tensor(rows), axis=1)
    assert_same(Tensor(y).segment_reduce(reduce, lengths=Tensor(rows), axis=1), expected, 1e-12)


def test_gradients(numpy_device):
    x, y = values(3, 4), values(2, 2)
    assert_gradient(lambda a, b: a.block_diag(b).square(), x, y)
    assert_gradient(lambda a: a.renorm(2, 0, 1.5), x)
    assert_gradient(lambda a: a.pdist(3.0), x)
    assert_gradient(lambda a: a[0].vander(), x)


def test_random_numbers_in_place(numpy_device):
    x = Tensor.zeros(4000, dtype="float64")
    assert x.uniform_(2, 4) is x
    assert 2 <= x.min().item() < 2.1 and 3.9 < x.max().item() < 4
    assert abs(x.normal_(1, 2).mean().item() - 1) < 0.2 and abs(x.std().item() - 2) < 0.2
    assert abs(x.exponential_(4).mean().item() - 0.25) < 0.05 and x.min().item() >= 0
    assert set(x.bernoulli_(0.25).tolist()) == {0, 1} and abs(x.mean().item() - 0.25) < 0.05


@pytest.mark.parametrize("dtype", ["int64", "uint8", "float32", "float16"])
def test_isin_of_many_elements(dtype, device):
    rng = np.random.default_rng(3)
    x, tests = (rng.integers(0, 200, n).astype(dtype) for n in (900, 150))
    if x.dtype.kind == "f":
        x[:4], tests[:4] = [np.nan, np.inf, -0.0, -np.inf], [np.nan, np.inf, 0.0, 7]
    assert_same(Tensor(x).reshape(30, 30).isin(Tensor(tests)), np.isin(x, tests).reshape(30, 30))
    assert_same(Tensor(x).isin(Tensor(tests), invert=True), ~np.isin(x, tests))
