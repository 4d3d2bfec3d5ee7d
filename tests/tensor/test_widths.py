"""Bits read as elements of any width are those NumPy finds in the same bytes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernelforge import Tensor
from kernelforge.errors import DTypeError, ShapeError

NAMES = ["int8", "uint8", "int16", "uint16", "float16", "int32", "uint32", "float32", "int64", "uint64", "float64"]


@given(
    st.sampled_from(["bool", *NAMES]), st.sampled_from(NAMES), st.integers(0, 3), st.integers(0, 3), st.integers(0, 99)
)
def test_bits_are_those_of_numpy(source: str, target: str, rows: int, columns: int, seed: int) -> None:
    width = max(np.dtype(source).itemsize, np.dtype(target).itemsize) * columns
    data = np.random.default_rng(seed).integers(0, 256, (rows, width), np.uint8)
    if source == "bool":
        data &= 1
    if "float16" in (source, target):
        data &= 0xFB  # no NaN: of a 16-bit one, which is computed with as float32, a signalling bit becomes quiet
    array = data.view(source)
    found = Tensor(array).bitcast(target)
    assert found.shape == array.view(target).shape
    np.testing.assert_array_equal(found.bitcast("uint8").numpy(), data)
    same = found.numpy()
    fine = ~np.isnan(same) if same.dtype.kind == "f" else np.ones(same.shape, bool)
    np.testing.assert_array_equal(same[fine], array.view(target)[fine])


def test_view_takes_a_type() -> None:
    assert Tensor([1.0, 2.0]).view("int32").tolist() == [0x3F800000, 0x40000000]
    assert Tensor([[1, 0], [0, 1]], dtype="bool").view("uint8").tolist() == [[1, 0], [0, 1]]
    assert Tensor.arange(4).view(2, 2).tolist() == [[0, 1], [2, 3]]
    assert Tensor([1, 0], dtype="uint8").view("bool").tolist() == [True, False]


def test_what_does_not_fit_is_an_error() -> None:
    with pytest.raises(ShapeError, match="multiple of 2"):
        Tensor([1, 2, 3], dtype="int16").bitcast("float32")
    with pytest.raises(ShapeError, match="without dimensions"):
        Tensor(1.0).bitcast("uint8")
    with pytest.raises(DTypeError, match="only bytes can be"):
        Tensor([1.0]).bitcast("bool")
