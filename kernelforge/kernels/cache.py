"""Compiled kernels on disk.

Comes in: a key made of everything a binary depends on, and the binary.  Goes out: the same binary, in this process or
the next.  One file per entry, written aside and moved into place, with a checksum that is verified on reading: a
damaged file counts as absent and is removed.  Any number of processes may share the directory.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import os
import stat
import struct
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from kernelforge.settings import CACHE, CACHE_DIR, CACHE_SIZE

VERSION: Final = 3
HEADER: Final = struct.Struct("<8sIQ32s")  # magic, version, bytes of content, their sha256
MAGIC: Final = b"KFKERNEL"
SAVES_PER_SWEEP: Final = 64
SWEPT: Final = "swept"  # a file whose time is that of the last sweep
LATELY: Final = 600.0  # seconds
FAILED_KEPT: Final = 64
ABANDONED: Final = 3600.0  # seconds after which a file being written was left behind by a process that died


@dataclass
class Statistics:
    """What happened to kernels since the process began.

    compiled  built by the driver's compiler; disk: loaded from the cache; memory: found in this process
    healed    damaged or refused entries that were removed
    """

    compiled: int = 0
    disk: int = 0
    memory: int = 0
    healed: int = 0


statistics: Final = Statistics()
_offered: Final[dict[str, bytes]] = {}  # entries of pack files
_noted: Final[list[set[str]]] = []  # the keys of entries used, for whoever wants to know
_saves: Final = itertools.count()


# ---------------------------------------------------------------------------------------------------------- where


def cache_directory() -> Path:
    """The directory for files that outlive the process; one in the system's temporary directory, with one notice, when
    the user's cannot be written."""
    return _writable(CACHE_DIR.value)


@cache
def _writable(wanted: str) -> Path:
    base = Path(wanted) if wanted else _user_cache() / "kernelforge"
    try:
        base.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=base):
            return base
    except OSError as error:
        fallback = _temporary()
        notice(
            f"{base} cannot be written ({error.strerror}); compiled kernels are kept in {fallback}. "
            "Set KF_CACHE_DIR to a directory that can, or KF_CACHE=0 to keep none"
        )
        return fallback


def _user_cache() -> Path:
    """Where the user's programs keep what can be made again."""
    if os.environ.get("XDG_CACHE_HOME"):
        return Path(os.environ["XDG_CACHE_HOME"])
    try:
        return Path.home() / ".cache"
    except RuntimeError:  # no home directory is known
        return Path(tempfile.gettempdir())


def _temporary() -> Path:
    """A directory of this user alone: code is loaded from it, so one that somebody else made will not do."""
    path = Path(tempfile.gettempdir()) / f"kernelforge-{os.getuid()}"
    with contextlib.suppress(OSError):
        path.mkdir(mode=0o700, exist_ok=True)
        state = path.lstat()
        if stat.S_ISDIR(state.st_mode) and state.st_uid == os.getuid() and not state.st_mode & 0o022:
            return path
    return Path(tempfile.mkdtemp(prefix="kernelforge-"))


@cache
def notice(text: str) -> None:
    """Tells the user something, once."""
    print(f"kernelforge: {text}", file=sys.stderr)


# -------------------------------------------------------------------------------------------------------- entries


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
    for some in _noted:
        some.add(key)
    if key in _offered:
        return _offered[key]
    if not CACHE.value:
        return None
    path = _path(key)
    try:
        data = path.read_bytes()
    except OSError:
        return None
    content = data[HEADER.size :]
    if data[: HEADER.size] != _header(content):
        forget(key)
        return None
    with contextlib.suppress(OSError):  # another process may have removed it since; the content is good
        os.utime(path)
    return content


def forget(key: str) -> None:
    """Removes an entry that cannot be used."""
    statistics.healed += 1
    _offered.pop(key, None)
    with contextlib.suppress(OSError):
        _path(key).unlink()


def save(key: str, content: bytes) -> None:
    """Stores an entry; a full or unwritable disk is not an error: the kernel is compiled again next time."""
    for some in _noted:
        some.add(key)
    if not CACHE.value:
        return
    path = _path(key)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, written = tempfile.mkstemp(dir=path.parent, prefix=".")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(_header(content) + content)
            os.replace(written, path)
        except BaseException:  # Ctrl-C too
            Path(written).unlink(missing_ok=True)
            raise
    except OSError as error:
        notice(f"compiled kernels cannot be kept in {path.parent.parent}: {error.strerror}")
        return
    number = next(_saves)
    if number % SAVES_PER_SWEEP == 0 and (number or not _swept_lately()):
        sweep()


def offer(entries: Mapping[str, bytes]) -> None:
    """Has entries found that are not on disk."""
    _offered.update(entries)


@contextlib.contextmanager
def noting() -> Iterator[set[str]]:
    """A context; the keys of the entries loaded and saved meanwhile."""
    used: set[str] = set()
    _noted.append(used)
    try:
        yield used
    finally:
        _noted.remove(used)


def _header(content: bytes) -> bytes:
    return HEADER.pack(MAGIC, VERSION, len(content), hashlib.sha256(content).digest())


def _path(key: str) -> Path:
    return cache_directory() / "kernels" / key[:2] / key


# ----------------------------------------------------------------------------------------------------------- size

def _swept_lately() -> bool:
    """True when some process has swept not long ago; a process that saves a single kernel need not do so again."""
    with contextlib.suppress(OSError):
        return (cache_directory() / SWEPT).stat().st_mtime > time.time() - LATELY
    return False


def sweep() -> None:
    """Removes the entries unused for longest, down to three quarters of KF_CACHE_SIZE, when it is exceeded; and what
    processes that died while writing left behind."""
    with contextlib.suppress(OSError):
        (cache_directory() / SWEPT).touch()
    entries = []
    for path in (cache_directory() / "kernels").glob("*/*"):
        with contextlib.suppress(OSError):  # another process removed it
            state = path.stat()
            if not path.name.startswith("."):
                entries.append((state.st_mtime, state.st_size, path))
            elif state.st_mtime < time.time() - ABANDONED:
                path.unlink()
    total, limit = sum(size for _, size, _ in entries), CACHE_SIZE.value << 20
    if total <= limit:
        return
    for _, size, path in sorted(entries):
        path.unlink(missing_ok=True)
        total -= size
        if total <= limit * 3 // 4:
            break


# ------------------------------------------------------------------------------------------------- failed sources


def write_source(entry: str, source: str, suffix: str) -> Path | None:
    """Puts a source where a person can look at it, named by the kernel and its content; None when that is impossible.

    The newest ones are kept.
    """
    directory = cache_directory() / "failed"
    path = directory / f"{entry[:100]}-{key_of(source)[:8]}{suffix}"
    try:
        directory.mkdir(parents=True, exist_ok=True)
        path.write_text(source)
        oldest_first = sorted(directory.iterdir(), key=lambda file: file.stat().st_mtime)
        for old in oldest_first[:-FAILED_KEPT]:
            old.unlink(missing_ok=True)
    except OSError:
        return path if path.exists() else None
    return path
