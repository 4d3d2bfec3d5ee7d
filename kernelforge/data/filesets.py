"""Datasets over files: rows of an npy file, lines of JSON, images in folders.

Comes in: a path.  Goes out: samples, read when they are asked for, so that a file may be larger than memory and a
worker process is sent its path only.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kernelforge.data.dataset import Dataset
from kernelforge.data.files import image_paths, parsed, read_image
from kernelforge.errors import FileFormatError
from kernelforge.io.arrays import read_npy
from kernelforge.io.mapped import Mapped, PathLike


class NpyDataset(Dataset[NDArray]):
    """Sample i is row i of an npy file, which stays on the disk.

    raises  FileFormatError for another file, and for an array without dimensions
    """

    def __init__(self, path: PathLike) -> None:
        self.path, self.array = path, read_npy(path, mapped=True)
        if not self.array.ndim:
            raise FileFormatError(path, "an array without dimensions has no samples")

    def __getitem__(self, index: int) -> NDArray:
        return np.array(self.array[index])

    def __len__(self) -> int:
        return len(self.array)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.path,)


class JsonLines(Dataset[Any]):
    """Sample i is the value of line i of a file with one of JSON a line; empty lines are left out.

    Only where the lines begin is kept in memory, 16 bytes each.

    transform  applied to each value
    raises     FileFormatError, when a sample is asked for, with the line
    """

    def __init__(self, path: PathLike, transform: Callable[[Any], Any] | None = None) -> None:
        self.path, self.transform, self.file = path, transform, Mapped(path)
        self.spans = self._found()

    def _found(self) -> NDArray[np.int64]:
        """Number, begin and end of every line that is not empty."""
        memory, spans, start, number = self.file.memory, [], 0, 0
        while start < len(memory):
            end = memory.find(b"\n", start)
            end = len(memory) if end < 0 else end
            number += 1
            if memory[start:end].strip():
                spans.append((number, start, end))
            start = end + 1
        return np.array(spans, np.int64).reshape(-1, 3)

    def __getitem__(self, index: int) -> Any:
        number, start, end = self.spans[index].tolist()
        value = parsed(bytes(self.file.memory[start:end]), self.path, number)
        return value if self.transform is None else self.transform(value)

    def __len__(self) -> int:
        return len(self.spans)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.path, self.transform)


class ImageFolder(Dataset[tuple[Any, int]]):
    """Images in folders named after what they show: sample i is (pixels [height, width, 3], number of the folder).

    transform  applied to the pixels
    classes    the folders' names, in order
    raises     FileFormatError for a folder without images, or when a sample is asked for that is none

    Needs the package pillow.
    """

    def __init__(self, root: PathLike, transform: Callable[[NDArray[np.uint8]], Any] | None = None) -> None:
        found = image_paths(root)
        if not found:
            raise FileFormatError(root, "no images: they are expected as FOLDER/NAME/IMAGE.png (or .jpg, ...)")
        self.root, self.transform = root, transform
        self.classes = sorted({name for _, name in found})
        numbers = {name: i for i, name in enumerate(self.classes)}
        self.samples = [(path, numbers[name]) for path, name in found]

    def __getitem__(self, index: int) -> tuple[Any, int]:
        path, label = self.samples[index]
        pixels = read_image(path)
        return pixels if self.transform is None else self.transform(pixels), label

    def __len__(self) -> int:
        return len(self.samples)
