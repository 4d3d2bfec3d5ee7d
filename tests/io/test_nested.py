"""Nested values come back as they were, types and bits alike."""

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from kernelforge import Tensor
from kernelforge.errors import FileFormatError
from kernelforge.io import load, safe_save, save
from tests.io.damage import damaged, survives

leaves = (
    st.none()
    | st.booleans()
    | st.integers(-(2**200), 2**200)
    | st.floats()
    | st.text(max_size=4)
    | st.binary(max_size=4)
    | arrays.arrays(st.sampled_from(["f4", "i8", "?", "u1", "f2"]), arrays.array_shapes(min_dims=0, min_side=0))
    | st.sampled_from([np.float32(0.1), np.int16(3)])
)
keys = st.text(max_size=3) | st.integers() | st.tuples(st.integers(), st.text(max_size=1)) | st.none()
values = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=3) | st.tuples(inner, inner) | st.dictionaries(keys, inner, max_size=3),
    max_leaves=8,
)


def same(a, b) -> bool:
    if isinstance(b, dict):
        return type(a) is dict and list(a) == list(b) and all(same(a[key], b[key]) for key in b)
    if isinstance(b, list | tuple):
        return type(a) is type(b) and len(a) == len(b) and all(map(same, a, b))
    if isinstance(b, np.ndarray | np.generic):
        return type(a) is type(b) and a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
    if isinstance(b, float):
        return type(a) is float and (a == b or (math.isnan(a) and math.isnan(b)))
    return type(a) is type(b) and a == b


@given(values)
def test_what_is_saved_is_loaded(tmp_path_factory, value) -> None:
    path = tmp_path_factory.mktemp("nested") / "x"
    save(value, path)
    assert same(load(path), value)


def test_tensors_and_paths_that_look_alike(tmp_path: Path) -> None:
    save({"a.b": Tensor([1.0]), "a": {"b": Tensor([2])}, "c": [Tensor.ones(2)]}, tmp_path / "x")
    found = load(tmp_path / "x")
    assert found["a.b"].tolist() == [1.0] and found["a"]["b"].tolist() == [2] and found["c"][0].tolist() == [1, 1]


def test_what_cannot_be_saved_is_named(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match=r"value\.model\.1 is a object"):
        save({"model": [1, object()]}, tmp_path / "x")
    deep: list = []
    for _ in range(200):
        deep = [deep]
    with pytest.raises(TypeError, match="deep"):
        save(deep, tmp_path / "x")


def test_other_files_are_named(tmp_path: Path) -> None:
    safe_save({"a": np.ones(2)}, tmp_path / "x")
    with pytest.raises(FileFormatError, match="not one written by save"):
        load(tmp_path / "x")


SAMPLE = {"a": np.arange(3.0), "b": [1, 2.5, ("x", None)], "c": Tensor([1])}


@given(data=st.data())
def test_damaged_files_give_values_or_the_error(tmp_path_factory, data: st.DataObject) -> None:
    folder = tmp_path_factory.mktemp("damaged")
    save(SAMPLE, folder / "good")
    survives(load, folder / "x", data.draw(damaged((folder / "good").read_bytes())))
