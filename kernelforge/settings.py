"""The switches of kernelforge, in one table.

Comes in: the environment (`KF_` + name) when this module is first imported, and `Context`.  Goes out: `Setting`
objects whose `value` the code reads where it needs it.  A switch set by `Context` holds in the current thread (or
task), for the body of its `with`; one given another value by `set` holds in the whole process.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import ContextDecorator
from contextvars import ContextVar, Token
from functools import wraps
from types import MappingProxyType
from typing import Any, Final, Generic, TypeVar

from kernelforge.errors import SettingError

R = TypeVar("R")
T = TypeVar("T", bound=int | str)

_NONE: Final[Mapping[str, Any]] = MappingProxyType({})
overrides: Final[ContextVar[Mapping[str, Any]]] = ContextVar("overrides", default=_NONE)  # by name
epochs: Final = [object()]  # its one element is another whenever a switch gets another value in the whole process


class Setting(Generic[T]):
    """A switch: its value is the innermost `Context`'s, else the environment's, else the default.

    name     as in `Context(NAME=...)`; the environment variable is KF_NAME
    default  its value when nobody sets it, which also decides its type
    meaning  what it does, for the table that `describe` prints
    touched  whether it ever had another value than the default, in any thread
    asked    whether the program or the environment ever said what it is to be; only of those that note it
    """

    def __init__(self, name: str, default: T, meaning: str) -> None:
        self.name, self.default, self.meaning = name, default, meaning
        self.touched = False
        text = os.environ.get(self.variable)
        self.asked = bool(text)
        self._base = default if text is None or text == "" else self.convert(text)

    @property
    def variable(self) -> str:
        """The environment variable that sets it."""
        return f"KF_{self.name}"

    @property
    def value(self) -> T:
        given = overrides.get()
        return given.get(self.name, self._base) if given else self._base

    def __bool__(self) -> bool:
        return bool(self.value)

    def __int__(self) -> int:
        return int(self.value)

    def convert(self, value: Any) -> T:
        """A value of the switch's type, that it is about to have.

        raises SettingError when `value` does not mean one
        """
        found = self._converted(value)
        self.touched = self.touched or found != self.default
        return found

    def _converted(self, value: Any) -> T:
        try:
            if isinstance(self.default, bool):
                number = int(value)
                if number not in (0, 1):
                    raise ValueError
                return bool(number)  # type: ignore[return-value]
            return type(self.default)(value)
        except (TypeError, ValueError):
            wanted = "0 or 1" if isinstance(self.default, bool) else "an integer"
            raise SettingError(f"{self.name} ({self.variable}) must be {wanted}, not {value!r}") from None

    def set(self, value: object) -> None:
        """Gives the switch a value in the whole process, wherever no `Context` is in force."""
        self._base = self.convert(value)
        forget()

    def ask(self) -> None:
        """Notes that the program says what it is to be."""
        if not self.asked:
            self.asked = True
            forget()

    def __repr__(self) -> str:
        return f"Setting({self.name}={self.value!r})"


DEBUG: Final = Setting("DEBUG", 0, "1: plans; 2: launches with times; 3: groups and reasons; 4: kernels; 5: sources")
DEVICE: Final = Setting("DEVICE", "CPU", "device of new tensors: CPU, CUDA, CUDA:<i>, GPU, CL:<i>, NUMPY")
OPENCL: Final = Setting("OPENCL", "", "OpenCL runtimes, read with THREADS: intel, pocl, a part of a name; all")
THREADS: Final = Setting("THREADS", 0, "CPU threads that run kernels, 0 for all; read when a device is first opened")
ITEMS: Final = Setting("ITEMS", 0, "work-items of a group in OpenCL, read like THREADS; 0: 64 on GPUs, 1 on CPUs")
NATIVE: Final = Setting("NATIVE", True, "kernels are called by C code where that is built; read like THREADS")
WORKERS: Final = Setting("WORKERS", -1, "processes that help to compile, -1 for one per further processor, 0 for none")
COMPILE_APART: Final = Setting("COMPILE_APART", True, "Intel's CPU driver compiles in another process: it may crash")
POOL: Final = Setting("POOL", -1, "MiB of freed memory kept for reuse per device, -1 for a quarter of its memory")
CACHE: Final = Setting("CACHE", True, "keep compiled kernels on disk")
CACHE_PLANS: Final = Setting("CACHE_PLANS", True, "keep plans that took long to make on disk, too")
CACHE_DIR: Final = Setting("CACHE_DIR", "", "where, instead of kernelforge/ in the user's cache directory")
CACHE_SIZE: Final = Setting("CACHE_SIZE", 1024, "MiB of compiled kernels kept; the least recently used go first")
DUMP: Final = Setting("DUMP", "", "folder for a page that shows what ran, with all sources")
DUMP_LANGUAGE: Final = Setting("DUMP_LANGUAGE", "", "language of those: opencl, triton, both, which is the default")
EDITED: Final = Setting("EDITED", "", "folder of a dump whose edited sources are used")
TUNE: Final = Setting("TUNE", 0, "1: measure schedules of kernels that have none in the lock file; 2: of all kernels")
TUNE_LOCK: Final = Setting("TUNE_LOCK", "", "file of measured schedules, or none; empty: the nearest tune.lock")
TUNE_SECONDS: Final = Setting("TUNE_SECONDS", 5, "seconds the search for one kernel's schedule may take")
KEEP: Final = Setting("KEEP", 256, "MiB of weights prepared for fast products that are kept from one use to the next")
WINOGRAD: Final = Setting("WINOGRAD", True, "convolutions with fewer multiplications, where they are faster on a CPU")
GRAPHS: Final = Setting("GRAPHS", False, "on CUDA, plans that run again do so as one graph; not tried on a GPU yet")
TMA: Final = Setting("TMA", True, "on CUDA from compute capability 9.0 on, tiles may come by the copy engine")
OPEN: Final = Setting("OPEN", True, "from the second size of a graph on, kernels serve all sizes")
PENDING: Final = Setting("PENDING", 4096, "operations a tensor may wait for before it is computed unasked; 0: any")
MEMORY_BUDGET: Final = Setting("MEMORY_BUDGET", 0, "bytes a plan may take beside what is given; 0: any")
EAGER: Final = Setting("EAGER", False, "each operation of tensors runs as it is made")
VERIFY: Final = Setting("VERIFY", 0, "1: kernels and graphs are checked on their data, large ones in places; 2: all")
NAN: Final = Setting("NAN", 0, "1: computing NaN is an error that names operation, element, line; 2: infinity, too")
JIT: Final = Setting("JIT", True, "functions under jit are captured and replayed; 0: they run as they are")
TRAINING: Final = Setting("TRAINING", False, "layers such as dropout and batch norm behave as in training")

SETTINGS: Final[dict[str, Setting[Any]]] = {
    setting.name: setting
    for setting in (
        DEBUG, DEVICE, OPENCL, THREADS, ITEMS, NATIVE, WORKERS, COMPILE_APART, POOL, CACHE, CACHE_PLANS, CACHE_DIR,
        CACHE_SIZE, DUMP, DUMP_LANGUAGE, EDITED, TUNE, TUNE_LOCK, TUNE_SECONDS, KEEP, WINOGRAD, GRAPHS, TMA, OPEN,
        PENDING, MEMORY_BUDGET, EAGER, VERIFY, NAN, JIT, TRAINING,
    )
}  # fmt: skip


class Context(ContextDecorator):
    """Gives switches a value for the body of a `with` statement or of a decorated function.

    >>> with Context(DEBUG=2):
    ...     DEBUG.value
    2

    raises SettingError for a switch that does not exist or a value it cannot take
    """

    def __init__(self, **values: object) -> None:
        for name in values:
            if name not in SETTINGS:
                raise SettingError(f"there is no switch {name}; there are {', '.join(SETTINGS)}")
        self._values = {name: SETTINGS[name].convert(value) for name, value in values.items()}
        self._tokens: list[Token[Mapping[str, Any]]] = []

    def _recreate_cm(self) -> Context:
        return Context(**self._values)

    def __enter__(self) -> None:
        self._tokens.append(overrides.set({**overrides.get(), **self._values}))

    def __exit__(self, *_: object) -> None:
        overrides.reset(self._tokens.pop())


def remembered(function: Callable[[], R]) -> Callable[[], R]:
    """A function of the switches, called again only when one of them may have another value."""
    known: tuple[object, object, R] | None = None

    @wraps(function)
    def value() -> R:
        nonlocal known
        given, epoch = overrides.get(), epochs[0]
        found = known
        if found is None or found[0] is not given or found[1] is not epoch:
            found = known = given, epoch, function()
        return found[2]

    return value


def forget() -> None:
    """Makes `remembered` functions look again: what they depend on besides switches has changed."""
    epochs[0] = object()


@remembered
def shows_kernels() -> bool:
    """True when programs must hold the kernels they were made from: to print or to check these."""
    return bool(VERIFY.value) or prints_kernels()


@remembered
def prints_kernels() -> bool:
    """True when kernels are printed, or sources in other languages."""
    return bool(DUMP.value or DUMP_LANGUAGE.value) or int(DEBUG) >= 4


def describe() -> str:
    """The table of switches: environment variable, value now, meaning."""
    rows = [(setting.variable, repr(setting.value), setting.meaning) for setting in SETTINGS.values()]
    widths = [max(len(row[column]) for row in rows) for column in range(2)]
    return "\n".join(f"{name:{widths[0]}}  {value:{widths[1]}}  {meaning}" for name, value, meaning in rows)
