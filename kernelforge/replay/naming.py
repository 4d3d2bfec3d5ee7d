"""What a function is called and what it wraps, whatever it says.

Comes in: anything that can be called; objects may refuse to be asked for `__wrapped__`, `__name__` and their like.
Goes out: its name, the function that code is of, and its names on another.
"""

from __future__ import annotations

import functools
from inspect import isasyncgenfunction, iscoroutinefunction, isgeneratorfunction
from types import FunctionType, MethodType
from typing import Any, Final

from kernelforge.replay.kinds import attribute, is_a

DEEPEST: Final = 100  # functions one in another; an object that has every attribute has no innermost one
_NONE: Final = object()


def named(function: Any) -> str:
    """How errors name a function."""
    if is_a(name := attribute(function, "__qualname__"), str):
        return f"{name}()"
    try:
        return f"{function!r}()"
    except Exception:
        return f"{object.__repr__(function)}()"


def name_after(function: Any, other: Any) -> None:
    """Gives one the name, the module and the text of another, as far as that tells them."""
    for name in functools.WRAPPER_ASSIGNMENTS:
        if (value := attribute(other, name, _NONE)) is not _NONE:
            setattr(function, name, value)
    function.__wrapped__ = other


def makes_steps(function: Any) -> bool:
    """True for generators and coroutines, in whatever they are wrapped."""
    plain = function.func if is_a(function, functools.partial) else function
    for _ in range(DEEPEST):
        if (inner := attribute(plain, "__wrapped__")) is None:
            break
        plain = inner
    kinds = (isgeneratorfunction, iscoroutinefunction, isasyncgenfunction)
    return is_a(plain, FunctionType | MethodType) and any(is_one(plain) for is_one in kinds)
