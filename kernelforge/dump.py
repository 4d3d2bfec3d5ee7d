"""Generated sources as files a person can read.

Comes in: plans, and a folder.  Goes out: one file per kernel and language, named by the kernel's content.  The setting
DUMP names the folder; DUMP_LANGUAGE adds the other language's text, which this machine need not be able to run.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Final

from codegen.generate import generate
from codegen.program import Program
from codegen.schedule import ScheduleError
from codegen.target import CPU, SM90, Target
from kernelforge.settings import DUMP, DUMP_LANGUAGE
from kernelforge.steps import Plan

SUFFIX: Final = {"opencl": ".cl", "triton": ".py", "interpreted": ".txt"}
TARGETS: Final[dict[str, Target]] = {"opencl": CPU, "triton": SM90}

_written: Final[dict[str, set[tuple[Program, str]]]] = {}


def dump_plan(plan: Plan) -> None:
    """Write the sources of a plan's kernels to the folder DUMP names, each once; nothing when it names none."""
    folder = DUMP.value
    if not folder:
        return
    done = _written.setdefault(folder, set())
    for step in plan.launches:
        if (step.program, DUMP_LANGUAGE.value) not in done:
            done.add((step.program, DUMP_LANGUAGE.value))
            for program in programs(step.program, DUMP_LANGUAGE.value):
                write_program(Path(folder), program)


def programs(program: Program, language: str) -> list[Program]:
    """The program in the languages asked for: "" its own, "opencl", "triton", or "both"."""
    wanted = {"": (program.language,), "both": ("opencl", "triton")}.get(language, (language,))
    found = []
    for name in wanted:
        if name == program.language:
            found.append(program)
        elif program.kernel is not None:
            try:
                found.append(generate(program.kernel, TARGETS[name]))
            except ScheduleError as error:
                reason = f"# {program.entry}: {error}\n"
                found.append(replace(program, language=name, source=reason))
    return found


def write_program(folder: Path, program: Program) -> Path:
    """Write one source; kernels of one name and different text get a piece of the text's digest."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / (program.entry + SUFFIX[program.language])
    if path.exists() and path.read_text() != program.source:
        digest = hashlib.sha256(program.source.encode()).hexdigest()[:6]
        path = path.with_stem(f"{program.entry}-{digest}")
    path.write_text(program.source)
    return path
