"""What a function can reach beside its arguments: cells of closures, globals, attributes, elements of containers.

Comes in: a function or any object.  Goes out: `Holder`s, the places whose contents a call may read or change, each with
its path in the user's words.  Nothing is run: functions are looked into by the names their code mentions.
"""

from __future__ import annotations

import os
import re
import sys
import sysconfig
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache, partial
from operator import attrgetter, methodcaller
from types import CellType, FunctionType, MethodType, ModuleType
from typing import Any, Final
from weakref import ref

import numpy as np

from codegen.dtypes import DType
from kernelforge.buffer import Buffer
from kernelforge.errors import JitError
from kernelforge.graph import Node
from kernelforge.replay.codes import globals_of, imports_of, names_of
from kernelforge.replay.contexts import contexts_of
from kernelforge.replay.holders import (
    BASES,
    MAKING,
    SUBCLASSES,
    Attributes,
    Cell,
    Elements,
    Entries,
    Globals,
    Gradient,
    Holder,
    Library,
    Members,
    Names,
    Numbers,
    Subclasses,
)
from kernelforge.replay.identities import asks_by_name
from kernelforge.replay.kinds import attributes_in, is_a, looking
from kernelforge.replay.others import Given, Raised, of_others
from kernelforge.replay.weakly import is_reference
from kernelforge.tensor import Tensor
from kernelforge.tensor.composite import FUNCTIONS
from kernelforge.tensor.stops import stops

SIMPLE: Final = (
    bool, int, float, complex, str, bytes, type(None), type(...), slice, range, DType, np.generic, np.dtype,
    *FUNCTIONS[1:],
)  # fmt: skip
MOST_HOLDERS: Final = 200_000
_OURS, _NUMPY = [
    tuple(os.path.dirname(os.path.abspath(sys.modules[name].__file__ or "")) + os.sep for name in names)
    for names in (("kernelforge", "codegen"), ("numpy",))
]
_STANDARD: Final = tuple(sysconfig.get_path(name) + os.sep for name in ("stdlib", "platstdlib"))


# Installed packages whose globals do not change results either, and from which all of a session could be reached: of
# arrays, of test runners, of notebooks.
_PACKAGES: Final = re.compile(
    r".*[/\\](site|dist)-packages[/\\](torch|triton|jax|jaxlib|scipy|sklearn|pandas|matplotlib|IPython|ipykernel|_pytest"
    r"|pytest|pluggy|xdist|hypothesis|typing_extensions)([/\\]|\.py)"
)


@lru_cache(maxsize=4096)
def is_library(file: str) -> bool:
    """True for files of the standard library, NumPy, this library and `_PACKAGES`: their globals change no results."""
    if _PACKAGES.match(file):
        return True
    installed = "site-packages" in file or "dist-packages" in file
    return file.startswith((*_OURS, *_NUMPY, "<frozen")) or (file.startswith(_STANDARD) and not installed)


@lru_cache(maxsize=4096)
def is_ours(file: str) -> bool:
    """True for this library's own files."""
    return file.startswith(_OURS)


Parts = tuple[list[Holder], list[tuple[str, Any]]]


def is_simple(value: Any) -> bool:
    """True for a plain value, with nothing in it that could change; not for one of a class that a user wrote."""
    return is_a(value, SIMPLE) and not is_written(type(value))


@looking
def parts(value: Any, path: str) -> Parts:
    """The places inside a value, and what is inside it that cannot be replaced."""
    if is_simple(value):
        return [], []
    if is_a(value, FunctionType):
        return _of_function(value, path)
    if is_a(value, CellType):
        return [Cell(path, value)], []
    if (found := of_others(value, path)) is not None:
        return found
    for kind, holder in _HOLDERS.items():
        if is_a(value, kind):
            attributes = [] if type(value) in (Tensor, np.ndarray) else _attributes(value, path)
            return [holder(path, value), *attributes], [*_held(value, path), *_classes(type(value))]
    fixed = _fixed(value, path)
    if fixed is None:
        return _of_object(value, path)
    own = [] if is_a(value, MethodType) else _attributes(value, path)  # a method shows those of its function
    return own, [*fixed, *_classes(type(value))]


_HOLDERS: Final[dict[type, type[Holder]]] = {
    Tensor: Gradient, dict: Entries, list: Elements, deque: Elements, set: Members, np.ndarray: Numbers,
    BaseException: Raised, partial: Given,
}  # fmt: skip


def _held(value: Any, path: str) -> list[tuple[str, Any]]:
    """What is inside beside the elements: functions called with a tensor's gradients, keys of a dict, objects."""
    if is_a(value, Tensor):
        stop = stops.get(value._node)
        return [] if stop is None else [(path, stop.hooks)]
    if is_a(value, dict):
        return [(f"a key of {path}", key) for key in value if not is_simple(key)]
    if is_a(value, np.ndarray) and value.dtype.hasobject:
        return [(f"{path}.flat[{i}]", item) for i, item in enumerate(value.flat)]
    return []


def _fixed(value: Any, path: str) -> list[tuple[str, Any]] | None:
    """What is inside a value that never holds anything else; None for one that may."""
    if is_a(value, tuple | frozenset):
        return [(f"{path}[{i}]", item) for i, item in enumerate(value)]
    if is_a(value, MethodType):
        return [(path, value.__func__), (f"{path}.__self__", value.__self__)]
    if is_a(value, staticmethod | classmethod):
        return [(path, value.__func__)]
    if is_a(value, ref):
        return [(f"{path}()", value())]
    if is_a(value, property):
        return [(path, function) for function in (value.fget, value.fset) if function is not None]
    return None


def _of_function(value: FunctionType, path: str) -> Parts:
    name, code = path or value.__name__, value.__code__
    if is_library(code.co_filename):
        inside = [cell.cell_contents for cell in value.__closure__ or () if cell != CellType()]
        found = [(name, item) for item in inside if callable(item)]
        registry = value.__dict__.get("registry")  # of functools.singledispatch
        return [], [*found, (name, registry)] if is_a(registry, Mapping) else found
    places: list[Holder] = [Cell(name, cell) for name, cell in zip(code.co_freevars, value.__closure__ or ())]
    fixed = [(f"default of {name}", item) for item in value.__defaults__ or ()]
    fixed += [(f"default of {name}", value.__kwdefaults__)] if value.__kwdefaults__ else []
    places += [Globals("", value.__globals__, globals_of(code)), Attributes(name, value)]
    package = value.__globals__.get("__package__")
    for imported in imports_of(code):
        modules = (sys.modules.get(one) for one in (imported, f"{package}.{imported}"))
        fixed += [(imported, module) for module in modules if module is not None]
    return places, fixed


def _of_object(value: Any, path: str) -> Parts:
    if is_a(value, ModuleType):
        file = vars(value).get("__file__")  # a module may make names that are asked for
        is_fixed = value.__name__ in sys.builtin_module_names if file is None else is_library(file)
        return [(Library if is_fixed else Names)(path, value)], []
    if is_a(value, type):
        if _is_foreign(value):
            return [], []
        functions = [item for item in vars(value).values() if hasattr(type(item), "__get__")]
        inside = [(f"{path}.{getattr(f, '__name__', '')}", f) for f in functions]
        inside += [(base.__name__, base) for base in value.__mro__[1:] if is_written(base)]
        return [Attributes(path, value)], [*inside, *_classes(type(value))]
    if _is_foreign(type(value)) and not _has_attributes_of_users(type(value)):
        return [], []
    return _attributes(value, path), _classes(type(value))


def _attributes(value: Any, path: str) -> list[Holder]:
    if is_a(value, Node | Buffer):
        return []
    has_any = attributes_in(value) is not None or any(vars(cls).get("__slots__") for cls in type(value).__mro__)
    return [Attributes(path, value)] if has_any else []


def _has_attributes_of_users(cls: type) -> bool:
    """True for classes of the standard library and NumPy written in Python whose objects hold what programs read."""
    module = sys.modules.get(cls.__module__)
    if cls.__module__ in _HOLDING:
        return True
    package = cls.__module__.partition(".")[0]
    return package not in _MACHINERY and (getattr(module, "__file__", None) or "").endswith(".py")


_HOLDING: Final = frozenset(("_thread", "unittest.mock", "asyncio.locks", "asyncio.queues", "concurrent.futures._base"))
_MACHINERY: Final = frozenset(
    ("_pytest", "abc", "ast", "asyncio", "bdb", "codecs", "concurrent", "ctypes", "datetime", "decimal", "email",
     "encodings", "fractions", "http", "hypothesis", "importlib", "inspect", "io", "IPython", "ipykernel", "jax",
     "jaxlib", "linecache", "logging", "matplotlib", "multiprocessing", "os", "pandas", "pathlib", "pdb", "pluggy",
     "pytest", "re", "selectors", "socket", "socketserver", "ssl", "subprocess", "tempfile", "tokenize", "torch",
     "traceback", "triton", "typing", "typing_extensions", "unittest", "urllib", "uuid", "warnings", "xdist",
     "zipimport"))  # fmt: skip
"""Packages whose objects are the machine's own business, never change, or lead to all of a session."""


def _is_put(value: Any, own: bool) -> bool:
    """True for what a user may have put into a library's module, and for modules in it.

    own   whether that is a module of this library, which keeps books in lists and dicts
    """
    if is_a(value, FunctionType):
        return not is_library(value.__code__.co_filename)
    if is_a(value, type):
        return is_written(value)
    if is_a(value, ModuleType | Tensor | np.ndarray) or is_written(type(value)):
        return True
    return not own and value is not sys.modules and value is not os.environ


def _put_into(cls: type) -> list[tuple[str, Any]]:
    """What users have put into a class of this library, and into those it inherits from where that is no tensor's."""
    classes = [cls] if cls is Tensor else [base for base in cls.__mro__ if is_own(base)]
    return [(f"{base.__name__}.{name}", item) for base in classes for name, item in vars(base).items()
            if is_a(item, FunctionType | staticmethod | classmethod | property) and _is_users(item)]  # fmt: skip


def _is_users(item: Any) -> bool:
    functions = (item, getattr(item, "__func__", None), getattr(item, "fget", None))
    return any(is_a(one, FunctionType) and not is_library(one.__code__.co_filename) for one in functions)


def _classes(cls: type) -> list[tuple[str, Any]]:
    """The classes among a class and its ancestors that a user wrote; none where the library did."""
    return [] if is_own(cls) else [(base.__name__, base) for base in cls.__mro__ if is_written(base)]


def is_written(cls: type) -> bool:
    """True for classes a user wrote."""
    return cls.__module__ != "builtins" and not _is_foreign(cls) and not is_own(cls)


def is_own(cls: type) -> bool:
    """True for this library's own classes."""
    return cls.__module__.partition(".")[0] in ("kernelforge", "codegen")


def _is_foreign(cls: type) -> bool:
    """True for classes of the standard library and NumPy, which are not looked into."""
    if cls.__module__ in ("types", "dataclasses") or is_own(cls):
        return False
    module = sys.modules.get(cls.__module__)
    file = getattr(module, "__file__", None)
    return cls.__module__ == "builtins" or (module is not None and cls.__module__ != "__main__" and (
        file is None or is_library(file)))  # fmt: skip


@dataclass
class Snapshot:
    """The contents of all places reachable from some objects, as they were.

    contents  of each holder
    sizes     of each holder
    modules   by identity, the names of modules and what they stood for
    by_name   whether an object that looks at attributes by name was found
    inside    for the identity of each object: its places, and what else is inside it
    asks      whether some code mentions what asks for identities
    put       what users have put into the class of tensors
    whole     the identities of objects all of whose attributes the call can have looked at
    fixed     those of tensors in places that never hold another, such as elements of tuples, as far as `reached` went
    """

    contents: dict[int, tuple[Holder, dict[Any, Any]]]
    sizes: dict[int, int]
    inside: dict[int, Parts]
    alive: list[Any]
    modules: dict[int, tuple[dict[str, Any], dict[str, Any]]] = field(default_factory=dict)
    by_name: bool = False
    asks: bool = False
    put: list[tuple[str, Any]] = field(default_factory=list)
    whole: set[int] = field(default_factory=set)
    fixed: set[int] = field(default_factory=set)

    @staticmethod
    def of(roots: Iterable[tuple[str, Any]]) -> Snapshot:
        """What is reachable now; raises JitError when that is more than could be watched."""
        found = Snapshot({}, {}, {}, [])
        mentioned: set[str] = set()
        found.put = _put_into(Tensor)
        stack, kinds = [*list(roots)[::-1], *found.put], {Tensor}
        while stack or (stack := found._of_modules(mentioned) or found._of_classes(mentioned)):
            path, value = stack.pop()
            if id(value) in found.inside or is_simple(value):
                continue
            if is_a(value, attrgetter | methodcaller):
                found.by_name = True
            inside = found.inside[id(value)] = parts(value, path)
            found.alive.append(value)
            inside[1].extend(contexts_of(value))
            if type(value) not in kinds and is_own(type(value)):
                kinds.add(type(value))
                inside[1].extend(_put_into(type(value)))
            if is_a(value, FunctionType) and inside[0]:
                mentioned |= names_of(value.__code__)
                found.asks = found.asks or asks_by_name(value.__code__)
            for holder in inside[0]:
                contents = {} if is_a(holder, Names) else holder.items()
                if is_a(holder, Globals | Names):
                    owner = holder.owner if is_a(holder, Globals) else vars(holder.owner)
                    found.modules.setdefault(id(owner), (owner, dict(owner)))
                found.contents[id(holder)], found.sizes[id(holder)] = (holder, contents), holder.size()
                stack += [(holder.spelled(key), item) for key, item in contents.items() if key is not BASES]
            stack += inside[1]
            if len(found.contents) > MOST_HOLDERS:
                raise JitError(f"a captured function can reach more than {MOST_HOLDERS:,} objects, for instance {path}")
        return found

    def _of_modules(self, mentioned: set[str]) -> list[tuple[str, Any]]:
        """Notes what modules hold under names that some code mentions; what is new of it."""
        new, names = list[tuple[str, Any]](), frozenset(mentioned)
        for holder, contents in self.contents.values():
            if is_a(holder, Names):
                found = vars(holder.owner)
                more = {key: found[key] for key in ({*mentioned, MAKING} & found.keys()) - contents.keys()}
                contents.update(more)
                holder.names = names
                shallow = is_a(holder, Library)
                file = vars(holder.owner).get("__file__") or ""
                own = is_ours(file) and not file.endswith("__init__.py")  # where users put things
                new += [(holder.spelled(key), item) for key, item in more.items() if not shallow or _is_put(item, own)]
        return new

    def _of_classes(self, mentioned: set[str]) -> list[tuple[str, Any]]:
        """Notes which classes inherit from those found, where some code may ask that; what is new of it."""
        if SUBCLASSES not in mentioned:
            return []
        new = list[tuple[str, Any]]()
        for cls in [one for one in self.alive if is_a(one, type)]:
            places = self.inside[id(cls)][0]
            if not any(is_a(holder, Subclasses) for holder in places):
                holder = Subclasses(cls.__name__, cls)
                contents = holder.items()
                places.append(holder)
                self.contents[id(holder)], self.sizes[id(holder)] = (holder, contents), holder.size()
                new.append((holder.spelled(SUBCLASSES), contents[SUBCLASSES]))
        return new

    def reached(
        self, roots: Iterable[Any], names: frozenset[str] | None, weakly: dict[int, Any] | None = None
    ) -> Iterator[tuple[Holder, dict[Any, Any]]]:
        """The places code that mentions the given names can see, with those of their contents it can see.

        weakly   is given, by identity, the objects that weak references alone lead to
        """
        seen: set[int] = set()
        stack, behind = [*list(roots)[::-1], *[item for _, item in self.put]], list[Any]()
        while stack or behind:
            value, is_weak = (stack.pop(), False) if stack else (behind.pop(), True)
            if id(value) in seen or id(value) not in self.inside:
                continue
            seen.add(id(value))
            if is_weak and weakly is not None:
                weakly[id(value)] = value
            holders, fixed = self.inside[id(value)]
            for holder in holders:
                contents = holder.seen(self.contents[id(holder)][1], self.names_of(holder, names))
                yield holder, contents
                stack += contents.values()
            further = behind if is_reference(value) else stack
            further += [item for _, item in fixed]
            self.fixed.update(id(item) for _, item in fixed if is_a(item, Tensor))

    def names_of(self, holder: Holder, names: frozenset[str] | None) -> frozenset[str] | None:
        """The names that count for one place, given those that count in general; None for any."""
        return None if id(holder.owner) in self.whole else names

    def holds(self, value: Any) -> bool:
        """True for an object that was there before."""
        return id(value) in self.inside

    @property
    def tensors(self) -> list[Tensor]:
        """All tensors found."""
        return [value for value in self.alive if is_a(value, Tensor)]

    @property
    def unmade(self) -> list[Any]:
        """The layers found that are made when they are first called, of those that were not called yet."""
        return [value for value in self.alive if getattr(type(value), "is_unmade", False)]
