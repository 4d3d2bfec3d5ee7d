"""Rooms that are entered when something in them is first needed: a program pays for what it uses.

Comes in: the names of modules, in place of import statements.  Goes out: something that stands for each until it is
used.  A first result from a plan on disk needs neither the planner nor a printer, and an import needs no driver.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from importlib import import_module
from threading import Condition, get_ident
from types import ModuleType
from typing import Any, Final

PATIENCE: Final = 30.0  # seconds a fork waits for modules that are being loaded

_loading: Final[dict[int, int]] = {}  # how many modules each thread loads
_changed: Final = Condition()


class Later:
    """Stands for a module in the globals of another one; the first use puts the module itself there."""

    __slots__ = ("_place",)

    def __init__(self, module: str, user: dict[str, Any], name: str) -> None:
        object.__setattr__(self, "_place", (module, user, name))

    def _entered(self) -> ModuleType:
        module, user, name = self._place
        _count(1)
        try:
            user[name] = found = import_module(module)
        finally:
            _count(-1)
        return found

    def __getattr__(self, attribute: str) -> Any:
        return getattr(self._entered(), attribute)

    def __setattr__(self, attribute: str, value: object) -> None:
        setattr(self._entered(), attribute, value)


def later(user: dict[str, Any], **modules: str) -> None:
    """Puts modules among the globals of a user under the names given, each loaded when it is first used.

    >>> names = {}
    >>> later(names, text="textwrap")
    >>> names["text"].dedent("  a"), type(names["text"]).__name__
    ('a', 'module')
    """
    for name, module in modules.items():
        user[name] = sys.modules.get(module) or Later(module, user, name)


def _count(change: int) -> None:
    """Tells that this thread loads a module, or no more."""
    with _changed:
        left = _loading.get(get_ident(), 0) + change
        _loading[get_ident()] = left
        if not left:
            del _loading[get_ident()]
            _changed.notify_all()


def at_fork(lock: Any, before: Callable[[], object] = bool, in_child: Callable[[], object] = bool) -> None:
    """Has each fork wait for a lock, which the child else would inherit in the hands of a thread it does not have.

    before     called with the lock, before the fork
    in_child   called with the lock, in the child
    """
    held: list[None] = []  # nothing where this is called, as a module is loaded, while a fork is under way

    def take() -> None:
        lock.acquire()
        held.append(None)
        before()

    def free() -> None:
        if held:
            held.pop()
            lock.release()

    def free_in_child() -> None:
        in_child()
        if held:
            free()
        else:
            lock._at_fork_reinit()

    os.register_at_fork(before=take, after_in_parent=free, after_in_child=free_in_child)


def _settle() -> None:
    """Waits until no other thread loads a module, whose lock nobody would free in the child of a fork."""
    _changed.wait_for(lambda: not _loading.keys() - {get_ident()}, PATIENCE)


at_fork(_changed, _settle, _loading.clear)
