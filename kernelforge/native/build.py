"""Builds the C module in place: `python -m kernelforge.native.build`.

Comes in: the C sources beside this file.  Goes out: `_native.abi3.so` beside them, for every Python from 3.11 on, or
the reason why there is none.  The build of a wheel runs this file on its own, so it imports nothing of the library.
"""

from __future__ import annotations

import os
import runpy
import shlex
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Final

FOLDER: Final = Path(__file__).parent
SOURCES: Final = ("pool.c", "records.c", "nodes.c", "tensors.c", "methods.c", "repeated.c", "views.c", "inplace.c",
                  "functions.c", "structure.c", "changed.c", "known.c", "made.c", "drawn.c", "read.c", "arrays.c",
                  "module.c")  # fmt: skip
MADE: Final = FOLDER / "_native.abi3.so"
OPTIONS: Final = ("-std=gnu11", "-O2", "-fvisibility=hidden", "-Wall", "-Wextra", "-fPIC", "-shared", "-pthread")


def build() -> str:
    """Compiles the module; why that was not possible, else an empty text."""
    if not sys.platform.startswith("linux") or sys.implementation.name != "cpython":
        return f"it is written for CPython on Linux, not for {sys.implementation.name} on {sys.platform}"
    compiler = _compiler()
    unfinished = MADE.with_name(f"unfinished-{os.getpid()}.so")
    sources = [str(FOLDER / name) for name in SOURCES]
    given = (f"-DSOURCES={_digest()}u", f"-I{sysconfig.get_path('include')}")
    command = [*compiler, *OPTIONS, *given, *sources, "-o", str(unfinished)]
    try:
        found = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as error:
        return str(error)
    if found.returncode:
        unfinished.unlink(missing_ok=True)
        return f"{shlex.join(command)}\n{found.stderr}"
    unfinished.replace(MADE)
    return ""


def _digest() -> int:
    """What tells the sources here from others (`sources.py`, run as a file as this one is)."""
    return int(runpy.run_path(str(FOLDER / "sources.py"))["digest"]())


def _compiler() -> list[str]:
    """The command of the compiler: the user's, Python's own where it is here, else the system's."""
    given = os.environ.get("CC")
    own = shlex.split(given or sysconfig.get_config_var("CC") or "cc")
    return own if given or shutil.which(own[0]) else ["cc"]


if __name__ == "__main__":
    sys.exit(build() or None)
