"""Contexts of decimal numbers, by which these are computed: the current one of a thread, and those users hold.

Comes in: any object.  Goes out: whether it leads to decimal numbers, and contexts as places.  `decimal` is not imported
here: where nobody has done that there are no decimal numbers.
"""

from __future__ import annotations

import sys
from functools import lru_cache
from types import BuiltinFunctionType, ModuleType
from typing import Any, Final

from kernelforge.replay.holders import Holder

_SETTINGS: Final = ("prec", "rounding", "Emin", "Emax", "capitals", "clamp")
_SIGNALS: Final = ("traps", "flags")


class Current:
    """Stands for the context that is current."""


CURRENT: Final = Current()


def is_decimal(value: Any) -> bool:
    """True for decimal numbers, and for the module, its classes and its functions."""
    module = sys.modules.get("decimal")
    if module is None:
        return False
    if isinstance(value, ModuleType | BuiltinFunctionType):
        return value is module or getattr(value, "__module__", None) == "decimal"
    cls = value if isinstance(value, type) else type(value)
    return cls.__module__ == "decimal" or issubclass(cls, module.Decimal)


def is_context(value: Any) -> bool:
    """True for what decimal numbers are computed by."""
    module = sys.modules.get("decimal")
    return value is CURRENT or (module is not None and isinstance(value, module.Context))


class Computing(Holder):
    """How decimal numbers are computed; what has happened to them counts where code looks at that."""

    partly = True

    @property
    def _context(self) -> Any:
        return sys.modules["decimal"].getcontext() if self.owner is CURRENT else self.owner

    def items(self) -> dict[Any, Any]:
        context = self._context
        found: dict[Any, Any] = {name: _same(getattr(context, name)) for name in _SETTINGS}
        for kind in _SIGNALS:
            found.update(((kind, signal), bool(on)) for signal, on in getattr(context, kind).items())
        return found

    def seen(self, contents: dict[Any, Any], names: frozenset[str] | None) -> dict[Any, Any]:
        if names is None or "flags" in names:
            return contents
        return {key: value for key, value in contents.items() if key[0] != "flags"}

    def put(self, key: Any, value: Any) -> None:
        if isinstance(key, str):
            setattr(self._context, key, value)
        else:
            kind, signal = key
            getattr(self._context, kind)[signal] = value

    def spelled(self, key: Any) -> str:
        path = "decimal.getcontext()" if self.owner is CURRENT else self.path
        return f"{path}.{key}" if isinstance(key, str) else f"{path}.{key[0]}[{key[1].__name__}]"


@lru_cache(maxsize=4096, typed=True)
def _same(value: Any) -> Any:
    """A value that is the same object whenever it is equal."""
    return value
