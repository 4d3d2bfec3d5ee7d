"""What a Triton source is written into: printed values, identifiers, and the bodies of loops.

Comes in: text.  Goes out: lines.  It knows neither expressions nor nests.
"""

from __future__ import annotations

import keyword
from collections import ChainMap
from collections.abc import Hashable, Iterable
from typing import Final, NamedTuple

from codegen.index import Axis
from codegen.ir import Const, Expr
from codegen.origins import Line, line

Axes = tuple[Axis, ...]

_INDENT: Final = "    "


class Value(NamedTuple):
    """A printed value.

    text   an expression; `tight` when it needs no parentheses as an operand
    axes   the axes of its block's dimensions, in order
    const  set for a constant, whose text has no type of its own
    """

    text: str
    axes: Axes = ()
    tight: bool = True
    const: Const | None = None

    @property
    def operand(self) -> str:
        return self.text if self.tight else f"({self.text})"

    def over(self, want: Axes) -> str:
        """The text as a block that broadcasts over the axes `want`; a scalar stays one."""
        return self.operand if self.axes == want or not self.axes else self.alone(want)

    def alone(self, want: Axes) -> str:
        """The same where no operator follows: without outer parentheses."""
        if self.axes == want or not self.axes:
            return self.text
        text, axes = self.operand, self.axes
        present = tuple(a for a in want if a in axes)
        if present != axes:
            turned = tuple(map(axes.index, present))
            text = f"tl.trans({text})" if turned == (1, 0) else f"tl.permute({text}, {turned})"
        if present == want:
            return text
        return f"{text}[{', '.join(':' if a in present else 'None' for a in want)}]"


class Names:
    """Hands out identifiers that are used nowhere else in the source."""

    def __init__(self, taken: Iterable[str]) -> None:
        self.taken = {*taken, *keyword.kwlist, "tl", "triton", "libdevice", "range", "float"}
        self.counts: dict[str, int] = {}
        self.origin: Expr | None = None  # what the lines compute that are being added
        self.vectors: dict[tuple[str, int], str] = {}

    def numbered(self, stem: str) -> str:
        """stem with the next free number: t1, t2, ..."""
        while True:
            self.counts[stem] = number = self.counts.get(stem, 0) + 1
            if (name := f"{stem}{number}") not in self.taken:
                self.taken.add(name)
                return name

    def positions(self, name: str, block: int) -> str:
        """The name of the positions in a block of some length: the same one whenever it is asked for."""
        if (name, block) not in self.vectors:
            self.vectors[name, block] = self.own(name)
        return self.vectors[name, block]

    def own(self, name: str) -> str:
        """The name itself, or with underscores added until it is free."""
        while name in self.taken:
            name += "_"
        self.taken.add(name)
        return name


class Scope:
    """The lines of one loop body, and the values that have a name there.

    A body sees the names of the bodies around it; its own end with it.  What is written to a body while a loop inside
    it is being printed goes before that loop.

    parts   lines and the bodies inside
    starts  the loop variables that hold where a tile starts and that belong to this body
    whole   axes whose tiles are known to lie within the axis' size here
    branch  True for one side of a condition: nothing leaves it
    """

    def __init__(self, names: Names, outer: Scope | None = None) -> None:
        self.names, self.outer = names, outer
        self.whole: frozenset[Axis] = outer.whole if outer else frozenset()
        self.branch = False
        self.parts: list[str | Scope] = []
        self.known: ChainMap[Hashable, Value] = outer.known.new_child() if outer else ChainMap()
        self.starts: set[str] = set()
        self.waiting = 0  # parts of the loop being printed

    def inner(self, header: str) -> Scope:
        """The body of a loop that begins with the header; to be closed with `close`."""
        body = Scope(self.names, self)
        self.parts += [header, body]
        self.waiting = 2
        return body

    def close(self) -> None:
        """The end of a loop's body."""
        if self.outer is not None:
            self.outer.waiting = 0

    def line(self, text: str) -> None:
        self.parts.insert(len(self.parts) - self.waiting, line(text, self.names.origin))

    def define(self, start: str, text: str) -> None:
        """Give a tile's start its value."""
        self.line(f"{start} = {text}")
        self.starts.add(start)

    def name(self, key: Hashable, stem: str, text: str, axes: Axes) -> Value:
        """A new name for the value of a text, remembered under key."""
        return self.remember(key, self.names.numbered(stem), text, axes)

    def remember(self, key: Hashable, name: str, text: str, axes: Axes) -> Value:
        """The value of a text under a given name."""
        self.line(f"{name} = {text}")
        self.known[key] = value = Value(name, axes)
        return value

    def home(self, starts: Iterable[str]) -> Scope:
        """The outermost body in which all these starts hold."""
        wanted = set(starts) - {"0"}
        scope = self
        while scope.outer is not None and not scope.branch and not scope.starts & wanted:
            scope = scope.outer
        return scope

    def text(self, depth: int = 1) -> list[str]:
        """The lines with their indentation."""
        lines: list[str] = []
        for part in self.parts:
            if isinstance(part, str):
                lines.append(line(_INDENT * depth + part, part.origin if isinstance(part, Line) else None))
            else:
                lines += part.text(depth + 1)
        return lines
