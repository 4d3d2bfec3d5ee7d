"""What graphs are made of: nodes.

Comes in: an operation, its sources and what follows from them.  Goes out: `Node`, and the user's line it belongs to.
How nodes are made, so that equal ones are the same object, is said in `interning`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from math import prod
from types import CodeType
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakSet

from codegen.dtypes import DType
from kernelforge.blame import Line, current_line
from kernelforge.buffer import Buffer
from kernelforge.native import NO_MORE, record

if TYPE_CHECKING:
    _Fields = object
else:
    _Fields = record("Node", "apart", "attr", "depth", "device", "dtype", "op", "place", "realized", "shape", "src")

Shape = tuple[int, ...]

waiting: Final[WeakSet[Node]] = WeakSet()  # states of loops of several, which are computed together
MOST_LINES: Final = 4096  # of those remembered


class Node(_Fields):
    """One operation of the graph and, at the same time, the array it stands for.

    op        "buffer" "const" "iota"; a view (`VIEWS`); a name of SCALAR_OPS; "reduce" "scan" "gather" "scatter"
              "tally" "stack" "contiguous" "detach" "surrogate" "copy" "host" "loop" "while"; "real" "imag" "complex"
    src       the nodes it is computed from
    attr      what else it takes; the constructor of the same name says what
    shape     dtype, device: what follows from these; device is None where no buffer is involved
    place     where the user's call is that first made the node, as code and instruction or as a line; no part of its
              identity
    realized  the buffer that holds its elements in row-major order, once they are computed
    depth     how many operations one after the other it waits for, since these were counted last; 0 once computed
    apart     whether nobody finds it, so that there may be others that equal it
    """

    op: str
    src: tuple[Node, ...]
    attr: Any
    shape: Shape
    dtype: DType
    device: str | None
    place: Line | tuple[CodeType, int] | None
    realized: Buffer | None
    depth: int
    apart: bool

    __slots__ = NO_MORE

    @property
    def line(self) -> Line | None:
        """File and line of the user's call that first made the node."""
        place = self.place
        if place is None or isinstance(place[0], str):
            return place
        found = self.place = _line_of(*place)
        return found

    @line.setter
    def line(self, line: Line | None) -> None:
        self.place = line

    @property
    def size(self) -> int:
        """Number of elements."""
        return prod(self.shape)

    def __repr__(self) -> str:
        attr = "" if self.attr is None else f" {self.attr}"
        return f"{self.op}{attr} {list(self.shape)} {self.dtype}"


_lines: Final[dict[tuple[int, int], tuple[CodeType, Line]]] = {}


def _line_of(code: CodeType, instruction: int) -> Line:
    """File and line of an instruction; the nodes a loop makes share one.  Codes are told apart by identity, which they
    keep while they are held here: to compare what they contain takes longer, and leaves out the file."""
    known = _lines.get((id(code), instruction))
    if known is not None:
        return known[1]
    if len(_lines) >= MOST_LINES:
        _lines.clear()
    lines = [line for start, end, line in code.co_lines() if start <= instruction < end and line is not None]
    found = code.co_filename, lines[0] if lines else code.co_firstlineno
    _lines[id(code), instruction] = code, found
    return found


@contextmanager
def user_line(line: Line | None) -> Iterator[None]:
    """A context in which new nodes belong to the given line of the user's program."""
    token = current_line.set(line)
    try:
        yield
    finally:
        current_line.reset(token)


def is_stored(node: Node) -> bool:
    """True when the node's elements are in a buffer."""
    return node.op == "buffer" or node.realized is not None
