"""NumPy's own files: npy and npz.

Comes in: tensors or arrays by name, or a file.  Goes out: the other.  Objects, which would be pickles, are refused.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kernelforge.errors import FileFormatError
from kernelforge.io.atomic import written_whole
from kernelforge.io.mapped import PathLike
from kernelforge.tensor import Tensor

_FAULTS = (ValueError, EOFError, KeyError, OSError, SyntaxError, zipfile.BadZipFile, zlib.error, NotImplementedError,
           MemoryError, RecursionError, OverflowError, RuntimeError, TypeError)  # fmt: skip
"""What NumPy and zipfile raise for files that are no arrays."""


def load_npz(path: PathLike, device: str | None = None) -> dict[str, Tensor]:
    """The arrays of an npz file as tensors by name.

    raises FileFormatError for anything that is no npz file of numbers
    """
    return {name: Tensor(array, device=device) for name, array in read_npz(path).items()}


def save_npz(path: PathLike, tensors: Mapping[str, Any], compressed: bool = False) -> None:
    """Write tensors or arrays to an npz file, which appears whole or not at all; bfloat16 values become float32."""
    arrays = {name: np.asarray(value) for name, value in tensors.items()}
    with written_whole(path) as file:
        (np.savez_compressed if compressed else np.savez)(file, **arrays)  # type: ignore[arg-type]


def read_npz(path: PathLike) -> dict[str, NDArray]:
    """The arrays of an npz file by name; raises FileFormatError for anything else."""
    with open(path, "rb") as file:
        try:
            found = np.load(file, allow_pickle=False)
            if isinstance(found, np.ndarray):
                raise ValueError("one array without a name, an npy file")
            with found:
                return {name: found[name] for name in found.files}
        except _FAULTS as error:
            raise FileFormatError(path, f"no npz file of numbers: {error or type(error).__name__}") from None


def read_npy(path: PathLike, mapped: bool = False) -> NDArray:
    """The array of an npy file; mapped: read where and when it is looked at.

    raises FileFormatError for anything else
    """
    with open(path, "rb"):
        pass  # a file that is not there is no fault of its content
    try:
        found = np.load(path, mmap_mode="r" if mapped else None, allow_pickle=False)
        if not isinstance(found, np.ndarray):
            found.close()
            raise ValueError("several arrays, an npz file")
        return found
    except _FAULTS as error:
        raise FileFormatError(path, f"no npy file of numbers: {error or type(error).__name__}") from None
