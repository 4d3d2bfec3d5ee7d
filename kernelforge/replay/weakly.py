"""Objects that a function sees through weak references alone: looked at before each replay, and kept alive by nobody.

Comes in: such an object with its places.  Goes out: a guard, which fails once the object is gone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final
from weakref import CallableProxyType, ProxyType, ref

from kernelforge.errors import JitError
from kernelforge.replay.holders import MISSING, Holder
from kernelforge.replay.kinds import is_a
from kernelforge.tensor import Tensor

_REFERENCES: Final = (ref, ProxyType, CallableProxyType)


def is_reference(value: Any) -> bool:
    """True for a weak reference, or an object that stands for what it refers to weakly."""
    return issubclass(type(value), _REFERENCES)


class Weakly:
    """An object and what a call could see of its contents.

    raises JitError for a tensor, which is kept with a capture, and so would be there for ever
    """

    __slots__ = ("_is_same", "_names", "_places", "_referent", "_shown")

    def __init__(
        self, owner: Any, names: frozenset[str] | None, is_same: Callable[..., bool], shown: Callable[..., str]
    ) -> None:
        if is_a(owner, Tensor):
            raise JitError(
                f"a captured function sees {shown(owner)} through a weak reference alone: hold it where the function "
                "can see it, or pass it as an argument"
            )
        self._referent, self._names, self._is_same, self._shown = ref(owner), names, is_same, shown
        self._places: list[tuple[type[Holder], str, dict[Any, Any]]] = []

    def add(self, holder: Holder, contents: dict[Any, Any]) -> None:
        """Has one of the object's places looked at as well."""
        self._places.append((type(holder), holder.path, dict(contents)))

    def holds(self) -> bool:
        return self.reason() is None

    def reason(self) -> str | None:
        """What has changed, in words."""
        owner = self._referent()
        if owner is None:
            return "what a weak reference referred to is gone"
        for kind, path, before in self._places:
            holder = kind(path, owner)
            now = holder.seen(holder.items(), self._names)
            for key in (*before, *(key for key in now if key not in before)):
                old, new = before.get(key, MISSING), now.get(key, MISSING)
                if not self._is_same(old, new):
                    return f"{holder.spelled(key)} was {self._shown(old)}, now it is {self._shown(new)}"
            if not self._is_same(tuple(before), tuple(now)):
                return f"the keys of {path} are in another order"
        return None
