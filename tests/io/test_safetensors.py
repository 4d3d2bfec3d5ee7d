"""safetensors: what is written is read, by the format's own package as well; what breaks a rule is named."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from codegen.dtypes import ALL, dtypes
from kernelforge import Tensor
from kernelforge.errors import DTypeError, FileFormatError
from kernelforge.io import safe_load, safe_load_metadata, safe_save
from kernelforge.io.atomic import written_whole
from kernelforge.nn import state
from tests.io.damage import damaged, survives

shapes = st.lists(st.sampled_from([0, 1, 2, 3, 7]), max_size=3).map(tuple)
named = st.dictionaries(st.text(max_size=4).filter(lambda name: name != "__metadata__"), st.tuples(
    st.sampled_from(ALL), shapes), max_size=4)  # fmt: skip


def value_of(kind, shape, seed=0) -> Tensor:
    numbers = np.random.default_rng(seed).integers(0, 100, shape)
    return Tensor(numbers, dtype=kind)


@given(wanted=named, metadata=st.dictionaries(st.text(max_size=3), st.text(max_size=5), max_size=2))
def test_what_is_written_is_read(tmp_path_factory, wanted, metadata) -> None:
    path = tmp_path_factory.mktemp("round") / "x.safetensors"
    tensors = {name: value_of(*entry) for name, entry in wanted.items()}
    safe_save(tensors, path, metadata)
    found = safe_load(path)
    assert found.keys() == tensors.keys() and safe_load_metadata(path) == metadata
    for name, tensor in tensors.items():
        assert found[name].dtype is tensor.dtype and found[name].shape == tensor.shape
        np.testing.assert_array_equal(found[name].numpy(), tensor.numpy())


def test_views_expressions_constants_and_arrays(tmp_path: Path) -> None:
    x = Tensor(np.arange(6.0, dtype=np.float32).reshape(2, 3))
    given = {"view": x.T, "lazy": x + 1, "ones": Tensor.ones(2, 2), "array": np.arange(3), "number": np.float64(0.5)}
    safe_save(given, tmp_path / "x")
    for name, tensor in safe_load(tmp_path / "x").items():
        np.testing.assert_array_equal(tensor.numpy(), np.asarray(given[name]))


def test_tensors_are_aligned_and_computed_when_needed(tmp_path: Path) -> None:
    safe_save({"a": np.ones(3, np.int8), "b": np.ones(5, np.float64), "c": np.ones(3, np.float16)}, tmp_path / "x")
    data = (tmp_path / "x").read_bytes()
    size = int.from_bytes(data[:8], "little")
    assert (8 + size) % 64 == 0
    for entry in json.loads(data[8 : 8 + size]).values():
        assert entry["data_offsets"][0] % {"F64": 8, "F16": 2, "I8": 1}[entry["dtype"]] == 0
    loaded = safe_load(tmp_path / "x")["b"]
    assert loaded._stored is not None and loaded._stored.host is not None and not loaded._stored.host.flags.owndata
    assert (loaded + 1).tolist() == [2.0] * 5


def test_a_loaded_file_may_be_replaced(tmp_path: Path) -> None:
    safe_save({"a": np.arange(4.0)}, tmp_path / "x")
    old = safe_load(tmp_path / "x")
    safe_save({"a": np.zeros(9)}, tmp_path / "x")
    assert old["a"].tolist() == [0, 1, 2, 3]


def test_loaded_weights_train(tmp_path: Path) -> None:
    """A loaded tensor can be assigned to; the file stays as it was."""
    safe_save({"a": np.arange(4.0, dtype=np.float32)}, tmp_path / "x")
    weight = safe_load(tmp_path / "x")["a"]
    weight.assign(weight * 2).realize()
    assert weight.tolist() == [0, 2, 4, 6] and safe_load(tmp_path / "x")["a"].tolist() == [0, 1, 2, 3]


def test_the_names_of_tinygrad() -> None:
    assert state.safe_load is safe_load and state.safe_save is safe_save
    assert callable(state.torch_load) and callable(state.gguf_load)


def test_the_formats_own_package_reads_and_writes_the_same(tmp_path: Path) -> None:
    theirs = pytest.importorskip("safetensors.numpy")
    arrays = {"a": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.zeros((0, 2), np.int64)}
    safe_save(arrays, tmp_path / "ours")
    for name, array in theirs.load_file(tmp_path / "ours").items():
        np.testing.assert_array_equal(array, arrays[name])
    theirs.save_file(arrays, tmp_path / "theirs")
    for name, tensor in safe_load(tmp_path / "theirs").items():
        np.testing.assert_array_equal(tensor.numpy(), arrays[name])


# What is wrong with a file ------------------------------------------------------------------------------------------


def file_of(header: object, data: bytes = b"") -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


ENTRY = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "truncated or corrupt: the header's length"),
        (b"\x05\x00", "truncated"),
        (file_of({"a": ENTRY}, b"1234"), "needs 8 bytes|truncated or corrupt: the tensors are 8"),
        (file_of({"a": ENTRY}, b"1" * 9), "the tensors are 8 bytes, the file has 9"),
        ((1 << 62).to_bytes(8, "little"), "header would be"),
        (file_of(b"{broken"), "no JSON"),
        (file_of(b"[" * 100_000), "no JSON"),
        (file_of(b"[1]"), "not a JSON object"),
        (file_of(b'{"a": 1, "a": 2}'), "twice"),
        (file_of({"a": 3}), "no dtype, shape"),
        (file_of({"a": ENTRY | {"dtype": "Q9"}}, b"1" * 8), "type 'Q9'; known are BOOL"),
        (file_of({"a": ENTRY | {"shape": [-2]}}, b"1" * 8), r"shape \[-2\]"),
        (file_of({"a": ENTRY | {"shape": [True, 2]}}, b"1" * 8), "shape"),
        (file_of({"a": ENTRY | {"shape": [1 << 60]}}, b"1" * 8), "needs 4,611,686"),
        (file_of({"a": ENTRY | {"data_offsets": [8, 16]}}, b"1" * 16), "begins at byte 8 .* where 0 is expected"),
        (file_of({"a": ENTRY, "b": ENTRY}, b"1" * 16), "begins at byte 0 .* where 8 is expected"),
    ],
)
def test_broken_rules_are_named(tmp_path: Path, data: bytes, message: str) -> None:
    (tmp_path / "x").write_bytes(data)
    with pytest.raises(FileFormatError, match=message) as caught:
        safe_load(tmp_path / "x")
    assert caught.value.path == str(tmp_path / "x")


SAMPLE = file_of({"__metadata__": {"a": "b"}, "a": ENTRY, "b": ENTRY | {"data_offsets": [8, 16]}}, b"12345678" * 2)


@given(data=damaged(SAMPLE))
def test_damaged_files_give_values_or_the_error(tmp_path_factory, data: bytes) -> None:
    survives(safe_load, tmp_path_factory.mktemp("damaged") / "x", data)


def test_no_file_is_no_fault_of_the_format(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        safe_load(tmp_path / "none")


def test_what_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(DTypeError, match="'c' is complex128"):
        safe_save({"c": np.ones(2, complex)}, tmp_path / "x")
    with pytest.raises(DTypeError, match="'c' is str"):
        safe_save({"c": "text"}, tmp_path / "x")
    with pytest.raises(ValueError, match="strings as metadata"):
        safe_save({}, tmp_path / "x", {"a": 3})  # type: ignore[dict-item]
    assert not list(tmp_path.iterdir())


def test_a_failed_write_leaves_what_was_there(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"before")
    os.chmod(tmp_path / "x", 0o640)
    with pytest.raises(KeyboardInterrupt), written_whole(tmp_path / "x") as file:
        file.write(b"half of")
        raise KeyboardInterrupt
    assert [path.name for path in tmp_path.iterdir()] == ["x"] and (tmp_path / "x").read_bytes() == b"before"
    with written_whole(tmp_path / "x") as file:
        file.write(b"after")
    assert (tmp_path / "x").read_bytes() == b"after" and (tmp_path / "x").stat().st_mode & 0o777 == 0o640


def test_bfloat16_keeps_its_bits(tmp_path: Path) -> None:
    safe_save({"a": Tensor([1.5, -3.0, 0.1], dtype=dtypes.bfloat16)}, tmp_path / "x")
    assert safe_load(tmp_path / "x")["a"].tolist() == pytest.approx([1.5, -3.0, 0.10009765625], abs=0)


def test_bytes_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    safe_save({"a": Tensor([1.0, 2.0]), "b": Tensor([[3]])}, path, metadata={"k": "v"})
    for source in (Tensor(np.frombuffer(path.read_bytes(), np.uint8)), Tensor.from_url(path.as_uri())):
        assert {name: x.tolist() for name, x in safe_load(source).items()} == {"a": [1.0, 2.0], "b": [[3]]}
        assert safe_load_metadata(source) == {"k": "v"}
    with pytest.raises(FileFormatError, match="bytes of a tensor"):
        safe_load(Tensor(np.frombuffer(path.read_bytes()[:-1], np.uint8)))
