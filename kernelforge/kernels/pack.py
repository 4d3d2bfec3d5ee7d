"""Pack files: what a program needs of the disk cache in one file, to be shipped beside a model.

Comes in: a program that runs while a pack is collected.  Goes out: a file with its plans and compiled kernels; or, from
such a file, entries that are found as if they had been made here.  An entry's name stands for all it depends on, so one
from another machine, driver or version is never mistaken for one's own: it is not found.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from typing import Final

from kernelforge.errors import PackError
from kernelforge.kernels import cache

MAGIC: Final = b"KFPACK01"
COUNT: Final = struct.Struct("<8sI32s")  # magic, entries, sha256 of what follows
ENTRY: Final = struct.Struct("<64sQ")  # key, bytes of content


@contextmanager
def collecting(path: str | PathLike[str]) -> Iterator[None]:
    """A context whose plans and compiled kernels are written to a file when it ends without an error.

    Whatever this process had compiled before is not among them: collect in a process that does nothing else.

    >>> import tempfile
    >>> file = tempfile.mktemp()
    >>> with collecting(file):
    ...     found = Tensor([1.0, 2.0]).exp().realize()
    >>> isinstance(load(file), int)
    True
    """
    with cache.noting() as used:
        yield
    entries = {key: content for key in sorted(used) if (content := cache.load(key)) is not None}
    body = b"".join([ENTRY.pack(key.encode(), len(content)) + content for key, content in entries.items()])
    Path(path).write_bytes(COUNT.pack(MAGIC, len(entries), hashlib.sha256(body).digest()) + body)


def load(path: str | PathLike[str]) -> int:
    """How many entries a pack file has, which this process finds from now on.

    raises PackError for a file that is none or is damaged, OSError for one that cannot be read
    """
    data = Path(path).read_bytes()
    body = data[COUNT.size :]
    if len(data) < COUNT.size or data[:8] != MAGIC:
        raise PackError(f"{path} is no pack file")
    _, count, digest = COUNT.unpack(data[: COUNT.size])
    if hashlib.sha256(body).digest() != digest:
        raise PackError(f"the pack file {path} is damaged: collect it again")
    found, place = {}, 0
    for _ in range(count):
        key, size = ENTRY.unpack_from(body, place)
        place += ENTRY.size
        found[key.decode()] = body[place : place + size]
        place += size
    cache.offer(found)
    return count
