"""Arguments and results: trees of lists, tuples, dicts and dataclasses with tensors and plain values at their ends.

Comes in: a Python value.  Goes out: how to make an equal one again from other tensors.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np

from kernelforge.errors import JitError
from kernelforge.replay.state import SIMPLE
from kernelforge.tensor import Tensor

Maker = Callable[[Sequence[Any]], Any]
"""From the tensors a replay made, and those it knew, a value."""


def children(value: Any) -> tuple[list[Any], Callable[[list[Any]], Any]] | None:
    """What a container holds, and how one of its kind is made of such things; None for what is no container."""
    if isinstance(value, dict):
        keys, kind = list(value), type(value)
        if kind is dict:
            return list(value.values()), lambda items: dict(zip(keys, items))
        return list(value.values()), lambda items: _filled(value, dict(zip(keys, items)))
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return list(value), lambda items: type(value)(*items)
    if type(value) in (list, tuple, set, frozenset):
        return list(value), type(value)
    if is_dataclass(value) and not isinstance(value, type):
        names = [field.name for field in fields(value)]
        return [getattr(value, name) for name in names], lambda items: _with_fields(value, names, items)
    return None


def _filled(like: Any, content: dict[Any, Any]) -> Any:
    """A dict of a kind of its own with other content; what a defaultdict makes defaults with stays."""
    made = like.copy()
    made.clear()
    made.update(content)
    return made


def _with_fields(like: Any, names: list[str], items: list[Any]) -> Any:
    made = object.__new__(type(like))
    for name, item in zip(names, items):
        object.__setattr__(made, name, item)
    return made


def tensors_in(value: Any) -> list[Tensor]:
    """The tensors in a tree, each once, in order."""
    found: dict[int, Tensor] = {}
    stack = [value]
    while stack:
        item = stack.pop()
        if isinstance(item, Tensor):
            found.setdefault(id(item), item)
        elif (inside := children(item)) is not None:
            stack += reversed(inside[0])
    return list(found.values())


def maker(value: Any, place: Callable[[Tensor], int], kept: Callable[[Any], bool], what: str) -> Maker:
    """How to make a value again.

    place   where a tensor's counterpart will be among the tensors of a replay
    kept    whether an object was there before the call, and stands for itself
    what    the value, in words

    raises JitError for an object of a kind that could not be made again
    """
    if isinstance(value, Tensor):
        number = place(value)
        return lambda tensors: tensors[number]
    if isinstance(value, np.ndarray):
        return lambda tensors: value.copy()
    if isinstance(value, SIMPLE) or kept(value):
        return lambda tensors: value
    inside = children(value)
    if inside is None:
        raise JitError(
            f"a captured function {what} an object of {type(value).__name__} it has made, which a replay cannot make "
            "again; use tensors, numbers, and lists, tuples, dicts and dataclasses of them"
        )
    makers = [maker(item, place, kept, what) for item in inside[0]]
    if not makers and isinstance(value, tuple):
        return lambda tensors: value
    make = inside[1]
    if type(value) is tuple:
        return lambda tensors: tuple([one(tensors) for one in makers])
    return lambda tensors: make([one(tensors) for one in makers])
