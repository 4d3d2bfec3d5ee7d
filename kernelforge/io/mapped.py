"""A file in memory, and parts of it as tensors.

Comes in: the path of a file.  Goes out: checked views of its bytes, and tensors whose elements go from the file to
their device in one copy, when they are first needed.  It knows no format.
"""

from __future__ import annotations

import math
import mmap
import os
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from codegen.dtypes import DType
from kernelforge import graph
from kernelforge.buffer import Buffer
from kernelforge.errors import FileFormatError
from kernelforge.kernels import Device
from kernelforge.tensor import Tensor

PathLike: TypeAlias = "str | os.PathLike[str]"


class Mapped:
    """The bytes of a file, read where and when they are looked at.

    The file must keep its length while tensors of it are still to be computed; to replace it, as `safe_save` does, is
    fine.

    path     the file; or its bytes as a tensor, such as Tensor.from_url() gives
    memory   a read-only mapping; of an empty file, empty bytes
    raises   OSError for a file that cannot be opened
    """

    def __init__(self, path: PathLike | Tensor) -> None:
        if isinstance(path, Tensor):
            self.path = Path(f"<{path.nbytes()} bytes of a tensor>")
            self.memory: mmap.mmap | bytes = path.numpy().tobytes()
            return
        self.path = Path(path)
        with open(self.path, "rb") as file:
            empty = not os.fstat(file.fileno()).st_size
            self.memory = b"" if empty else mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)

    def __len__(self) -> int:
        return len(self.memory)

    def wrong(self, reason: str) -> FileFormatError:
        """The error to raise for this file."""
        return FileFormatError(self.path, reason)

    def part(self, start: int, size: int, what: str) -> NDArray[np.uint8]:
        """A view of the bytes from start on.

        raises FileFormatError when the file has fewer
        """
        if start < 0 or size < 0 or start + size > len(self):
            raise self.wrong(f"truncated or corrupt: {what} is bytes {start:,} to {start + size:,} of {len(self):,}")
        return np.frombuffer(self.memory, np.uint8, size, start)


def tensor_of(stored: NDArray, dtype: DType, shape: tuple[int, ...], device: str | None) -> Tensor:
    """A tensor of an array in storage form, which must not change: it is copied when the tensor is first needed."""
    if not math.prod(shape):
        return Tensor.empty(*shape, dtype=dtype, device=device)
    place = Device.canonicalize(device)
    flat = stored.view(dtype.numpy) if stored.dtype != dtype.numpy else stored
    flat = flat.reshape(-1).view(dtype.stored.numpy)
    return Tensor._made(graph.buffer(Buffer(flat.size, dtype.stored, place, host=flat), shape, dtype), None, None)
