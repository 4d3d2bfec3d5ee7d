"""A graph as records of operations and the numbers in them: what stays, and what differs, from one size to another.

Comes in: nodes without calls and gradients.  Goes out: `Numbered`, whose key is equal for graphs that differ in sizes
and constants only; and a graph again, for other numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Final

import numpy as np

from codegen.dtypes import DType, from_storage, to_storage
from codegen.ops import SCALAR_OPS
from kernelforge import graph
from kernelforge.buffer import Buffer
from kernelforge.calls import Recipe, placeholders
from kernelforge.errors import ShapeError
from kernelforge.graph import Node, Value, toposort, uniform, user_line

WIDE: Final = 4  # bytes of a float that kernels compute with as it is
PATTERN: Final = "a pattern, number "  # where others have a file's name
_patterns: Final = count(1)
SIZED: Final = frozenset(("reshape", "expand", "pad", "shrink"))  # their attributes are sizes and nothing else


@dataclass(slots=True)
class Record:
    """An operation: numbers are the places of its own among all, sources the records of its operands.

    value  the place of a constant's value among all values; leaf: of a buffer among the leaves
    steps  of a loop, what its recipes are called, the records of their inputs, and those of their results
    """

    node: Node
    sources: tuple[int, ...]
    numbers: tuple[int, ...] = ()
    value: int = -1
    leaf: int = -1
    steps: tuple[tuple[str, tuple[int, ...], int], ...] = ()


@dataclass(slots=True)
class Numbered:
    """A graph taken apart.

    key      operations, types, devices, how they hang together, and the number of leaves
    numbers  all sizes, in order; values: all constants, with their types; told: the places of those the key tells
    roots    the records of the nodes asked for
    name     what nodes made after it have in place of a file's name, once there are some
    """

    key: tuple[Hashable, ...] = ()
    records: list[Record] = field(default_factory=list)
    numbers: list[int] = field(default_factory=list)
    values: list[tuple[Value, DType]] = field(default_factory=list)
    told: set[int] = field(default_factory=set)
    roots: tuple[int, ...] = ()
    name: str = ""


def numbered(roots: Sequence[Node], leaves: Sequence[Buffer]) -> Numbered:
    """The graph of nodes that are computed from leaves.

    Constants, and what repeats them or counts places, are recorded for each use: two that are equal at one size need
    not be at another.
    """
    order = toposort(roots, into_realized=False)
    recorder = _Recorder({id(buffer): i for i, buffer in enumerate(leaves)})
    found = recorder.found
    for node in order:
        if not recorder.is_anew(node):
            recorder.place[node] = recorder.add(node)
    found.roots = tuple([recorder.number(node) for node in roots])
    found.key = (*recorder.parts, found.roots, len(leaves))  # also those not read have places in a plan
    return found


class _Recorder:
    """The records of a graph being made; `place` tells those of nodes that are recorded once.

    A step of a loop is recorded beside the rest: what it is made of may be in memory for others, but is nothing a plan
    is given, and its constants stay what they are.
    """

    def __init__(self, leaf: dict[int, int]) -> None:
        self.leaf, self.found = leaf, Numbered()
        self.parts: list[Hashable] = []
        self.place: dict[Node, int] = {}
        self.recipes: dict[Recipe, tuple[str, tuple[int, ...], int]] = {}
        self.is_inside = False

    def number(self, node: Node) -> int:
        """The record of a node whose operands are recorded."""
        return self.add(node) if self.is_anew(node) else self.place[node]

    def is_anew(self, node: Node) -> bool:
        """True for what is recorded for each use."""
        if node.op == "buffer" or (node.realized is not None and not self.is_inside):
            return False
        return node.op in ("const", "iota") or uniform(node) is not None

    def add(self, node: Node) -> int:
        """A record of the node, and before it of what is recorded anew for each use."""
        stored = node.attr if node.op == "buffer" else None if self.is_inside else node.realized
        if stored is not None:
            number = self.leaf[id(stored)]
            own = self._numbers(node.shape)
            return self._put(Record(node, (), own, leaf=number), ("leaf", number, node.device, node.dtype))
        if node.op == "const":
            place = len(self.found.values)
            self.found.values.append((node.attr, node.dtype))
            if is_of_its_type(node) and not self.is_inside:
                return self._put(Record(node, (), value=place), ("const", node.dtype))
            self.found.told.add(place)
            return self._put(Record(node, (), value=place), ("const", node.dtype, repr(node.attr)))
        if node.op == "iota":
            return self._put(Record(node, (), self._numbers(node.shape)), ("iota", node.dtype))
        if node.op == "input":
            return self._put(Record(node, (), self._numbers(node.shape)), ("input", node.dtype, node.device))
        sources = tuple([self.number(x) for x in node.src])
        if node.op in SIZED:
            own = self._numbers([n for item in node.attr for n in (item if isinstance(item, tuple) else (item,))])
            return self._put(Record(node, sources, own), (node.op, *sources))
        if node.op == "unwindow":
            dim, size, stride, dilation = node.attr
            return self._put(Record(node, sources, self._numbers([size])), (node.op, dim, stride, dilation, *sources))
        if node.op == "loop":
            steps = tuple([self._recorded(recipe, node) for recipe in (node.attr.step, node.attr.value) if recipe])
            kind = node.attr.sequences, node.attr.reverse, node.dtype, *(step[1:] for step in steps)
            return self._put(Record(node, sources, steps=steps), (node.op, *kind, *sources))
        shape = node.shape if node.op == "host" else None
        return self._put(Record(node, sources), (node.op, node.attr, node.dtype, shape, *sources))

    def _recorded(self, recipe: Recipe, loop: Node) -> tuple[str, tuple[int, ...], int]:
        """A recipe of a loop, recorded once: those of its states and of values on the way are told apart by it."""
        if recipe not in self.recipes:
            before = self.place, self.is_inside
            self.place, self.is_inside = {}, True
            last = loop.attr.sequences
            shapes = [x.shape[1:] if 0 < i <= last else x.shape for i, x in enumerate(loop.src)]
            inputs = placeholders([(shape, x.dtype, x.device) for shape, x in zip(shapes, loop.src)])
            result = recipe.replayed(inputs)
            for node in (*inputs, *toposort([result])):
                if node not in self.place and not self.is_anew(node):
                    self.place[node] = self.add(node)
            self.recipes[recipe] = recipe.name, tuple([self.place[x] for x in inputs]), self.number(result)
            self.place, self.is_inside = before
        return self.recipes[recipe]

    def _numbers(self, values: Sequence[int]) -> tuple[int, ...]:
        start = len(self.found.numbers)
        self.found.numbers += values
        return tuple(range(start, len(self.found.numbers)))

    def _put(self, record: Record, part: Hashable) -> int:
        self.found.records.append(record)
        self.parts.append((part, len(record.numbers)))
        return len(self.found.records) - 1


def beside_data(met: Numbered) -> set[int]:
    """The places of constants that operations take beside what is read, alone or with other constants.

    Those that numbers of places are compared with, as in masks, are none: kernels skip what these hide.
    """
    repeated: dict[int, frozenset[int]] = {}  # by records that are made of constants alone
    found: set[int] = set()
    for number, record in enumerate(met.records):
        if record.value >= 0:
            repeated[number] = frozenset((record.value,))
        elif record.leaf < 0 and record.sources:
            held = frozenset().union(*(repeated.get(x, ()) for x in record.sources))
            if all(x in repeated for x in record.sources):
                repeated[number] = held
            elif record.node.op in SCALAR_OPS and record.node.device is not None:
                found |= held
    return found - met.told


def is_of_its_type(const: Node) -> bool:
    """False for a number beside 16-bit floats, or narrower ones, that has more digits than they: kernels compute with
    all of these, which no argument of the type would have."""
    if not const.dtype.is_float or const.dtype.itemsize >= WIDE:
        return True
    value = np.asarray([const.attr], const.dtype.compute)
    return bool(np.array_equal(from_storage(to_storage(value, const.dtype), const.dtype), value, equal_nan=True))


def rebuilt(
    pattern: Numbered,
    numbers: Sequence[int],
    leaf: Callable[[Record, tuple[int, ...]], Node],
    constant: Callable[[Record], Node],
) -> list[Node]:
    """The roots of a graph with other numbers; the line of each new node is (pattern.name, the number of its record).

    leaf, constant  make the node of a buffer of a given shape, and that of a constant
    raises ShapeError where the numbers do not fit together
    """
    made = remade(pattern, numbers, leaf, constant)
    return [made[i] for i in pattern.roots]


def remade(
    pattern: Numbered,
    numbers: Sequence[int],
    leaf: Callable[[Record, tuple[int, ...]], Node],
    constant: Callable[[Record], Node],
) -> list[Node]:
    """The nodes of all records of a graph with other numbers, like `rebuilt`."""
    made: list[Node] = []
    recipes: dict[tuple[str, tuple[int, ...], int], Recipe] = {}
    pattern.name = pattern.name or f"{PATTERN}{next(_patterns)}"
    for number, record in enumerate(pattern.records):
        with user_line((pattern.name, number)):
            recipes |= {
                step: Recipe(step[0], [made[i] for i in step[1]], made[step[2]])
                for step in record.steps
                if step not in recipes
            }
            steps = [recipes[step] for step in record.steps]
            made.append(_again(record, made, numbers, leaf, constant, steps))
    return made


def _again(
    record: Record,
    made: Sequence[Node],
    numbers: Sequence[int],
    leaf: Callable[[Record, tuple[int, ...]], Node],
    constant: Callable[[Record], Node],
    steps: Sequence[Recipe],
) -> Node:
    """The node of a record, those before it being made; steps: the recipes of a loop."""
    node, own = record.node, tuple([numbers[i] for i in record.numbers])
    src = [made[i] for i in record.sources]
    if record.leaf >= 0:
        return leaf(record, own)
    if record.value >= 0:
        return constant(record)
    if node.op == "iota":
        return graph.iota(own[0], node.dtype)
    if node.op == "input":
        return placeholders([(own, node.dtype, node.device)])[0]
    if node.op == "loop":
        loop = node.attr._replace(step=steps[0], value=steps[1] if len(steps) > 1 else None)
        return graph.loop(loop, src, (src[1].shape[0], *steps[-1].shape))
    if node.op in SIZED:
        return _sized(node.op, src[0], own)
    if node.op == "unwindow":
        dim, _, stride, dilation = node.attr
        return graph.unwindow(src[0], dim, own[0], stride, dilation)
    return graph.rebuild(node, src)


def _sized(op: str, x: Node, own: tuple[int, ...]) -> Node:
    if op in ("reshape", "expand"):
        return graph.reshape(x, own) if op == "reshape" else graph.expand(x, own)
    pairs: tuple[tuple[int, int], ...] = tuple(zip(own[::2], own[1::2]))
    if op == "pad":
        return graph.pad(x, pairs)
    for size, (start, stop) in zip(x.shape, pairs):
        if not 0 <= start < stop <= size:
            raise TooShort(size)
    return graph.shrink(x, pairs)


class TooShort(ShapeError):
    """A part reaches beyond a dimension of the given size."""

    def __init__(self, size: int) -> None:
        super().__init__(f"a part reaches beyond {size} places")
        self.size = size

