"""Who is told what a function of tensors does beside making nodes, while it is recorded.

Comes in: a recorder, made active for the current thread.  Goes out: to it, from the tensor methods concerned, what a
graph does not show: tensors that change, numbers the host draws, values that reach Python.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, Final, NoReturn, Protocol

from numpy.typing import NDArray

from kernelforge.buffer import Buffer


class Recorder(Protocol):
    """Whoever records a function."""

    def changing(self, tensor: Any, by: Any = None) -> None:
        """A tensor is about to stand for another node; by: because that one, which shares its elements, does."""
        ...

    def drawn(self, buffer: Buffer, draw: Callable[[], NDArray]) -> None:
        """The elements of a buffer came from draw(), which gives others the next time."""
        ...

    def acted(self, act: Callable[[], object]) -> None:
        """Something was done that has to be done again whenever the function is run again."""
        ...

    def value(self, tensor: Any) -> NDArray:
        """The value of a tensor that Python asks for."""
        ...

    def differentiating(self) -> None:
        """Gradients are about to be added to the leaves a tensor depends on."""
        ...

    def shared(self, array: NDArray) -> None:
        """A tensor has the memory of an array, into which others may write."""
        ...

    def asked(self) -> None:
        """A tensor is to be computed, which waits until the function has run."""
        ...

    def refuse(self, what: str) -> NoReturn:
        """Something happened that cannot be done again."""
        ...


spelling: Final[ContextVar[bool]] = ContextVar("spelling", default=False)
"""True while operations are applied to placeholders, to be noted rather than computed."""

recorder: Final[ContextVar[Recorder | None]] = ContextVar("recorder", default=None)
