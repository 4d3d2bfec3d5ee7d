"""What must be as it was for a capture to be right, checked before every replay.

Comes in: the places a call could see and their contents.  Goes out: guards that are cheap to check while the very
objects are there, and that can say in words what has changed when they are not.
"""

from __future__ import annotations

import builtins
import math
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from operator import attrgetter, is_, itemgetter
from random import Random
from types import CodeType, FunctionType
from typing import Any, Final

import numpy as np

from kernelforge.errors import JitError
from kernelforge.replay.holders import (
    MISSING,
    Attributes,
    Cell,
    Globals,
    Gradient,
    Holder,
    Members,
    Names,
    Numbers,
)
from kernelforge.replay.state import SIMPLE, Snapshot, is_library
from kernelforge.tensor import Tensor

_BUILTIN: Final = frozenset(dir(builtins))


def is_same(old: Any, new: Any) -> bool:
    """True when a program cannot tell two values apart but by identity."""
    if old is new:
        return True
    if type(old) is not type(new):
        return False
    if isinstance(old, float):
        return (old == new and math.copysign(1, old) == math.copysign(1, new)) or (old != old and new != new)
    if isinstance(old, tuple):
        return len(old) == len(new) and all(map(is_same, old, new))
    if isinstance(old, frozenset):
        return old == new
    return isinstance(old, SIMPLE) and bool(old == new)


def shown(value: Any) -> str:
    """A value in a message."""
    if value is MISSING:
        return "nothing"
    if isinstance(value, Tensor):
        return f"a tensor of {value.shape} {value.dtype} on {value.device}, requires_grad={value.requires_grad}"
    text = repr(value) if isinstance(value, (*SIMPLE, tuple, list)) else f"a {type(value).__name__}"
    return text if len(text) <= 60 else text[:57] + "..."


class Guard:
    """The contents of one place, as far as a call could see them.

    names    of contents that could matter if they were there, where contents have names; None for any
    rebind   given a tensor and another in its place: whether that may stand for it from now on
    """

    __slots__ = ("_values", "contents", "expected", "holder", "kind", "names", "rebind")

    def __init__(
        self,
        holder: Holder,
        contents: dict[Any, Any],
        names: frozenset[str] | None,
        rebind: Callable[[Tensor, Tensor], bool],
    ) -> None:
        self.holder, self.contents, self.names, self.rebind = holder, contents, names, rebind
        self.kind = type(holder.owner)
        self._aim()

    def _aim(self) -> None:
        """Prepares the fast check for the contents as they are."""
        self._values, self.expected = _reader(self.holder, self.contents), tuple(self.contents.values())

    def holds(self) -> bool:
        """True when the contents are the very same objects; `reason` looks closer."""
        try:
            now = self._values()
        except (KeyError, AttributeError, ValueError):
            return False
        return len(now) == len(self.expected) and all(map(is_, now, self.expected))

    def reason(self) -> str | None:
        """What has changed, in words; None if nothing that matters has.

        Tensors that stand for others from now on are what is expected from now on, whatever else has changed.
        """
        self.contents = dict(self.contents)
        why = self._compared()
        if why is None:
            self._aim()
        else:
            self.expected = tuple(self.contents.values())
        return why

    def numbers(self) -> list[tuple[int, int]] | None:
        """The integers among the contents, as they were and as they are; None when anything else has changed.

        Tensors that stand for others from now on are what is expected from now on.
        """
        now, found = self.now(), list[tuple[int, int]]()
        if now.keys() != self.contents.keys() or type(self.holder.owner) is not self.kind:
            return None
        self.contents = dict(self.contents)
        for key, new in now.items():
            old = self.contents[key]
            if type(old) is int and type(new) is int:
                found.append((old, new))
            elif is_same(old, new) or (isinstance(old, Tensor) and isinstance(new, Tensor) and self.rebind(old, new)):
                self.contents[key] = new
            else:
                return None
        self.expected = tuple(self.contents.values())
        return found

    def now(self) -> dict[Any, Any]:
        """The contents as they are, of those that could matter."""
        now = self.holder.items()
        if self.holder.filtered and self.names is not None:
            return {key: value for key, value in now.items() if key in self.names}
        return now

    def _compared(self) -> str | None:
        if type(self.holder.owner) is not self.kind:
            return f"{self.holder.path} was a {self.kind.__name__}, now it is a {type(self.holder.owner).__name__}"
        now = self.now()
        for key in (*self.contents, *(key for key in now if key not in self.contents)):
            old, new = self.contents.get(key, MISSING), now.get(key, MISSING)
            if is_same(old, new) or (isinstance(old, Tensor) and isinstance(new, Tensor) and self.rebind(old, new)):
                self.contents[key] = new
            else:
                if isinstance(self.holder, Numbers):
                    return f"the {self.holder.spelled(key)} have changed (pass a Tensor: its values may change)"
                return f"{self.holder.spelled(key)} was {shown(old)}, now it is {shown(new)}"
        return None


def _reader(holder: Holder, contents: dict[Any, Any]) -> Callable[[], Sequence[Any]]:
    """A function that gives the contents as they are now, in their order."""
    owner = holder.owner
    if isinstance(holder, Cell):
        return lambda: (owner.cell_contents,)
    if isinstance(holder, Gradient):
        return lambda: (owner.grad, getattr(owner, "_hooks", None))
    if isinstance(holder, Globals | Names):
        return _picked(vars(owner) if isinstance(holder, Names) else owner, list(contents))
    if isinstance(holder, Attributes) and not holder.slots:
        return _of_attributes(owner, list(contents))
    if isinstance(holder, Attributes):
        names = list(contents)
        return lambda: tuple([getattr(owner, name) for name in names])
    if isinstance(owner, dict):
        return lambda: tuple(owner.values())
    if isinstance(owner, list):
        return lambda: owner
    if isinstance(holder, Members):
        (known,) = contents.values()
        return lambda: (known if owner == known else None,)
    return lambda: tuple(holder.items().values())


def _picked(owner: Mapping[str, Any], names: list[str]) -> Callable[[], Sequence[Any]]:
    """The values of some keys."""
    if not names:
        return lambda: ()
    if len(names) == 1:
        (name,) = names
        return lambda: (owner[name],)
    get = itemgetter(*names)
    return lambda: get(owner)


def _of_attributes(owner: Any, names: list[str]) -> Callable[[], Sequence[Any]]:
    found, size, kind = vars(owner), len(vars(owner)), owner.__class__
    get = _picked(found, names)

    def values() -> Sequence[Any]:
        if len(found) != size or owner.__class__ is not kind:
            raise KeyError("attributes were added or removed, or those of another class count")
        return get()

    return values


def guards_of(
    snapshot: Snapshot,
    roots: Iterable[Any],
    names: frozenset[str] | None,
    rebind: Callable[[Tensor, Tensor], bool],
) -> list[Guard]:
    """Guards for what a call could see that mentions the given names.

    raises JitError for what changes when it is looked at
    """
    found = []
    for holder, contents in snapshot.reached(roots, names):
        for key, value in contents.items():
            check_not_iterator(value, f"see {holder.spelled(key)}")
        if contents or not isinstance(holder, Globals | Names):
            found.append(Guard(holder, contents, names, rebind))
    return found


def check_not_iterator(value: Any, what: str) -> None:
    """raises JitError for what changes when it is looked at"""
    if isinstance(value, Iterator) and not hasattr(value, "__dict__"):
        raise JitError(
            f"a captured function can {what}, an iterator, whose state cannot be guarded: take the next item outside "
            "and pass it as an argument"
        )


class Absent:
    """Globals a call looked for and found among the builtins, or not at all."""

    __slots__ = ("names", "owner")

    def __init__(self, owner: dict[str, Any], names: Iterable[str]) -> None:
        self.owner, self.names = owner, [name for name in names if name in _BUILTIN and name not in owner]

    def holds(self) -> bool:
        owner = self.owner
        return all(name not in owner for name in self.names)

    def reason(self) -> str | None:
        found = [name for name in self.names if name in self.owner]
        return f"global {found[0]} hides the builtin now" if found else None


class Written:
    """What functions that ran are made of: another one's code may be put in, by editors for instance, or defaults."""

    __slots__ = ("expected", "functions")

    def __init__(self, functions: Sequence[FunctionType]) -> None:
        self.functions, self.expected = functions, list(map(_WRITTEN, functions))

    def holds(self) -> bool:
        return all(map(_all_same, map(_WRITTEN, self.functions), self.expected))

    def reason(self) -> str | None:
        """Which function is another one by now."""
        for function, old in zip(self.functions, self.expected):
            if not _all_same(_WRITTEN(function), old):
                return f"{function.__qualname__}() was given other code or defaults"
        return None


_WRITTEN: Final = attrgetter("__code__", "__defaults__", "__kwdefaults__")


def _all_same(old: tuple[object, ...], new: tuple[object, ...]) -> bool:
    return all(map(is_, old, new))


def written_in(snapshot: Snapshot, codes: Collection[int]) -> list[Written]:
    """What guards the users' functions that ran, given the identities of their code."""
    found = [value for value in snapshot.alive if isinstance(value, FunctionType) and id(value.__code__) in codes]
    found = [function for function in found if not is_library(function.__code__.co_filename)]
    return [Written(found)] if found else []


def absent_in(codes: Iterable[tuple[CodeType, dict[str, Any]]]) -> list[Absent]:
    """What must not become a global where users' code ran."""
    found = [Absent(owner, code.co_names) for code, owner in codes if not is_library(code.co_filename)]
    return [absent for absent in found if absent.names]


def numbers_in(snapshot: Snapshot) -> list[Any]:
    """The random generators among what was found."""
    kinds = (np.random.Generator, np.random.RandomState, np.random.BitGenerator)
    return [value for value in snapshot.alive if isinstance(value, (*kinds, Random))]
