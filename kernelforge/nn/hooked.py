"""The part of a module that calls functions of the user's: hooks.

Comes in: functions.  Goes out: handles that remove them.  When they are called is `Module.__call__`'s business, and
that of `state_dict()`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kernelforge.nn.hooks import Book, Hook, RemovableHandle, registered


class Hooked:
    """What has hooks."""

    _notes: Book | None = None

    @property
    def _book(self) -> Book:
        book = self._notes
        if book is None:
            book = Book()
            object.__setattr__(self, "_notes", book)
        return book

    def register_forward_pre_hook(
        self, hook: Callable[..., Any], *, prepend: bool = False, with_kwargs: bool = False
    ) -> RemovableHandle:
        """Call hook(module, args) before each forward(); what it returns, if anything, takes the arguments' place."""
        return registered(self._book.forward_pre, Hook(hook, with_kwargs), prepend)

    def register_forward_hook(
        self,
        hook: Callable[..., Any],
        *,
        prepend: bool = False,
        with_kwargs: bool = False,
        always_call: bool = False,
    ) -> RemovableHandle:
        """Call hook(module, args, output) after each forward(); what it returns, if anything, is the output instead."""
        return registered(self._book.forward, Hook(hook, with_kwargs, always_call), prepend)

    def register_full_backward_hook(self, hook: Callable[..., Any], prepend: bool = False) -> RemovableHandle:
        """Call hook(module, grad_input, grad_output), tuples of gradients, whenever backward() passes the module.

        What it returns, if anything, takes the place of grad_input.
        """
        return registered(self._book.backward, Hook(hook), prepend)

    def register_full_backward_pre_hook(self, hook: Callable[..., Any], prepend: bool = False) -> RemovableHandle:
        """Call hook(module, grad_output) before backward() passes the module; what it returns is grad_output instead.
        """
        return registered(self._book.backward_pre, Hook(hook), prepend)

    register_backward_hook = register_full_backward_hook

    def register_state_dict_pre_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Call hook(module, prefix, keep_vars) before the module's part of a state_dict() is made."""
        return registered(self._book.state_pre, Hook(hook))

    def register_state_dict_post_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Call hook(module, state_dict, prefix, local_metadata) when the module's part of a state_dict() is made."""
        return registered(self._book.state_post, Hook(hook))

    def register_load_state_dict_pre_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Call hook(module, state_dict, prefix, ...) with torch's further arguments before the module loads a state."""
        return registered(self._book.load_pre, Hook(hook))

    def register_load_state_dict_post_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Call hook(module, incompatible_keys) after the module has loaded a state."""
        return registered(self._book.load_post, Hook(hook))
