"""Editing a kernel by hand: a copy of its source to change, and the program again with it.

Comes in: the folder of a dump.  Goes out: files in its folder `edited`; what an edit does to results and time.
"""

from __future__ import annotations

import runpy
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from codegen.ir import Kernel
from codegen.program import Program
from kernelforge.errors import ArgumentError
from kernelforge.execution.edits import FOLDER, edits, manifest_of
from kernelforge.inspect.profile import Profile, profile
from kernelforge.kernels import Device, Runtime
from kernelforge.settings import Context
from kernelforge.tune.trial import Trial

ROUNDS: Final = 20


@dataclass(frozen=True)
class Verdict:
    """What an edit does to its kernel alone: seconds before and after, and whether results are the same."""

    name: str
    before: float
    after: float
    agrees: bool

    def __str__(self) -> str:
        same = "the same results" if self.agrees else "OTHER RESULTS"
        return f"{self.name}: {self.before * 1e3:.4f} ms -> {self.after * 1e3:.4f} ms alone, {same}"


def kernel_of(folder: Path, name: str) -> dict[str, Any]:
    """The kernel of a dump with this name, or the only one whose name begins so.

    raises ArgumentError where there is none, or several
    """
    kernels = manifest_of(folder)["kernels"]
    found = [k for k in kernels if k["name"] == name] or [k for k in kernels if k["name"].startswith(name)]
    if len(found) != 1:
        names = ", ".join(k["name"] for k in found or kernels)
        raise ArgumentError(f"{folder} has {len(found) or 'no'} kernels {name!r}; there are {names}")
    return dict(found[0])


def start(folder: Path, name: str) -> Path:
    """The file to edit for a kernel: a copy of its source, unless there is one already."""
    kernel = kernel_of(folder, name)
    file = kernel["files"][kernel["language"]]
    path = folder / FOLDER / file
    if not path.exists():
        path.parent.mkdir(exist_ok=True)
        shutil.copyfile(folder / file, path)
    return path


def drop(folder: Path, name: str) -> Path:
    """The file of a kernel's edit, which is no more."""
    kernel = kernel_of(folder, name)
    path = folder / FOLDER / kernel["files"][kernel["language"]]
    path.unlink(missing_ok=True)
    return path


def verdicts(folder: Path) -> list[Verdict]:
    """What each edit of a dump does to its kernel, on random arguments."""
    changed = edits(folder)
    kernels = [k for k in manifest_of(folder)["kernels"] if k["digest"] in changed]
    return [_verdict(folder, k, changed[k["digest"]]) for k in kernels if "run" in k["files"]]


def _verdict(folder: Path, entry: dict[str, Any], path: Path) -> Verdict:
    found = runpy.run_path(str(folder / entry["files"]["run"]), run_name="edited")
    kernel: Kernel = found["kernel"]
    program: Program = found["program"]
    runtime: Runtime = Device[entry["device"]]
    texts = ((folder / entry["files"][entry["language"]]).read_text(), path.read_text())
    old, new = runtime.compile([replace(program, source=text) for text in texts])
    trial = Trial(runtime, kernel)
    trial.check(old)  # keeps what it wrote
    agrees = trial.check(new)
    repeats = trial.repeats(trial.seconds(old))
    times = [(trial.seconds(old, repeats), trial.seconds(new, repeats)) for _ in range(ROUNDS)]
    return Verdict(entry["name"], min(t for t, _ in times), min(t for _, t in times), agrees)


def replayed(folder: Path, program: Callable[[], object], uses_edited: bool) -> Profile:
    """The profile of a program that runs again, with a dump's edits if so wished."""
    with Context(EDITED=str(folder) if uses_edited else ""), profile() as found:
        program()
    return found
