"""What code of libraries that ran for a function has looked up: names of modules, attributes of classes.

Comes in: what ran in a call that is captured.  Goes out: guards, which fail once other functions, classes or modules
are put in the places of those that were found.  Other values libraries keep to themselves.
"""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterable, Sequence
from operator import is_
from types import CodeType, ModuleType
from typing import Any, Final

from kernelforge.replay.codes import globals_of
from kernelforge.replay.holders import MISSING
from kernelforge.replay.kinds import is_a
from kernelforge.replay.state import is_library, is_ours
from kernelforge.replay.watching import Ran
from kernelforge.replay.written import Absent

_HEAP: Final = 1 << 9  # of a class that is written in Python
_IMMUTABLE: Final = 1 << 8


class Looked:
    """Functions, classes and modules found under names.

    places   the names, with the dicts they were found in and what people call these
    sized    dicts in which other names could hide what was found elsewhere
    """

    __slots__ = ("_found", "_owners", "_sized", "_sizes", "_spelled")

    def __init__(self, places: Sequence[tuple[str, Any, str]], sized: Sequence[Any] = ()) -> None:
        self._spelled = [f"{path}.{name}" for path, _, name in places]
        self._owners = [owner for _, owner, _ in places], [name for _, _, name in places]
        self._found = list(map(_get, *self._owners))
        self._sized, self._sizes = sized, list(map(len, sized))

    def holds(self) -> bool:
        return all(map(is_, map(_get, *self._owners), self._found)) and list(map(len, self._sized)) == self._sizes

    def reason(self) -> str | None:
        """Which name stands for something else by now."""
        for spelled, old, new in zip(self._spelled, self._found, map(_get, *self._owners)):
            if old is not new:
                return f"{spelled} is another one now"
        return "a class of a library has other attributes" if list(map(len, self._sized)) != self._sizes else None


def _get(owner: Any, name: str) -> Any:
    return owner.get(name, MISSING)


def looked_in(ran: Iterable[Ran], mentioned: Collection[str]) -> list[Looked | Absent]:
    """What guards what code of libraries has looked up; mentioned: names that other code did."""
    found, classes, absent = dict[tuple[int, str], tuple[str, Any, str]](), dict[type, None](), list[Absent]()
    names, met = set(mentioned), set[CodeType]()
    for code, owner, cls in ran:
        classes.update(dict.fromkeys(_changeable(cls)))
        if code in met or not is_library(code.co_filename):
            continue
        met.add(code)
        names.update(code.co_names, (code.co_name,))
        own = globals_of(code)
        absent.append(Absent(owner, own))
        for name in own:
            value = owner.get(name)
            if _counts(value):
                found[id(owner), name] = str(owner.get("__name__")), owner, name
            if is_a(value, ModuleType) and value is not sys:
                for inside in vars(value).keys() & set(code.co_names):
                    if _counts(vars(value)[inside]):
                        found[id(vars(value)), inside] = value.__name__, vars(value), inside
    for cls in classes:
        for name, value in vars(cls).items():
            if hasattr(type(value), "__get__") and (name in names or name.startswith("__")):
                found[id(cls), name] = cls.__name__, vars(cls), name
    looked = [Looked(list(found.values()), list(map(vars, classes)))] if found else []
    return [*looked, *[one for one in absent if one.names]]


def _counts(value: Any) -> bool:
    """True for what a program may put another one in the place of, and no library does to keep books."""
    return callable(value) or is_a(value, ModuleType)


def _changeable(cls: type | None) -> list[type]:
    """The classes of libraries, but this one's, among a class and its ancestors, whose attributes can be changed."""
    if cls is None:
        return []
    return [base for base in cls.__mro__ if base.__flags__ & (_HEAP | _IMMUTABLE) == _HEAP and _is_of_one(base)]


def _is_of_one(cls: type) -> bool:
    file = getattr(sys.modules.get(cls.__module__), "__file__", None)
    return file is not None and is_library(file) and not is_ours(file)
