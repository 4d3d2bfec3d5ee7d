"""The lines of one kernel's text and the names in it.

Comes in: lines, stems of names, names of parameters.  Goes out: indented text, identifiers that clash with nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from typing import Final

from codegen.ir import Expr
from codegen.nodes import BOXES
from codegen.origins import line

_WORDS: Final = """
auto break case char const constant continue default do double else enum event extern float for global goto half if
image2d_t inline int kernel local long pipe private register restrict return sampler_t short signed sizeof static struct
switch typedef uchar uint ulong union unsigned ushort void volatile while bool quad complex imaginary true false NULL
NAN INFINITY size_t main abs any ceil clamp copysign cos erf exp exp2 expm1 fabs floor fma fmod isfinite log log1p
log2 max min pow rint select sin sqrt tanh trunc
"""
RESERVED: Final = frozenset(_WORDS.split())


class Lines:
    """Collects text.  Loop variables are axis names with a number; parameters and temporaries keep clear of them.

    origin  what the lines compute that are being added
    """

    def __init__(self, axis_names: Collection[str]) -> None:
        self.axis_names = frozenset(axis_names)
        self.text: list[str] = []
        self.depth = 1
        self.origin: Expr | None = None
        self.count = 0

    def add(self, *texts: str) -> None:
        """Append lines at the current indentation; a barrier that follows a barrier is none."""
        for text in texts:
            if not (text.startswith("barrier(") and self.text and self.text[-1].endswith(text)):
                self.text.append(line("  " * self.depth + text, self.origin))

    def extend(self, texts: Iterable[str]) -> None:
        self.add(*texts)

    @contextmanager
    def block(self, head: str) -> Iterator[None]:
        """A block in braces: what is added inside is indented."""
        self.add(f"{head} {{" if head else "{")
        self.depth += 1
        yield
        self.depth -= 1
        self.add("}")

    def fresh(self, stem: str) -> str:
        """A name not used before."""
        self.count += 1
        return f"{stem}v_{self.count}" if f"{stem}_" in self.axis_names else f"{stem}_{self.count}"

    def identifier(self, name: str) -> str:
        """A name as a C identifier that is no keyword and can be no loop variable or box."""
        name = "".join(c if c.isascii() and c.isalnum() else "_" for c in name) or "_"
        name = name if not name[0].isdigit() else "_" + name
        stem = name.rstrip("0123456789")
        clash = stem != name and (stem in self.axis_names or stem in BOXES)
        return name + "_" if clash or name in RESERVED or name.startswith("kf_") else name
