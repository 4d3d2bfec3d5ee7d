"""Elements picked and replaced by methods.  tests/parity compares them with torch."""

import numpy as np
import pytest

from codegen.dtypes import dtypes
from kernelforge.errors import ArgumentError, ShapeError
from kernelforge.tensor import Tensor
from tests.tensor.checks import assert_gradient, assert_same, values

PLACES = np.array([3, 0, 3])


def test_slices_added_at_one_place_add_up(device):
    x, y = values(4, 2), values(3, 2, seed=1)
    expected = x.copy()
    np.add.at(expected, PLACES, 2 * y)
    assert_same(Tensor(x).index_add(0, Tensor(PLACES), Tensor(y), alpha=2), expected)
    assert_gradient(lambda x, y: x.index_add(0, Tensor(PLACES), y), x, y)


def test_slices_of_another_shape_are_refused():
    x = Tensor.zeros(4, 2)
    for source in (Tensor.zeros(3, 1), Tensor.zeros(2, 2)):
        with pytest.raises(ShapeError, match="3 slices of dimension 0"):
            x.index_copy(0, Tensor(PLACES), source)


def test_masked_scatter_takes_elements_in_order(device):
    x, mask, source = values(2, 3), np.array([True, False, True]), values(2, 2, seed=2)
    expected = x.copy()
    expected[np.broadcast_to(mask, x.shape)] = source.ravel()
    assert_same(Tensor(x).masked_scatter(Tensor(mask), Tensor(source)), expected)
    assert_gradient(lambda x, y: x.masked_scatter(Tensor(mask), y), x, source)


def test_masked_scatter_from_too_few_elements(device):
    with pytest.raises(IndexError):
        Tensor.zeros(3).masked_scatter(Tensor([True, True, True]), Tensor([1.0, 2.0])).numpy()


def test_places_of_what_is_not_zero(device):
    x = np.array([[0, 1, 0], [2, 0, 3]])
    for found, expected in zip(Tensor(x).nonzero(as_tuple=True), x.nonzero(), strict=True):
        assert_same(found, expected)
    assert_same(Tensor(x).argwhere(), np.argwhere(x))


def test_take_along_dim_broadcasts(device):
    x, places = values(2, 3), np.array([[2, 0]])
    assert_same(Tensor(x).take_along_dim(Tensor(places), 1), np.take_along_axis(x, np.repeat(places, 2, 0), 1))
    assert_same(Tensor(x).take_along_dim(Tensor(places)), x.ravel()[places.ravel()])
    with pytest.raises(ShapeError, match="take_along_dim"):
        Tensor(x).take_along_dim(Tensor([0]), 1)


@pytest.mark.parametrize("shape", [(), (0,), (7,), (3, 0), (0, 3), (5, 4), (2, 3, 1, 5), (64, 65)])
@pytest.mark.parametrize("dtype", [np.float32, np.int8, np.bool_])
def test_places_in_every_shape_and_type(shape: tuple[int, ...], dtype: type) -> None:
    x = np.asarray(np.random.default_rng(3).integers(-1, 2, shape)).astype(dtype)
    found = Tensor(x).nonzero()
    assert found.dtype is dtypes.int32
    np.testing.assert_array_equal(found.numpy(), np.argwhere(x))
    if x.ndim:
        chosen = Tensor(np.arange(x.size).reshape(shape))[Tensor(x != 0)]
        np.testing.assert_array_equal(chosen.numpy(), np.arange(x.size).reshape(shape)[x != 0])


def test_where_alone_gives_places(device):
    found = Tensor([[1, 0], [0, 3]]).where()
    assert [x.tolist() for x in found] == [[0, 1], [0, 1]]
    with pytest.raises(ArgumentError, match="both"):
        Tensor([True]).where(1)


@pytest.mark.parametrize("shape", [(0,), (0, 2), (2, 0)])
def test_nothing_is_put_by_an_index_without_elements(shape, numpy_device) -> None:
    x, index = Tensor([[1.0, 2.0], [3.0, 4.0]]), Tensor.zeros(*shape, dtype="int64")
    for found in (x.scatter(0, index, x), x.scatter_add(1, index, x), x.scatter_reduce(0, index, x, "amax")):
        assert found.tolist() == x.tolist()


def test_an_index_without_dimensions_selects_one_slice():
    x = Tensor([[1, 2], [3, 4]])
    assert x.index_select(0, Tensor(1)).tolist() == [[3, 4]]
    with pytest.raises(ShapeError, match="takes a vector"):
        x.index_select(0, Tensor([[1]]))


@pytest.mark.parametrize("shape", [(5, 0, 5), (0,), (0, 3), (2, 0)])
def test_nothing_has_no_places(shape, numpy_device):
    found = Tensor.zeros(*shape).nonzero_static(size=3)
    assert_same(found, np.full((3, len(shape)), -1, np.int32))
