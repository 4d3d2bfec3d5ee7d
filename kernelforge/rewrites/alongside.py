"""Sums down the columns of arrays whose rows are reduced too: one kernel reads the rows for both.

Comes in: a graph and a target.  Goes out: the same graph with such sums in two steps, before -> after

    reduce(x, rows)  ->  reduce(contiguous(reduce(x as (parts, rows / parts), rows / parts)), parts)

A program that walks some rows, and reduces each, sums up their columns beside it: a norm's gradient comes with those of
its weights, on a GPU as well, where `choose.triton` has programs walk strips of rows.  The number of parts follows
from the sizes alone: results are the same in every run.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import prod

from codegen.open_sizes import STATIC, Sizes
from codegen.ops import SCALAR_OPS
from codegen.target import Target
from kernelforge import graph
from kernelforge.graph import Node, Shape, rebuilt, toposort
from kernelforge.seen import REPEATING, contraction_operands

PARTS_PER_CORE = {"opencl": 16, "triton": 2}  # as many programs as a kernel of rows is left with at least
LEAST = 1 << 16  # elements: less is done in no time anyway
ROWS = 8  # of a part at least, or the second step has too much to do
WIDEST = {"opencl": 1 << 14, "triton": 1 << 13}  # columns whose sums stay in a near cache, or in registers
NARROWEST = 16
FAR = 200  # nodes looked at below a sum


@dataclass(frozen=True)
class Cut:
    """The dimension that is cut, and into how many parts; the dimensions before it are kept."""

    dim: int
    parts: int


@dataclass(frozen=True)
class Below:
    """What a sum is computed from: the arrays of its operand's size, and whether reductions of rows are among it."""

    arrays: frozenset[Node]
    by_rows: bool


def alongside(outputs: Sequence[Node], target: Target, sizes: Sizes = STATIC) -> list[Node]:
    """The outputs with such sums in two steps; the same nodes where there is none."""
    order = toposort(outputs, into_realized=False)
    found = {node: cut for node in order if (cut := cut_of(node, target, sizes)) is not None}
    below = {node: _below(node) for node in found}
    walked = frozenset().union(*(b.arrays for b in below.values() if b.by_rows))
    chosen = {node: found[node] for node, b in below.items() if b.by_rows or not walked.isdisjoint(b.arrays)}
    if not chosen:
        return list(outputs)

    def change(node: Node, new: Node) -> Node:
        return _in_two_steps(new, chosen[node]) if node in chosen else new

    return rebuilt(order, outputs, change)


def cut_of(node: Node, target: Target, sizes: Sizes = STATIC) -> Cut | None:
    """Where the rows a reduction sums up could be cut into parts, or None if it is no such reduction or too small.

    An open size has no divisors: each of its places is a part.
    """
    if target.language not in PARTS_PER_CORE or node.op != "reduce" or node.realized is not None:
        return None
    shape, count = node.src[0].shape, len(node.attr[1])
    columns = prod(shape[count:])
    if node.attr[1] != tuple(range(count)) or not NARROWEST <= columns <= WIDEST[target.language]:
        return None
    if prod(shape) < LEAST or contraction_operands(node):
        return None
    wanted, kept = PARTS_PER_CORE[target.language] * target.cores, 1
    for dim in range(count):
        n, inner = shape[dim], prod(shape[dim + 1 : count])
        numbers = (n,) if sizes.open and sizes.has(n) else range(1, n + 1)
        parts = next((q for q in numbers if n % q == 0 and kept * q >= wanted), None)
        if parts is not None:
            return Cut(dim, parts) if n // parts * inner >= ROWS else None
        kept *= n
    return None


def _below(node: Node) -> Below:
    """What a reduction's operand is computed from, element by element."""
    size, arrays, by_rows = node.src[0].size, set[Node](), False
    seen, pending = {node.src[0]}, [node.src[0]]
    while pending and len(seen) < FAR:
        current = pending.pop()
        if current.op == "reduce" and current.realized is None and current.size < size:
            by_rows = by_rows or len(current.src[0].shape) - 1 in current.attr[1]
        elif current.realized is None and (current.op in SCALAR_OPS or current.op in REPEATING):
            pending += [x for x in current.src if x not in seen]
            seen.update(current.src)
        elif current.size == size:
            arrays.add(current)
    return Below(frozenset(arrays), by_rows)


def _in_two_steps(node: Node, cut: Cut) -> Node:
    (x,), (op, dims) = node.src, node.attr
    wide, shape = graph.cast(x, x.dtype.arithmetic), x.shape
    n, rest = shape[cut.dim], dims[cut.dim + 1 :]
    if cut.parts < n:
        wide = graph.reshape(wide, (*shape[: cut.dim], cut.parts, n // cut.parts, *shape[cut.dim + 1 :]))
        rest = (cut.dim + 1, *(d + 1 for d in rest))
    partial = graph.contiguous(graph.reduce(op, wide, rest))
    return graph.cast(graph.reduce(op, partial, dims[: cut.dim + 1]), node.dtype)


def cuts_among(outputs: Iterable[Node]) -> Mapping[Shape, int]:
    """How partial sums among some outputs cut the rows of arrays: leading dimensions -> parts of the last of them.

    Whoever stores such arrays in the same kernel walks them in these parts.
    """
    found: dict[Shape, int] = {}
    for node in outputs:
        if node.op == "contiguous" and node.src[0].op == "reduce":
            (reduced,) = node.src
            found.update(_cut_rows(reduced.src[0], reduced.attr[1]))
    return found


def _cut_rows(x: Node, dims: tuple[int, ...]) -> Mapping[Shape, int]:
    """The cut of what is reduced over some dimensions in the middle; none where it is the first or the last ones."""
    shape, first = x.shape, dims[0]
    if not 0 < first <= dims[-1] < len(shape) - 1:
        return {}
    whole = (*shape[: first - 1], shape[first - 1] * shape[first], *shape[first + 1 :])
    if x.op == "reshape" and x.src[0].shape == whole:
        return {whole[:first]: shape[first - 1]}
    return {shape[:first]: shape[first - 1]}
