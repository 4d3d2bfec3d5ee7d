"""Of which tensors a function asks `id()` or `hash()`, which are other numbers for others of equal values.

Comes in: what to do with such a tensor.  Goes out: a context in which the builtins are functions that do it first, so
that it is no matter through whom they are called.
"""

from __future__ import annotations

import builtins
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from sys import _getframe
from threading import get_ident
from types import CodeType, FrameType
from typing import Any, Final

from kernelforge.replay.codes import globals_of
from kernelforge.replay.kinds import is_a
from kernelforge.tensor import Tensor

ASKING: Final = {"id": id, "hash": hash}


def asks_by_name(code: CodeType) -> bool:
    """True for code that mentions the builtins."""
    return not globals_of(code).isdisjoint(ASKING)


def asks_itself(value: Any) -> bool:
    """True for the builtins."""
    return value is ASKING["id"] or value is ASKING["hash"]


@contextmanager
def noting(note: Callable[[Tensor, FrameType], None]) -> Iterator[None]:
    """A context in which a function is told of which tensors this thread asks, and in which frame."""
    thread = get_ident()

    def after(function: Callable[[Any], int]) -> Callable[[Any], int]:
        def asked(value: Any, /) -> int:
            if is_a(value, Tensor) and get_ident() == thread:
                note(value, _getframe(1))
            return function(value)

        return asked

    ours = {name: after(function) for name, function in ASKING.items() if getattr(builtins, name) is function}
    for name, asked in ours.items():
        setattr(builtins, name, asked)
    try:
        yield
    finally:
        for name, asked in ours.items():
            if getattr(builtins, name) is asked:
                setattr(builtins, name, ASKING[name])
