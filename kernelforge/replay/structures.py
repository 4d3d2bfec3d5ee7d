"""Arguments and results: trees of lists, tuples, dicts and dataclasses with tensors and plain values at their ends.

Comes in: a Python value.  Goes out: how to make an equal one again from other tensors.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from copy import copy
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np

from kernelforge.errors import JitError
from kernelforge.replay.kinds import is_a
from kernelforge.replay.state import SIMPLE
from kernelforge.tensor import Tensor

Maker = Callable[[Sequence[Any]], Any]
"""From the tensors a replay made, those it knew, and containers, a value."""


def children(value: Any) -> tuple[list[Any], Callable[[list[Any]], Any]] | None:
    """What a container holds, and how one of its kind is made of such things; None for what is no container."""
    kind = type(value)
    if is_a(value, dict):
        keys = list(value)
        if kind is dict:
            return list(value.values()), lambda items: dict(zip(keys, items))
        return list(value.values()), lambda items: _filled(value, dict(zip(keys, items)))
    if is_a(value, tuple) and hasattr(value, "_fields"):
        return list(value), lambda items: tuple.__new__(kind, items)
    if kind in (list, tuple, set, frozenset):
        return list(value), kind
    if is_dataclass(type(value)):
        names = attributes_of(value)
        return [getattr(value, name) for name in names], lambda items: _with_attributes(value, names, items)
    return None


def attributes_of(value: Any) -> list[str]:
    """The names of a dataclass instance's attributes that are set, fields or not."""
    names = [*vars(value)] if hasattr(value, "__dict__") else []
    return [*names, *[one.name for one in fields(value) if one.name not in names and hasattr(value, one.name)]]


def _filled(like: Any, content: dict[Any, Any]) -> Any:
    """A dict of a kind of its own with other content; what a defaultdict makes defaults with stays, and attributes."""
    made = copy(like)
    dict.clear(made)
    dict.update(made, content)
    return made


def _with_attributes(like: Any, names: list[str], items: list[Any]) -> Any:
    made = object.__new__(type(like))
    for name, item in zip(names, items):
        object.__setattr__(made, name, item)
    return made


def tensors_in(value: Any) -> list[Tensor]:
    """The tensors in a tree, each once, in order."""
    return [item for item in _walked(value, set()) if is_a(item, Tensor)]


def shared_in(value: Any) -> set[int]:
    """The identities of containers that are in more than one place of a tree."""
    shared = set[int]()
    for _ in _walked(value, shared):
        pass
    return shared


def _walked(value: Any, shared: set[int]) -> Iterator[Any]:
    """Tensors and containers of a tree, each once, in order; notes the identities of containers met again."""
    met, stack, seen = list[Any](), [value], set[int]()
    while stack:
        item = stack.pop()
        inside = None if is_a(item, Tensor) else children(item)
        if inside is None and not is_a(item, Tensor):
            continue
        if id(item) in seen:
            shared.add(id(item))
            continue
        seen.add(id(item))
        met.append(item)  # alive, so that no other one gets its identity
        yield item
        stack += reversed(inside[0] if inside is not None else ())


class Making:
    """How values are made again.

    place    where a tensor's counterpart will be among the tensors of a replay
    kept     whether an object was there before the call, and stands for itself
    given    containers the call was given: a replay has others, from the end of its tensors
    whole    all values that are to be made: containers in several places of them are made but once
    """

    def __init__(
        self, place: Callable[[Tensor], int], kept: Callable[[Any], bool], given: Sequence[Any], whole: Any
    ) -> None:
        self.place, self.kept = place, kept
        numbers = {id(container): i for i, container in enumerate(given)}
        self.shared = shared_in(whole) - numbers.keys()
        size = len(given) + len(self.shared)
        self.given = {key: i - size for key, i in numbers.items()}
        self.slots = {key: i - len(self.shared) for i, key in enumerate(self.shared)}
        self._within: set[int] = set()

    def of(self, value: Any, what: str) -> Maker:
        """How to make a value again; what: the value, in words.

        raises JitError for an object of a kind that could not be made again
        """
        if is_a(value, Tensor):
            number = self.place(value)
            return lambda tensors: tensors[number]
        if (slot := self.given.get(id(value))) is not None:
            return lambda tensors: tensors[slot]
        if is_a(value, SIMPLE) or self.kept(value):
            return lambda tensors: value
        if is_a(value, np.ndarray) and not value.dtype.hasobject:
            found = value.copy()  # whoever has got the array itself may change it
            return lambda tensors: found.copy()
        inside = children(value)
        if inside is None or id(value) in self._within:
            which = "a container that holds itself" if inside else f"an object of {type(value).__name__} it has made"
            raise JitError(
                f"a captured function {what} {which}, which a replay cannot make again; use tensors, numbers, and "
                "lists, tuples, dicts and dataclasses of them"
            )
        self._within.add(id(value))
        makers = [self.of(item, what) for item in inside[0]]
        self._within.discard(id(value))
        make = self._container(value, makers, inside[1])
        return _once(make, self.slots[id(value)]) if id(value) in self.slots else make

    @staticmethod
    def _container(value: Any, makers: list[Maker], make: Callable[[list[Any]], Any]) -> Maker:
        if not makers and is_a(value, tuple):
            return lambda tensors: value
        if type(value) is tuple:
            return lambda tensors: tuple([one(tensors) for one in makers])
        return lambda tensors: make([one(tensors) for one in makers])


def _once(make: Maker, slot: int) -> Maker:
    """What makes a value when it is asked for first, and gives the same one afterwards."""

    def found(made: Any) -> Any:
        if made[slot] is None:
            made[slot] = make(made)
        return made[slot]

    return found
