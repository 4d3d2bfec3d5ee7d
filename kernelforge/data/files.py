"""Readers of data files: idx, csv, JSON lines and images.

Comes in: a path.  Goes out: NumPy arrays.  What is wrong with a file is a FileFormatError that names the file and the
line.  npy and npz are read by `kernelforge.io.arrays`.
"""

from __future__ import annotations

import csv
import gzip
import json
import math
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Final

import numpy as np
from numpy.typing import NDArray

from kernelforge.errors import FileFormatError
from kernelforge.io.mapped import PathLike

IDX_TYPES: Final = {8: "u1", 9: "i1", 11: ">i2", 12: ">i4", 13: ">f4", 14: ">f8"}


@contextmanager
def unpacked(path: PathLike) -> Iterator[IO[bytes] | gzip.GzipFile]:
    """A file open for reading, unpacked if it is one of gzip.

    raises FileFormatError, inside too, for a gzip file that is corrupt
    """
    with open(path, "rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
        file.seek(0)
        if not packed:
            yield file
            return
        try:
            with gzip.open(file) as inner:
                yield inner
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise FileFormatError(path, f"corrupt gzip: {error}") from None


def read_idx(path: PathLike) -> NDArray:
    """The array of an idx file, the format of MNIST, also inside gzip.

    raises FileFormatError
    """
    with unpacked(path) as file:
        head = file.read(4)
        if len(head) < 4 or head[:2] != b"\0\0" or head[2] not in IDX_TYPES:
            raise FileFormatError(path, "no idx file: it does not begin with two zeros, a type and a number of axes")
        sizes = file.read(4 * head[3])
        shape = tuple(int(size) for size in np.frombuffer(sizes[: len(sizes) // 4 * 4], ">u4"))
        kind = np.dtype(IDX_TYPES[head[2]])
        needed = math.prod(shape) * kind.itemsize
        content = file.read() if len(shape) == head[3] else b""
    if len(shape) < head[3] or len(content) != needed:
        raise FileFormatError(path, f"an idx file of shape {shape} needs {needed:,} bytes, it has {len(content):,}")
    return np.frombuffer(content, kind).reshape(shape).astype(kind.newbyteorder("="))


def read_csv(path: PathLike, delimiter: str = ",", header: bool = True) -> dict[str, NDArray]:
    """The columns of a csv file by name: int64 or float64 where all cells are numbers, else text.

    header  the first line holds the names; without one they are "0", "1", ...
    An empty cell in a column of numbers is nan.

    raises FileFormatError with the line for rows of another length than the first
    """
    with unpacked(path) as file:
        lines = csv.reader((line.decode("utf-8-sig") for line in file), delimiter=delimiter)
        try:
            rows = [(lines.line_num, row) for row in lines if row]
        except (csv.Error, UnicodeDecodeError) as error:
            raise FileFormatError(path, f"line {lines.line_num}: {error}") from None
    if not rows:
        return {}
    width = len(rows[0][1])
    for line, row in rows:
        if len(row) != width:
            raise FileFormatError(path, f"line {line} has {len(row)} cells, the first one {width}")
    names = rows.pop(0)[1] if header else [str(i) for i in range(width)]
    if len(set(names)) < width:
        raise FileFormatError(path, f"two columns have the same name: {names}")
    columns = zip(*(row for _, row in rows)) if rows else [()] * width
    return {name: _column(cells) for name, cells in zip(names, columns)}


def _column(cells: Any) -> NDArray:
    """Cells as integers if all are, else as floats, else as text."""
    try:
        return np.array([int(cell) for cell in cells], np.int64)
    except (ValueError, OverflowError):
        pass
    try:
        return np.array([float(cell or "nan") for cell in cells])
    except ValueError:
        return np.array(cells)


def parsed(line: bytes, path: PathLike, number: int) -> Any:
    """The value of a line of JSON; raises FileFormatError with its number."""
    try:
        return json.loads(line)
    except (ValueError, RecursionError) as error:
        raise FileFormatError(path, f"line {number}: no JSON: {error}") from None


def read_jsonl(path: PathLike) -> Iterator[Any]:
    """The values of a file with one of JSON a line, one after the other; empty lines are left out.

    raises FileFormatError with the line
    """
    with unpacked(path) as file:
        for number, line in enumerate(file, 1):
            if line.strip():
                yield parsed(line, path, number)


def read_image(path: PathLike) -> NDArray[np.uint8]:
    """The pixels of an image file, [height, width, 3]; needs the package pillow.

    raises FileFormatError for what is no image
    """
    from PIL import Image, UnidentifiedImageError

    with open(path, "rb") as file:
        try:
            return np.asarray(Image.open(file).convert("RGB"))
        except (UnidentifiedImageError, Image.DecompressionBombError, OSError, SyntaxError, ValueError) as error:
            raise FileFormatError(path, f"no image: {error}") from None


def image_paths(folder: PathLike) -> list[tuple[Path, str]]:
    """The files in a folder's folders, and the names of these, in order."""
    found = [
        (path, path.relative_to(folder).parts[0]) for path in sorted(Path(folder).glob("*/**/*")) if path.is_file()
    ]
    return [(path, name) for path, name in found if path.suffix.lower() in IMAGES]


IMAGES: Final = frozenset((".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm"))
