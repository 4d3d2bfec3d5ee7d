"""Tensors without elements that are put into others: they change no value, and have gradients.

Comes in: a result, and a tensor without elements.  Goes out: the result, to differentiation computed from both.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

from kernelforge import graph
from kernelforge.graph import Node
from kernelforge.tensor.core import Core

_Tensor = TypeVar("_Tensor", bound=Core)


def with_empties(found: _Tensor, parts: Iterable[Core]) -> _Tensor:
    """A tensor of parts of which some have no elements: those get gradients too, where they are tracked."""
    if not found.dtype.is_inexact or not any(x.requires_grad and not x.numel() for x in parts):
        return found
    known = {_seen(x._node) for x in parts if x.numel()}
    for x in parts:
        if x.requires_grad and (origin := _seen(x._node)) not in known:
            known.add(origin)
            none = graph.cast(graph.reshape(x._node, (0,)), found.dtype)
            zeros = graph.reshape(graph.pad(none, ((0, found.numel()),)), found.shape)
            node = graph.surrogate(found._node, graph.elementwise("add", found._node, zeros))
            found = found._wrap(node, True)
    return found


def _seen(node: Node) -> Node:
    """What a view is a view of."""
    while node.op in graph.VIEWS:
        node = node.src[0]
    return node


def no_elements(x: _Tensor, shape: tuple[int, ...]) -> _Tensor:
    """A part of a tensor that has no elements, in a shape."""
    line = graph.reshape(x._node, (x.numel(),))
    return x._derived(graph.reshape(graph.shrink(line, ((0, 0),)), shape))
