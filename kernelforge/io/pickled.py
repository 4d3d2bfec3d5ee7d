"""What a pickle says, without doing it.

Comes in: a pickle's bytes and the few names it may use.  Goes out: the value it describes.  Python's own unpickler
calls whatever a file names; this one has a stack, plain data, and a table of functions that only make data.  A name
that is not in the table, an operation that is none of plain data, and a pickle that does not end are errors.
"""

from __future__ import annotations

import pickletools
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import IO, Any, Final

import numpy as np

from kernelforge.errors import FileFormatError

MOST: Final = 10_000_000  # operations of one pickle; a state dict has some twenty a tensor


class Refused(ValueError):
    """A pickle that is not plain data, or no pickle."""


class Named:
    """A name of the table: what a pickle may call. It has no attributes a pickle could set."""

    __slots__ = ("make",)

    def __init__(self, make: Callable[..., Any]) -> None:
        self.make = make


_MARK: Final = object()
_CONSTANTS: Final[dict[str, Callable[[], Any]]] = {
    "NONE": lambda: None, "NEWTRUE": lambda: True, "NEWFALSE": lambda: False,
    "EMPTY_LIST": list, "EMPTY_TUPLE": tuple, "EMPTY_DICT": dict, "EMPTY_SET": set,
}  # fmt: skip
_LITERALS: Final = frozenset(
    (
        *("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"),
        *("STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"),
        *("BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8"),
    )
)
_SHORT_TUPLES: Final = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_NOTHING: Final = frozenset(("PROTO", "FRAME"))


def described(stream: IO[bytes], names: Mapping[tuple[str, str], Any], persistent: Callable[[Any], Any]) -> Any:
    """The value of the pickle that begins at the stream's position, which is behind it afterwards.

    names       for (module, name) a Named, or plain data
    persistent  from a persistent id to the value it stands for

    raises Refused
    """
    machine = _Machine(names, persistent)
    try:
        for count, (operation, argument, _) in enumerate(pickletools.genops(stream)):
            if count > MOST:
                raise Refused(f"a pickle of more than {MOST:,} operations")
            if operation.name == "STOP":
                return machine.pop()
            machine.do(operation.name, argument)
    except (Refused, FileFormatError):
        raise
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError, MemoryError) as error:
        raise Refused(f"no valid pickle: {error or type(error).__name__}") from None
    raise Refused("a pickle without an end")


def _key(key: Any) -> Any:
    """The key itself: a string, a number, or a flat tuple of them. Deep tuples could not even be hashed safely."""
    plain = str | bytes | int | float | None
    if isinstance(key, plain) or (isinstance(key, tuple) and all(isinstance(part, plain) for part in key)):
        return key
    raise Refused(f"a dict or set with a {type(key).__name__} as key")


class _Machine:
    """A pickle's stack and memo."""

    def __init__(self, names: Mapping[tuple[str, str], Any], persistent: Callable[[Any], Any]) -> None:
        self.names, self.persistent = names, persistent
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}

    def pop(self) -> Any:
        value = self.stack.pop()
        if value is _MARK:
            raise Refused("no valid pickle: a mark where a value is needed")
        return value

    def since_mark(self) -> list[Any]:
        """Everything above the last mark."""
        place = next((i for i in range(len(self.stack) - 1, -1, -1) if self.stack[i] is _MARK), None)
        if place is None:
            raise Refused("no valid pickle: no mark on the stack")
        found = self.stack[place + 1 :]
        del self.stack[place:]
        return found

    def do(self, name: str, argument: Any) -> None:
        """One operation."""
        if name in _LITERALS:
            self.stack.append(argument)
        elif name in _CONSTANTS:
            self.stack.append(_CONSTANTS[name]())
        elif name in _SHORT_TUPLES:
            count = _SHORT_TUPLES[name]
            self.stack.append(tuple([self.pop() for _ in range(count)][::-1]))
        elif name not in _NOTHING:
            operation = getattr(self, f"_{name.lower()}", None)
            if operation is None:
                raise Refused(f"the pickle operation {name} is none of plain data")
            operation(argument)

    # Stack and memo -------------------------------------------------------------------------------------------------

    def _mark(self, _: Any) -> None:
        self.stack.append(_MARK)

    def _pop(self, _: Any) -> None:
        self.stack.pop()

    def _pop_mark(self, _: Any) -> None:
        self.since_mark()

    def _dup(self, _: Any) -> None:
        self.stack.append(self.stack[-1])

    def _put(self, place: int) -> None:
        self.memo[place] = self.stack[-1]

    _binput = _long_binput = _put

    def _memoize(self, _: Any) -> None:
        self.memo[len(self.memo)] = self.stack[-1]

    def _get(self, place: int) -> None:
        self.stack.append(self.memo[place])

    _binget = _long_binget = _get

    # Containers -----------------------------------------------------------------------------------------------------

    def _list(self, _: Any) -> None:
        self.stack.append(self.since_mark())

    def _tuple(self, _: Any) -> None:
        self.stack.append(tuple(self.since_mark()))

    def _frozenset(self, _: Any) -> None:
        self.stack.append(frozenset(map(_key, self.since_mark())))

    def _dict(self, _: Any) -> None:
        items = self.since_mark()
        self.stack.append(dict(zip(map(_key, items[::2]), items[1::2], strict=True)))

    def _append(self, _: Any) -> None:
        value = self.pop()
        self._top(list).append(value)

    def _appends(self, _: Any) -> None:
        values = self.since_mark()
        self._top(list).extend(values)

    def _additems(self, _: Any) -> None:
        values = self.since_mark()
        self._top(set).update(map(_key, values))

    def _setitem(self, _: Any) -> None:
        value, key = self.pop(), _key(self.pop())
        self._top(dict)[key] = value

    def _setitems(self, _: Any) -> None:
        items = self.since_mark()
        self._top(dict).update(zip(map(_key, items[::2]), items[1::2], strict=True))

    def _top(self, kind: type) -> Any:
        if not self.stack or not isinstance(self.stack[-1], kind):
            raise Refused(f"no valid pickle: items for a {kind.__name__} that is none")
        return self.stack[-1]

    # Names ----------------------------------------------------------------------------------------------------------

    def _global(self, name: str) -> None:
        module, _, attribute = name.partition(" ")
        self._push_named(module, attribute)

    def _stack_global(self, _: Any) -> None:
        attribute, module = self.pop(), self.pop()
        self._push_named(module, attribute)

    def _push_named(self, module: Any, attribute: Any) -> None:
        if not isinstance(module, str) or not isinstance(attribute, str) or (module, attribute) not in self.names:
            raise Refused(
                f"it needs {module}.{attribute}, which is no part of tensors and plain data; nothing of it was run. "
                f"Save model.state_dict() instead of the model"
            )
        self.stack.append(self.names[module, attribute])

    def _reduce(self, _: Any) -> None:
        arguments, function = self.pop(), self.pop()
        if not isinstance(function, Named) or not isinstance(arguments, tuple):
            raise Refused("no valid pickle: a call of what cannot be called")
        self.stack.append(function.make(*arguments))

    def _newobj(self, argument: Any) -> None:
        self._reduce(argument)

    def _build(self, _: Any) -> None:
        """The state of an object, which says nothing of interest: a state dict's versions, a number type's order."""
        state = self.pop()
        swapped = isinstance(state, tuple) and ">" in state
        if not isinstance(self.stack[-1], OrderedDict | np.dtype) or swapped:
            raise Refused(f"a state for a {type(self.stack[-1]).__name__}, which takes none")

    def _persid(self, identity: Any) -> None:
        self.stack.append(self.persistent(identity))

    def _binpersid(self, _: Any) -> None:
        self.stack.append(self.persistent(self.pop()))
