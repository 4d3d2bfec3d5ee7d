"""What graphs are made of: nodes, each one object as long as it lives.

Comes in: an operation, its sources and what follows from them.  Goes out: `Node`; equal ones are the same object.  It
knows no operation and checks nothing: that is what `graph` is for.  Every operation of a user's program comes by here,
so it is written for speed.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from math import prod
from types import CodeType
from typing import Any, Final
from weakref import WeakSet, ref

from codegen.dtypes import DType
from kernelforge.blame import Line, current_line
from kernelforge.buffer import Buffer
from kernelforge.errors import DeviceError

Shape = tuple[int, ...]

_new: Final = object.__new__
waiting: Final[WeakSet[Node]] = WeakSet()  # states of loops of several, which are computed together
MOST_LINES: Final = 4096  # of those remembered
SWEPT_FROM: Final = 8192  # entries of the table from which those of dead nodes are looked for


class Node:
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

    __slots__ = ("__weakref__", "attr", "depth", "device", "dtype", "op", "place", "realized", "shape", "src")

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


# ------------------------------------------------------------------------------------------------- interning
#
# The table holds nodes weakly, under keys that hold nothing: sources are in it by their identity.  As long as the node
# of an entry lives its sources do, so no other object can have their identity.  An entry whose node is dead counts for
# nothing; now and then they are taken out, all at once, which is cheaper than to hear of every death.

table: Final[dict[tuple[Any, ...], ref[Node]]] = {}
room: Final = [SWEPT_FROM]


def alive() -> list[Node]:
    """Every node there is."""
    return [node for reference in list(table.values()) if (node := reference()) is not None]


def find(key: tuple[Any, ...]) -> Node | None:
    """The living node of a key."""
    found = table.get(key)
    return None if found is None else found()


def interned(
    key: tuple[Any, ...], op: str, src: tuple[Node, ...], attr: Any, shape: Shape, dtype: DType, device: str | None
) -> Node:
    """A new node, to be found by a key: names and numbers, and the identities of what the node holds.

    No method of the class, and no function on top of another: that would take twice as long.
    """
    node = _new(Node)
    node.op = op
    node.src = src
    node.attr = attr
    node.shape = shape
    node.dtype = dtype
    node.device = device
    node.place = current_line.get()
    node.realized = None
    depth = 0
    for x in src:
        if x.depth >= depth:
            depth = x.depth + 1
    node.depth = depth
    table[key] = ref(node)
    if len(table) > room[0]:
        _sweep()
    return node


def leaf(buf: Buffer, shape: Shape) -> Node:
    """A new node of a buffer's elements, to be found like any other."""
    node = _new(Node)
    node.op, node.src, node.attr, node.shape = "buffer", (), buf, shape
    node.dtype, node.device, node.place, node.realized, node.depth = buf.dtype, buf.device, None, None, 0
    table["buffer", shape, id(buf)] = ref(node)
    if len(table) > room[0]:
        _sweep()
    return node


def new_node(op: str, src: tuple[Node, ...], attr: Any, shape: Shape, dtype: DType, device: str | None) -> Node:
    """A node that nobody will find: equal ones are others."""
    return interned((object(),), op, src, attr, shape, dtype, device)


def _sweep() -> None:
    for key, reference in list(table.items()):
        if reference() is None:
            table.pop(key, None)
    room[0] = max(SWEPT_FROM, 2 * len(table))


def common_device(op: str, src: tuple[Node, ...]) -> str | None:
    """The one device sources live on."""
    device = None
    for node in src:
        if node.device is not None and node.device != device:
            if device is not None:
                raise DeviceError(
                    f"{op} of tensors on different devices, {device} and {node.device}: "
                    f"move one of them, for instance with .to({device!r})"
                )
            device = node.device
    return device


def node_of(op: str, src: tuple[Node, ...], attr: Any, shape: Shape, dtype: DType) -> Node:
    """The node of an operation whose shape and dtype are known to follow from op, src and attr."""
    first, count = src[0], len(src)
    key = (op, attr, id(first)) if count == 1 else (op, attr, *map(id, src))
    found = table.get(key)
    if found is not None and (node := found()) is not None:
        return node
    device = first.device
    if count > 2 or src[-1].device is not device:
        device = common_device(op, src)
    return interned(key, op, src, attr, shape, dtype, device)


def is_stored(node: Node) -> bool:
    """True when the node's elements are in a buffer."""
    return node.op == "buffer" or node.realized is not None
