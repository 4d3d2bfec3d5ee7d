"""Guarded mode: with KF_TEST_MODE=guarded all memory of CPU devices lies between pages nobody may touch.

A kernel that reads or writes before its arrays, or 64 bytes after them at most, ends the process there instead of
finding what happens to lie there.  What it was is in the file of notes that the header of the report names.
"""

from __future__ import annotations

import atexit
import ctypes
import mmap
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
from numpy.typing import NDArray

from kernelforge.kernels import opencl, pool
from kernelforge.kernels.opencl_build import Compiled
from kernelforge.kernels.opencl_queues import Queues
from kernelforge.planning import layout
from kernelforge.planning.memory import Block, Lifetime
from kernelforge.settings import NATIVE

GUARDED: Final = os.environ.get("KF_TEST_MODE", "") == "guarded"
ALIGNMENT: Final = opencl.ALIGNMENT
SPOILED: Final = 0xFB  # in every byte of new memory: whoever reads it before it is written has large numbers
NOTES: Final = "kernelforge-guarded-{}.txt"
MOST: Final = 1000  # characters of a note


def guarded(nbytes: int) -> NDArray:
    """Memory of so many bytes, aligned, that ends where a page nobody may touch begins, and begins behind another.

    Where the size is no multiple of the alignment, the bytes up to the next one are left over.
    """
    page, libc = mmap.PAGESIZE, ctypes.CDLL(None)
    libc.mprotect.argtypes = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int
    taken = -(-nbytes // ALIGNMENT) * ALIGNMENT
    body = -(-max(taken, 1) // page) * page
    whole = mmap.mmap(-1, body + 2 * page, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    held = (ctypes.c_uint8 * len(whole)).from_buffer(whole)
    base = ctypes.addressof(held)
    for at in (base, base + page + body):
        if libc.mprotect(at, page, 0):
            raise MemoryError("no page can be guarded")
    values = np.frombuffer(held, np.uint8)[page + body - taken : page + body]
    values[:] = SPOILED
    return values[:nbytes]


def size_class(nbytes: int) -> int:
    """The number of bytes taken for a request: no more than has to be, so that their end is the block's."""
    return -(-max(nbytes, 1) // ALIGNMENT) * ALIGNMENT


def apart(lifetimes: Sequence[Lifetime]) -> tuple[list[int], list[Block]]:
    """Blocks for the results on the way to others: each has its own, so that none ends inside another's."""
    return list(range(len(lifetimes))), [Block(x.nbytes, x.device) for x in lifetimes]


def install() -> None:
    """Puts guarded memory in the place of all memory that will be made, and notes each launch."""
    if not sys.platform.startswith("linux"):
        raise pytest.UsageError("KF_TEST_MODE=guarded needs Linux")
    opencl._aligned, pool.size_class = guarded, size_class  # type: ignore[assignment]
    layout.assign = apart
    NATIVE.set(False)  # what calls kernels many at a time takes no notes
    path = notes()
    file = os.open(path, os.O_CREAT | os.O_RDWR)
    atexit.register(path.unlink, missing_ok=True)  # a process that ends as it should leaves no notes
    for name in ("launch", "call"):
        setattr(Queues, name, _noting(getattr(Queues, name), file))


def notes() -> Path:
    """The file that holds the last launch of this process."""
    return Path(tempfile.gettempdir()) / NOTES.format(os.getpid())


def _noting(launch: Any, file: int) -> Any:
    def noted(self: Queues, executable: Compiled, *rest: Any) -> Any:
        program = executable.program
        sizes = ", ".join(f"{x.name} {x.dtype}[{x.size}]" for x in program.params)
        text = f"{program.entry}({sizes}) grid {executable.global_size} numbers {executable.numbers}"
        os.pwrite(file, text[:MOST].ljust(MOST).encode() + b"\n", 0)
        return launch(self, executable, *rest)

    return noted
