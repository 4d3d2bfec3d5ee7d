"""What must be as it was of the code that ran: functions, names that stand for builtins, modules it searches.

Comes in: what a call could see and the code that ran.  Goes out: guards, which say in words what has changed.
"""

from __future__ import annotations

import builtins
import sys
from collections.abc import Collection, Iterable, Sequence
from operator import attrgetter, getitem, is_
from types import CodeType, FunctionType, ModuleType
from typing import Any, Final

from kernelforge.errors import JitError
from kernelforge.later import Later
from kernelforge.replay.codes import globals_of, imports_of, is_dynamic, names_of
from kernelforge.replay.guards import is_same, shown
from kernelforge.replay.holders import MISSING, Library, Names
from kernelforge.replay.kinds import is_a
from kernelforge.replay.state import Snapshot, is_library, is_own
from kernelforge.replay.trace import Trace
from kernelforge.tensor import Tensor
from kernelforge.tensor.composite import methods

_BUILTIN: Final = vars(builtins)
_WHOLE: Final = frozenset(("globals", "eval", "exec"))


class Absent:
    """Globals a call looked for and found among the builtins, or not at all."""

    __slots__ = ("expected", "names", "owner")

    def __init__(self, owner: dict[str, Any], names: Iterable[str]) -> None:
        self.owner, self.names = owner, [name for name in names if name not in owner]
        self.expected = [_BUILTIN.get(name) for name in self.names]

    def holds(self) -> bool:
        return self.owner.keys().isdisjoint(self.names) and all(map(is_, map(_BUILTIN.get, self.names), self.expected))

    def reason(self) -> str | None:
        """Which name means something else by now."""
        for name, old in zip(self.names, self.expected):
            if name in self.owner:
                return f"global {name} hides the builtin now" if old is not None else f"global {name} is there now"
            if _BUILTIN.get(name) is not old:
                return f"the builtin {name} is another one now"
        return None


class Imported:
    """Modules that code imports while it runs, or looks for among those that are there."""

    __slots__ = ("expected",)

    def __init__(self, names: Iterable[str]) -> None:
        self.expected = {name: sys.modules.get(name) for name in names}

    def holds(self) -> bool:
        return all(map(is_, map(sys.modules.get, self.expected), self.expected.values()))

    def reason(self) -> str | None:
        """Which module is another one by now."""
        found = [name for name, old in self.expected.items() if sys.modules.get(name) is not old]
        return f"another module is imported as {found[0]} now" if found else None


class Everything:
    """All names of a module, where some are looked for by strings that no code need mention."""

    __slots__ = ("expected", "grows", "owner")

    def __init__(self, owner: dict[str, Any], before: dict[str, Any], grows: bool = False) -> None:
        self.owner, self.expected, self.grows = owner, before, grows

    def holds(self) -> bool:
        if self.grows:
            return all(map(is_, map(self.owner.get, self.expected), self.expected.values()))
        return len(self.owner) == len(self.expected) and all(map(is_, self.owner.values(), self.expected.values()))

    def reason(self) -> str | None:
        """Which name has changed."""
        for name in self.expected if self.grows else self.expected.keys() | self.owner.keys():
            old, new = self.expected.get(name, MISSING), self.owner.get(name, MISSING)
            if not is_same(old, new):
                return f"global {name} was {shown(old)}, now it is {shown(new)}"
        self.expected = {name: self.owner[name] for name in self.expected} if self.grows else dict(self.owner)
        return None


def everything_in(snapshot: Snapshot, roots: Iterable[Any], trace: Trace) -> list[Everything]:
    """What guards modules whose names are looked for by strings; of libraries', those that are not their own business.

    raises JitError for a name that was given another value like this, which nobody could tell before
    """
    codes = [(code, owner) for code, owner in trace.codes.values() if not is_library(code.co_filename)]
    owners, of_libraries = [owner for code, owner in codes if not _WHOLE.isdisjoint(code.co_names)], []
    is_searching = trace.searching or snapshot.by_name or any(is_dynamic(code) for code, _ in codes)
    if trace.by_name or is_searching:
        holders = [holder for holder, _ in snapshot.reached(roots, None) if isinstance(holder, Names)]
        owners += [vars(holder.owner) for holder in holders if not isinstance(holder, Library)]
        of_libraries = [
            holder for holder in holders
            if isinstance(holder, Library) and not _is_ours(holder.owner)
            and (is_searching or id(holder.owner) in trace.searched)
        ]  # fmt: skip
    known = {id(owner): snapshot.modules[id(owner)] for owner in owners if id(owner) in snapshot.modules}
    mentioned = {name for code, _ in codes for name in names_of(code)}
    for owner, before in known.values():
        for name in before.keys() | owner.keys():
            if name not in mentioned and not is_same(before.get(name, MISSING), owner.get(name, MISSING)):
                raise JitError(f"a captured function changes global {name}, a name it computes: mention it")
    found = [Everything(*found) for found in known.values()]
    return found + [_public(holder, snapshot) for holder in of_libraries]


def _is_ours(module: ModuleType) -> bool:
    return module.__name__.partition(".")[0] in ("kernelforge", "codegen")


def _public(holder: Library, snapshot: Snapshot) -> Everything:
    """What guards the names a library's module had, but for its own.

    raises JitError for one that was given another value
    """
    owner, before = snapshot.modules[id(vars(holder.owner))]
    before = {name: value for name, value in before.items() if name[0] != "_" and not isinstance(value, Later)}
    for name, value in before.items():
        if not is_same(value, owner.get(name, MISSING)):
            raise JitError(f"a captured function changes {holder.spelled(name)}, a name of a library: do it outside")
    return Everything(owner, before, grows=True)


class Written:
    """What functions that ran are made of: another one's code may be put in, by editors for instance, or defaults."""

    __slots__ = ("expected", "functions")

    def __init__(self, functions: Sequence[FunctionType]) -> None:
        self.functions, self.expected = functions, list(map(_WRITTEN, functions))

    def holds(self) -> bool:
        return all(map(_all_same, map(_WRITTEN, self.functions), self.expected))

    def reason(self) -> str | None:
        """Which function is another one by now."""
        for function, old in zip(self.functions, self.expected):
            if not _all_same(_WRITTEN(function), old):
                return f"{function.__qualname__}() was given other code or defaults"
        return None


_WRITTEN: Final = attrgetter("__code__", "__defaults__", "__kwdefaults__")


def _all_same(old: tuple[object, ...], new: tuple[object, ...]) -> bool:
    return all(map(is_, old, new))


class Methods:
    """What names that users' code mentions stand for in this library's classes: other functions may be put there."""

    __slots__ = ("_all", "_owners", "_sizes", "_whole", "classes", "found", "names")

    def __init__(self, classes: Sequence[type], names: Collection[str]) -> None:
        self.classes, self.names = classes, names
        self._note()

    def _note(self) -> None:
        self.found = {}
        for cls in self.classes:
            for name in self.names:
                owner = next((base for base in cls.__mro__[:-1] if name in vars(base)), None)
                if owner is not None:
                    self.found[owner, name] = vars(owner)[name]
        self._owners = [vars(owner) for owner, _ in self.found], [name for _, name in self.found]
        self._whole = list(map(vars, self.classes))
        self._sizes = list(map(len, self._whole))
        self._all = methods()

    def holds(self) -> bool:
        try:
            now = map(getitem, *self._owners)
            same = self._all is methods() and all(map(is_, now, self.found.values()))
            return same and list(map(len, self._whole)) == self._sizes
        except KeyError:
            return False

    def reason(self) -> str | None:
        """Which name stands for something else by now."""
        before, those = self.found, self._all
        self._note()
        now, self.found = self.found, before
        for (owner, name), value in {**before, **now}.items():
            if not is_same(before.get((owner, name), MISSING), now.get((owner, name), MISSING)):
                self._all = those
                return f"{owner.__name__}.{name} is another one now ({shown(value)})"
        if len(those) != len(self._all) or not all(map(is_, those, self._all)):  # others call each other
            self._all = those
            return "methods of Tensor are other ones now"
        self.found = now
        return None


def methods_in(objects: Iterable[Any], codes: Iterable[tuple[CodeType, dict[str, Any]]]) -> list[Methods]:
    """What guards the classes of this library that tensors and objects a call could see are of."""
    names = {name for code, _ in codes if not is_library(code.co_filename) for name in names_of(code)}
    kinds = dict.fromkeys([Tensor, *[one if is_a(one, type) else type(one) for one in objects]])
    classes = [cls for cls in kinds if any(map(is_own, cls.__mro__))]
    found = Methods(classes, sorted(names | {"forward", "__call__"}))
    return [found] if found.found else []


def written_in(snapshot: Snapshot, codes: Collection[int]) -> list[Written]:
    """What guards the users' functions that ran, given the identities of their code."""
    found = [value for value in snapshot.alive if is_a(value, FunctionType) and id(value.__code__) in codes]
    found = [function for function in found if not is_library(function.__code__.co_filename)]
    return [Written(found)] if found else []


def imported_in(codes: Iterable[tuple[CodeType, dict[str, Any]]]) -> list[Imported]:
    """What guards the modules that users' code asked for while it ran."""
    names = set[str]()
    for code, owner in codes:
        found = imports_of(code) if not is_library(code.co_filename) else ()
        names.update(found, [f"{owner.get('__package__')}.{name}" for name in found if owner.get("__package__")])
    return [Imported(sorted(names))] if names else []


def absent_in(codes: Iterable[tuple[CodeType, dict[str, Any]]]) -> list[Absent]:
    """What must not become a global where users' code ran."""
    found = [Absent(owner, globals_of(code)) for code, owner in codes if not is_library(code.co_filename)]
    return [absent for absent in found if absent.names]
