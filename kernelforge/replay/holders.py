"""Places with contents: what a closure, an object or a container holds under a name or a number.

Comes in: the object that holds something, and how the user would write it.  Goes out: a `Holder`, which reads its
contents and replaces them.  It does not know where such places are looked for.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from functools import cached_property
from types import ModuleType, SimpleNamespace
from typing import Any, Final
from weakref import ref

from kernelforge.errors import JitError
from kernelforge.later import Later
from kernelforge.replay.codes import WHOLE
from kernelforge.replay.kinds import attributes_in, is_a

MISSING: Final = object()
BASES: Final = sys.intern("__mro__")  # under which the bases of a class are found
MAKING: Final = "__getattr__"  # what a module makes names by that it has not got
SUBCLASSES: Final = "__subclasses__"
_OF_CLASSES: Final = frozenset(
    ("__dict__", "__weakref__", "__doc__", "__module__", "__qualname__", "__annotations__", "__abstractmethods__",
     "__firstlineno__", "__static_attributes__", "__annotations_cache__", "__annotate_func__", "_abc_impl")
)  # fmt: skip
"""Attributes of classes that are no program's business, or come into being when they are looked at."""


@dataclass
class Holder:
    """A place with contents.

    path   how the user would write it
    owner  the object that holds them

    `names` are the keys that count, None for all; `filtered` says that keys are names of a program, so that those no
    code mentions cannot matter; `grows`, that contents which are added do not; `partly`, that those nobody can see are
    left out one by one; `fixed`, that no replay can change them.
    """

    path: str
    owner: Any
    names: frozenset[str] | None = None
    filtered = False
    grows = False
    partly = False
    fixed = False

    def items(self) -> dict[Any, Any]:
        """The contents by key."""
        raise NotImplementedError

    def put(self, key: Any, value: Any) -> None:
        """Replaces a content; MISSING removes it."""
        raise NotImplementedError

    def size(self) -> int:
        """How many contents there are, those that do not count as well."""
        return 0

    def seen(self, contents: dict[Any, Any], names: frozenset[str] | None) -> dict[Any, Any]:
        """The contents that code which mentions the given names can see."""
        if names is None or not self.filtered:
            return contents
        return {key: value for key, value in contents.items() if key in names}

    def spelled(self, key: Any) -> str:
        """The path of a content."""
        return f"{self.path}[{key!r}]"


class Entries(Holder):
    """The values of a dict; those it says tensors follow are left to these."""

    def items(self) -> dict[Any, Any]:
        followed = getattr(self.owner, "followed", ())
        return {k: v for k, v in self.owner.items() if k not in followed} if followed else dict(self.owner)

    def put(self, key: Any, value: Any) -> None:
        if value is MISSING:
            del self.owner[key]
        else:
            self.owner[key] = value


class Globals(Entries):
    """Names of a module that a function mentions."""

    filtered = True

    def size(self) -> int:
        return len(self.owner)

    def items(self) -> dict[Any, Any]:
        assert self.names is not None
        return {name: self.owner[name] for name in self.names if name in self.owner}

    def spelled(self, key: Any) -> str:
        return f"global {key}" if not self.path else f"{self.path}.{key}"


def _in_full(cls: type, name: str) -> str:
    """What an attribute of a class is found by: private ones have the name of the class before theirs."""
    own = cls.__name__.lstrip("_")
    return f"_{own}{name}" if own and name.startswith("__") and not name.endswith("__") else name


class Attributes(Holder):
    """The attributes of an object or a class."""

    filtered = True

    @cached_property
    def slots(self) -> tuple[str, ...]:
        """Names of attributes that are not in a dict."""
        classes = type(self.owner).__mro__ if not is_a(self.owner, type) else ()
        found = [(cls, cls.__dict__.get("__slots__", ())) for cls in classes]
        names = [(cls, name) for cls, some in found for name in ((some,) if is_a(some, str) else some)]
        return tuple(_in_full(cls, name) for cls, name in names if name not in ("__dict__", "__weakref__"))

    def size(self) -> int:
        return len(attributes_in(self.owner) or ())

    def items(self) -> dict[Any, Any]:
        found = dict(attributes_in(self.owner) or {})
        found.update((name, getattr(self.owner, name)) for name in self.slots if hasattr(self.owner, name))
        unguarded = getattr(type(self.owner), "unguarded", ())
        if is_a(self.owner, type):
            is_own = self.owner.__module__.partition(".")[0] == "kernelforge"  # its books are no program's business
            found = {
                name: value for name, value in found.items()
                if name not in _OF_CLASSES and not (is_own and not hasattr(type(value), "__get__"))
            }  # fmt: skip
            return found if is_own else {**found, BASES: self.owner.__mro__}
        return {name: value for name, value in found.items() if name not in unguarded} if unguarded else found

    def seen(self, contents: dict[Any, Any], names: frozenset[str] | None) -> dict[Any, Any]:
        if names is not None and WHOLE in names and is_a(self.owner, SimpleNamespace):
            return contents
        if names is None or not is_a(self.owner, type):
            return super().seen(contents, names)
        return {key: value for key, value in contents.items() if key in names or key.startswith("__")}

    def put(self, key: Any, value: Any) -> None:
        if key is BASES and is_a(self.owner, type):
            raise JitError(f"a captured function changes the bases of the class {self.path}: do it outside")
        if value is MISSING:
            delattr(self.owner, key)
        else:
            setattr(self.owner, key, value)

    def spelled(self, key: Any) -> str:
        return f"{self.path}.{key}"


class Names(Attributes):
    """Names of a module that some code mentions."""

    def items(self) -> dict[Any, Any]:
        found = vars(self.owner)
        return {name: found[name] for name in {*(self.names or ()), MAKING} & found.keys()}

    def seen(self, contents: dict[Any, Any], names: frozenset[str] | None) -> dict[Any, Any]:
        return super().seen(contents, None if names is None else names | {MAKING})


class Library(Names):
    """Names of a module that is no user's: what they stand for counts.

    What is inside that counts as well, of whatever users may have put there; not inside functions and classes that are
    the library's, nor inside the lists and dicts this library's own modules keep books in.
    """

    fixed = True

    def put(self, key: Any, value: Any) -> None:
        raise JitError(f"a captured function changes {self.spelled(key)}, a name of a library: do it outside")

    def loaded(self, known: dict[Any, Any]) -> dict[Any, Any]:
        """What the library has put there since, as it was used for the first time: that is no change to anybody."""
        new = {key: x for key, x in self.items().items() if key not in known or is_a(known[key], Later)}
        return {key: value for key, value in new.items() if is_a(value, ModuleType) or self._is_its_own(value)}

    def _is_its_own(self, value: Any) -> bool:
        package = self.owner.__name__.partition(".")[0]
        return callable(value) and str(getattr(value, "__module__", "")).partition(".")[0] == package


class Gradient(Attributes):
    """The gradient of a tensor, and the functions that are called with it."""

    filtered = False

    def items(self) -> dict[Any, Any]:
        return {"grad": self.owner.grad, "_hooks": getattr(self.owner, "_hooks", None)}


class Elements(Holder):
    """The elements of a list or a deque."""

    def items(self) -> dict[Any, Any]:
        return dict(enumerate(self.owner))

    def put(self, key: Any, value: Any) -> None:
        if value is MISSING:
            self.owner.pop()  # the last one: those to go are named from the end
        elif key == len(self.owner):
            self.owner.append(value)
        else:
            self.owner[key] = value


class Members(Holder):
    """The members of a set, in the order in which it gives them."""

    def items(self) -> dict[Any, Any]:
        return {"": tuple(self.owner)}

    def put(self, key: Any, value: Any) -> None:
        self.owner.clear()
        self.owner.update(value)

    def spelled(self, key: Any) -> str:
        return self.path


class Cell(Holder):
    """A variable of a closure."""

    def items(self) -> dict[Any, Any]:
        try:
            return {"": self.owner.cell_contents}
        except ValueError:
            return {}

    def put(self, key: Any, value: Any) -> None:
        if value is MISSING:
            del self.owner.cell_contents
        else:
            self.owner.cell_contents = value

    def spelled(self, key: Any) -> str:
        return f"closure variable {self.path}"


class Subclasses(Holder):
    """The classes that inherit from a class, which are not kept alive."""

    fixed = partly = True

    def items(self) -> dict[Any, Any]:
        return {SUBCLASSES: tuple(map(ref, type.__subclasses__(self.owner)))}

    def seen(self, contents: dict[Any, Any], names: frozenset[str] | None) -> dict[Any, Any]:
        return contents if names is None or SUBCLASSES in names else {}

    def put(self, key: Any, value: Any) -> None:
        raise JitError(f"a captured function makes a class that inherits from {self.path}: do it outside")

    def spelled(self, key: Any) -> str:
        return f"{self.path}.{SUBCLASSES}()"


class Numbers(Holder):
    """The elements of a NumPy array."""

    fixed = True

    def items(self) -> dict[Any, Any]:
        fields = repr(self.owner.dtype) if self.owner.dtype.names else None  # which are changed in the type itself
        return {"": (self.owner.shape, self.owner.dtype, fields, self.owner.tobytes())}

    def put(self, key: Any, value: Any) -> None:
        raise JitError(f"a captured function changes the elements of the NumPy array {self.path}: use a Tensor instead")

    def spelled(self, key: Any) -> str:
        return f"elements of {self.path}"
