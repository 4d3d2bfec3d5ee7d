"""What objects that are neither a user's nor this library's hold: buffers, arrays, variables, functions with a memory.

Comes in: any object.  Goes out: its places and what is inside it, as for others; None for a kind not known here.
"""

from __future__ import annotations

import array
import functools
import gc
import io
import logging
import sys
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from types import BuiltinMethodType, MappingProxyType, MethodWrapperType, ModuleType, WrapperDescriptorType
from typing import Any, Final
from weakref import CallableProxyType, ProxyType

import numpy as np

from kernelforge.errors import JitError
from kernelforge.replay.contexts import places_of
from kernelforge.replay.holders import MISSING, Entries, Holder
from kernelforge.replay.kinds import attributes_in, is_a
from kernelforge.tensor import Tensor

IN_MEMORY: Final = (io.StringIO, io.BytesIO)
_READING: Final = frozenset(("getvalue", "getbuffer", "read", "read1", "readline", "readlines", "tell"))

Parts = tuple[list[Holder], list[tuple[str, Any]]]


class Bytes(Holder):
    """The elements of a buffer: a bytearray, an array, a view of memory, another library's array."""

    fixed = True

    def items(self) -> dict[Any, Any]:
        if is_a(self.owner, array.array):
            return {"": (self.owner.typecode, self.owner.tobytes())}
        if is_a(self.owner, memoryview):
            return {"": (self.owner.format, self.owner.shape, self.owner.tobytes())}
        return {"": _elements(self.owner) if _is_array(self.owner) else bytes(self.owner)}

    def put(self, key: Any, value: Any) -> None:
        raise JitError(f"a captured function changes the {self.spelled(key)}: use a Tensor instead")

    def spelled(self, key: Any) -> str:
        return f"elements of {self.path}"


class InMemory(Bytes):
    """What a file in memory holds, which code that mentions no method that reads does not see."""

    def items(self) -> dict[Any, Any]:
        return {} if self.owner.closed else {"": (self.owner.tell(), self.owner.getvalue())}

    def seen(self, contents: dict[Any, Any], names: frozenset[str] | None) -> dict[Any, Any]:
        return contents if names is None or not _READING.isdisjoint(names) else {}


class Opened(Holder):
    """How far a file has been read or written, which no replay would do again; that others do so is no change."""

    fixed = True

    def items(self) -> dict[Any, Any]:
        try:
            return {"": self.owner.tell()}
        except (OSError, ValueError):  # a pipe, a closed file, or lines of one are being read
            return {}

    def put(self, key: Any, value: Any) -> None:
        raise JitError(f"a captured function reads or writes the file {self.path}, which no replay would do again")


class Passing(Holder):
    """An iterator, which gives something else each time: that cannot be looked at."""

    def items(self) -> dict[Any, Any]:
        return {}


class Digest(Holder):
    """What a hash has come to, of all it was given."""

    fixed = True

    def items(self) -> dict[Any, Any]:
        return {"": (self.owner.name, self.owner.digest() if self.owner.digest_size else self.owner.hexdigest(64))}

    def put(self, key: Any, value: Any) -> None:
        raise JitError(f"a captured function adds to {self.path}, which no replay would do: do it outside")

    def spelled(self, key: Any) -> str:
        return f"the digest of {self.path}"


class Given(Holder):
    """The function that `functools.partial` calls, and what it gives to that."""

    fixed = True

    def items(self) -> dict[Any, Any]:
        return {name: getattr(self.owner, name) for name in ("func", "args", "keywords")}

    def put(self, key: Any, value: Any) -> None:
        raise JitError(f"a captured function changes {self.spelled(key)}: make another partial function instead")

    def spelled(self, key: Any) -> str:
        return f"{self.path}.{key}"


class Raised(Holder):
    """What an exception says."""

    def items(self) -> dict[Any, Any]:
        return {"args": self.owner.args, "__cause__": self.owner.__cause__}

    def put(self, key: Any, value: Any) -> None:
        setattr(self.owner, key, value)

    def spelled(self, key: Any) -> str:
        return f"{self.path}.{key}"


class Level(Holder):
    """From which level on a logger says something."""

    fixed = True

    def items(self) -> dict[Any, Any]:
        logger = self.owner
        return {"": (logger.getEffectiveLevel(), logger.level, logger.disabled, logger.manager.disable)}

    def put(self, key: Any, value: Any) -> None:
        raise JitError(f"a captured function changes {self.spelled(key)}: do it outside")

    def spelled(self, key: Any) -> str:
        return f"the level of {self.path}"


class Current(Holder):
    """The value of a context variable."""

    def items(self) -> dict[Any, Any]:
        value = self.owner.get(MISSING)
        return {} if value is MISSING else {"": value}

    def put(self, key: Any, value: Any) -> None:
        if value is MISSING:
            raise JitError(f"a captured function lets the context variable {self.path} forget its value")
        self.owner.set(value)

    def spelled(self, key: Any) -> str:
        return f"context variable {self.path}"


class Remembered(Entries):
    """What a function with `functools.lru_cache` remembers: more of it is no change, and another call is another."""

    grows = True

    def items(self) -> dict[Any, Any]:
        return dict(_memory(self.owner))

    def spelled(self, key: Any) -> str:
        return f"what {self.path}() remembers"

    def results(self) -> list[Any]:
        """What it remembers, as far as tensors may be in that."""
        book, own = _memory(self.owner), attributes_in(self.owner)
        found = [one for one in gc.get_referents(self.owner) if one is not book and one is not own]
        return [one for one in (*found, *book.values()) if is_a(one, Tensor | tuple | list | dict)]


def _memory(function: Any) -> dict[Any, Any]:
    """The dict in which a function with `functools.lru_cache` keeps its results; empty where there is none.

    Where it keeps a certain number of them, results that are dicts come before.
    """
    found = [one for one in gc.get_referents(function) if type(one) is dict and one is not function.__dict__]
    return found[-1] if found else {}


def _elements(value: Any) -> Any:
    """The type, shape and bytes of another library's array."""
    try:
        if (torch := sys.modules.get("torch")) is not None and is_a(value, torch.Tensor):
            flat = value.detach().cpu().contiguous().flatten()
            return str(value.dtype), tuple(value.shape), flat.view(torch.uint8).numpy().tobytes()
        found = np.asarray(value)
    except Exception as error:
        raise JitError(
            f"a captured function can see an array of {type(value).__name__} whose elements cannot be compared with "
            f"what they were ({error}): pass a Tensor instead"
        ) from error
    return found.dtype, found.shape, found.tobytes()


def _is_array(value: Any) -> bool:
    cls = type(value)
    return hasattr(cls, "__dlpack__") and not is_a(value, Tensor | np.ndarray)


def _has_buffer(value: Any) -> bool:
    """True for memory of C's types, of other processes, or of a file."""
    try:
        return not is_a(value, Tensor | np.ndarray) and memoryview(value).nbytes >= 0
    except (TypeError, ValueError, BufferError):
        return False


_VALUES: Final = frozenset((
    "datetime.date", "datetime.datetime", "datetime.time", "datetime.timedelta", "datetime.timezone", "decimal.Decimal",
    "fractions.Fraction", "pathlib.PosixPath", "pathlib.PurePosixPath", "pathlib.PureWindowsPath",
    "pathlib.WindowsPath", "uuid.UUID",
))  # fmt: skip
_HASHES: Final = frozenset(("_hashlib", "_blake2", "_md5", "_sha1", "_sha2", "_sha256", "_sha512", "_sha3"))
_OPAQUE: Final = frozenset(("sqlite3", "zlib", "_bz2", "_lzma", "_socket", "pyexpat"))


def is_value(value: Any) -> bool:
    """True for what never changes, of classes of the standard library whose objects say in print what they are."""
    return f"{type(value).__module__}.{type(value).__qualname__}" in _VALUES


def _is_opaque(value: Any) -> bool:
    """True for objects of C that change when they are used and do not tell how: of databases, streams, connections."""
    return not is_a(value, type) and any(cls.__module__ in _OPAQUE for cls in type(value).__mro__)


def check_not_iterator(value: Any, what: str) -> None:
    """raises JitError for what changes when it is looked at"""
    if is_a(value, Iterator) and _is_passing(value):
        raise JitError(
            f"a captured function can {what}, an iterator, whose state cannot be guarded: take the next item outside "
            "and pass it as an argument"
        )
    if _is_opaque(value):
        raise JitError(
            f"a captured function can {what}, a {type(value).__name__}, whose state cannot be guarded: use it outside "
            "and pass what comes of it as an argument"
        )


def _is_passing(value: Iterator[Any]) -> bool:
    """True for iterators of C: those that users write have attributes, files a place."""
    return not is_a(value, io.IOBase) and is_a(type(value).__next__, WrapperDescriptorType)


def _of_method(value: Any, path: str) -> Parts:
    """The object a method of C is of; not the module a function of C is of."""
    owner = value.__self__
    return [], [] if is_a(owner, ModuleType | type | None) else [(f"{path}.__self__", owner)]


def _of_file(value: Any, path: str) -> Parts:
    standard = (getattr(sys, name, None) for name in ("stdin", "stdout", "stderr", "__stdout__", "__stderr__"))
    if any(value is one for one in standard):
        return [], []
    return [InMemory(path, value) if is_a(value, IN_MEMORY) else Opened(path, value)], []


def _of_memory(value: Any, path: str) -> Parts:
    """A function that remembers results: these, and the function."""
    holder = Remembered(path, value)
    return [holder], [(path, value.__wrapped__), *((path, one) for one in holder.results())]


def _of_class(value: Any, path: str) -> Parts:
    """The functions a descriptor of `functools` is made of."""
    if is_a(value, functools.cached_property):
        return [], [(path, value.func)]
    if is_a(value, functools.partialmethod):
        return [], [(path, one) for one in (value.func, *value.args, value.keywords)]
    return [], [(path, value.dispatcher), (path, value.func)]


_KINDS: Final[tuple[tuple[Any, Callable[[Any, str], Parts]], ...]] = (
    ((BuiltinMethodType, MethodWrapperType), _of_method),
    ((bytearray, array.array, memoryview), lambda value, path: ([Bytes(path, value)], [])),
    ((type({}.keys()), type({}.values()), type({}.items())),
     lambda value, path: ([], [(path, one) for one in gc.get_referents(value)])),
    (io.IOBase, _of_file),
    (logging.Logger, lambda value, path: ([Level(path, value)], [])),
    (ContextVar, lambda value, path: ([Current(path, value)], [])),
    (MappingProxyType, lambda value, path: ([], [(path, one) for one in gc.get_referents(value)])),
    ((ProxyType, CallableProxyType), lambda value, path: ([], [(path, value.__init__.__self__)])),
    (type(functools.lru_cache(max)), _of_memory),
    ((functools.cached_property, functools.partialmethod, functools.singledispatchmethod), _of_class),
)


def of_others(value: Any, path: str) -> Parts | None:
    """The places inside a value of a kind known here, and what is inside it; None for any other."""
    for kinds, inside in _KINDS:
        if issubclass(type(value), kinds):
            return inside(value, path)
    if found := places_of(value, path):
        return found, []
    if (is_a(value, Iterator) and _is_passing(value)) or _is_opaque(value):
        return [Passing(path, value)], []
    if type(value).__module__ in _HASHES and hasattr(value, "digest"):
        return [Digest(path, value)], []
    return ([Bytes(path, value)], []) if _is_array(value) or _has_buffer(value) else None
