"""torch's files: both formats give what torch saved, damaged ones an error, and hostile ones run nothing."""

import contextlib
import os
import pickle
import struct
import subprocess
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codegen.dtypes import dtypes
from kernelforge import Tensor
from kernelforge.errors import FileFormatError
from kernelforge.io import torch_load
from kernelforge.io.pickled import Refused, described
from kernelforge.io.torchfile import MAGIC
from tests.io.damage import damaged, survives

FILES = Path(__file__).parent / "files"
FORMATS = ["archive.pt", "stream.pt"]


@pytest.mark.parametrize("name", FORMATS)
def test_both_formats_hold_what_was_saved(name: str) -> None:
    found = torch_load(FILES / name)
    values = {key: value.tolist() for key, value in found.items() if isinstance(value, Tensor)}
    assert values == {
        "weight": (np.arange(12).reshape(3, 4) / 8).tolist(),
        "tied": (np.arange(12).reshape(3, 4) / 8).tolist(),
        "turned": [[0, 3], [1, 4], [2, 5]],
        "part": [2, 4, 6],
        "half": [1.5, -2],
        "brain": [1.5, -2],
        "repeated": [7, 7, 7, 7],
        "none": [],
        "number": 2.5,
        "flags": [True, False],
        "bytes": [0, 1, 2],
        "parameter": [1, 1],
    }
    assert found["plain"] == [1, 2.5, "text", None, True, (1, 2), {"a": b"xyz"}]
    assert found["ordered"] == OrderedDict(b=1, a=2) and list(found["ordered"]) == ["b", "a"]
    assert found["half"].dtype is dtypes.float16 and found["brain"].dtype is dtypes.bfloat16
    assert found["parameter"].requires_grad and not found["weight"].requires_grad and found["none"].shape == (0, 3)


@pytest.mark.parametrize("name", FORMATS)
@given(data=st.data())
def test_damaged_files_give_values_or_the_error(tmp_path_factory, name: str, data: st.DataObject) -> None:
    content = data.draw(damaged((FILES / name).read_bytes()))
    survives(torch_load, tmp_path_factory.mktemp("damaged") / "x", content)


# Pickles ------------------------------------------------------------------------------------------------------------


def read(data: bytes) -> Any:
    return described(BytesIO(data), {}, lambda identity: identity)


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(st.text() | st.integers(), inner),
    max_leaves=12,
)


@given(plain, st.integers(2, 5))
def test_plain_data_is_what_pickle_makes_of_it(value: Any, protocol: int) -> None:
    if protocol > 2 or not any(isinstance(leaf, bytes) for leaf in leaves(value)):
        assert read(pickle.dumps(value, protocol)) == value


def leaves(value: Any) -> list[Any]:
    found, pending = [], [value]
    while pending:
        value = pending.pop()
        inside = value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else None
        pending += inside or ()
        found += [] if inside is not None else [value]
    return found


@given(plain, st.data())
def test_damaged_pickles_are_refused_or_plain(value: Any, data: st.DataObject) -> None:
    with contextlib.suppress(Refused):
        read(data.draw(damaged(pickle.dumps(value, 4))))


class Runs:
    """Its pickle says: call this."""

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> tuple[Any, ...]:
        return self.call


def hostile(folder: Path) -> list[bytes]:
    """Pickles that would leave a file `ran` in the folder if anything of them were run."""
    mark = str(folder / "ran")
    return [
        pickle.dumps(Runs(os.system, f"touch {mark}"), 2),
        pickle.dumps(Runs(os.system, f"touch {mark}"), 4),
        pickle.dumps(Runs(eval, f"open({mark!r}, 'w')"), 2),
        pickle.dumps(Runs(subprocess.check_call, ["touch", mark]), 2),
        pickle.dumps(OrderedDict(a=Runs(open, mark, "w")), 2),
        f"cposix\nsystem\n(S'touch {mark}'\ntR.".encode(),
        f"(S'touch {mark}'\niposix\nsystem\n.".encode(),  # INST
        f"(cposix\nsystem\nS'touch {mark}'\no.".encode(),  # OBJ
        f"cbuiltins\ngetattr\n(cos\n__dict__\nS'system'\ntR(S'touch {mark}'\ntR.".encode(),
        b"ctorch._utils\n_rebuild_tensor_v2\n}S'__call__'\ncos\nsystem\nsb.",
        b"ccollections\nOrderedDict\n(NN}S'update'\nNstb.",
    ]


@pytest.mark.parametrize("case", range(11))
def test_nothing_of_a_hostile_file_is_run(tmp_path: Path, case: int) -> None:
    content = hostile(tmp_path)[case]
    with zipfile.ZipFile(tmp_path / "archive", "w") as archive:
        archive.writestr("model/data.pkl", content)
    machine = pickle.dumps({"little_endian": True}, 2)
    (tmp_path / "stream").write_bytes(pickle.dumps(MAGIC, 2) + pickle.dumps(1001, 2) + machine + content)
    (tmp_path / "first").write_bytes(content)
    for name in ("archive", "stream", "first"):
        with pytest.raises(FileFormatError, match=name):
            torch_load(tmp_path / name)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\x80\x02" + b"r" + struct.pack("<I", 0xFFFFFFF0) + b".", "no valid pickle"),  # a memo of 4 billion places
        (b"\x80\x04\x8e" + struct.pack("<Q", 1 << 62) + b".", "no valid pickle"),  # bytes longer than any memory
        (b"(" * 3 + b".", "a mark"),
        (b"0.", "no valid pickle"),
        (b"N", "no valid pickle|without an end"),
        (b"}" + b"(" + b")" + b"\x85" * 100_000 + b"Nu.", "tuple as key"),  # hashing it would overflow the C stack
        (b"NNR.", "what cannot be called"),
        (b"\x80\x02\x82\x01.", "EXT1 is none of plain data"),
    ],
)
def test_what_no_pickle_should_say(content: bytes, message: str) -> None:
    with pytest.raises(Refused, match=message):
        read(content)


def archive(folder: Path, pickled: bytes, **entries: bytes) -> Path:
    path = folder / "x.pt"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("m/data.pkl", pickled)
        for name, content in entries.items():
            file.writestr(f"m/{name.replace('__', '/')}", content)
    return path


def window(offset: int, shape: str, strides: str, size: int = 4) -> bytes:
    """The pickle of one float32 tensor over storage 0."""
    storage = f"(S'storage'\nctorch\nFloatStorage\nS'0'\nS'cpu'\nI{size}\ntQ"
    return f"ctorch._utils\n_rebuild_tensor_v2\n({storage}I{offset}\n({shape}t({strides}tI00\nNtR.".encode()


def test_windows_stay_in_their_storage(tmp_path: Path) -> None:
    data = np.arange(4, dtype=np.float32).tobytes()
    assert torch_load(archive(tmp_path, window(1, "I3\n", "I1\n"), data__0=data)).tolist() == [1, 2, 3]
    for offset, shape, strides, size in [
        (2, "I3\n", "I1\n", 4),
        (0, "I3\n", "I2\n", 4),
        (-1, "I3\n", "I1\n", 4),
        (0, "I3\n", "I-1\n", 4),
        (0, "I3\nI3\n", "I1\n", 4),
        (0, "I3\nI3\nI3\n", "I1\nI0\nI1\n", 2),
        (0, "I5\n", "I1\n", 5),
        (0, "I4611686018427387904\n", "I1\n", 4611686018427387904),
    ]:
        with pytest.raises(FileFormatError, match="no valid tensor|storage 0 has 16 bytes"):
            torch_load(archive(tmp_path, window(offset, shape, strides, size), data__0=data))


def test_other_archives_are_named(tmp_path: Path) -> None:
    with pytest.raises(FileFormatError, match="TorchScript"):
        torch_load(archive(tmp_path, b"N.", **{"constants.pkl": b""}))
    with pytest.raises(FileFormatError, match="another byte order"):
        torch_load(archive(tmp_path, b"N.", byteorder=b"big"))
    with pytest.raises(FileFormatError, match="data/0 is missing"):
        torch_load(archive(tmp_path, window(0, "I3\n", "I1\n")))
    with zipfile.ZipFile(tmp_path / "y.zip", "w") as file:
        file.writestr("readme", "hello")
    with pytest.raises(FileFormatError, match=r"without data.pkl"):
        torch_load(tmp_path / "y.zip")
    (tmp_path / "empty").write_bytes(b"")
    with pytest.raises(FileFormatError, match="empty"):
        torch_load(tmp_path / "empty")


@settings(max_examples=20)
@given(data=st.data())
def test_what_torch_saves_is_loaded(tmp_path_factory, data: st.DataObject) -> None:
    torch = pytest.importorskip("torch")
    path = tmp_path_factory.mktemp("torch") / "x.pt"
    names = ["float32", "float64", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint8", "bool"]
    saved = {}
    for name in data.draw(st.lists(st.sampled_from(names), max_size=4, unique=True)):
        shape = data.draw(st.lists(st.integers(0, 4), max_size=3))
        whole = torch.arange(int(np.prod(shape))).reshape(shape).to(getattr(torch, name))
        saved[name] = whole.permute(data.draw(st.permutations(range(len(shape)))))
    torch.save(saved, path, _use_new_zipfile_serialization=data.draw(st.booleans()))
    found = torch_load(path)
    for name, tensor in saved.items():
        assert str(found[name].dtype) == name and found[name].shape == tuple(tensor.shape)
        np.testing.assert_array_equal(found[name].numpy(), tensor.float().numpy() if name == "bfloat16" else tensor)


def test_whole_modules_are_refused(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    torch.save(torch.nn.Linear(2, 2), tmp_path / "x.pt")
    with pytest.raises(FileFormatError, match=r"needs torch\.nn\.modules\.linear\.Linear.*state_dict\(\) instead"):
        torch_load(tmp_path / "x.pt")
