"""Collation: structure is kept, leaves are stacked, and what does not fit is named."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernelforge.data import default_collate, default_convert
from kernelforge.data.collate import stack
from kernelforge.tensor import Tensor
from tests.data.sets import Pair

leaves = st.one_of(
    st.integers(-(2**40), 2**40),
    st.booleans(),
    st.floats(-1e6, 1e6, width=32),
    st.text(max_size=3),
    st.sampled_from([np.float64(1.5), np.arange(6, dtype=np.int16).reshape(2, 3), np.zeros((0, 2)), b"ab", None]),
)
structures = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=3),
        st.tuples(inner, inner),
        st.dictionaries(st.sampled_from("abc"), inner, min_size=1),
        st.builds(Pair, inner, inner),
    ),
    max_leaves=5,
)


def row(batch, index):
    """Sample index of a batch."""
    if isinstance(batch, dict):
        return {key: row(value, index) for key, value in batch.items()}
    if isinstance(batch, Pair):
        return Pair(*(row(value, index) for value in batch))
    if isinstance(batch, tuple):
        return tuple(row(value, index) for value in batch)
    if isinstance(batch, list) and not isinstance(batch[0], str | bytes | type(None)):
        return [row(value, index) for value in batch]
    return batch[index]


def same(a, b) -> bool:
    if isinstance(b, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in b)
    if isinstance(b, list | tuple):
        return type(a) is type(b) and all(same(x, y) for x, y in zip(a, b, strict=True))
    return bool(np.all(np.asarray(a) == np.asarray(b)))


@given(structures, st.integers(1, 4))
def test_every_row_of_a_batch_is_its_sample(sample, count: int) -> None:
    batch = stack([sample] * count)
    for index in range(count):
        assert same(row(batch, index), sample)


def test_leaves_become_tensors() -> None:
    batch = default_collate([{"x": np.ones((2, 3), np.float16), "y": (i, i * 0.5), "name": f"s{i}"} for i in range(4)])
    assert isinstance(batch["x"], Tensor) and batch["x"].shape == (4, 2, 3) and batch["x"].numpy().dtype == np.float16
    assert batch["y"][0].numpy().dtype == np.int64 and batch["y"][0].numpy().tolist() == [0, 1, 2, 3]
    assert batch["y"][1].numpy().dtype == np.float32 and batch["y"][1].numpy().tolist() == [0, 0.5, 1, 1.5]
    assert batch["name"] == ["s0", "s1", "s2", "s3"]


def test_tensors_are_stacked() -> None:
    batch = default_collate([Tensor([1.0, 2.0]), Tensor([3.0, 4.0])])
    assert batch.numpy().tolist() == [[1, 2], [3, 4]]


def test_one_sample_becomes_tensors_and_the_rest_stays() -> None:
    found = default_convert((np.arange(2), np.float32(0.5), "text", 3, [np.array(["a"])]))
    assert found[0].tolist() == [0, 1] and found[1].item() == 0.5 and found[2:4] == ("text", 3)
    assert isinstance(found[4][0], np.ndarray)


@pytest.mark.parametrize(
    ("samples", "error", "message"),
    [
        ([np.zeros(3), np.zeros(4)], ValueError, r"shapes \(3,\), \(4,\).*collate_fn that pads"),
        ([(1, 2), (1,)], ValueError, "different lengths"),
        ([{"a": 1}, {"b": 1}], ValueError, "different keys"),
        ([object()], TypeError, "not <class 'object'>"),
    ],
)
def test_what_does_not_fit_is_named(samples: list, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        default_collate(samples)
