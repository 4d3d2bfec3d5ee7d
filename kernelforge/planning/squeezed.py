"""Graphs of which some size is 1, compared with others made for any size.

Comes in: two graphs on the same leaves.  Goes out: whether they compute the same, and which nodes of theirs belong
together.  Where a size is 1 nothing is repeated, summed or moved along it, so operations are missing that graphs of
other sizes have.  Both are written without dimensions of size 1, before -> after

    x [.., 1, ..]                        ->  x [.., ..]
    expand, pad, shrink, flip, permute, reduce along dimensions of size 1 alone  ->  their operand
    reduce of a reshape, along whole dimensions of its operand  ->  the reshape of the operand's reduce

and what is left of them has to be alike, operation by operation.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import prod

from kernelforge import graph
from kernelforge.calls import placeholders
from kernelforge.graph import Node, Shape, rebuild, toposort, user_line
from kernelforge.planning.varied import SAME


class Squeezed:
    """Nodes without dimensions of size 1; of: what they were made from."""

    def __init__(self) -> None:
        self.made: dict[Node, Node] = {}
        self.of: dict[Node, Node] = {}

    def add(self, roots: Iterable[Node]) -> list[Node]:
        """The roots, written so."""
        roots = list(roots)
        for node in toposort(roots, into_realized=False):
            if node not in self.made:
                with user_line(node.line):
                    found = self.made[node] = _squeezed(node, [self.made[x] for x in node.src if x in self.made])
                self.of.setdefault(found, node)
        return [self.made[root] for root in roots]


def _without(shape: Shape) -> Shape:
    return tuple([n for n in shape if n != 1])


def _reshaped(x: Node, shape: Shape) -> Node:
    """x with another shape, seen through what shape it had between."""
    while x.op == "reshape" and x.realized is None:
        x = x.src[0]
    if x.op == "buffer":
        return graph.buffer(x.attr, shape, x.dtype)
    return graph.reshape(x, shape)


def _squeezed(node: Node, src: Sequence[Node]) -> Node:
    """The node without dimensions of size 1, its sources being so."""
    stored = node.attr if node.op == "buffer" else node.realized
    shape = _without(node.shape)
    if stored is not None:
        return graph.buffer(stored, shape, node.dtype)
    if node.op in ("const", "iota", "input"):
        return _reshaped(node, shape)
    if node.op in SAME and node.op not in ("flip", "scan") and all(x.shape == node.shape for x in node.src):
        return rebuild(node, src)
    if node.op == "reshape":
        return _reshaped(src[0], shape)
    if node.op in _ALONG:
        return _ALONG[node.op](node, src[0])
    whole = rebuild(node, [_reshaped(x, old.shape) for x, old in zip(src, node.src)])
    return _reshaped(whole, shape)


def _places(node: Node) -> dict[int, int]:
    """The dimensions of a node's operand that are longer than 1, each with its place among these."""
    longer = [i for i, n in enumerate(node.src[0].shape) if n != 1]
    return {i: place for place, i in enumerate(longer)}


def _expand(node: Node, x: Node) -> Node:
    kept = [(m, n) for m, n in zip(node.src[0].shape, node.shape) if n != 1]
    return graph.expand(_reshaped(x, tuple([m for m, _ in kept])), tuple([n for _, n in kept]))


def _part(node: Node, x: Node) -> Node:
    kept = [(m, own) for m, n, own in zip(node.src[0].shape, node.shape, node.attr) if not m == n == 1]
    made = graph.pad if node.op == "pad" else graph.shrink
    found = made(_reshaped(x, tuple([m for m, _ in kept])), tuple([own for _, own in kept]))
    return _reshaped(found, _without(node.shape))


def _permute(node: Node, x: Node) -> Node:
    places = _places(node)
    return graph.permute(x, tuple([places[i] for i in node.attr if i in places]))


def _reduce(node: Node, x: Node) -> Node:
    places, op = _places(node), node.attr[0]
    axes = tuple([places[i] for i in node.attr[1] if i in places])
    before = x.src[0] if x.op == "reshape" and x.realized is None else x
    same = _axes_before(x.shape, axes, before.shape)
    if same is None:
        return graph.reduce(op, x, axes)
    kept = tuple([n for i, n in enumerate(x.shape) if i not in axes])
    return _reshaped(graph.reduce(op, before, same), kept)


def _axes_before(shape: Shape, axes: Sequence[int], before: Shape) -> tuple[int, ...] | None:
    """The dimensions of an array that are some of it in another shape; None where they are parts of dimensions."""
    ends = {prod(before[:i]): i for i in range(len(before) + 1)}
    found: list[int] = []
    for axis in axes:
        first, last = ends.get(prod(shape[:axis])), ends.get(prod(shape[: axis + 1]))
        if first is None or last is None:
            return None
        found += range(first, last)
    return tuple(found)


def _flip(node: Node, x: Node) -> Node:
    places = _places(node)
    return graph.flip(x, tuple([places[i] for i in node.attr if i in places]))


def _scan(node: Node, x: Node) -> Node:
    op, dim, reverse = node.attr
    places = _places(node)
    return graph.scan(op, x, places[dim], reverse) if dim in places else x


_ALONG = {
    "expand": _expand, "pad": _part, "shrink": _part, "permute": _permute, "reduce": _reduce,
    "flip": _flip, "scan": _scan,
}  # fmt: skip


class Compared:
    """Two graphs, side by side.

    unknown  nodes of the first that stand for constants; constants: what they are in the second
    pairs    nodes of the first, each with that of the second in its place
    """

    def __init__(self, unknown: Iterable[Node]) -> None:
        self.constants: dict[Node, Node | None] = dict.fromkeys(unknown)
        self.pairs: dict[Node, Node] = {}
        self.first, self.second = Squeezed(), Squeezed()

    def are_same(self, ones: Sequence[Node], others: Sequence[Node]) -> bool:
        """True when the roots of one graph compute what those of another do."""
        second = self.second.add(others)
        return self._are_alike(list(zip(self.first.add(ones), second)))

    def counterpart(self, node: Node) -> Node | None:
        """The node of the second graph that a node of the first belongs to."""
        made = self.first.made.get(node)
        found = None if made is None else self.pairs.get(made)
        return None if found is None else self.second.of.get(found)

    def _are_alike(self, stack: list[tuple[Node, Node]]) -> bool:
        while stack:
            one, other = stack.pop()
            if one in self.pairs:
                if self.pairs[one] is not other:
                    return False
                continue
            self.pairs[one] = other
            if one in self.constants:
                if other.op != "const" or one.dtype is not other.dtype:
                    return False
                self.constants[one] = other
            elif one is not other and not self._is_like(one, other):
                return False
            stack += zip(one.src, other.src)
        return True

    def _is_like(self, one: Node, other: Node) -> bool:
        told = [(x.op, x.shape, x.dtype, len(x.src)) for x in (one, other)]
        if told[0] != told[1] or not one.src:
            return False
        return self._is_like_loop(one, other) if one.op == "loop" else bool(one.attr == other.attr)

    def _is_like_loop(self, one: Node, other: Node) -> bool:
        """True when two loops do the same in each round."""
        first, second = one.attr, other.attr
        kinds = [
            ([x.shape for x in node.src], node.attr.value is None, node.attr._replace(step=None, value=None))
            for node in (one, other)
        ]
        if kinds[0] != kinds[1]:
            return False
        shapes = [x.shape[1:] if 0 < i <= first.sequences else x.shape for i, x in enumerate(one.src)]
        inputs = placeholders([(shape, x.dtype, x.device) for shape, x in zip(shapes, one.src)])
        recipes = [(first.step, second.step), *([(first.value, second.value)] if first.value is not None else [])]
        return all(self.are_same([a.replayed(inputs)], [b.replayed(inputs)]) for a, b in recipes)
