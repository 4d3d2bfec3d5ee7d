"""Reverse accumulation: the rules applied along a graph.

Comes in: an output, its cotangent and target nodes.  Goes out: one cotangent per target.  Only nodes between the
targets and the output are differentiated, each once, without recursion.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from kernelforge.blame import current_line
from kernelforge.errors import DTypeError, ShapeError
from kernelforge.grad.table import RULES, add, widened
from kernelforge.graph import Node, cast, full, toposort


def gradient(
    output: Node, cotangent: Node | None, targets: Sequence[Node], cuts: Iterable[Node] = ()
) -> list[Node | None]:
    """The derivative of sum(output * cotangent) with respect to each target, in its shape and dtype.

    cotangent  of output's shape and dtype; None means ones
    cuts       nodes other than the output that gradients reach but do not go on from
    returns    None for a target that output does not depend on through floating-point operations
    raises     ShapeError, DTypeError when the cotangent does not fit or output is not floating point
    """
    cotangents = {output: [_checked(output, cotangent)]}
    wanted, ends = set(targets), set(cuts) - {output}
    found: dict[Node, Node] = {}
    carrying = _carrying(output, wanted, ends)
    before = current_line.get()
    try:
        for node in reversed(carrying):
            if node not in cotangents:
                continue
            parts = cotangents.pop(node)
            if node in wanted or node in ends or len(parts) == 1 or node.op != "expand":
                parts = [total(parts)]
            if node in wanted:
                found[node] = parts[0]
            if node in ends:
                continue
            current_line.set(node.line or before)
            for dy in _apart(parts):
                _pass_on(node, dy, cotangents, carrying)
    finally:
        current_line.set(before)
    return [found.get(target) for target in targets]


def _checked(output: Node, cotangent: Node | None) -> Node:
    if not output.dtype.is_float:
        raise DTypeError(f"gradient of a tensor of {output.dtype}: only floating-point tensors have one; cast it first")
    if cotangent is None:
        return full(output.shape, 1, output.dtype)
    if cotangent.shape != output.shape:
        raise ShapeError(f"gradient of an output of shape {output.shape} with a cotangent of {cotangent.shape}")
    if cotangent.dtype is not output.dtype:
        raise DTypeError(f"gradient of an output of {output.dtype} with a cotangent of {cotangent.dtype}: cast it")
    return cotangent


def _carrying(output: Node, wanted: set[Node], ends: set[Node]) -> dict[Node, None]:
    """The targets and the nodes through which a gradient can reach one, sources before users."""
    found: dict[Node, None] = {}
    for node in toposort([output]):
        carries = node.op in RULES and node not in ends and any(x in found for x in node.src)
        if node.dtype.is_float and (carries or node in wanted):
            found[node] = None
    return found


def _pass_on(node: Node, dy: Node, cotangents: dict[Node, list[Node]], carrying: dict[Node, None]) -> None:
    """Adds what node's rule gives each of its sources to their cotangents."""
    if node.op not in RULES or not any(x in carrying for x in node.src):
        return
    for x, part in zip(node.src, RULES[node.op](node, dy)):
        if part is not None and x in carrying:
            cotangents.setdefault(x, []).append(part())


def _apart(parts: list[Node]) -> list[Node]:
    """Cotangents of an expanded node, as few as leave its sums what they are: each product of arrays has its own."""
    if len(parts) == 1:
        return parts
    products = [x for x in parts if _is_product(x)]
    others = [x for x in parts if not _is_product(x)]
    return [*products, total(others)] if others else products


def _is_product(x: Node) -> bool:
    """True for a product of two arrays each of which lacks axes of the other."""
    while x.op == "cast":
        x = x.src[0]
    return x.op == "mul" and all(any(y.op == "expand" for y in (z, *z.src)) for z in x.src)


def total(parts: list[Node]) -> Node:
    """The sum of cotangents, pairwise, so that its depth grows with the logarithm of their number."""
    if len(parts) == 1:
        return parts[0]
    dtype = parts[0].dtype
    parts = [widened(x) for x in parts]
    while len(parts) > 1:
        pairs = [add(a, b) for a, b in zip(parts[::2], parts[1::2])]
        parts = pairs + parts[len(pairs) * 2 :]
    return cast(parts[0], dtype)
