"""Several programs in one launch: groups of the launch run groups of one program or another.

Comes in: OpenCL programs with what their parameters stand for.  Goes out: a program.  A program that occurs more than
once, on different arrays, is written once, as a function.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from math import prod
from typing import Final

from codegen.ir import Kernel, Param, Store
from codegen.opencl.prelude import memory_element
from codegen.opencl.sources import definitions, head, parts, preface
from codegen.program import Program
from codegen.rewrites.rebuild import with_params

Arguments = tuple[int, ...]
MOST_OWN: Final = 1024  # elements in arrays of a part
MOST_WORK: Final = 4  # operations for each byte of its arrays
MOST_COPIES: Final = 4  # of a function that the compiler may make: a call that stays one takes it five times as long
_ARRAY: Final = re.compile(r"^ +\w+ \w+\[(\d+)\]", re.MULTILINE)


def is_part(program: Program) -> bool:
    """True for a program that may be a part: it mostly moves memory and has next to none of its own."""
    own = sum(int(count) for count in _ARRAY.findall(program.source))
    moves = program.flops <= MOST_WORK * program.nbytes
    return program.language == "opencl" and not program.local and own <= MOST_OWN and moves


def together(programs: Sequence[Program], arguments: Sequence[Arguments]) -> tuple[Program, Arguments]:
    """A program that does what all the programs do, in any order; and what each of its parameters stands for.

    arguments  for each program, a number for the array each of its parameters stands for
    """
    params: dict[int, Param] = {}
    written: set[str] = set()
    for program, numbers in zip(programs, arguments):
        for param, number in zip(program.params, numbers):
            own = params.setdefault(number, Param(f"p{len(params)}", param.dtype, param.size))
            if param.name in program.written:
                written.add(own.name)
    source, entry = _source(programs, [[params[x].name for x in numbers] for numbers in arguments], params, written)
    joint = Program(
        "opencl",
        source,
        entry,
        (sum(prod(program.grid) for program in programs),),
        tuple(params.values()),
        frozenset(written),
        _united(entry, programs, arguments, params),
        flops=sum(program.flops for program in programs),
        nbytes=sum(program.nbytes for program in programs),
    )
    return joint, tuple(params)


def _united(
    entry: str, programs: Sequence[Program], arguments: Sequence[Arguments], params: dict[int, Param]
) -> Kernel | None:
    """The kernel of all stores of the programs' kernels; None where programs do not hold theirs."""
    stores: list[Store] = []
    for program, numbers in zip(programs, arguments):
        if program.kernel is None:
            return None
        renamed = {param: params[number] for param, number in zip(program.params, numbers)}
        stores += with_params(program.kernel, renamed)
    return Kernel(entry, tuple(params.values()), tuple(stores))


def _source(
    programs: Sequence[Program], arguments: Sequence[Sequence[str]], params: dict[int, Param], written: set[str]
) -> tuple[str, str]:
    """The text and the name of its kernel."""
    helpers: dict[str, None] = {}
    comments: dict[str, None] = {}
    functions: dict[Program, tuple[str, str]] = {}
    for program in dict.fromkeys(programs):
        comment, prelude, kernel = parts(program.source)
        comments[comment] = None
        helpers.update(dict.fromkeys(definitions(prelude)))
        functions[program] = _function(program, kernel, programs.count(program) > MOST_COPIES)
    names = {param.name: param.dtype for param in params.values()}
    signature = ", ".join(
        f"__global {'' if name in written else 'const '}{memory_element(dtype)} *{name}"
        for name, dtype in names.items()
    )
    entry = f"{max(programs, key=lambda program: program.nbytes).entry}_and_{len(programs) - 1}"
    calls, start = [], 0
    for program, given in zip(programs, arguments):
        calls.append(_call(functions[program][0], program, given, start))
        start += prod(program.grid)
    body = "\n".join(["  const int group = (int)get_group_id(0);", *calls])
    text = "".join(dict.fromkeys(function for _, function in functions.values()))
    kernel = f"{head()}__kernel void {entry}({signature}) {{\n{body}\n}}\n"
    return f"{''.join(comments)}{preface()}{''.join(helpers)}{text}{kernel}", entry


def _function(program: Program, kernel: str, stays: bool) -> tuple[str, str]:
    """The name and the text of a function that runs one group of a kernel; equal kernels give equal functions.

    stays   it is not to be copied to where it is called
    """
    head, _, rest = kernel.partition(") {\n")
    _, _, signature = head.partition("(")
    places = ", ".join(f"const int kf_group{i}" for i in range(len(program.grid)))
    for i in range(len(program.grid)):
        rest = rest.replace(f"get_group_id({i})", f"kf_group{i}")
    kind = "static __attribute__((noinline))" if stays else "static"
    digest = hashlib.sha256(f"{kind}{signature}{rest}".encode()).hexdigest()[:12]
    name = f"kf_{program.entry}_{digest}"
    return name, f"{kind} void {name}({signature}, {places}) {{\n{rest}"


def _call(function: str, program: Program, given: Sequence[str], start: int) -> str:
    """The statement that runs the launch's groups from `start` on as groups of a program."""
    own, below, places = f"group - {start}" if start else "group", 1, []
    for count in program.grid:
        place = f"({own}) / {below}" if below > 1 else f"({own})"
        places.append(f"{place} % {count}" if below * count < prod(program.grid) else place)
        below *= count
    return f"  if (group < {start + below}) {{ {function}({', '.join([*given, *places])}); return; }}"
