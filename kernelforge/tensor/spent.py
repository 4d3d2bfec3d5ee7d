"""Tensors whose graph backward() has let go of: no gradient goes through them any more, and to ask for one is an error.

Comes in: the node of such a tensor.  Goes out: a node of the same elements that tells so, and that keeps nothing of how
they were computed once they are.  `SPENT` is what such a tensor, and what is computed from it and from constants alone,
has in the place of its requires_grad: as false as None, so that all else treats it as a constant.  Whether somebody has
read a value in between thus changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final

from kernelforge.calls import Recipe
from kernelforge.graph import VIEWS, Node, buffer, uniform
from kernelforge.interning import let_go_of_sources, new_node


class _Spent:
    """The only one of its kind."""

    __slots__ = ()

    def __bool__(self) -> bool:
        return False

    def __repr__(self) -> str:
        return "SPENT"

    def __reduce__(self) -> str:
        return "SPENT"


SPENT: Final[Any] = _Spent()
_MARK: Final = "spent"  # the attr of the nodes
_LINEAR: Final = VIEWS | {"add", "cast", "contiguous", "copy", "neg", "stack", "sub"}
MOST_CALLS: Final = 1024  # of which is remembered whether they are linear
MOST_LINEAR: Final = 64  # nodes of a graph that is asked whether its gradients need values


def either(*tracked: Any) -> Any:
    """What counts of several tensors' flags: gradients flow through what is computed from them all, or would have."""
    return True if any(tracked) else SPENT if any(x is SPENT for x in tracked) else None


def is_spent(node: Node) -> bool:
    """True for a node at which a graph was let go of."""
    return node.op == "detach" and node.attr is not None


def spent_node(node: Node) -> Node:
    """The node a spent tensor stands for instead; itself if it is one, without what it was computed from if it is."""
    stored = node.attr if node.op == "buffer" else node.realized
    if is_spent(node):
        if stored is not None and node.src[0].op != "buffer":
            let_go_of_sources(node, buffer(stored, node.shape, node.dtype))
        return node
    source = node if stored is None else buffer(stored, node.shape, node.dtype)
    made = new_node("detach", (source,), _MARK, node.shape, node.dtype, node.device)
    made.place = node.place
    if stored is not None:
        made.realized, made.depth = stored, 0
    return made


def needs_values(node: Node) -> bool:
    """Whether the gradient of a node asks for values that it was computed from or through: not that of sums and views,
    which torch may take any number of times as well."""
    seen: set[Node] = set()
    stack = [node]
    while stack:
        x = stack.pop()
        if x in seen or not x.src or not x.dtype.is_inexact or x.op == "detach":
            continue
        seen.add(x)
        varying = tuple([uniform(y) is None for y in x.src])
        linear = _is_linear_call(x.attr, varying) if x.op == "call" else _is_linear(x.op, x.attr, varying)
        if not linear or len(seen) > MOST_LINEAR:
            return True
        stack += x.src
    return False


@lru_cache(MOST_CALLS)
def _is_linear_call(recipe: Recipe, inputs: tuple[bool, ...]) -> bool:
    """The same of what a recipe makes."""
    varying = [*inputs, *[False] * len(recipe.constants)]
    for op, places, attr, _, _ in recipe.steps:
        known = [varying[i] for i in places]
        if any(known) and not _is_linear(op, attr, known):
            return False
        varying.append(any(known))
    return True


def _is_linear(op: str, attr: Any, varying: Sequence[bool]) -> bool:
    """Whether the gradient of an operation asks for no value that varies, given which of its sources do."""
    if op == "mul":
        return sum(varying) < 2
    return op in _LINEAR or (op == "reduce" and attr[0] == "add") or (op == "div" and not varying[1])
