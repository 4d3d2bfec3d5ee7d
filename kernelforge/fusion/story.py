"""How a graph became kernels, told for people: the graph asked for, what rewrites did, groups, what keeps them apart.

Comes in: `plan` and `fuse` tell while a plan is made, if somebody listens.  Goes out: `Story`, of numbers and text
alone: it keeps no node and no buffer alive.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Final

from kernelforge.fusion.group import Group
from kernelforge.graph import Line, Node, toposort

MOST_SHOWN: Final = 100  # nodes a rewrite is shown to remove or add


@dataclass(frozen=True)
class Point:
    """A node of a graph: sources are positions in the list it is in."""

    op: str
    text: str
    nbytes: int
    sources: tuple[int, ...]
    line: Line | None


@dataclass(frozen=True)
class Rewrite:
    """What one rewrite did: nodes before and after, and some of those it removed and added, as text."""

    name: str
    before: int
    after: int
    removed: tuple[str, ...]
    added: tuple[str, ...]


@dataclass(frozen=True)
class Boundary:
    """A value that one group stores and another reads.

    value    what it is; point: its position in the story's graph
    earlier, later  numbers of the groups
    reasons  all that keeps the two from being one kernel
    nbytes   moved for it: written once, read by this reader
    """

    value: str
    point: int
    line: Line | None
    earlier: int
    later: int
    reasons: tuple[str, ...]
    nbytes: int


@dataclass
class Story:
    """What happened to one graph.

    asked       the graph the user built, operations made of others as one node
    rewrites    in the order they were done; those that changed nothing are left out
    graph       what was cut into groups
    groups      for each group the positions in it of what it computes, what it stores last
    steps       the launches of the groups, before some are joined
    origins     what rewrites made that has to be in memory, by node, while the story is told: the rewrite's name
    """

    asked: list[Point] = field(default_factory=list)
    rewrites: list[Rewrite] = field(default_factory=list)
    graph: list[Point] = field(default_factory=list)
    groups: list[tuple[int, ...]] = field(default_factory=list)
    boundaries: list[Boundary] = field(default_factory=list)
    steps: list[Any] = field(default_factory=list)
    origins: dict[Node, str] = field(default_factory=dict)
    _last: list[Node] = field(default_factory=list)
    _position: dict[Node, int] = field(default_factory=dict)

    def begins(self, nodes: Sequence[Node]) -> None:
        """The graph as the user built it."""
        self._last = toposort(nodes, into_realized=False)
        self.asked = _points(self._last)[0]

    def rewritten(self, name: str, nodes: Sequence[Node]) -> None:
        """A rewrite was done: these are the outputs now."""
        now = toposort(nodes, into_realized=False)
        old, new = frozenset(self._last), frozenset(now)
        added = [node for node in now if node not in old]
        if not added and len(old) == len(new):
            return
        gone = [node for node in self._last if node not in new]
        shown = [tuple(_worded(node) for node in some[:MOST_SHOWN]) for some in (gone, added)]
        self.rewrites.append(Rewrite(name, len(self._last), len(now), *shown))
        if name != "spelled out":  # which gives what the user asked for
            self._attribute(name, gone, added)
        self._last = now

    def _attribute(self, name: str, gone: Sequence[Node], added: Sequence[Node]) -> None:
        """Notes which nodes that have to be in memory a rewrite made; others are old ones on new operands."""
        old: dict[tuple[int, ...], list[Node]] = {}
        for node in gone:
            if node.op == "contiguous":
                old.setdefault(node.shape, []).append(node)
        for node in added:
            if node.op != "contiguous":
                continue
            before = old.get(node.shape)
            origin = name if not before else self.origins.get(before.pop())
            if origin is not None:
                self.origins[node] = origin

    def grouped(self, groups: Sequence[Group], between: Iterable[tuple[Node, Node, Node, tuple[str, ...]]]) -> None:
        """The groups, and for each value that one part stores and another reads: outputs of both, and the reasons."""
        outputs = dict.fromkeys(node for group in groups for node in group.outputs)
        self.graph, self._position = _points(toposort(list(outputs), into_realized=False))
        owner: dict[Node, int] = {}
        for number, group in enumerate(groups):
            inside = [*_inside(group), *group.outputs]
            self.groups.append(tuple(self._position[node] for node in dict.fromkeys(inside) if node in self._position))
            owner.update((node, number) for node in group.outputs)
        for value, earlier, later, reasons in between:
            text, at = repr(value), self._position[value]
            nbytes = 2 * value.size * value.dtype.itemsize
            self.boundaries.append(Boundary(text, at, value.line, owner[earlier], owner[later], reasons, nbytes))

    def ends(self) -> None:
        """Lets go of the nodes."""
        self._last, self.origins, self._position = [], {}, {}


_telling: Final[ContextVar[Story | None]] = ContextVar("telling", default=None)


def telling() -> Story | None:
    """The story that is being told, or None where nobody listens."""
    return _telling.get()


@contextmanager
def told() -> Iterator[Story]:
    """A context in which a plan's story is told."""
    story = Story()
    token = _telling.set(story)
    try:
        yield story
    finally:
        _telling.reset(token)
        story.ends()


def _inside(group: Group) -> list[Node]:
    """What a group computes besides its outputs."""
    inputs: Collection[Node] = frozenset(group.inputs)
    found: dict[Node, None] = {}
    pending = [node for value in group.values for node in ((value,) if group.kind != "compute" else value.src)]
    while pending:
        node = pending.pop()
        if node not in found and node not in inputs and node.realized is None and node.op != "buffer":
            found[node] = None
            pending += node.src
    return list(reversed(found))


def _points(order: Sequence[Node]) -> tuple[list[Point], dict[Node, int]]:
    position = {node: i for i, node in enumerate(order)}
    points = []
    for node in order:
        sources = () if node.realized is not None else tuple(position[x] for x in node.src)
        op = "buffer" if node.realized is not None else node.op
        points.append(Point(op, _worded(node), node.size * node.dtype.itemsize, sources, node.line))
    return points, position


def _worded(node: Node) -> str:
    """A node in few words."""
    if node.realized is not None or node.op == "buffer":
        return f"buffer {list(node.shape)} {node.dtype}"
    text = repr(node)
    return text if len(text) <= 120 else f"{node.op} ... {list(node.shape)} {node.dtype}"
