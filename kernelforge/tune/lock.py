"""Winning schedules in a file: one section per kernel and machine, readable, made to be merged and committed.

Comes in: keys and texts of schedules.  Goes out: the same, in any process.  The file is written aside and moved into
place, so it is whole whatever interrupts; what another process added meanwhile is kept.

    [contract_512x512_k512_f32 cpu 6d0f3a5e1c2b4978]
    # 1.31 ms; the model's choice 1.52 ms; 43 candidates in 4.2 s
    grid     m by 256, n by 256
    loop     n by 32, m by 12, k by 1
    vector   n
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

from kernelforge.kernels.cache import cache_directory, notice
from kernelforge.later import later
from kernelforge.settings import TUNE, TUNE_LOCK, forget, remembered

if TYPE_CHECKING:
    from codegen import show
    from codegen.ir import Kernel
    from codegen.target import Target
else:
    later(globals(), show="codegen.show")

NAME: Final = "tune.lock"
NONE: Final = "none"
HEAD: Final = (
    "# Schedules that won by measuring: one section per kernel and machine.  With this file results stay the same\n"
    "# to the last bit.  Remove a section, or the file, to have it measured again with KF_TUNE=1.\n"
)


def lock_path() -> Path | None:
    """Where winners are kept: the file KF_TUNE_LOCK names, or the nearest tune.lock in the working directory and those
    above it, or one in the cache directory; None when KF_TUNE_LOCK is "none"."""
    return _located(TUNE_LOCK.value)


@cache
def _located(wanted: str) -> Path | None:
    if wanted:
        return None if wanted.lower() == NONE else Path(wanted).absolute()
    here = Path.cwd()
    nearest = (folder / NAME for folder in (here, *here.parents) if (folder / NAME).is_file())
    return next(nearest, cache_directory() / NAME)


def key_of(kernel: Kernel, target: Target) -> str:
    """A kernel's name in the file: the same for equal kernels on equal machines, in every process."""
    machine = f"{target!r}{' copies' if target.copies else ''}"
    digest = hashlib.sha256(f"{show.show(kernel)}\n{machine}".encode()).hexdigest()
    return f"{kernel.name} {target.name} {digest[:16]}"


class Lock:
    """The content of one lock file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.sections = _read(path)

    def get(self, key: str) -> str | None:
        """The text of a kernel's schedule, or None."""
        return self.sections.get(key)

    @property
    def digest(self) -> str:
        """The same for equal contents."""
        return hashlib.sha256(repr(sorted(self.sections.items())).encode()).hexdigest()

    def put(self, key: str, text: str) -> None:
        """Keep a winner; a file that cannot be written costs a notice, and the winner holds in this process alone."""
        forget()
        self.sections = {**_read(self.path), **self.sections, key: text}
        parts = [f"[{name}]\n{body}\n" for name, body in sorted(self.sections.items())]
        try:
            _replace(self.path, "\n".join([HEAD, *parts]))
        except OSError as error:
            notice(f"{self.path} cannot be written ({error.strerror}): tuned schedules are not kept")


@cache
def lock_at(path: Path) -> Lock:
    """The lock file at a path, read once per process."""
    return Lock(path)


@remembered
def state() -> object:
    """What the choice of schedules depends on besides the kernel: plans made in one state are not used in another."""
    path = lock_path()
    if path is None:
        return None
    return path, TUNE.value, "" if TUNE.value else lock_at(path).digest


def _read(path: Path) -> dict[str, str]:
    """The sections of a file; none when there is no such file."""
    try:
        lines = path.read_text().splitlines()
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        notice(f"{path} cannot be read ({error}): it is ignored")
        return {}
    sections: dict[str, list[str]] = {}
    for line in lines:
        if line.startswith("[") and line.endswith("]"):
            body = sections[line[1:-1]] = []
        elif sections:
            body.append(line)
    return {key: "\n".join(body).strip() for key, body in sections.items()}


def _replace(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, written = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w") as file:
            file.write(text)
        os.chmod(written, 0o644)
        os.replace(written, path)
    except BaseException:  # Ctrl-C too
        with contextlib.suppress(OSError):
            os.unlink(written)
        raise
