"""Readers and datasets over files: what was written is read, and what is wrong is named with its line."""

import csv
import gzip
import io
import json
import pickle
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from kernelforge.data import (
    DataLoader,
    ImageFolder,
    JsonLines,
    NpyDataset,
    read_csv,
    read_idx,
    read_image,
    read_jsonl,
)
from kernelforge.errors import FileFormatError
from tests.io.damage import damaged, survives

CODES = {"u1": 8, "i1": 9, "i2": 11, "i4": 12, "f4": 13, "f8": 14}


def idx_of(array: np.ndarray) -> bytes:
    head = bytes([0, 0, CODES[array.dtype.str[1:]], array.ndim])
    return head + struct.pack(f">{array.ndim}I", *array.shape) + array.astype(array.dtype.newbyteorder(">")).tobytes()


@given(arrays.arrays(st.sampled_from(list(CODES)), arrays.array_shapes(min_dims=0, min_side=0)), st.booleans())
def test_idx(tmp_path_factory, array: np.ndarray, packed: bool) -> None:
    path = tmp_path_factory.mktemp("idx") / "x"
    path.write_bytes(gzip.compress(idx_of(array)) if packed else idx_of(array))
    found = read_idx(path)
    assert found.dtype == array.dtype and found.shape == array.shape and found.tobytes() == array.tobytes()


SAMPLE = idx_of(np.arange(6, dtype=np.int16).reshape(2, 3))


@pytest.mark.parametrize("good", [SAMPLE, gzip.compress(SAMPLE)], ids=["plain", "gzip"])
@given(data=st.data())
def test_damaged_idx_files_give_values_or_the_error(tmp_path_factory, good: bytes, data: st.DataObject) -> None:
    survives(read_idx, tmp_path_factory.mktemp("damaged") / "x", data.draw(damaged(good)))


cells = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=4).filter(lambda text: text.strip())


@given(st.integers(1, 4).flatmap(lambda width: st.lists(st.lists(cells, min_size=width, max_size=width), min_size=1)))
def test_csv_of_text(tmp_path_factory, rows: list[list[str]]) -> None:
    path = tmp_path_factory.mktemp("csv") / "x"
    text = io.StringIO()
    csv.writer(text, quoting=csv.QUOTE_ALL).writerows([["n" + cell for cell in row] for row in rows])
    path.write_text(text.getvalue(), "utf-8", newline="")
    found = read_csv(path, header=False)
    assert [list(row) for row in zip(*(column.tolist() for column in found.values()))] == [
        ["n" + cell for cell in row] for row in rows
    ]


def test_csv_of_numbers(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("\ufeffa;b;c\n1;2.5;x\n\n-3;;y\n", "utf-8")
    found = read_csv(tmp_path / "x.csv", delimiter=";")
    assert found["a"].dtype == np.int64 and found["a"].tolist() == [1, -3]
    assert found["b"][0] == 2.5 and np.isnan(found["b"][1]) and found["c"].tolist() == ["x", "y"]
    (tmp_path / "empty").write_text("")
    assert read_csv(tmp_path / "empty") == {}


@pytest.mark.parametrize(
    ("text", "message"), [("a,b\n1,2\n3\n", "line 3 has 1 cells, the first one 2"), ("a,a\n1,2\n", "the same name")]
)
def test_csv_that_is_wrong(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "x.csv").write_text(text)
    with pytest.raises(FileFormatError, match=f"x.csv: .*{message}"):
        read_csv(tmp_path / "x.csv")


def double(value: dict) -> int:
    return 2 * value["n"]


def test_json_lines(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text("\n".join(json.dumps({"n": i, "text": "é"}) for i in range(7)).replace("\n", "\n \n", 2))
    dataset = JsonLines(path)
    assert len(dataset) == 7 and dataset[-1] == {"n": 6, "text": "é"} and list(read_jsonl(path)) == list(dataset)
    assert pickle.loads(pickle.dumps(dataset))[3] == dataset[3]
    batches = DataLoader(JsonLines(path, double), batch_size=4, num_workers=1)
    assert [batch.numpy().tolist() for batch in batches] == [[0, 2, 4, 6], [8, 10, 12]]
    with pytest.raises(IndexError):
        dataset[7]


def test_json_lines_that_are_wrong(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text('{"n": 1}\n\n{"n": \n')
    for read in (lambda: JsonLines(path)[1], lambda: list(read_jsonl(path))):
        with pytest.raises(FileFormatError, match="x.jsonl: line 3: no JSON"):
            read()
    (tmp_path / "empty").write_bytes(b"")
    assert len(JsonLines(tmp_path / "empty")) == 0


def test_rows_of_an_npy_file(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.arange(12.0).reshape(6, 2))
    dataset = NpyDataset(tmp_path / "x.npy")
    assert len(pickle.dumps(dataset)) < 500 and isinstance(dataset.array, np.memmap)
    batches = [batch.numpy().tolist() for batch in DataLoader(dataset, batch_size=4, num_workers=1)]
    assert batches == [np.arange(8.0).reshape(4, 2).tolist(), np.arange(8.0, 12).reshape(2, 2).tolist()]
    np.save(tmp_path / "y.npy", np.float64(3))
    with pytest.raises(FileFormatError, match="no samples"):
        NpyDataset(tmp_path / "y.npy")


def test_images_in_folders(tmp_path: Path) -> None:
    image = pytest.importorskip("PIL.Image")
    for number, name in enumerate(("cat", "dog", "cat")):
        (tmp_path / name / "deep").mkdir(parents=True, exist_ok=True)
        image.fromarray(np.full((2, 3), 10 * number, np.uint8)).save(tmp_path / name / "deep" / f"{number}.png")
    (tmp_path / "cat" / "notes.txt").write_text("not an image")
    dataset = ImageFolder(tmp_path)
    assert dataset.classes == ["cat", "dog"] and [label for _, label in dataset] == [0, 0, 1]
    assert dataset[1][0].shape == (2, 3, 3) and dataset[1][0].max() == 20
    assert next(iter(DataLoader(ImageFolder(tmp_path, np.transpose), 3, num_workers=1)))[0].shape == (3, 3, 3, 2)
    (tmp_path / "cat" / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\nbroken")
    with pytest.raises(FileFormatError, match=r"bad.png: no image"):
        read_image(tmp_path / "cat" / "bad.png")
    with pytest.raises(FileFormatError, match="no images"):
        ImageFolder(tmp_path / "dog" / "deep")
