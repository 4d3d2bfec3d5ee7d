"""Searches, histograms and distinct elements against torch."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from codegen.dtypes import dtypes
from kernelforge.errors import DTypeError, ShapeError
from kernelforge.tensor import Tensor, counting
from tests.tensor.checks import assert_all_same, values

torch = pytest.importorskip("torch")


def assert_like_torch(found, expected) -> None:
    assert_all_same(found, [x.numpy() for x in expected])


def test_searchsorted(device):
    found, expected = [], []
    for n in (1, 2, 7, 100):
        line, x = np.sort(values(n)), values(40)
        x[:3], x[3 : 3 + n] = (np.nan, np.inf, -np.inf), line[:37]
        for right in (False, True):
            found.append(Tensor(line).searchsorted(Tensor(x), right))
            expected.append(torch.searchsorted(torch.tensor(line), torch.tensor(x), right=right))
    assert_like_torch(found, expected)


def test_searchsorted_in_rows_and_mixed_types(numpy_device):
    lines, x = np.sort(values(2, 3, 9, low=0, high=5, dtype=np.int32), -1), values(2, 3, 4, low=0, high=5)
    found = [Tensor(lines).searchsorted(Tensor(x)), Tensor(x[0]).bucketize(Tensor(lines[0, 0]), right=True)]
    expected = torch.searchsorted(torch.tensor(lines).double(), torch.tensor(x).double())
    assert_like_torch(found, [expected, torch.bucketize(torch.tensor(x[0]), torch.tensor(lines[0, 0]), right=True)])
    assert Tensor(np.zeros(0)).searchsorted(Tensor([1.0, 2.0])).tolist() == [0, 0]
    assert Tensor([1.0]).searchsorted(Tensor(np.zeros((0, 2)))).shape == (0, 2)


def test_bincount(device):
    x, weights = values(300, low=0, high=20, dtype=np.int32), values(300)
    found = [Tensor(x).bincount(), Tensor(x).bincount(minlength=50), Tensor(x).bincount(Tensor(weights))]
    t, w = torch.tensor(x), torch.tensor(weights)
    assert_like_torch(found, [t.bincount(), t.bincount(minlength=50), t.bincount(w)])
    assert Tensor(np.zeros(0, np.int32)).bincount(minlength=3).tolist() == [0, 0, 0]


def test_histograms(device):
    x = values(400)
    t, edges = torch.tensor(x), np.array([-1, 0, 0.5, 1.75], np.float32)
    found = [Tensor(x).histc(7, -1, 1), Tensor(x).histc(9), Tensor(x).histogram(6, (-1.0, 2.0))[0]]
    found += [*Tensor(x).histogram(5), Tensor(x).histogram(Tensor(edges))[0]]
    found += [Tensor(np.full(4, 3.0, np.float32)).histc(3)]
    expected = [t.histc(7, -1, 1), t.histc(9), torch.histogram(t, 6, range=(-1, 2))[0]]
    expected += [*torch.histogram(t, 5), torch.histogram(t, torch.tensor(edges))[0], torch.full((4,), 3.0).histc(3)]
    assert_like_torch(found, expected)


KINDS = ("bool", "int8", "int32", "int64", "uint8", "float32")


@pytest.fixture(params=[0, counting.FEW])
def few(request, monkeypatch):
    """By kernels, and by the host."""
    monkeypatch.setattr(counting, "FEW", request.param)


@given(st.sampled_from([0, 1, 45]), st.sampled_from([1, 100]), st.sampled_from(KINDS), st.booleans())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_distinct_elements(few, n: int, spread: int, kind: str, consecutive: bool) -> None:
    x = values(n, low=-spread, high=spread, seed=n + spread).round().astype(kind)
    name = "unique_consecutive" if consecutive else "unique"
    expected = getattr(torch, name)(torch.tensor(x), return_inverse=True, return_counts=True)
    assert_like_torch(getattr(Tensor(x), name)(return_inverse=True, return_counts=True), expected)
    np.testing.assert_array_equal(getattr(Tensor(x), name)().numpy(), expected[0])


def test_distinct_elements_keep_the_shape_of_the_inverse_and_every_nan(numpy_device, few):
    x = np.array([[2, np.nan, 1], [1, np.nan, -0.0]], np.float32)
    t = torch.tensor(x)
    found = Tensor(x).unique(return_inverse=True)
    assert_like_torch(found, t.unique(return_inverse=True))
    assert len(Tensor(x).unique(return_counts=True)) == 2
    assert found[1].dtype is dtypes.int32


def test_distinct_integers_far_apart(numpy_device, few):
    x = np.array([2**62, -(2**62), 5, 2**62, 5], np.int64)
    assert Tensor(x).unique().tolist() == [-(2**62), 5, 2**62]


def test_errors():
    with pytest.raises(ShapeError, match="leading dimensions"):
        Tensor([[1, 2]]).searchsorted(Tensor([1]))
    with pytest.raises(ShapeError, match="vector of boundaries"):
        Tensor([1, 2]).bucketize(Tensor([[1]]))
    with pytest.raises(DTypeError, match="integers"):
        Tensor([1.5]).bincount()
    with pytest.raises(ShapeError, match="same shape"):
        Tensor([1]).bincount(Tensor([1.0, 2.0]))
    with pytest.raises(ValueError, match="from 0 up, got -1"):
        Tensor([-1]).bincount()
    with pytest.raises(ValueError, match="at least one bin"):
        Tensor([1.0]).histc(0)
    with pytest.raises(ShapeError, match="two edges"):
        Tensor([1.0]).histogram(Tensor([1.0]))


def test_histograms_of_points(device):
    x, weight = values(60, 3), np.abs(values(60))
    t = torch.tensor(x)
    edges = [np.array(e, np.float32) for e in ([-1, 0, 1], [-2, 0.5, 1, 2], [-3, 3])]
    for parts, options in (
        ([2, 3, 4], {}), (3, {"density": True}), ([2, 3, 4], {"range": [-1.0, 1, -1, 1, -2, 2]}), (edges, {}),
    ):  # fmt: skip
        ours = parts if isinstance(parts, int) else [e if isinstance(e, int) else Tensor(e) for e in parts]
        bins = parts if isinstance(parts, int) else [e if isinstance(e, int) else torch.tensor(e) for e in parts]
        for weights in (None, weight):
            found, borders = Tensor(x).histogramdd(ours, weight=None if weights is None else Tensor(weights), **options)
            w = None if weights is None else torch.tensor(weights)
            expected, others = torch.histogramdd(t, bins, weight=w, **options)
            assert_all_same([found, *borders], [expected, *others], 1e-5, 1e-6)
    with pytest.raises(ShapeError, match="side by side"):
        Tensor([1.0]).histogramdd(3)


def test_no_nan_is_another_along_a_dimension_either() -> None:
    """As in torch."""
    x = Tensor([1.0, np.nan, 1.0, np.nan])
    for found in (x.unique(dim=0), x.unique()):
        np.testing.assert_array_equal(found.numpy(), [1, np.nan, np.nan])
    with pytest.raises(ValueError, match="minlength"):
        Tensor([1]).bincount(minlength=-1)
