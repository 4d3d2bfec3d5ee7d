"""Who watches what runs: told of new plans and of every launch, with its time.

Comes in: observers, active for the body of a `with`.  Goes out: to them, from `realize` and `running`.  While there is
one, launches run one by one and each is waited for, so what is seen is the kernels' own time, not the overlap of host
and device.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

from kernelforge.settings import forget
from kernelforge.steps import Launch, Plan


class Observer:
    """Told what happens; each method does nothing unless it is overridden."""

    def planned(self, plan: Plan) -> None:
        """A plan was made, or found on disk, and its programs are compiled."""

    def compiled(self, count: int, seconds: float) -> None:
        """Programs were compiled, or taken from a cache."""

    def launching(self, plan: Plan, step: Launch, memories: Sequence[Any]) -> None:
        """A kernel is about to run on its arguments."""

    def launched(self, plan: Plan, step: Launch, memories: Sequence[Any], seconds: float) -> None:
        """It ran, and took so many seconds on its device."""


observers: Final[list[Observer]] = []


@contextmanager
def observed(observer: Observer) -> Iterator[None]:
    """A context in which an observer is told what runs, in all threads."""
    observers.append(observer)
    forget()
    try:
        yield
    finally:
        observers.remove(observer)
        forget()
