"""Sources that were changed by hand, in the places of those that were generated.

Comes in: programs about to be compiled, and the folder of a dump that the switch EDITED names.  Goes out: programs.  An
edit stands in the dump's folder `edited`, under the name its kernel has there, and serves every program whose
generated source is the one that was edited.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, Final

from codegen.program import Program
from kernelforge.errors import SettingError
from kernelforge.settings import EDITED

FOLDER: Final = "edited"


def edited(program: Program) -> Program:
    """The program with the source somebody gave it; itself where nobody did."""
    folder = EDITED.value
    if not folder:
        return program
    path = edits(Path(folder)).get(hashlib.sha256(program.source.encode()).hexdigest())
    return program if path is None else replace(program, source=path.read_text())


def state() -> tuple[object, ...]:
    """What plans depend on of the edits in force: the files, and when they were changed."""
    return _files(Path(EDITED.value)) if EDITED.value else ()


def edits(folder: Path) -> Mapping[str, Path]:
    """The files of a dump's edits, by the digest of what was edited.

    raises SettingError where there is no dump
    """
    return _edits(folder, _files(folder))


def _files(folder: Path) -> tuple[object, ...]:
    paths = sorted((folder / FOLDER).glob("*"))
    return tuple((str(path), path.stat().st_mtime_ns, path.stat().st_size) for path in paths)


@cache
def _edits(folder: Path, files: tuple[object, ...]) -> Mapping[str, Path]:
    found = {}
    for kernel in manifest_of(folder)["kernels"]:
        path = folder / FOLDER / kernel["files"].get(kernel["language"], "none")
        if path.is_file():
            found[kernel["digest"]] = path
    return found


def manifest_of(folder: Path) -> dict[str, Any]:
    """The manifest of a dump.

    raises SettingError where there is none
    """
    try:
        found: dict[str, Any] = json.loads((folder / "manifest.json").read_text())
    except (OSError, ValueError) as error:
        raise SettingError(f"{folder} is no dump: {error}; `kernelforge dump` makes one") from None
    return found
