"""Texts of one kernel printed for several sizes, made comparable: no comments, one name, the sizes as arguments.

Comes in: programs of one language, the kernel's common name, the names of sizes.  Goes out: texts that differ in
numbers alone if the kernels do; None for texts of another form, such as that of several kernels in one.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from codegen.opencl import sources
from codegen.program import Program


def comparable(programs: Sequence[Program], entry: str, names: Sequence[str]) -> list[str] | None:
    """The texts of programs under one name, with sizes of the given names as arguments before their own."""
    if programs[0].language == "triton":
        return [_triton_text(program, entry, names) for program in programs]
    if any(not sources.head_of(program.source) for program in programs):
        return None
    spelled = ", ".join(f"const int {name}" for name in names)
    return sources.with_common_arrays(
        [sources.without_comment(program.source, program.entry, entry, spelled) for program in programs]
    )


def _triton_text(program: Program, entry: str, names: Sequence[str]) -> str:
    """A Triton program's text without its comment, under another name, with more int parameters before its own."""
    text = re.sub(r"\A(#[^\n]*\n)+", "", program.source)
    arguments = [*(param.name for param in program.params), *names, *program.numbers]
    head = f"def {program.entry}("
    before, after = text.split(head, 1)
    _, rest = after.split("):\n", 1)
    return f"{before}def {entry}({', '.join(arguments)}):\n{rest}"
