"""Trees: tensors inside lists, tuples, dicts and dataclasses.

Comes in: a tree.  Goes out: its tensors in order, or a tree of the same structure with something else at its ends.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kernelforge.errors import ShapeError
from kernelforge.replay.structures import children
from kernelforge.tensor import Tensor


def ends(tree: Any) -> list[Any]:
    """What is at the ends of a tree, in order; None has no end."""
    found: list[Any] = []
    stack = [tree]
    while stack:
        item = stack.pop()
        inside = None if isinstance(item, Tensor) else children(item)
        if inside is not None:
            stack += reversed(inside[0])
        elif item is not None:
            found.append(item)
    return found


def mapped(tree: Any, function: Callable[[Any], Any]) -> Any:
    """A tree of the same structure with function's results at its ends."""
    inside = None if isinstance(tree, Tensor) else children(tree)
    if inside is not None:
        return inside[1]([mapped(item, function) for item in inside[0]])
    return None if tree is None else function(tree)


def filled(tree: Any, values: list[Any]) -> Any:
    """A tree of the same structure with the given values at its ends."""
    left = iter(values)
    return mapped(tree, lambda _: next(left))


def tensors(tree: Any, what: str) -> list[Tensor]:
    """The ends of a tree, which are tensors or numbers; raises TypeError for anything else."""
    found = []
    for item in ends(tree):
        if not isinstance(item, Tensor | int | float):
            raise TypeError(f"{what} has {type(item).__name__} in it; it must be tensors, in lists, tuples and dicts")
        found.append(item if isinstance(item, Tensor) else Tensor(item))
    return found


def same_length(trees: list[list[Tensor]], what: str) -> None:
    """raises ShapeError unless two lists of tensors are as long and have the same shapes"""
    first, second = trees
    if [x.shape for x in first] != [x.shape for x in second]:
        shapes = " and ".join(str([x.shape for x in some]) for some in trees)
        raise ShapeError(f"{what} have shapes {shapes}; they must be equal")
