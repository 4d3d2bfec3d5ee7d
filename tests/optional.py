"""Which files of the tests cannot be imported without a package: those that need it, or others that do.

Comes in: the name of a package.  Goes out: paths.  Tests that need it inside a function ask for it themselves.
"""

from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path
from typing import Final

FOLDER: Final = Path(__file__).parent
IMPORTED: Final = re.compile(r"^(?:from|import) (tests\.[\w.]+|tests)(?: import \(?([\w, \n]+))?", re.MULTILINE)


def left_out(package: str) -> set[Path]:
    """The files to leave alone: none where the package is installed."""
    if find_spec(package) is not None:
        return set()
    texts = {path: path.read_text() for path in FOLDER.rglob("*.py")}
    skips = rf"(?:\w+ = )?pytest\.importorskip\(\"{package}\"\)"
    wants = re.compile(rf"^(?:import {package}\b|from {package}[. ]|{skips})", re.MULTILINE)
    found = {path for path, text in texts.items() if wants.search(text)}
    uses = {path: _used(text) for path, text in texts.items()}
    while more := {path for path in texts.keys() - found if uses[path] & found}:
        found |= more
    return found


def _used(text: str) -> set[Path]:
    """The files of the tests that a source imports."""
    found = set()
    for module, names in IMPORTED.findall(text):
        place = FOLDER.joinpath(*module.split(".")[1:])
        found |= {place.with_suffix(".py"), *((place / name.strip()).with_suffix(".py") for name in names.split(","))}
    return found
