"""What must be as it was for a capture to be right, checked before every replay.

Comes in: the places a call could see and their contents.  Goes out: guards that are cheap to check while the very
objects are there, and that can say in words what has changed when they are not.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Reversible, Sequence
from operator import attrgetter, is_, itemgetter
from random import Random
from types import FunctionType
from typing import Any, Final, cast

import numpy as np

from kernelforge.replay.holders import (
    BASES,
    MISSING,
    Attributes,
    Cell,
    Entries,
    Globals,
    Gradient,
    Holder,
    Library,
    Members,
    Names,
    Numbers,
)
from kernelforge.replay.kinds import attributes_in, is_a
from kernelforge.replay.others import Opened, Passing, check_not_iterator, is_value
from kernelforge.replay.state import SIMPLE, Snapshot
from kernelforge.replay.weakly import Weakly
from kernelforge.tensor import Tensor

_ATTRIBUTES: Final = attrgetter("__dict__")


def is_same(old: Any, new: Any) -> bool:
    """True when a program cannot tell two values apart but by identity."""
    if old is new:
        return True
    if type(old) is not type(new):
        return False
    if is_a(old, tuple):
        return len(old) == len(new) and all(map(is_same, old, new)) and _has_same_attributes(old, new)
    if is_a(old, frozenset):
        return is_same(tuple(old), tuple(new))
    if is_a(old, slice | range):
        return all(is_same(getattr(old, name), getattr(new, name)) for name in ("start", "stop", "step"))
    if is_a(old, np.generic):
        return bool(old.dtype == new.dtype and old.tobytes() == new.tobytes())
    if is_a(old, float | complex):
        return repr(old) == repr(new) and _has_same_attributes(old, new)
    if is_a(old, SIMPLE):
        return bool(old == new) and _has_same_attributes(old, new)
    return is_value(old) and repr(old) == repr(new) and getattr(old, "tzinfo", None) is getattr(new, "tzinfo", None)


def _has_same_attributes(old: Any, new: Any) -> bool:
    """Whether the attributes of two values of the same type, which most have none of, are the very same objects."""
    ours, theirs = attributes_in(old), attributes_in(new)
    if not ours and not theirs:
        return True
    return ours is not None and theirs is not None and ours.keys() == theirs.keys() and all(
        ours[key] is theirs[key] for key in ours)  # fmt: skip


def shown(value: Any) -> str:
    """A value in a message."""
    if value is MISSING:
        return "nothing"
    if is_a(value, Tensor):
        return f"a tensor of {value.shape} {value.dtype} on {value.device}, requires_grad={value.requires_grad}"
    text = repr(value) if is_a(value, (*SIMPLE, tuple, list)) else f"a {type(value).__name__}"
    return text if len(text) <= 60 else text[:57] + "..."


class Guard:
    """The contents of one place, as far as a call could see them.

    names    of contents that could matter if they were there, where contents have names; None for any
    size     how many contents there were, those that do not matter as well
    rebind   given a tensor and another in its place: whether that may stand for it from now on
    """

    __slots__ = ("_values", "contents", "expected", "holder", "kind", "names", "rebind")

    def __init__(
        self,
        holder: Holder,
        contents: dict[Any, Any],
        names: frozenset[str] | None,
        rebind: Callable[[Tensor, Tensor], bool],
        size: int,
    ) -> None:
        self.holder, self.contents, self.names, self.rebind = holder, contents, names, rebind
        self.kind = type(holder.owner)
        self._aim(size)

    def _aim(self, size: int) -> None:
        """Prepares the fast check for the contents as they are."""
        self._values = _reader(self.holder, self.contents, self.names, size)
        self._expect()

    def _expect(self) -> None:
        contents = self.contents
        self.expected = flattened(contents) if _is_dict(self.holder) else tuple(contents.values())

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
            self._aim(self.holder.size())
        else:
            self._expect()
        return why

    def numbers(self) -> list[tuple[int, int]] | None:
        """The integers among the contents, as they were and as they are; None when anything else has changed.

        Tensors that stand for others from now on are what is expected from now on.
        """
        now, found = self.now(), list[tuple[int, int]]()
        if not is_same(tuple(now), tuple(self.contents)) or type(self.holder.owner) is not self.kind:
            return None
        self.contents = dict(self.contents)
        for key, new in now.items():
            old = self.contents[key]
            if type(old) is int and type(new) is int:
                found.append((old, new))
            elif is_same(old, new) or (is_a(old, Tensor) and is_a(new, Tensor) and self.rebind(old, new)):
                self.contents[key] = new
            else:
                return None
        self._expect()
        return found

    def put(self, key: Any, value: Any) -> None:
        """Expects another content from now on."""
        self.contents = {**self.contents, key: value}
        self._expect()

    def now(self) -> dict[Any, Any]:
        """The contents as they are, of those that could matter."""
        now = self.holder.seen(self.holder.items(), self.names)
        return {key: value for key, value in now.items() if key in self.contents} if self.holder.grows else now

    def _compared(self) -> str | None:
        if type(self.holder.owner) is not self.kind:
            return f"{self.holder.path} was a {self.kind.__name__}, now it is a {type(self.holder.owner).__name__}"
        now = self.now()
        if _is_dict(self.holder) and now.keys() == self.contents.keys() and not is_same((*now,), (*self.contents,)):
            return f"the keys of {self.holder.path} were {shown([*self.contents])}, now they are {shown([*now])}"
        for key in (*self.contents, *(key for key in now if key not in self.contents)):
            old, new = self.contents.get(key, MISSING), now.get(key, MISSING)
            if is_same(old, new) or (is_a(old, Tensor) and is_a(new, Tensor) and self.rebind(old, new)):
                self.contents[key] = new
            else:
                if is_a(self.holder, Numbers):
                    return f"the {self.holder.spelled(key)} have changed (pass a Tensor: its values may change)"
                return f"{self.holder.spelled(key)} was {shown(old)}, now it is {shown(new)}"
        return None


def _is_dict(holder: Holder) -> bool:
    """True for a dict whose keys and their order a program can see."""
    return is_a(holder, Entries) and not is_a(holder, Globals) and not holder.grows


def _reader(
    holder: Holder, contents: dict[Any, Any], counting: frozenset[str] | None, size: int
) -> Callable[[], Sequence[Any]]:
    """A function that gives the contents as they are now, in their order; a dict's keys first."""
    owner, names = holder.owner, list(contents)
    if is_a(holder, Cell):
        return lambda: (owner.cell_contents,)
    if is_a(holder, Gradient):
        return lambda: (owner.grad, getattr(owner, "_hooks", None))
    if is_a(holder, Globals | Names):
        return _of_names(owner if is_a(holder, Globals) else vars(owner), names, size)
    if is_a(holder, Attributes) and holder.slots:
        return _of_slots(holder, names, counting, size)
    if is_a(holder, Attributes) and is_a(owner, type):
        return _of_class(owner, names, size)
    if is_a(holder, Attributes):
        return _of_attributes(holder, names, counting, size)
    if is_a(owner, list):
        return lambda: owner
    return _of_others(holder, contents)


def _of_others(holder: Holder, contents: dict[Any, Any]) -> Callable[[], Sequence[Any]]:
    """The contents of places that are seldom looked at, or hold their contents as one."""
    owner = holder.owner
    if _is_dict(holder):
        plain = type(owner).items is dict.items and not hasattr(owner, "followed")
        return (lambda: (*owner, *owner.values())) if plain else lambda: flattened(holder.items())
    if is_a(holder, Members):
        (known,) = contents.values()
        return lambda: (known if _are_the_same(owner, known) else None,)
    if holder.grows or holder.partly:
        return lambda: [found[name] for found in (holder.items(),) for name in contents]
    return lambda: tuple(holder.items().values())


def _of_class(owner: type, names: list[str], size: int) -> Callable[[], Sequence[Any]]:
    get = _of_names(vars(owner), [name for name in names if name is not BASES], size)
    if BASES not in names:
        return get
    return lambda: (*get(), owner.__mro__)


def flattened(content: dict[Any, Any]) -> tuple[Any, ...]:
    """The keys, then the values."""
    return (*content, *content.values())


def _are_the_same(members: Collection[Any], known: Sequence[Any]) -> bool:
    return len(members) == len(known) and all(map(is_, members, known))


def _picked(owner: Mapping[str, Any], names: list[str]) -> Callable[[], Sequence[Any]]:
    """The values of some keys."""
    if not names:
        return lambda: ()
    if len(names) == 1:
        (name,) = names
        return lambda: (owner[name],)
    get = itemgetter(*names)
    return lambda: get(owner)


def _of_names(owner: Mapping[str, Any], names: list[str], size: int) -> Callable[[], Sequence[Any]]:
    """The values of some keys; KeyError where keys were added or removed, which may be some that were looked for."""
    get = _picked(owner, names)
    in_order = cast(Reversible[str], owner)
    last = next(reversed(in_order), None)  # which is another once one went and one came

    def values() -> Sequence[Any]:
        if len(owner) != size or next(reversed(in_order), None) is not last:
            raise KeyError("names were added or removed")
        return get()

    return values


def _of_attributes(
    holder: Attributes, names: list[str], counting: frozenset[str] | None, size: int
) -> Callable[[], Sequence[Any]]:
    owner, found, kind = holder.owner, attributes_in(holder.owner), type(holder.owner)
    get, barred, keys = _picked(found, names), _barred(owner, names, counting), found.keys()

    def values() -> Sequence[Any]:
        try:
            inside = owner.__dict__
        except Exception:
            inside = attributes_in(owner)
        if len(found) != size or type(owner) is not kind or inside is not found:
            raise KeyError("attributes were added or removed, or those of another class count")
        if barred and not keys.isdisjoint(barred):
            raise KeyError("an attribute is there that was not")
        return get()

    return values


def _barred(owner: Any, names: Sequence[str], counting: frozenset[str] | None) -> frozenset[str]:
    """What an object's dict must not come to have: its number of names tells only where all of them are read."""
    if counting is None or all(name in names for name in attributes_in(owner) or ()):
        return frozenset()
    return counting.difference(names, getattr(type(owner), "unguarded", ()))


def _of_slots(
    holder: Attributes, names: list[str], counting: frozenset[str] | None, size: int
) -> Callable[[], Sequence[Any]]:
    """Attributes of an object of which at least some are in slots."""
    owner, kind = holder.owner, type(holder.owner)
    could = holder.seen(dict.fromkeys(holder.slots), counting)
    absent = [name for name in could if name not in names and name not in getattr(kind, "unguarded", ())]
    get = attrgetter(*names) if names else None
    one, inside = len(names) == 1, attributes_in(owner)
    barred = _barred(owner, names, counting)

    def values() -> Sequence[Any]:
        if type(owner) is not kind or attributes_in(owner) is not inside or len(inside or ()) != size:
            raise KeyError("attributes were added or removed, or those of another class count")
        if any(hasattr(owner, name) for name in absent) or not barred.isdisjoint(inside or ()):
            raise KeyError("an attribute is there that was not")
        found = get(owner) if get is not None else ()
        return (found,) if one else found

    return values


def guards_of(
    snapshot: Snapshot,
    roots: Iterable[Any],
    names: frozenset[str] | None,
    rebind: Callable[[Tensor, Tensor], bool],
) -> list[Guard | Bare | Weakly]:
    """Guards for what a call could see that mentions the given names.

    raises JitError for what changes when it is looked at
    """
    found, bare = list[Guard | Bare | Weakly](), list[FunctionType]()
    referents, weak = dict[int, Any](), dict[int, Weakly]()
    for holder, contents in snapshot.reached(roots, names, referents):
        size = snapshot.sizes[id(holder)]
        if is_a(holder, Library):
            contents, size = {**contents, **holder.seen(holder.loaded(contents), names)}, holder.size()
        owner = holder.owner
        if is_a(holder, Passing):
            check_not_iterator(owner, f"see {holder.path}")
        if is_a(holder, Opened):
            continue
        if id(owner) in referents:
            counting = snapshot.names_of(holder, names)
            weak.setdefault(id(owner), Weakly(owner, counting, is_same, shown)).add(holder, contents)
        elif is_a(owner, FunctionType) and is_a(holder, Attributes) and not (contents or vars(owner)):
            bare.append(owner)
        elif contents or not (is_a(holder, Globals | Library) or holder.partly):
            counting = snapshot.names_of(holder, names)
            found.append(Guard(holder, holder.items() if holder.grows else contents, counting, rebind, size))
    if bare:
        found.append(Bare(bare))
    return found + [weak.get(key) or Weakly(owner, names, is_same, shown) for key, owner in referents.items()]


class Bare:
    """Functions without attributes."""

    __slots__ = ("functions",)

    def __init__(self, functions: Sequence[FunctionType]) -> None:
        self.functions = functions

    def holds(self) -> bool:
        return not any(map(_ATTRIBUTES, self.functions))

    def reason(self) -> str | None:
        """Which function has attributes by now."""
        found = [function for function in self.functions if vars(function)]
        return f"{found[0].__qualname__}() has attributes now: {', '.join(vars(found[0]))}" if found else None


def numbers_in(snapshot: Snapshot) -> list[Any]:
    """The random generators among what was found."""
    kinds = (np.random.Generator, np.random.RandomState, np.random.BitGenerator)
    return [value for value in snapshot.alive if is_a(value, (*kinds, Random))]
