"""What objects that are neither a user's nor this library's hold: buffers, arrays, variables, functions with a memory.

Comes in: any object.  Goes out: its places and what is inside it, as for others; None for a kind not known here.
"""

from __future__ import annotations

import array
import functools
import gc
import sys
from collections.abc import Callable
from contextvars import ContextVar
from types import MappingProxyType
from typing import Any, Final
from weakref import CallableProxyType, ProxyType

import numpy as np

from kernelforge.errors import JitError
from kernelforge.replay.holders import MISSING, Entries, Holder
from kernelforge.tensor import Tensor

LOOKED_INTO: Final = frozenset(
    ("types", "dataclasses", "argparse", "collections", "configparser", "optparse", "weakref", "_weakrefset", "_thread",
     "_threading_local"))  # fmt: skip
"""Modules of the standard library whose objects have attributes that programs read."""

Parts = tuple[list[Holder], list[tuple[str, Any]]]


class Bytes(Holder):
    """The elements of a buffer: a bytearray, an array, a view of memory, an array of another library."""

    def items(self) -> dict[Any, Any]:
        if isinstance(self.owner, bytearray):
            return {"": bytes(self.owner)}
        if isinstance(self.owner, array.array):
            return {"": (self.owner.typecode, self.owner.tobytes())}
        if isinstance(self.owner, memoryview):
            return {"": (self.owner.format, self.owner.shape, self.owner.tobytes())}
        return {"": _elements(self.owner)}

    def put(self, key: Any, value: Any) -> None:
        raise JitError(f"a captured function changes the {self.spelled(key)}: use a Tensor instead")

    def spelled(self, key: Any) -> str:
        return f"elements of {self.path}"


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


def _memory(function: Any) -> dict[Any, Any]:
    """The dict in which a function with `functools.lru_cache` keeps its results; empty where there is none."""
    found = (one for one in gc.get_referents(function) if type(one) is dict and one is not function.__dict__)
    return next(found, {})


def _elements(value: Any) -> Any:
    """The type, shape and bytes of another library's array."""
    try:
        if (torch := sys.modules.get("torch")) is not None and isinstance(value, torch.Tensor):
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
    return hasattr(cls, "__dlpack__") and not isinstance(value, Tensor | np.ndarray)


def _of_memory(value: Any, path: str) -> Parts:
    """A function that remembers results: these, and the function."""
    results = [one for one in gc.get_referents(value) if isinstance(one, Tensor)]
    return [Remembered(path, value)], [(path, value.__wrapped__), *((path, one) for one in results)]


def _of_class(value: Any, path: str) -> Parts:
    """The functions a descriptor of `functools` is made of."""
    if isinstance(value, functools.cached_property):
        return [], [(path, value.func)]
    if isinstance(value, functools.partialmethod):
        return [], [(path, one) for one in (value.func, *value.args, value.keywords)]
    return [], [(path, value.dispatcher), (path, value.func)]


_KINDS: Final[tuple[tuple[Any, Callable[[Any, str], Parts]], ...]] = (
    ((bytearray, array.array, memoryview), lambda value, path: ([Bytes(path, value)], [])),
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
    return ([Bytes(path, value)], []) if _is_array(value) else None
