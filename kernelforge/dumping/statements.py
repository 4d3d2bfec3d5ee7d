"""Which of the user's lines each statement of a source comes from.

Comes in: a program that knows what its lines compute, and the user's lines each expression comes from.  Goes out: for
each line of the text the user's lines, or None where it is no statement.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from codegen.ir import Expr
from codegen.program import Program
from kernelforge.graph import Line

Lines = tuple[Line, ...]
_DECLARED: Final = re.compile(r"^\s+(?:const )?\w+ (\w+)(?:\[\d+\])?(?: __attribute__.*| = .*)?;$|^\s+(\w+) = ")


def statements(
    program: Program, origins: Mapping[Expr, frozenset[Line]], every: Lines = ()
) -> list[Lines | None]:
    """For each line of a program's source the user's lines it comes from; None for comments, helpers and braces.

    every  the user's lines of the kernel, which a kernel that computes nothing belongs to as a whole

    A loop belongs to all lines of its body; a name that belongs to no one to the lines of what uses it next.
    """
    texts = program.source.splitlines()
    found: list[Lines | None] = [None] * len(texts)
    heads = (f"def {program.entry}(", f"__kernel void {program.entry}(")
    first = next((number for number, text in enumerate(texts) if text.startswith(heads)), len(texts))
    for number, e in enumerate(program.origins[: len(texts)]):
        if number > first and texts[number].startswith(" ") and texts[number].strip() not in ("", "}", "{"):
            found[number] = tuple(sorted(origins.get(e, ()))) if e is not None else ()
    depths = [len(text) - len(text.lstrip()) for text in texts]
    for number in reversed(range(len(texts))):
        if found[number] == ():
            found[number] = _inside(number, depths, found) or _next_use(number, texts, found)
    return found if any(found) else [lines if lines is None else every for lines in found]


def of_joined(source: str, parts: Iterable[tuple[Program, Sequence[Lines | None]]]) -> list[Lines | None]:
    """The same for the source of a joined launch: its parts' statements stand in functions, word for word.

    Calls of a function belong to all lines of the part; what else the kernel does, to those of all parts.
    """
    known: dict[str, dict[Line, None]] = {}
    entries: dict[str, Lines] = {}
    for program, found in parts:
        every: dict[Line, None] = {}
        for text, lines in zip(program.source.splitlines(), found):
            if lines:
                known.setdefault(text.strip(), {}).update(dict.fromkeys(lines))
                every.update(dict.fromkeys(lines))
        entries[program.entry] = tuple(sorted(every))
    rest = tuple(sorted({line for lines in entries.values() for line in lines}))
    texts = source.splitlines()
    first = next((i for i, text in enumerate(texts) if any(f" kf_{entry}" in text for entry in entries)), len(texts))
    result: list[Lines | None] = [None] * len(texts)
    for number, text in enumerate(texts):
        if number > first and text.startswith(" ") and text.strip() not in ("", "}", "{"):
            called = (lines for entry, lines in entries.items() if f"kf_{entry}_" in text)
            own = known.get(text.strip())
            result[number] = tuple(sorted(own)) if own else next(called, rest)
    return result


def mapped(found: Sequence[Lines | None]) -> tuple[int, int]:
    """How many statements have a line of the user's, and how many there are."""
    return sum(1 for lines in found if lines), sum(1 for lines in found if lines is not None)


def _inside(number: int, depths: Sequence[int], found: Sequence[Lines | None]) -> Lines:
    """The lines of the block that a line begins."""
    lines: dict[Line, None] = {}
    for inner in range(number + 1, len(depths)):
        if depths[inner] <= depths[number]:
            break
        lines.update(dict.fromkeys(found[inner] or ()))
    return tuple(sorted(lines))


def _next_use(number: int, texts: Sequence[str], found: Sequence[Lines | None]) -> Lines:
    """The lines of the first statement that mentions what a line declares."""
    match = _DECLARED.match(texts[number])
    if match is None:
        return ()
    name = re.compile(rf"\b{match[1] or match[2]}\b")
    return next((found[i] or () for i in range(number + 1, len(texts)) if found[i] and name.search(texts[i])), ())
