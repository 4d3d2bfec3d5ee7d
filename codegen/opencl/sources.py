"""Sources of OpenCL kernels as texts: what they begin with, taken apart, put together.

Comes in: sources the printer made.  Goes out: one source of several, or texts that can be compared.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

# a * b + c rounds twice, as everywhere else; sums of products ask for fma.  Tiles are vectors already: a compiler that
# vectorises or unrolls loops again gains nothing and takes longer, and one of them, when it unrolls loops that fill or
# read private arrays, crashes or reads what is not there yet.  So every loop is a kf_for, those of helpers too.  What
# runs on many work-items is for other compilers, which do well to unroll.
_LOOP: Final = '_Pragma("clang loop vectorize(disable) unroll(disable)") for'
_ROUNDING: Final = "#pragma OPENCL FP_CONTRACT OFF\n"
_PREFACE: Final = re.compile(re.escape(_ROUNDING) + "#define kf_for .*\n")
_HEAD: Final = re.compile(r"__attribute__\(\(reqd_work_group_size\(\d+, 1, 1\)\)\)\n")
_ARRAY: Final = re.compile(r"^ +(?:__local )?\w+ \w+\[(\d+)\] __attribute__", re.MULTILINE)


def joined(sources: Iterable[str]) -> str:
    """One source text of several whose kernels have different names: each helper is defined once."""
    helpers: dict[str, None] = {}
    kernels: list[str] = []
    before = ""
    for source in sources:
        before = preface_of(source) or before
        comment, prelude, kernel = parts(source)
        helpers.update(dict.fromkeys(definitions(prelude)))
        kernels.append(comment + head_of(source) + kernel)
    return (before or preface()) + "".join(helpers) + "\n".join(kernels)


def parts(source: str) -> tuple[str, str, str]:
    """The comment, the helpers and the kernel of a program's text.

    raises ValueError where it has no line that tells the size of groups
    """
    before, kernel = source.split(head_of(source), 1)
    preface = preface_of(source)
    comment, prelude = before.split(preface, 1) if preface else (before, "")
    return comment, prelude, kernel


def preface(items: int = 1) -> str:
    """What stands before the helpers of kernels whose groups have so many work-items."""
    return f"{_ROUNDING}#define kf_for {_LOOP if items == 1 else 'for'}\n"


def preface_of(source: str) -> str:
    """That of a source; empty where it has none."""
    found = _PREFACE.search(source)
    return found[0] if found else ""


def head(items: int = 1) -> str:
    """The line before a kernel whose groups have so many work-items."""
    return f"__attribute__((reqd_work_group_size({items}, 1, 1)))\n"


def head_of(source: str) -> str:
    """That line of a source; empty where it has none."""
    found = _HEAD.search(source)
    return found[0] if found else ""


def without_comment(source: str, entry: str, name: str, numbers: str) -> str:
    """A program's text without its comment, its kernel under another name and with more int parameters before its own.

    numbers  the parameters, spelled
    """
    _, prelude, kernel = parts(source)
    begin, brace, rest = kernel.partition(") {\n")
    before, signature = begin.split(f" {entry}(", 1)
    arrays = [part for part in signature.split(", ") if not part.startswith("const int ")]
    own = [part for part in signature.split(", ") if part.startswith("const int ")]
    kernel = f"{before} {name}({', '.join([*arrays, numbers, *own])}{brace}{rest}"
    return f"{preface_of(source)}{prelude}{head_of(source)}{kernel}"


def with_common_arrays(texts: Sequence[str]) -> list[str]:
    """Texts that declare the same arrays, each with the longest length it has in any of them."""
    lengths = [[int(length) for length in _ARRAY.findall(text)] for text in texts]
    if any(len(found) != len(lengths[0]) for found in lengths):
        return list(texts)
    longest = [max(found) for found in zip(*lengths)]
    return [_with_lengths(text, iter(longest)) for text in texts]


def _with_lengths(text: str, lengths: Iterator[int]) -> str:
    return _ARRAY.sub(lambda match: match[0].replace(f"[{match[1]}]", f"[{next(lengths)}]"), text)


def definitions(text: str) -> list[str]:
    """The helpers of a prelude, each with all its lines."""
    found: list[str] = []
    for line in text.splitlines(keepends=True):
        if line.startswith(("static", "__constant", "typedef", "extern")):
            found.append(line)
        else:
            found[-1] += line
    return found
