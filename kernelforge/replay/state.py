"""What a function can reach beside its arguments: cells of closures, globals, attributes, elements of containers.

Comes in: a function or any object.  Goes out: `Holder`s, the places whose contents a call may read or change, each with
its path in the user's words.  Nothing is run: functions are looked into by the names their code mentions.
"""

from __future__ import annotations

import os
import sys
import sysconfig
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from dis import get_instructions
from enum import Enum
from functools import lru_cache, partial
from types import BuiltinFunctionType, CellType, CodeType, FunctionType, MethodType, ModuleType
from typing import Any, Final
from weakref import ref

import numpy as np

from codegen.dtypes import DType
from kernelforge.buffer import Buffer
from kernelforge.errors import JitError
from kernelforge.graph import Node
from kernelforge.replay.holders import (
    Attributes,
    Cell,
    Elements,
    Entries,
    Globals,
    Gradient,
    Holder,
    Members,
    Names,
    Numbers,
)
from kernelforge.tensor import Tensor
from kernelforge.tensor.stops import stops

SIMPLE: Final = (
    bool, int, float, complex, str, bytes, type(None), type(...), slice, range, DType, np.generic, np.dtype,
)  # fmt: skip
MOST_HOLDERS: Final = 200_000
_OURS, _NUMPY = [
    tuple(os.path.dirname(os.path.abspath(sys.modules[name].__file__ or "")) + os.sep for name in names)
    for names in (("kernelforge", "codegen"), ("numpy",))
]
_STANDARD: Final = tuple(sysconfig.get_path(name) + os.sep for name in ("stdlib", "platstdlib"))


@lru_cache(maxsize=4096)
def is_library(file: str) -> bool:
    """True for the standard library's files, NumPy's and this library's own: their globals do not change results."""
    installed = "site-packages" in file or "dist-packages" in file
    return file.startswith((*_OURS, *_NUMPY, "<frozen")) or (file.startswith(_STANDARD) and not installed)


@lru_cache(maxsize=4096)
def is_ours(file: str) -> bool:
    """True for this library's own files."""
    return file.startswith(_OURS)


Parts = tuple[list[Holder], list[tuple[str, Any]]]


def parts(value: Any, path: str) -> Parts:
    """The places inside a value, and what is inside it that cannot be replaced."""
    if isinstance(value, (*SIMPLE, BuiltinFunctionType, Enum)):
        return [], []
    for kind, holder in _HOLDERS.items():
        if isinstance(value, kind):
            inside = _called_with(value, path) if isinstance(value, Tensor) else []
            return [holder(path, value), *([] if kind in (Tensor, np.ndarray) else _attributes(value, path))], inside
    if isinstance(value, FunctionType):
        return _of_function(value, path)
    fixed = _fixed(value, path)
    return _of_object(value, path) if fixed is None else ([], fixed)


_HOLDERS: Final[dict[type, type[Holder]]] = {
    Tensor: Gradient, dict: Entries, list: Elements, deque: Elements, set: Members, np.ndarray: Numbers,
}  # fmt: skip


def _fixed(value: Any, path: str) -> list[tuple[str, Any]] | None:
    """What is inside a value that never holds anything else; None for one that may."""
    if isinstance(value, tuple | frozenset):
        return [(f"{path}[{i}]", item) for i, item in enumerate(value)]
    if isinstance(value, MethodType):
        return [(path, value.__func__), (f"{path}.__self__", value.__self__)]
    if isinstance(value, partial):
        return [(f"{path}.{i}", item) for i, item in enumerate((value.func, *value.args, *value.keywords.values()))]
    if isinstance(value, staticmethod | classmethod):
        return [(path, value.__func__)]
    if isinstance(value, ref):
        return [(f"{path}()", value())]
    if isinstance(value, property):
        return [(path, function) for function in (value.fget, value.fset) if function is not None]
    return None


def _of_function(value: FunctionType, path: str) -> Parts:
    name = path or value.__name__
    if is_library(value.__code__.co_filename):
        inside = [cell.cell_contents for cell in value.__closure__ or () if cell != CellType()]
        return [], [(name, item) for item in inside if callable(item)]
    found: list[Holder] = [Cell(name, cell) for name, cell in zip(value.__code__.co_freevars, value.__closure__ or ())]
    fixed = [(f"default of {name}", item) for item in value.__defaults__ or ()]
    fixed += [(f"default of {name}", value.__kwdefaults__)] if value.__kwdefaults__ else []
    found.append(Globals("", value.__globals__, globals_of(value.__code__)))
    if vars(value):
        found.append(Attributes(name, value))
    return found, fixed


def _of_object(value: Any, path: str) -> Parts:
    if isinstance(value, ModuleType):
        file = getattr(value, "__file__", None)
        is_fixed = value.__name__ in sys.builtin_module_names if file is None else is_library(file)
        return ([], []) if is_fixed else ([Names(path, value)], [])
    cls = value if isinstance(value, type) else type(value)
    if _is_foreign(cls):
        return [], []
    if isinstance(value, type):
        functions = [item for item in vars(value).values() if hasattr(type(item), "__get__")]
        return [Attributes(path, value)], [(f"{path}.{getattr(f, '__name__', '')}", f) for f in functions]
    return _attributes(value, path), [] if _is_own(cls) else [(base.__name__, base) for base in _written(cls)]


def _called_with(tensor: Tensor, path: str) -> list[tuple[str, Any]]:
    """The functions that are called with the gradient of a tensor that is no leaf."""
    stop = stops.get(tensor._node)
    return [] if stop is None else [(path, stop.hooks)]


def _attributes(value: Any, path: str) -> list[Holder]:
    if isinstance(value, Node | Buffer):
        return []
    has_any = hasattr(value, "__dict__") or any(vars(cls).get("__slots__") for cls in type(value).__mro__)
    return [Attributes(path, value)] if has_any else []


def _written(cls: type) -> list[type]:
    """The classes among a class's ancestors that a user wrote."""
    return [base for base in cls.__mro__ if not _is_foreign(base) and not _is_own(base)]


def _is_own(cls: type) -> bool:
    return cls.__module__.partition(".")[0] in ("kernelforge", "codegen")


def _is_foreign(cls: type) -> bool:
    """True for classes of the standard library and NumPy, which are not looked into."""
    if cls.__module__ in ("types", "dataclasses") or _is_own(cls):
        return False
    module = sys.modules.get(cls.__module__)
    file = getattr(module, "__file__", None)
    return cls.__module__ == "builtins" or (module is not None and cls.__module__ != "__main__" and (
        file is None or is_library(file)))  # fmt: skip


_OF_GLOBALS: Final = frozenset(
    ["LOAD_GLOBAL", "STORE_GLOBAL", "DELETE_GLOBAL", "LOAD_NAME", "STORE_NAME", "DELETE_NAME",
     "LOAD_FROM_DICT_OR_GLOBALS"]
)  # fmt: skip


@lru_cache(maxsize=65536)
def globals_of(code: CodeType) -> frozenset[str]:
    """The names of globals that code mentions, functions inside it too; attributes that are called alike are none."""
    names = {found.argval for found in get_instructions(code) if found.opname in _OF_GLOBALS}
    return frozenset(names.union(*[globals_of(part) for part in code.co_consts if isinstance(part, CodeType)]))


@lru_cache(maxsize=65536)
def names_of(code: CodeType) -> frozenset[str]:
    """The names of globals and attributes that code mentions, functions inside it too."""
    names = set(code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            names |= names_of(constant)
    return frozenset(names)


@dataclass
class Snapshot:
    """The contents of all places reachable from some objects, as they were.

    contents  of each holder
    inside    for the identity of each object: its places, and what else is inside it
    """

    contents: dict[int, tuple[Holder, dict[Any, Any]]]
    inside: dict[int, Parts]
    alive: list[Any]

    @staticmethod
    def of(roots: Iterable[tuple[str, Any]]) -> Snapshot:
        """What is reachable now; raises JitError when that is more than could be watched."""
        found = Snapshot({}, {}, [])
        mentioned: set[str] = set()
        stack = list(roots)[::-1]
        while stack:
            path, value = stack.pop()
            if id(value) in found.inside or isinstance(value, SIMPLE):
                continue
            inside = found.inside[id(value)] = parts(value, path)
            found.alive.append(value)
            if isinstance(value, FunctionType) and inside[0]:
                mentioned |= names_of(value.__code__)
            for holder in inside[0]:
                contents = {} if isinstance(holder, Names) else holder.items()
                found.contents[id(holder)] = holder, contents
                stack += [(holder.spelled(key), item) for key, item in contents.items()]
            stack += inside[1]
            if len(found.contents) > MOST_HOLDERS:
                raise JitError(f"a captured function can reach more than {MOST_HOLDERS:,} objects, for instance {path}")
            if not stack:
                stack = found._of_modules(mentioned)
        return found

    def _of_modules(self, mentioned: set[str]) -> list[tuple[str, Any]]:
        """Notes what modules hold under names that some code mentions; what is new of it."""
        new: list[tuple[str, Any]] = []
        for holder, contents in self.contents.values():
            if isinstance(holder, Names):
                more = {key: item for key, item in vars(holder.owner).items() if key in mentioned - contents.keys()}
                contents.update(more)
                holder.names = frozenset(contents)
                new += [(holder.spelled(key), item) for key, item in more.items()]
        return new

    def reached(self, roots: Iterable[Any], names: frozenset[str] | None) -> Iterator[tuple[Holder, dict[Any, Any]]]:
        """The places code that mentions the given names can see, with those of their contents it can see."""
        seen: set[int] = set()
        stack = list(roots)[::-1]
        while stack:
            value = stack.pop()
            if id(value) in seen or id(value) not in self.inside:
                continue
            seen.add(id(value))
            holders, fixed = self.inside[id(value)]
            for holder in holders:
                contents = self.contents[id(holder)][1]
                if holder.filtered and names is not None:
                    contents = {key: item for key, item in contents.items() if key in names}
                yield holder, contents
                stack += contents.values()
            stack += [item for _, item in fixed]

    def holds(self, value: Any) -> bool:
        """True for an object that was there before."""
        return id(value) in self.inside

    @property
    def tensors(self) -> list[Tensor]:
        """All tensors found."""
        return [value for value in self.alive if isinstance(value, Tensor)]
