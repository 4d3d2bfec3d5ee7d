"""Where a fault is: the user's call, its operands and the line it is written in.

Comes in: the Python stack, while an error is made.  Goes out: a few lines of text for the error.  An operation that
fails only when a plan is made carries its line with it, in `current_line`.
"""

from __future__ import annotations

import contextlib
import linecache
import os
import sys
from contextvars import ContextVar
from types import CodeType, FrameType
from typing import Any, Final

Line = tuple[str, int]

current_line: Final[ContextVar[Line | None]] = ContextVar("current_line", default=None)

_ROOT: Final = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
_PACKAGES: Final = tuple(os.path.join(_ROOT, name) + os.sep for name in ("kernelforge", "codegen"))
_CONTEXTS: Final = contextlib.__file__
_ERRORS: Final = os.path.join(_ROOT, "kernelforge", "errors.py")
_WRAPPED: Final = frozenset(("function", "method"))  # what a wrapper calls the function it wraps
_LIBRARY: Final = _PACKAGES[0]
_MOST: Final = 6  # operands
_LONGEST: Final = 60  # characters of one


class _Own(dict[str, bool]):
    """Whether a file belongs to the library, by its name, or stands between its context managers and their users."""

    def __missing__(self, file: str) -> bool:
        found = self[file] = file.startswith(_LIBRARY) or file == _CONTEXTS
        return found


is_own: Final = _Own()


def whereabouts() -> str:
    """Lines that name the call, its operands and where the user wrote it; empty outside of a user's call."""
    call, user = _frames()
    written = current_line.get()
    lines = []
    if call is not None and not _is_wrapper(call.f_code):
        lines.append(f"  in {_name(call)}({_operands(call)})")
    if written is not None:
        lines.append(f"  written at {_place(written)}")
    if user is not None and (user.f_code.co_filename, user.f_lineno) != written:
        lines.append(f"  {'found' if written else 'called'} at {_place((user.f_code.co_filename, user.f_lineno))}")
    return "".join("\n" + line for line in lines)


def _frames() -> tuple[FrameType | None, FrameType | None]:
    """The frame of the outermost function of this package that the user called, and the user's own."""
    frame: FrameType | None = sys._getframe(2)
    while frame is not None and frame.f_code.co_filename == _ERRORS:
        frame = frame.f_back
    call = None
    while frame is not None:
        code = frame.f_code
        if code.co_filename == _CONTEXTS:
            frame = frame.f_back
            continue
        if not code.co_filename.startswith(_PACKAGES):
            if call is not None:
                return call, frame
        elif call is None or _is_for_users(code):
            call = frame
        frame = frame.f_back
    return None, None


def _is_for_users(code: CodeType) -> bool:
    """True for functions that users call: no helpers, and no wrappers."""
    name = code.co_name
    return (name[0] != "_" or name.endswith("__")) and not _is_wrapper(code)


def _is_wrapper(code: CodeType) -> bool:
    """True for functions around others, which do not show their arguments' names."""
    return not _WRAPPED.isdisjoint(code.co_freevars)


def _place(line: Line) -> str:
    """File, line, and what is written there."""
    text = linecache.getline(*line).strip()
    return f"{line[0]}:{line[1]}" + (f": {text[:100]}" if text else "")


def _name(frame: FrameType) -> str:
    """The function's name as the user knows it, with the class it is called on."""
    name = frame.f_code.co_qualname if hasattr(frame.f_code, "co_qualname") else frame.f_code.co_name
    owner = frame.f_locals.get("self", frame.f_locals.get("cls"))
    if owner is None:
        return name
    if isinstance(owner, list | tuple):  # cat([x, y]): a method called as a function
        return name.rpartition(".")[2]
    return f"{(owner if isinstance(owner, type) else type(owner)).__name__}.{name.rpartition('.')[2]}"


def _operands(frame: FrameType) -> str:
    """The arguments of a call with the types and shapes of arrays among them."""
    code, values = frame.f_code, frame.f_locals
    count = code.co_argcount + code.co_kwonlyargcount
    names = [name for name in code.co_varnames[:count] if name in values and name not in ("cls", "device")]
    shown = [f"{name}={_in_words(values[name])}" for name in names if values[name] is not None]
    if code.co_flags & 0x04 and code.co_varnames[count] in values:  # *args
        shown += [_in_words(value) for value in values[code.co_varnames[count]]]
    more = ["..."] if len(shown) > _MOST else []
    return ", ".join(shown[:_MOST] + more)


def _in_words(value: Any, within: tuple[int, ...] = ()) -> str:
    """A value; within: the lists it is in, one of which it may be."""
    if id(value) in within:
        return "[...]"
    if isinstance(value, type):
        return value.__name__
    if hasattr(value, "shape") and hasattr(value, "dtype"):
        kind = "" if hasattr(value, "_node") else f"{type(value).__name__} "
        return f"{kind}{value.dtype} {list(value.shape)}"
    if isinstance(value, list | tuple) and any(hasattr(item, "shape") and not isinstance(item, type) for item in value):
        within = (*within, id(value))
        return "[" + ", ".join(_in_words(item, within) for item in value[:3]) + (", ...]" if len(value) > 3 else "]")
    if isinstance(value, str | int | float | complex | list | tuple | dict | slice | type(None) | type(...)):
        text = repr(value)
        return text if len(text) <= _LONGEST else text[: _LONGEST - 3] + "..."
    return type(value).__name__
