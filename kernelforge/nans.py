"""Finding the operation in which NaN, or infinity, first appeared, inside a fused kernel too.

Comes in: nodes that were computed.  Goes out: nothing, or an error that names the operation, the element, what it was
applied to and the user's line.  The graph is computed again for it, one operation at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from kernelforge import realize
from kernelforge.calls import expanded
from kernelforge.errors import AnomalyError
from kernelforge.graph import LEAVES, VIEWS, Node, toposort, uniform
from kernelforge.interning import new_node
from kernelforge.settings import NAN, Context

Test = Callable[[NDArray], NDArray]
ALL: Final = 2  # of KF_NAN: infinities are looked for, too


def blame(nodes: Sequence[Node]) -> None:
    """raises AnomalyError if one of nodes, computed before, holds NaN; or infinity, where KF_NAN asks for that"""
    test = _not_finite if NAN.value >= ALL else np.isnan
    with Context(NAN=0):
        for node in nodes:
            if _bad(node, test) is not None:
                _find(node, test)


def _not_finite(values: NDArray) -> NDArray:
    return ~np.isfinite(values)


def _values(node: Node) -> NDArray:
    """The elements of a node; a constant, which other programs share, is not computed for it."""
    value = uniform(node)
    return realize.read(node) if value is None else np.full(node.shape, value.attr, node.dtype.compute)


def _bad(node: Node, test: Test) -> tuple[int, ...] | None:
    """Where the first bad element is, if there is one."""
    if not node.dtype.is_float:
        return None
    found = test(_values(node))
    return tuple(int(i) for i in np.unravel_index(found.argmax(), found.shape)) if found.any() else None


def _find(root: Node, test: Test) -> None:
    """raises AnomalyError for the first operation that makes bad elements of operands without"""
    (outcome,) = expanded([_again(root)])
    order = toposort([outcome], into_realized=False)
    given = {node for node in order if node.realized is not None or node.op in LEAVES}
    bad: set[Node] = set()
    for node in order:
        place = _bad(node, test)
        if place is None:
            continue
        bad.add(node)
        if node.op not in VIEWS and not any(x in bad for x in node.src):
            raise AnomalyError(_message(node, place, node in given))


def _again(node: Node) -> Node:
    """The node, not computed."""
    if node.realized is None or not node.src:
        return node
    return new_node(node.op, node.src, node.attr, node.shape, node.dtype, node.device)


def _message(node: Node, place: tuple[int, ...], given: bool) -> str:
    line = f"\n  at {node.line[0]}:{node.line[1]}" if node.line else ""
    what = "NaN" if np.isnan(_values(node)[place]) else "infinity"
    if given:
        return f"{what} is among the values of {node.dtype} {list(node.shape)} that were given, at {list(place)}{line}"
    name = node.attr[0] if node.op == "reduce" else node.op
    operands = "".join(f"\n  operand {i}: {_in_words(x, node, place)}" for i, x in enumerate(node.src))
    outcome = f"{node.dtype} {list(node.shape)}, at {list(place)}"
    return f"{what} first appeared in {name}, which gave {outcome}{line}{operands}"


def _in_words(x: Node, node: Node, place: tuple[int, ...]) -> str:
    """An operand: its values, and which of them an operation element by element was applied to."""
    values = _values(x)
    span = f"values from {values.min()} to {values.max()}" if values.size else "empty"
    text = f"{x.dtype} {list(x.shape)}, {span}"
    return f"{text}, there {values[place]}" if x.shape == node.shape else text
