"""Compiled kernels on disk.

Comes in: a key made of everything a binary depends on, and the binary.  Goes out: the same binary, in this process or the
next.  One file per entry, written aside and moved into place, with a checksum that is verified on reading: a damaged
file counts as absent and is removed.  Any number of processes may share the directory.
"""

from __future__ import annotations

import hashlib
import os
import struct
import sys
import tempfile
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final

from kernelforge.settings import CACHE, CACHE_DIR, CACHE_SIZE

MAGIC: Final = b"KFC2"
HEADER: Final = struct.Struct("<4s32sQ")


@dataclass
class Statistics:
    """What happened to kernels since the process began.

    compiled  built by the driver's compiler; disk: loaded from the cache; memory: found in this process
    healed    damaged or refused entries that were replaced
    """

    compiled: int = 0
    disk: int = 0
    memory: int = 0
    healed: int = 0


statistics: Final = Statistics()


@lru_cache(maxsize=8)
def _writable(wanted: str) -> Path:
    base = Path(wanted) if wanted else _user_cache() / "kernelforge"
    try:
        base.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=base):
            return base
    except OSError as error:
        fallback = Path(tempfile.mkdtemp(prefix="kernelforge-"))
        print(
            f"kernelforge: {base} cannot be written ({error.strerror}); compiled kernels are kept in {fallback} for this "
            "run. Set KF_CACHE_DIR to a directory that can.",
            file=sys.stderr,
        )
        return fallback


def _user_cache() -> Path:
    """Where the user's programs keep what can be made again."""
    if os.environ.get("XDG_CACHE_HOME"):
        return Path(os.environ["XDG_CACHE_HOME"])
    try:
        return Path.home() / ".cache"
    except RuntimeError:
        return Path(tempfile.gettempdir())


def cache_directory() -> Path:
    """The directory for files that outlive the process; a temporary one, with one notice, when it cannot be written."""
    return _writable(CACHE_DIR.value)


def key_of(*parts: str) -> str:
    """The name of an entry: a digest of everything it depends on."""
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode()
        digest.update(len(data).to_bytes(8, "little"))
        digest.update(data)
    return digest.hexdigest()


def load(key: str) -> bytes | None:
    """The content of an entry, or None; a damaged one is removed."""
    if not CACHE.value:
        return None
    path = _path(key)
    try:
        data = path.read_bytes()
    except OSError:
        return None
    if len(data) >= HEADER.size:
        magic, digest, length = HEADER.unpack_from(data)
        content = data[HEADER.size :]
        if magic == MAGIC and length == len(content) and hashlib.sha256(content).digest() == digest:
            os.utime(path)
            return content
    forget(key)
    return None


def forget(key: str) -> None:
    """Remove an entry that cannot be used."""
    statistics.healed += 1
    _path(key).unlink(missing_ok=True)


def save(key: str, content: bytes) -> None:
    """Store an entry; a full or unwritable disk is not an error: the kernel is compiled again next time."""
    if not CACHE.value:
        return
    path = _path(key)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=".")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(HEADER.pack(MAGIC, hashlib.sha256(content).digest(), len(content)) + content)
            os.replace(name, path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
    except OSError as error:
        _notice_once(f"compiled kernels cannot be kept in {path.parent}: {error.strerror}")
        return
    _bound_size()


@lru_cache(maxsize=1)
def _notice_once(text: str) -> None:
    print(f"kernelforge: {text}", file=sys.stderr)


def _path(key: str) -> Path:
    return cache_directory() / "kernels" / key[:2] / key


_saved = 0


def _bound_size() -> None:
    """Now and then remove the entries unused for longest, down to three quarters of the limit."""
    global _saved
    _saved += 1
    if _saved % 64 != 1:
        return
    files = []
    for path in (cache_directory() / "kernels").glob("*/*"):
        try:
            state = path.stat()
        except OSError:  # another process removed it
            continue
        files.append((state.st_mtime, state.st_size, path))
    total, limit = sum(size for _, size, _ in files), CACHE_SIZE.value << 20
    if total <= limit:
        return
    for _, size, path in sorted(files):
        path.unlink(missing_ok=True)
        total -= size
        if total <= limit * 3 // 4:
            break


def write_source(entry: str, source: str, suffix: str) -> Path:
    """Put a source where a person can look at it, named by the kernel and its content."""
    directory = cache_directory() / "failed"
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / f"{entry}-{key_of(source)[:8]}{suffix}"
    path.write_text(source)
    return path
