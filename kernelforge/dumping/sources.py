"""A kernel's source in each language, with a header for people.

Comes in: launches whose programs hold their kernels.  Goes out: `Source`s, text and the user's lines of its statements.
A language need not be one this machine can run.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from linecache import getline
from pathlib import Path
from types import FunctionType
from typing import Final

from codegen.choose.default import forms
from codegen.generate import generate
from codegen.ir import Kernel
from codegen.nest import build
from codegen.origins import following
from codegen.program import Program
from codegen.rewrites import rewrite
from codegen.schedule import ScheduleError
from codegen.show import show
from codegen.show_nest import show_nest
from codegen.show_schedule import read_schedule
from codegen.target import CPU, GFX942, SM80, SM90, SM100, Target
from kernelforge.dumping.statements import Lines, of_joined, statements
from kernelforge.graph import Line
from kernelforge.kernels import Device
from kernelforge.planning.steps import Launch

SUFFIX: Final = {"opencl": ".cl", "triton": ".py", "interpreted": ".txt"}
TARGETS: Final[dict[str, Target]] = {"opencl": CPU, "triton": SM90}
NAMED: Final[dict[str, Target]] = {
    "opencl:cpu": CPU, "cuda:sm_80": SM80, "cuda:sm_90": SM90, "cuda:sm_100": SM100, "hip:gfx942": GFX942,
}  # fmt: skip
REMARK: Final = {"opencl": "//", "triton": "#", "interpreted": "#"}
MOST_LINES: Final = 8  # of the user's, in a header


@dataclass(frozen=True)
class Source:
    """A kernel in one language: its program, and the user's lines of each line of its text."""

    program: Program
    statements: list[Lines | None] = field(default_factory=list)


def sources(step: Launch, language: str, target: Target | None = None) -> dict[str, Source]:
    """A launch's kernel in the languages asked for: "" its own, "opencl", "triton", or "both".

    target   what the other language's source is for; None for the usual one
    """
    own = step.program
    targets = TARGETS if target is None else TARGETS | {target.language: target}
    wanted = {"": (own.language,), "both": ("opencl", "triton")}.get(language, (language,))
    found = {}
    for name in dict.fromkeys(wanted if own.kernel is not None and not step.parts else (own.language,)):
        origins = dict(step.origins)
        if name == own.language:
            program = own
        else:
            try:
                with following(origins):
                    program = generate(_kernel(own), targets[name])
            except ScheduleError as error:
                program = Program(name, f"{REMARK[name]} {error}\n", own.entry, (), own.params, own.written)
        found[name] = Source(program, statements(program, origins, step.lines))
    if step.parts:
        parts = ((part.program, statements(part.program, part.origins, part.lines)) for part in step.parts)
        found[own.language] = Source(own, of_joined(own.source, parts))
    return found


def _kernel(program: Program) -> Kernel:
    assert program.kernel is not None
    return program.kernel


def schedule_of(program: Program) -> str:
    """The schedule a source was written under, as its header tells."""
    remark = REMARK[program.language]
    lines = []
    for line in program.source.splitlines():
        if not line.startswith(remark):
            break
        lines.append(line.removeprefix(remark).removeprefix(" "))
    algebra = ("kernel ", "params ", " ")
    first = next((i for i, line in enumerate(lines) if line and not line.startswith(algebra)), len(lines))
    return "\n".join(lines[first:])


def nest_of(program: Program, device: str) -> str:
    """The loop nest of a program as text; empty where its schedule cannot be read back."""
    if program.kernel is None or program.language == "interpreted":
        return ""
    target = Device[device].target if program.language == Device[device].target.language else TARGETS[program.language]
    for _, form in forms(program.kernel, target):
        try:
            return show_nest(build(form, read_schedule(form, schedule_of(program)), target))
        except ScheduleError:
            continue
    return ""


def algebra_of(program: Program) -> str:
    """The kernel as axes and expressions."""
    return "" if program.kernel is None else show(program.kernel)


def rewrites_of(step: Launch) -> list[list[str]]:
    """The kernel as it was lowered, with no rule, and after each rewrite that shows, with the rule's name."""
    found = [["", show(step.rewrites[0].before)]] if step.rewrites else []
    for rule, _, after in step.rewrites:
        text = show(after)
        if text != found[-1][1]:
            found.append([rule, text])
    return found


def rules() -> dict[str, str]:
    """What each rewrite of kernels does, by its name: the first sentence of its description."""
    functions = (getattr(rewrite, name) for name in dir(rewrite))
    documented = {f.__name__: f.__doc__ for f in functions if isinstance(f, FunctionType) and f.__doc__}
    return {name: " ".join(text.split("\n\n")[0].split()) for name, text in documented.items()}


def _place(line: Line) -> str:
    """A line of the user's and what is written there."""
    text = getline(*line).strip()
    return f"{Path(line[0]).name}:{line[1]}" + (f": {text}" if text else "")


def header(name: str, program: Program, lines: Iterable[Line], stores: Iterable[str]) -> str:
    """What a source file begins with: the user's lines, shapes, launch, work."""
    local = "x".join(map(str, program.local)) or "1"
    options = "".join(f", {option} {value}" for option, value in program.options)
    shown = list(lines)
    texts = [
        f"kernel {name}",
        *(f"from   {_place(line)}" for line in shown[:MOST_LINES]),
        *([f"       and {len(shown) - MOST_LINES} lines more"] if len(shown) > MOST_LINES else []),
        *(f"stores {store}" for store in stores),
        f"launch grid {'x'.join(map(str, program.grid)) or '-'}, {local} items a group{options}",
        f"work   {program.flops:,} operations, at least {program.nbytes:,} bytes",
        "",
    ]
    return "".join(f"{REMARK[program.language]} {text}".rstrip() + "\n" for text in texts)
