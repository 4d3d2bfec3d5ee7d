"""Plans for any size that serve graphs which sizes of 1 make look different.

Comes in: the pattern of a plan, and a graph of another kind.  Goes out: the graph as one of the pattern's kind, where
it computes what the pattern does at its sizes: that is made, and compared (`squeezed.py`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from math import prod

from codegen.fitting import Formula
from kernelforge import graph
from kernelforge.buffer import Buffer
from kernelforge.calls import placeholders
from kernelforge.errors import KernelForgeError
from kernelforge.graph import Node
from kernelforge.planning.formulas import Formulas
from kernelforge.planning.numbered import Numbered, Record, is_of_its_type, remade
from kernelforge.planning.squeezed import Compared


def without_memory(met: Numbered, made: Sequence[Node]) -> Numbered | None:
    """The pattern on nodes that were made after it, so that it holds none of those of the graph it was taken from; None
    where some of them became others."""
    if any(r.value < 0 and r.leaf < 0 and r.node.op != node.op for r, node in zip(met.records, made)):
        return None
    records = [r if r.value >= 0 else replace(r, node=node) for r, node in zip(met.records, made)]
    return replace(met, records=records)


def shapes_of_leaves(met: Numbered) -> dict[int, list[int]]:
    """The shape of each leaf, as it was first met."""
    return {record.leaf: [met.numbers[at] for at in record.numbers] for record in met.records[::-1] if record.leaf >= 0}


def longer_than(own: Mapping[int, Sequence[int]], ones: Mapping[int, Sequence[int]]) -> dict[int, list[int]]:
    """For each leaf the dimensions that have another size than in a graph of which some are 1 that are more here; empty
    where it is no such graph."""
    pairs = {leaf: list(zip(shape, ones.get(leaf, ()))) for leaf, shape in own.items()}
    if any(len(pairs[leaf]) != len(shape) for leaf, shape in own.items()):
        return {}
    both_ways = [(m == 1 < n, n == 1 < m) for both in pairs.values() for m, n in both]
    if any(shorter for shorter, _ in both_ways) or not any(longer for _, longer in both_ways):
        return {}
    return {leaf: [i for i, (m, n) in enumerate(both) if m != n] for leaf, both in pairs.items()}


def sizes_of_leaves(pattern: Numbered, found: Formulas, met: Numbered) -> dict[str, int] | None:
    """What the sizes of a pattern are by the shapes of a graph's leaves; None where these do not tell of all."""
    shapes: dict[int, list[list[int]]] = {}
    for record in met.records:
        if record.leaf >= 0:
            shapes.setdefault(record.leaf, []).append([met.numbers[at] for at in record.numbers])
    sizes: dict[str, int] = {}
    for record in pattern.records:
        for shape in shapes.get(record.leaf, ()) if record.leaf >= 0 else ():
            if len(shape) == len(record.numbers):
                for at, number in zip(record.numbers, shape):
                    sizes |= _solved(found.numbers[at], number)
    if sizes.keys() != found.base.keys() or any(sizes[name] > bound for name, bound in found.bounds.items()):
        return None
    return sizes


def _solved(formula: Formula, number: int) -> dict[str, int]:
    """The one size a formula is a multiple of, and a number, where it has a given value."""
    sizes = [(factor, names[0]) for factor, names in formula.terms if len(names) == 1]
    rest = number - sum(factor for factor, names in formula.terms if not names)
    if len(sizes) != 1 or any(len(names) > 1 for _, names in formula.terms) or rest % sizes[0][0]:
        return {}
    return {sizes[0][1]: rest // sizes[0][0]}


def as_pattern(
    pattern: Numbered,
    found: Formulas,
    sizes: Mapping[str, int],
    given: Collection[int],
    nodes: Sequence[Node],
    leaves: Sequence[Buffer],
) -> Numbered | None:
    """The graph of nodes as one made after a pattern; None where it is none.

    given  the places of constants that may be any
    """

    def leaf(record: Record, shape: tuple[int, ...]) -> Node:
        buffer = leaves[record.leaf]
        if buffer.size != prod(shape):
            raise KernelForgeError("a leaf of another size")
        return graph.buffer(buffer, shape, record.node.dtype)

    unknown = dict(zip(given, placeholders([((), pattern.values[i][1], None) for i in given])))
    numbers = [formula(sizes) for formula in found.numbers]
    try:
        if len(nodes) != len(pattern.roots) or min(numbers) < 0:
            return None
        made = remade(pattern, numbers, leaf, lambda record: unknown.get(record.value, record.node))
        compared = Compared(unknown.values())
        if not compared.are_same([made[i] for i in pattern.roots], nodes):
            return None
    except KernelForgeError:
        return None
    values = list(pattern.values)
    for place, node in unknown.items():
        constant = compared.constants[node]
        if constant is None or not is_of_its_type(constant):
            return None
        values[place] = constant.attr, constant.dtype
    own = [compared.counterpart(node) or nodes[0] for node in made]
    return replace(pattern, values=values, records=[replace(r, node=node) for r, node in zip(pattern.records, own)])
