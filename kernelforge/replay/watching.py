"""What a function asks of the world outside of the program: the clock, the system, files, the terminal, threads.

Comes in: the calls a function makes while it is captured.  Goes out: the first of them that users' code made and no
replay can repeat, in words, and the environment variables that were read, which can be guarded.  What this library asks
for itself is none of the function's business.
"""

from __future__ import annotations

import builtins
import concurrent.futures
import datetime
import gc
import importlib
import inspect
import io
import os
import queue
import random
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Iterable
from functools import lru_cache
from types import CodeType, FrameType, ModuleType
from typing import Any, Final

from kernelforge import kinds
from kernelforge.replay.codes import looks_further
from kernelforge.replay.kinds import is_a
from kernelforge.replay.others import IN_MEMORY
from kernelforge.replay.registered import Pair, asked_in, asks
from kernelforge.replay.state import is_library, is_ours, is_written

CLOCK: Final = "reads the clock"
_KINDS: Final[dict[str, tuple[Any, str]]] = {
    CLOCK: (time, "time time_ns monotonic monotonic_ns perf_counter perf_counter_ns process_time process_time_ns "
                  "thread_time thread_time_ns clock_gettime clock_gettime_ns localtime gmtime ctime"),
    "draws random bytes from the system": (os, "urandom getrandom"),
    "looks at the file system": (os, "open stat lstat listdir scandir access getcwd readlink statvfs"),
    "changes files": (os, "remove unlink rename replace mkdir rmdir link symlink truncate write"),
    "starts a process": (os, "fork posix_spawn system"),
    "asks how Python collects garbage": (gc, "isenabled get_count get_threshold get_objects get_stats"),
    "asks about the interpreter": (sys, "getrecursionlimit getrefcount getallocatedblocks get_int_max_str_digits"),
    "asks what is done about signals": (importlib.import_module("_signal"), "getsignal"),
}  # fmt: skip
_OF_C: Final[dict[Any, str]] = {
    getattr(module, name): what for what, (module, names) in _KINDS.items() for name in names.split()
    if hasattr(module, name)
} | {
    datetime.datetime.now: CLOCK, datetime.datetime.utcnow: CLOCK, datetime.datetime.today: CLOCK,
    datetime.date.today: CLOCK, builtins.input: "reads from the terminal", io.open: "opens a file",
}  # fmt: skip
"""Functions of C that a function of tensors cannot repeat, and what they do."""

_OF_PYTHON: Final[dict[int, str]] = {id(function.__code__): what for function, what in (
    (threading.Thread.start, "hands work to another thread"),
    (concurrent.futures.ThreadPoolExecutor.submit, "hands work to another thread"),
    (concurrent.futures.ProcessPoolExecutor.submit, "hands work to another process"),
    (concurrent.futures.Future.result, "waits for another thread"),
    (queue.Queue.get, "waits for another thread"),
    (subprocess.Popen.__init__, "starts a process"),
)}  # fmt: skip
"""The same of Python, by the identity of their code."""

_OF_FILES: Final = frozenset(
    ("read", "read1", "readline", "readlines", "readinto", "readinto1", "write", "writelines", "seek", "truncate"))
CALLER: Final = "looks at who calls it"
_CURRENT: Final = inspect.currentframe.__code__
_BY_USERS: Final[dict[int, str]] = {id(function.__code__): what for what, functions in (
    ("asks in which thread it runs", (threading.current_thread, threading.main_thread)),
    ("asks which threads run", (threading.active_count, threading.enumerate)),
    (CALLER, (inspect.currentframe, inspect.stack, traceback.extract_stack, traceback.format_stack)),
) for function in functions}  # fmt: skip
"""Those that threads and libraries ask as well."""

_OF_USERS: Final = frozenset((threading.get_ident, threading.get_native_id, sys._getframe, sys.exc_info,
                              getattr(sys, "exception", sys.exc_info)))  # fmt: skip
_LOCK: Final = type(threading.Lock())
_MEMORY: Final = type(lru_cache(max))
_OWNERS: Final = (io.IOBase, queue.SimpleQueue, _LOCK, _MEMORY, ModuleType)
_HOST: Final = random.seed.__self__  # type: ignore[attr-defined]
_SEED: Final = random.Random.seed.__code__
_VARIABLE: Final = type(os.environ).__getitem__.__code__
_VARIABLES: Final = type(os.environ).__iter__.__code__
ASIDE: Final = frozenset(
    importlib.import_module(name).__file__
    for name in ("logging", "warnings", "linecache", "traceback", "inspect", "importlib", "tokenize")
)
"""Modules that look at clocks and files for purposes of their own."""

_FOR_USERS: Final = tuple(
    os.path.join(os.path.dirname(kinds.__file__), name) for name in ("io" + os.sep, "data" + os.sep, "checkpoint.py")
)
"""Those of this library that read files because users ask for it."""
_CAPTURING: Final = os.path.join(os.path.dirname(__file__), "function.py")  # which calls functions to capture them


Ran = tuple[CodeType, dict[str, Any], type | None]
"""Code with its globals, and the class its first argument is or is of."""


class Watch:
    """What was seen.

    libraries      all code but this library's own that ran for the user, by its identity and its first argument's class

    unrepeatable   the first call that no replay can repeat: what it does, the file and the line of whoever wants that
    variables      names of environment variables that were read; None: all of them were
    compared       classes, and the abstract ones they were compared with
    handled        the exception that is handled outside; handles: whether that was asked for
    """

    def __init__(self) -> None:
        self.unrepeatable: tuple[str, str, int] | None = None
        self.libraries: dict[tuple[int, type | None], Ran] = {}
        self.variables: set[str] | None = set()
        self.compared: dict[Pair, None] = {}
        self.handled, self.handles = sys.exc_info()[1], False

    def called_c(self, frame: FrameType, function: Any) -> None:
        """A function of C is called."""
        if asks(function):
            self._compares(frame)
        if self.unrepeatable is not None:
            return
        if function in _OF_C:
            self._note(frame, _OF_C[function])
        elif function in _OF_USERS:
            self._notes_itself(frame, function)
        elif is_a(owner := getattr(function, "__self__", None), _OWNERS):
            self._note_method(frame, owner, function.__name__)

    def called(self, frame: FrameType) -> None:
        """A function of Python is called."""
        code = frame.f_code
        if id(code) in _OF_PYTHON and self.unrepeatable is None:
            self._note(frame.f_back, _OF_PYTHON[id(code)])
        elif id(code) in _BY_USERS and self.unrepeatable is None:
            what, back = _BY_USERS[id(code)], frame.f_back
            own = what == CALLER and code is _CURRENT and back is not None and "f_back" not in back.f_code.co_names
            if back is not None and not own and not is_library(back.f_code.co_filename):
                self._note(back, what)
        elif code is _SEED and frame.f_locals.get("self") is _HOST and self.unrepeatable is None:
            self._note(frame.f_back, "seeds the host's random numbers")
        elif code is _SEED and frame.f_locals.get("a", 0) is None and self.unrepeatable is None:
            self._note(frame.f_back, "seeds a generator of random numbers with the clock or the system's random bytes")
        elif code is _VARIABLE and self.variables is not None and asking(frame.f_back) is not None:
            self.variables.add(os.fsdecode(frame.f_locals["key"]))
        elif code is _VARIABLES and asking(frame.f_back) is not None:
            self.variables = None

    def entered(self, frame: FrameType) -> None:
        """A function is called that is written in Python, but by machinery of imports."""
        code = frame.f_code
        if is_ours(code.co_filename):
            return
        first = frame.f_locals.get(code.co_varnames[0]) if code.co_argcount else None
        cls = first if is_a(first, type) else type(first) if code.co_argcount else None
        if (id(code), cls) not in self.libraries and _runs_for_user(frame):
            self.libraries[id(code), cls] = code, frame.f_globals, cls

    def _note_method(self, frame: FrameType, owner: Any, name: str) -> None:
        """Notes a method of C of an object that others change, too; of a module it is a function."""
        if isinstance(owner, queue.SimpleQueue):
            self._note(frame, "uses a queue of threads")
        elif isinstance(owner, ModuleType):
            if owner.__name__ == "_sqlite3":
                self._note(frame, "connects to a database")
        elif name == "locked":
            self._note(frame, "asks whether a lock is taken")
        elif name == "cache_info":
            self._note(frame, "asks what a function with a memory has counted")
        elif isinstance(owner, io.IOBase) and not isinstance(owner, IN_MEMORY) and name in _OF_FILES:
            self._note(frame, "reads or writes a file")

    def _notes_itself(self, frame: FrameType, function: Any) -> None:
        """Notes what libraries ask all the time, where users' code asks it itself."""
        if is_library(frame.f_code.co_filename):
            return
        if function is sys._getframe:
            if looks_further(frame):
                self._note(frame, CALLER)
        elif function in (threading.get_ident, threading.get_native_id):
            self._note(frame, "asks in which thread it runs")
        elif sys.exc_info()[1] is self.handled and asking(frame) is not None:
            self.handles = True
            if self.handled is not None:
                self._note(frame, "asks which exception is handled outside of it")

    def _compares(self, frame: FrameType) -> None:
        """Notes for which classes an abstract one answers, where a user asks or wrote one of them."""
        new = [pair for pair in asked_in(frame) if pair not in self.compared]
        if new and (any(is_written(cls) for pair in new for cls in pair) or asking(frame) is not None):
            self.compared.update(dict.fromkeys(new))

    def _note(self, frame: FrameType | None, what: str) -> None:
        user = asking(frame)
        if user is not None and not (what == CLOCK and _is_installed(user.f_code)):
            self.unrepeatable = what, user.f_code.co_filename, user.f_lineno


def asking(frame: FrameType | None, aside: frozenset[str | None] = ASIDE) -> FrameType | None:
    """The frame of the user's code on whose behalf something is called; None where it is not for the user.

    What is called when garbage is collected is for nobody: that may happen anywhere. Neither is what modules do while
    they are imported: the next call will find them imported.
    """
    collecting, found = _called_by_collector(), None
    while frame is not None:
        file = frame.f_code.co_filename
        if frame.f_code in collecting or file.startswith("<frozen importlib"):
            return None
        if found is None:
            ours = is_ours(file)
            if file in aside or (ours and not file.startswith(_FOR_USERS)):
                return None
            found = None if is_library(file) else frame
        elif file == _CAPTURING:
            return found
        frame = frame.f_back
    return found


def _runs_for_user(frame: FrameType | None) -> bool:
    """True for a call by or in users' code that does not just pass through libraries on behalf of this one."""
    while frame is not None:
        file = frame.f_code.co_filename
        if is_ours(file) or file.startswith("<frozen importlib"):
            return False
        if not is_library(file):
            return True
        frame = frame.f_back
    return False


def _called_by_collector() -> set[CodeType]:
    """The code of what the garbage collector calls."""
    found = [getattr(back, "__code__", getattr(type(back).__call__, "__code__", None)) for back in gc.callbacks]
    return {code for code in found if code is not None}


def _is_installed(code: CodeType) -> bool:
    """True for packages, whose progress bars and loggers look at the clock."""
    return "site-packages" in code.co_filename or "dist-packages" in code.co_filename


class Environment:
    """Environment variables that a call has read."""

    __slots__ = ("expected", "names")

    def __init__(self, names: Iterable[str] | None) -> None:
        self.names = None if names is None else tuple(names)
        self.expected = self._values()

    def _values(self) -> list[tuple[str, str | None]]:
        return list(os.environ.items()) if self.names is None else [(name, os.environ.get(name)) for name in self.names]

    def holds(self) -> bool:
        return self._values() == self.expected

    def reason(self) -> str | None:
        """What has changed, in words."""
        old, new = dict(self.expected), dict(self._values())
        changed = [name for name in {**old, **new} if old.get(name) != new.get(name)]
        if not changed:
            return None
        return f"environment variable {changed[0]} was {old.get(changed[0])!r}, now it is {new.get(changed[0])!r}"


class Handling:
    """No exception is handled outside of a call that asks which."""

    __slots__ = ()

    def holds(self) -> bool:
        return sys.exc_info()[1] is None

    def reason(self) -> str | None:
        """Which exception is handled now."""
        found = sys.exc_info()[1]
        return None if found is None else f"no exception was handled outside, now it is a {type(found).__name__}"


def environment_of(watch: Watch) -> list[Environment | Handling]:
    """What guards the environment variables that were read, if any were, and that no exception is handled."""
    found: list[Environment | Handling] = [Handling()] if watch.handles else []
    return found if watch.variables is not None and not watch.variables else [*found, Environment(watch.variables)]
