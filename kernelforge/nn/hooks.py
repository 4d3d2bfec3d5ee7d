"""Functions a module calls around its own.

Comes in: functions users register.  Goes out: handles that take them off again, and a call that runs them in order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import count
from typing import Any, Final, NamedTuple

_numbers: Final[Iterator[int]] = count()


class Hook(NamedTuple):
    """A registered function.

    with_kwargs   it takes the keyword arguments as well
    always        it is called even when forward() raises
    """

    function: Callable[..., Any]
    with_kwargs: bool = False
    always: bool = False


class RemovableHandle:
    """What a registration gives: remove() undoes it; as a context manager it lasts as long as the context."""

    def __init__(self, hooks: dict[int, Hook]) -> None:
        self.hooks, self.id = hooks, next(_numbers)

    def remove(self) -> None:
        """Take the function off; a second time does nothing."""
        self.hooks.pop(self.id, None)

    def __enter__(self) -> RemovableHandle:
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()


def registered(hooks: dict[int, Hook], hook: Hook, prepend: bool = False) -> RemovableHandle:
    """The handle of a hook put behind, or before, those there are."""
    handle = RemovableHandle(hooks)
    others = dict(hooks) if prepend else {}
    if prepend:
        hooks.clear()
    hooks[handle.id] = hook
    hooks.update(others)
    return handle


class Book:
    """What a module knows beside its attributes.

    parameters   names of attributes that are parameters whether they require gradients or not
    transient    names of buffers that are not part of the state
    """

    __slots__ = (
        "backward", "backward_pre", "forward", "forward_pre", "load_post", "load_pre", "parameters", "state_post",
        "state_pre", "transient",
    )  # fmt: skip

    def __init__(self) -> None:
        self.parameters: set[str] = set()
        self.transient: set[str] = set()
        self.forward: dict[int, Hook] = {}
        self.forward_pre: dict[int, Hook] = {}
        self.backward: dict[int, Hook] = {}
        self.backward_pre: dict[int, Hook] = {}
        self.state_pre: dict[int, Hook] = {}
        self.state_post: dict[int, Hook] = {}
        self.load_pre: dict[int, Hook] = {}
        self.load_post: dict[int, Hook] = {}

    @property
    def watches(self) -> bool:
        """True when a call of the module is more than forward()."""
        return bool(self.forward or self.forward_pre or self.backward or self.backward_pre)


def prepared(module: Any, book: Book, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """The arguments after all hooks that come before forward()."""
    for hook in list(book.forward_pre.values()):
        if hook.with_kwargs:
            changed = hook.function(module, args, kwargs)
            if changed is not None:
                args, kwargs = changed
        else:
            changed = hook.function(module, args)
            if changed is not None:
                args = changed if isinstance(changed, tuple) else (changed,)
    return args, kwargs


def followed(module: Any, book: Book, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> Any:
    """The output after all hooks that come behind forward()."""
    for hook in list(book.forward.values()):
        given = (module, args, kwargs, output) if hook.with_kwargs else (module, args, output)
        changed = hook.function(*given)
        output = output if changed is None else changed
    return output


def abandoned(module: Any, book: Book, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """Call the hooks that are called even when forward() raised; what they raise themselves is dropped."""
    for hook in [hook for hook in book.forward.values() if hook.always]:
        given = (module, args, kwargs, None) if hook.with_kwargs else (module, args, None)
        with suppress(Exception):
            hook.function(*given)
