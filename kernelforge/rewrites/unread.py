"""Indices of which a program looks at a part alone: they are all looked at, as where every operation runs by itself.

Comes in: nodes to compute.  Goes out: further nodes to compute, each the largest place an index names: to compute it is
to find an index out of range.  Before -> after

    x[index][:1]  ->  x[index][:1], and beside it the maximum of the numbers 0 to len(x), picked by the whole index

It holds for indices a program is given.  One it has computed (an order, a place of a maximum) is in range wherever its
own operations are, and is looked at where it is needed; one that is kept inside is not looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Final

from codegen.ops import SCALAR_OPS
from kernelforge import graph
from kernelforge.graph import Node, toposort, user_line

Box = tuple[tuple[int, int], ...]
"""The part of a node that is asked for: in each dimension from where, and up to below where."""

PLAIN: Final = {*SCALAR_OPS, "cast", "bitcast", "where", "detach"}
SPREAD: Final = ("reshape", "permute", "expand", "flip")
GIVEN: Final = {*PLAIN, "reshape", "permute", "expand", "pad", "shrink", "flip", "window"}


def unread(outputs: Sequence[Node]) -> list[Node]:
    """For each index that is given, and of which outputs ask for a part alone, a node that looks at all of it."""
    order = toposort(outputs, into_realized=False)
    if not any(x.op == "gather" for x in order):
        return []
    asked = {x: whole(x) for x in outputs}
    found: dict[Node, None] = {}
    for node in reversed(order):
        if node.realized is not None or node not in asked:
            continue
        for place, source in enumerate(node.src):
            if any(start == end for start, end in asked[node]):
                wanted = nothing(source)
            else:
                box = below(node, asked[node]) if place == 0 or node.op in PLAIN else None
                wanted = whole(source) if box is None else box
            asked[source] = joined(asked[source], wanted) if source in asked else wanted
    for node in order:
        if node.op == "gather" and node.realized is None and (look := _look(node, asked[node])) is not None:
            found[look] = None
    return list(found)


def _look(node: Node, box: Box) -> Node | None:
    """What looks at the index of a gather; None where all of it is asked for, or where it is none that is given."""
    index = node.src[1]
    while index.op in SPREAD and index.realized is None:
        part = below(index, box)
        index, box = index.src[0], whole(index.src[0]) if part is None else part
    size = node.src[0].shape[node.attr]
    if box == whole(index) or not index.size or _is_kept_inside(index, size) or not _is_given(index):
        return None
    with user_line(node.line):
        flat = graph.reshape(index, (index.size,))
        return graph.reduce("max", graph.gather(_told_by(node.src[0], size), flat, 0), (0,))


def _told_by(source: Node, size: int) -> Node:
    """Some values to look up: those given, where one for all may tell the rule an index stands for."""
    is_rule = source.shape == (size,) and source.dtype.is_int and graph.uniform(source) is not None
    return source if is_rule else graph.iota(size)


def _is_given(index: Node) -> bool:
    """Whether an index is made of what is stored, by operations on single elements."""
    computed = [x for x in toposort([index], into_realized=False) if x.realized is None and x.src]
    return all(x.op in GIVEN for x in computed)


def _is_kept_inside(index: Node, size: int) -> bool:
    """Whether an index is visibly one of so many: min(max(.., 0), size - 1)."""
    if index.op != "min" or index.src[0].op != "max":
        return False
    last, first = graph.uniform(index.src[1]), graph.uniform(index.src[0].src[1])
    return last is not None and first is not None and bool(first.attr >= 0) and bool(last.attr < size)


def whole(node: Node) -> Box:
    """All of a node."""
    return tuple([(0, n) for n in node.shape])


def nothing(node: Node) -> Box:
    """No part of a node."""
    return ((0, 0),) * len(node.shape)


def below(node: Node, box: Box) -> Box | None:
    """The part of its first source, and of the others of an operation on elements, that a part of a node is made of;
    None: all of it."""
    if node.op in PLAIN:
        return box
    rule = _BELOW.get(node.op)
    return None if rule is None else rule(node, box)


def _reshaped(node: Node, box: Box) -> Box | None:
    """Dimensions of size 1 come and go; of others that are brought together or split, all or a run of them."""
    old, new = node.src[0].shape, node.shape
    if box == whole(node) or not node.size:
        return None
    found: list[tuple[int, int]] = []
    i = j = 0
    while i < len(old) or j < len(new):
        i0, j0 = i, j
        i, j = i + 1, j + 1
        before, after = prod(old[i0:i]), prod(new[j0:j])
        while before != after:
            if before < after:
                i += 1
                before = prod(old[i0:i])
            else:
                j += 1
                after = prod(new[j0:j])
        found += _regrouped(old[i0:i], new[j0:j], box[j0:j])
    return tuple(found)


def _regrouped(old: Sequence[int], new: Sequence[int], box: Box) -> list[tuple[int, int]]:
    """The part of dimensions that are these others; where it is no box, none."""
    if all(part == (0, n) for part, n in zip(box, new)):
        return [(0, n) for n in old]
    lengths = [n for n in old if n != 1]
    if len(lengths) == 1 and (flat := _flat(new, box)) is not None:
        return [flat if n != 1 else (0, 1) for n in old]
    return [(0, 0)] * len(old)


def _flat(sizes: Sequence[int], box: Box) -> tuple[int, int] | None:
    """The places of a box in row-major order, where they are one after the other."""
    start, count, is_run = 0, 1, True
    for n, (lo, hi) in zip(sizes, box):
        is_run = is_run and (count == 1 or (lo, hi) == (0, n))
        start, count = start * n + lo, count * (hi - lo)
    return (start, start + count) if is_run else None


def _permuted(node: Node, box: Box) -> Box:
    return tuple([box[node.attr.index(dim)] for dim in range(len(box))])


def _expanded(node: Node, box: Box) -> Box:
    return tuple([part if n == m else (0, 1) for part, n, m in zip(box, node.src[0].shape, node.shape)])


def _padded(node: Node, box: Box) -> Box:
    inside = zip(box, node.attr, node.src[0].shape)
    return tuple([(min(max(lo - before, 0), n), min(max(hi - before, 0), n)) for (lo, hi), (before, _), n in inside])


def _shrunk(node: Node, box: Box) -> Box:
    return tuple([(lo + start, hi + start) for (lo, hi), (start, _) in zip(box, node.attr)])


def _flipped(node: Node, box: Box) -> Box:
    sizes = node.shape
    return tuple([(n - hi, n - lo) if i in node.attr else (lo, hi) for i, ((lo, hi), n) in enumerate(zip(box, sizes))])


def _reduced(node: Node, box: Box) -> Box:
    parts = iter(box)
    axes = node.attr[1]
    return tuple([(0, n) if i in axes else next(parts) for i, n in enumerate(node.src[0].shape)])


def _picked(node: Node, box: Box) -> Box:
    """Which places are picked is not known before they are computed, but where there is one alone."""
    only = (0, 1) if node.src[0].shape[node.attr] == 1 else (0, 0)
    return (*box[: node.attr], only, *box[node.attr + 1 :])


def _windowed(node: Node, box: Box) -> Box:
    """From the first element to the last one of a window, where all windows leave none out in between."""
    dim, size, stride, dilation = node.attr
    count = node.shape[dim]
    has_gaps = (dilation > 1 or stride > size) and (stride > 1 or dilation > count) and count * size > 1
    if has_gaps or box[dim : dim + 2] != ((0, count), (0, size)):
        return nothing(node.src[0])
    return (*box[:dim], (0, (count - 1) * stride + (size - 1) * dilation + 1), *box[dim + 2 :])


_BELOW: Final[dict[str, Callable[[Node, Box], Box | None]]] = {
    "reshape": _reshaped, "permute": _permuted, "expand": _expanded, "pad": _padded, "shrink": _shrunk,
    "flip": _flipped, "reduce": _reduced, "window": _windowed, "gather": _picked,
}  # fmt: skip


def joined(one: Box, other: Box) -> Box:
    """A box within the two together, as large as is easily told.

    >>> joined(((0, 2), (0, 3)), ((2, 4), (0, 3)))
    ((0, 4), (0, 3))
    """
    apart = [i for i, (a, b) in enumerate(zip(one, other)) if a != b]
    if len(apart) == 1:
        (i,) = apart
        (a, b), (c, d) = one[i], other[i]
        if max(a, c) <= min(b, d):
            return (*one[:i], (min(a, c), max(b, d)), *one[i + 1 :])
    return max(one, other, key=lambda box: prod([hi - lo for lo, hi in box]))
