"""How numbers of other kinds are computed and printed: contexts of decimal numbers, and what NumPy does about errors.

Comes in: any object.  Goes out: by which contexts that are current in a thread it is computed, and contexts as places.
`decimal` is not imported here: where nobody has done that there are no decimal numbers.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextvars import ContextVar
from functools import lru_cache
from types import BuiltinFunctionType, ModuleType
from typing import Any, Final

import numpy as np

from kernelforge.replay.codes import WHOLE
from kernelforge.replay.holders import Holder
from kernelforge.replay.kinds import is_a

_SETTINGS: Final = ("prec", "rounding", "Emin", "Emax", "capitals", "clamp")
_SIGNALS: Final = ("traps", "flags")


class Current:
    """Stands for the context that is current."""


CURRENT: Final = Current()
ARRAYS: Final = Current()  # what is current of NumPy
_PRINTING: Final = frozenset((WHOLE, "array2string", "array_repr", "array_str"))


def contexts_of(value: Any) -> list[tuple[str, Any]]:
    """What stands for the contexts by which an object, or what it leads to, is computed."""
    found = list[tuple[str, Any]]()
    if value is np or is_a(value, np.ndarray | np.ufunc):
        found.append(("numpy", ARRAYS))
    if is_decimal(value):
        found.append(("decimal", CURRENT))
    return found


def places_of(value: Any, path: str) -> list[Holder]:
    """The places inside a context; none inside anything else."""
    if value is ARRAYS:
        return [Errors(path, value), Printing(path, value)]
    return [Computing(path, value)] if is_context(value) else []


def is_decimal(value: Any) -> bool:
    """True for decimal numbers, and for the module, its classes and its functions."""
    module = sys.modules.get("decimal")
    if module is None:
        return False
    if is_a(value, ModuleType):
        return value is module
    if is_a(value, BuiltinFunctionType):
        return value.__module__ == "decimal"
    cls = value if is_a(value, type) else type(value)
    return cls.__module__ == "decimal" or issubclass(cls, module.Decimal)


def is_context(value: Any) -> bool:
    """True for what decimal numbers are computed by."""
    module = sys.modules.get("decimal")
    return value is CURRENT or (module is not None and is_a(value, module.Context))


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
        if is_a(key, str):
            setattr(self._context, key, value)
        else:
            kind, signal = key
            getattr(self._context, kind)[signal] = value

    def spelled(self, key: Any) -> str:
        path = "decimal.getcontext()" if self.owner is CURRENT else self.path
        return f"{path}.{key}" if is_a(key, str) else f"{path}.{key[0]}[{key[1].__name__}]"


class Setting:
    """A setting of NumPy, looked at again when the object that stands for it is another one.

    module, name   where newer versions have the variable with that object
    read           gives the contents
    """

    def __init__(self, module: str, name: str, read: Callable[[], dict[str, Any]]) -> None:
        found = getattr(sys.modules.get(module), name, None)
        self._variable = found if is_a(found, ContextVar) else None
        self._read, self._last = read, (object(), read())

    def now(self) -> dict[str, Any]:
        """The contents now."""
        if self._variable is None:
            return self._read()
        last, now = self._last, self._variable.get(None)
        if last[0] is not now:
            self._last = last = now, self._read()
        return last[1]


_ERRORS: Final = Setting("numpy._core.umath", "_extobj_contextvar", lambda: {**np.geterr(), "call": np.geterrcall()})
_PRINTED: Final = Setting("numpy._core.printoptions", "format_options", lambda: {**np.get_printoptions()})


class Errors(Holder):
    """What NumPy does about divisions by zero and their like."""

    def items(self) -> dict[Any, Any]:
        return dict(_ERRORS.now())

    def put(self, key: Any, value: Any) -> None:
        if key == "call":
            np.seterrcall(value)
        else:
            np.seterr(**{key: value})

    def spelled(self, key: Any) -> str:
        return f"numpy.geterr()[{key!r}]"


class Printing(Holder):
    """How NumPy prints arrays, for code that may do so."""

    partly = True

    def items(self) -> dict[Any, Any]:
        return dict(_PRINTED.now())

    def seen(self, contents: dict[Any, Any], names: frozenset[str] | None) -> dict[Any, Any]:
        return contents if names is None or not _PRINTING.isdisjoint(names) else {}

    def put(self, key: Any, value: Any) -> None:
        np.set_printoptions(**{key: value})

    def spelled(self, key: Any) -> str:
        return f"numpy.get_printoptions()[{key!r}]"


@lru_cache(maxsize=4096, typed=True)
def _same(value: Any) -> Any:
    """A value that is the same object whenever it is equal."""
    return value
