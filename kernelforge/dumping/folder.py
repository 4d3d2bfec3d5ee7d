"""When dumps begin and end: with the first plan made while the switch DUMP names a folder; with the `with` or the
process.

Comes in: plans as they are made.  Goes out: the folder, with manifest.json and index.html once it is closed.
"""

from __future__ import annotations

import atexit
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from codegen.target import Target
from kernelforge.dumping.machine import CAPABILITY, Machine, architecture_of, assembled, disassembled
from kernelforge.dumping.manifest import manifest
from kernelforge.dumping.page import page
from kernelforge.dumping.recorder import Recorder
from kernelforge.execution.observing import named
from kernelforge.fusion.story import Story
from kernelforge.planning.steps import Plan
from kernelforge.settings import DUMP, DUMP_LANGUAGE, Context, forget

_process = os.getpid()  # a child that was forked writes nothing


def planned(plan: Plan, story: Story, seconds: float) -> None:
    """Tells the dump of the folder that DUMP names of a plan, and begins it if need be."""
    _recorder(DUMP.value).planned(plan, story, seconds)


def _recorder(folder: str, target: Target | None = None) -> Recorder:
    found = named.get(folder)
    if not isinstance(found, Recorder):
        found = named[folder] = Recorder(Path(folder), DUMP_LANGUAGE.value or "both", target)
        forget()
    return found


@contextmanager
def dump(
    folder: str | os.PathLike[str], language: str = "both", assembly: bool = False, target: Target | None = None
) -> Iterator[Path]:
    """A context whose kernels are dumped to a folder: sources, manifest.json, and index.html to look at.

    language  "both", "opencl", "triton"; "" for the device's own
    assembly  also compile Triton's sources, which takes a second each
    target    what Triton's sources are for; None for compute capability 9.0

    >>> import tempfile
    >>> from kernelforge import Tensor
    >>> with tempfile.TemporaryDirectory() as name:
    ...     with dump(name) as folder:
    ...         _ = (Tensor.ones(64, 64) + 1).sum().item()
    ...     (folder / "index.html").is_file()
    True
    """
    path = Path(folder)
    with Context(DUMP=str(path), DUMP_LANGUAGE=language):
        _recorder(str(path), target)
        try:
            yield path
        finally:
            close(str(path), assembly)


def close(folder: str, assembly: bool = False) -> None:
    """Ends a dump: writes its manifest, its page and machine code."""
    recorder = named.pop(folder, None)
    forget()
    if not isinstance(recorder, Recorder) or os.getpid() != _process:
        return
    machines = _machines(recorder, assembly)
    found = manifest(recorder, machines)
    (recorder.folder / "manifest.json").write_text(json.dumps(found, separators=(",", ":")))
    (recorder.folder / "index.html").write_text(page(found, recorder, machines))


def _machines(recorder: Recorder, assembly: bool) -> dict[str, dict[str, Machine]]:
    """Machine code of all kernels, by kernel and language; its text is written to files."""
    kernels = [kernel for kernel in recorder.kernels.values() if kernel.step.executable is not None]
    found: dict[str, dict[str, Machine]] = {}
    architecture = architecture_of(recorder.target) if recorder.target is not None else CAPABILITY
    for number, machine in disassembled([kernel.step.executable for kernel in kernels]).items():
        found.setdefault(kernels[number].name, {})["opencl"] = machine
    for kernel in recorder.kernels.values() if assembly else ():
        source = kernel.sources.get("triton")
        if source is not None and (made := assembled(source.program, architecture)) is not None:
            found.setdefault(kernel.name, {})["triton"] = made
    for name, languages in found.items():
        files = recorder.kernels[name].files
        for machine in languages.values():
            for kind, text in ((machine.kind, machine.text), ("ptx", machine.ptx)):
                if text:
                    suffix = "s" if kind == "x86" else kind
                    files[kind] = f"{name}.{suffix}"
                    (recorder.folder / files[kind]).write_text(text)
    return found


@atexit.register
def _close_all() -> None:
    for folder in list(named):
        close(folder)
