"""Orders of rows of every length and type against NumPy's stable sort."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from codegen.dtypes import dtypes
from kernelforge.tensor import Tensor
from kernelforge.tensor.ordering import _COMPARED, _block_sizes

KINDS = ("bool", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64", "float16", "float32")
SPECIAL = (np.nan, np.inf, -np.inf, 0.0, -0.0)


def rows(count: int, n: int, kind: str, seed: int) -> NDArray:
    """Rows with many equal elements, the type's extremes and every special value."""
    rng, dtype = np.random.default_rng((seed, n)), np.dtype(kind)
    few = rng.integers(0, 2 if kind == "bool" else 50, (count, n)).astype(dtype)
    if dtype.kind == "f":
        wide = (rng.normal(size=(count, n)) * 100).astype(dtype)
        wide = np.where(rng.random((count, n)) < 0.2, rng.choice(SPECIAL, (count, n)).astype(dtype), wide)
    elif kind == "bool":
        wide = few
    else:
        info = np.iinfo(dtype)
        wide = rng.integers(info.min, info.max, (count, n), dtype, endpoint=True)
    return np.where(rng.random((count, n)) < 0.5, few, wide)


def expected(x: NDArray, descending: bool) -> NDArray:
    """The stable order, NaN the largest; descending order keeps the order of equal elements too."""
    ranks = np.unique(x, return_inverse=True)[1].reshape(x.shape)
    return np.argsort(-ranks if descending else ranks, -1, kind="stable")


@pytest.mark.parametrize("kind", (*KINDS, "float64"))
def test_every_type(device: str, kind: str) -> None:
    """Short rows compare, longer ones count digits."""
    for n in (31, 389):
        x = rows(2, n, kind, 1)
        for descending in (False, True):
            np.testing.assert_array_equal(Tensor(x)._order(descending).numpy(), expected(x, descending))


@given(st.sampled_from([(3, 257), (1, 997), (2, 8193), (1, 40_009)]), st.sampled_from(KINDS))
def test_rows_in_several_blocks(shape: tuple[int, int], kind: str) -> None:
    x = rows(*shape, kind, 2)
    np.testing.assert_array_equal(Tensor(x)._order().numpy(), expected(x, False))


def test_bfloat16() -> None:
    x = Tensor(rows(2, 300, "float32", 3)).bfloat16()
    np.testing.assert_array_equal(x._order().numpy(), expected(x.float().numpy(), False))


def test_rows_that_are_views(device: str) -> None:
    """A row that jumps through memory is taken in its own order, not in that of memory."""
    x = rows(23, 17, "float32", 4)
    np.testing.assert_array_equal(Tensor(x).realize().T.flatten()._order().numpy(), expected(x.T.ravel(), False))
    several = rows(15, 60, "int32", 5).reshape(5, 3, 20, 3)
    turned = Tensor(several).realize().permute(1, 3, 2, 0).reshape(3, 300)
    np.testing.assert_array_equal(turned._order().numpy(), expected(turned.numpy(), False))


def test_nothing_to_order() -> None:
    assert Tensor(np.zeros((0, 3)))._order().shape == (0, 3)
    assert Tensor(np.zeros((3, 0)))._order().shape == (3, 0)
    assert Tensor(np.zeros((2, 1)))._order().numpy().tolist() == [[0], [0]]
    assert Tensor(np.zeros((2, 1)))._order().dtype is dtypes.int32


@pytest.mark.parametrize("kind", ("bool", "int8", "uint32", "int64", "float16", "float32"))
def test_one_of_each_row_is_where_the_order_has_it(kind: str) -> None:
    """Short rows are sorted; in longer ones it is found bit by bit, along either axis."""
    x = rows(3, 97, kind, 4)
    order = expected(x, False)
    for k in (1, 60):
        values, places = Tensor(x).kthvalue(k)
        np.testing.assert_array_equal(places.numpy(), order[:, k - 1])
        np.testing.assert_array_equal(values.numpy(), np.take_along_axis(x, order[:, k - 1 : k], 1)[:, 0])


@pytest.mark.parametrize("n", (1, 2, 31, 211))
def test_one_of_each_column(n: int) -> None:
    x = rows(3, n, "float32", 6)
    for k in {1, n // 2 + 1, n}:
        found = Tensor(x.T.copy()).kthvalue(k, 0)[1].numpy()
        np.testing.assert_array_equal(found, expected(x, False)[:, k - 1])


@pytest.mark.parametrize(
    ("kind", "count", "n", "k"),
    [
        *((kind, 6, 67, 3) for kind in KINDS),
        *((kind, 6, 601, 17) for kind in ("int16", "float32", "float64")),
        *((kind, 2, 1009, 16) for kind in ("int64", "float32")),
        ("float32", 1, 7001, 64),
        ("float16", 1, 30_011, 20),
        ("uint8", 5, 61, 1),
    ],
)
def test_the_first_of_each_row_are_those_of_the_order(kind: str, count: int, n: int, k: int) -> None:
    """They are found one by one, in blocks, or in blocks of blocks."""
    x = rows(count, n, kind, 5)
    largest = bool(k % 2)
    np.testing.assert_array_equal(Tensor(x).topk(k, largest=largest)[1].numpy(), expected(x, largest)[:, :k])


@given(st.integers(1, 10**7), st.integers(17, 64))
def test_blocks_are_parts_of_blocks(n: int, k: int) -> None:
    sizes = _block_sizes(n, k)
    assert sizes[-1] == 1
    assert all(larger % size == 0 and larger > size for larger, size in pairwise(sizes))
    assert n <= sizes[0] * _COMPARED
