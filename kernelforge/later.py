"""Rooms that are entered when something in them is first needed: a program pays for what it uses.

Comes in: the names of modules, in place of import statements.  Goes out: something that stands for each until it is
used.  A first result from a plan on disk needs neither the planner nor a printer, and an import needs no driver.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import Any


class Later:
    """Stands for a module in the globals of another one; the first use puts the module itself there."""

    __slots__ = ("_place",)

    def __init__(self, module: str, user: dict[str, Any], name: str) -> None:
        object.__setattr__(self, "_place", (module, user, name))

    def _entered(self) -> ModuleType:
        module, user, name = self._place
        user[name] = found = import_module(module)
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
