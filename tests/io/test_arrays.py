"""npz and npy: both ways, and no pickles."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernelforge import Tensor
from kernelforge.errors import FileFormatError
from kernelforge.io import load_npz, save_npz
from kernelforge.io.arrays import read_npy
from tests.io.damage import damaged, survives


@pytest.mark.parametrize("compressed", [False, True])
def test_what_is_written_is_read(tmp_path: Path, compressed: bool) -> None:
    save_npz(tmp_path / "x.npz", {"a": Tensor([[1.0, 2.0]]), "b": np.arange(3), "c": Tensor.ones(2) * 3}, compressed)
    found = load_npz(tmp_path / "x.npz")
    assert {name: tensor.tolist() for name, tensor in found.items()} == {"a": [[1, 2]], "b": [0, 1, 2], "c": [3, 3]}
    assert [path.name for path in tmp_path.iterdir()] == ["x.npz"]


@pytest.mark.parametrize("mapped", [False, True])
def test_npy(tmp_path: Path, mapped: bool) -> None:
    np.save(tmp_path / "x.npy", np.arange(5))
    assert read_npy(tmp_path / "x.npy", mapped).tolist() == [0, 1, 2, 3, 4]


def test_objects_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", a=np.array([{}], object))
    np.save(tmp_path / "x.npy", np.array([{}], object))
    with pytest.raises(FileFormatError, match="x.npz: no npz file of numbers.*allow_pickle"):
        load_npz(tmp_path / "x.npz")
    with pytest.raises(FileFormatError, match="x.npy: no npy file of numbers.*allow_pickle"):
        read_npy(tmp_path / "x.npy")


def test_one_is_not_the_other(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", a=np.arange(3))
    np.save(tmp_path / "x.npy", np.arange(3))
    with pytest.raises(FileFormatError, match="an npz file"):
        read_npy(tmp_path / "x.npz")
    with pytest.raises(FileFormatError, match="an npy file"):
        load_npz(tmp_path / "x.npy")
    with pytest.raises(FileNotFoundError):
        load_npz(tmp_path / "none")


def sample(tmp_path_factory, compressed: bool) -> bytes:
    path = tmp_path_factory.mktemp("good") / "x.npz"
    save_npz(path, {"a": np.arange(4.0), "b": np.zeros((2, 2), np.int8)}, compressed)
    return path.read_bytes()


@pytest.mark.parametrize("compressed", [False, True])
@given(data=st.data())
def test_damaged_files_give_values_or_the_error(tmp_path_factory, compressed: bool, data: st.DataObject) -> None:
    content = data.draw(damaged(sample(tmp_path_factory, compressed)))
    survives(load_npz, tmp_path_factory.mktemp("damaged") / "x", content)
