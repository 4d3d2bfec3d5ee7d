"""What counts as a subclass of an abstract class, which others may register at any time.

Comes in: the calls a function makes while it is captured.  Goes out: a guard of the answers abstract classes gave.
"""

from __future__ import annotations

import abc
from collections.abc import Iterable, Mapping
from types import FrameType
from typing import Any, Final

Pair = tuple[type, type]

_ASKED: Final = frozenset(
    found for name in ("_abc_instancecheck", "_abc_subclasscheck", "get_cache_token")
    if callable(found := getattr(abc, name, None))
)  # fmt: skip


def asks(function: Any) -> bool:
    """True for the functions of C by which abstract classes answer."""
    return function in _ASKED


def asked_in(frame: FrameType) -> list[Pair]:
    """The classes, and the abstract ones they were compared with, in a frame that calls such a function."""
    found = frame.f_locals
    cls = found.get("cls")
    if "subclass" in found:
        return [(found["subclass"], cls)] if isinstance(cls, type) and isinstance(found["subclass"], type) else []
    if "instance" in found:
        kinds = dict.fromkeys((type(found["instance"]), found["instance"].__class__))
        return [(kind, cls) for kind in kinds] if isinstance(cls, type) else []
    registry = found.get("registry")  # of functools.singledispatch
    if not isinstance(registry, Mapping) or not isinstance(cls, type):
        return []
    return [(cls, base) for base in registry if isinstance(base, abc.ABCMeta)]


class Registered:
    """What abstract classes answer, as long as nobody registers others; then they are asked again."""

    __slots__ = ("_token", "answers")

    def __init__(self, pairs: Iterable[Pair]) -> None:
        self._token = abc.get_cache_token()
        self.answers = {pair: _is_subclass(pair) for pair in pairs}

    def holds(self) -> bool:
        return abc.get_cache_token() == self._token

    def reason(self) -> str | None:
        """Which answer is another one by now, in words."""
        token = abc.get_cache_token()
        for (cls, base), old in self.answers.items():
            if _is_subclass((cls, base)) is not old:
                return f"issubclass({cls.__name__}, {base.__name__}) was {old}, now it is {not old}"
        self._token = token
        return None


def _is_subclass(pair: Pair) -> bool | None:
    """What an abstract class answers; None for an error."""
    try:
        return issubclass(*pair)
    except Exception:
        return None


def registered_in(pairs: Iterable[Pair]) -> list[Registered]:
    """What guards the answers that were given, if any were."""
    found = dict.fromkeys(pairs)
    return [Registered(found)] if found else []
