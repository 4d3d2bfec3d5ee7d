"""Finding the operation in which NaN first appeared, inside a fused kernel too.

Comes in: tensors that were computed and hold NaN.  Goes out: an error that names the operation, what it was applied to
and the user's line.  Its graph is computed again for it, one operation at a time.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextvars import Token
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from kernelforge import realize
from kernelforge.calls import expanded
from kernelforge.errors import AnomalyError
from kernelforge.graph import LEAVES, VIEWS, Node, toposort, uniform
from kernelforge.node import new_node
from kernelforge.tensor.convert import watcher


class detect_anomaly:
    """A context in which computing NaN is an error that names the operation and the line it first appeared in.

        with detect_anomaly():
            loss.backward()
            optimiser.step()

    Everything that is computed is looked at, so it is slow.
    """

    _enabled = True

    def __init__(self, check_nan: bool = True) -> None:
        self._wanted, self._tokens = self._enabled and check_nan, list[Token]()

    def __enter__(self) -> Self:
        self._tokens.append(watcher.set(_blame if self._wanted else None))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        watcher.reset(self._tokens.pop())


class set_detect_anomaly(detect_anomaly):
    """detect_anomaly(), or its opposite, from now on, or as a context."""

    def __init__(self, mode: bool, check_nan: bool = True) -> None:
        self._wanted = mode and check_nan
        self._tokens = [watcher.set(_blame if self._wanted else None)]

    def __enter__(self) -> Self:
        return self


def is_anomaly_enabled() -> bool:
    """True while NaN is an error."""
    return watcher.get() is not None


def _values(node: Node) -> NDArray:
    """The elements of a node; a constant, which other programs share, is not computed for it."""
    value = uniform(node)
    return realize.read(node) if value is None else np.full(node.shape, value.attr, node.dtype.compute)


def _has_nan(node: Node) -> bool:
    return node.dtype.is_float and bool(np.isnan(_values(node)).any())


def _blame(nodes: Sequence[Node]) -> None:
    """raises AnomalyError if one of nodes, computed before, holds NaN"""
    token = watcher.set(None)
    try:
        for node in nodes:
            if _has_nan(node):
                _find(node)
    finally:
        watcher.reset(token)


def _find(root: Node) -> None:
    """raises AnomalyError for the first operation that makes NaN of operands without"""
    (outcome,) = expanded([_again(root)])
    order = toposort([outcome], into_realized=False)
    given = {node for node in order if node.realized is not None or node.op in LEAVES}
    bad: set[Node] = set()
    for node in order:
        if not node.dtype.is_float or not _has_nan(node):
            continue
        bad.add(node)
        if node.op not in VIEWS and not any(x in bad for x in node.src):
            raise AnomalyError(_message(node, node in given))


def _again(node: Node) -> Node:
    """The node, not computed."""
    if node.realized is None or not node.src:
        return node
    return new_node(node.op, node.src, node.attr, node.shape, node.dtype, node.device)


def _message(node: Node, given: bool) -> str:
    place = f"\n  at {node.line[0]}:{node.line[1]}" if node.line else ""
    if given:
        return f"NaN is among the values of {node.dtype} {list(node.shape)} that were given{place}"
    name = node.attr[0] if node.op == "reduce" else node.op
    parts = "".join(f"\n  operand {i}: {x.dtype} {list(x.shape)}, {_range(x)}" for i, x in enumerate(node.src))
    return f"NaN first appeared in {name}, which gave {node.dtype} {list(node.shape)}{place}{parts}"


def _range(node: Node) -> str:
    values = _values(node)
    return f"values from {values.min()} to {values.max()}" if values.size else "empty"
