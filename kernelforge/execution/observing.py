"""Who watches what runs: told of compilations and of every launch, with its time.

Comes in: observers, active for the body of a `with`.  Goes out: to them, from `running`.  While there is
one, launches run one by one and each is waited for, so what is seen is the kernels' own time, not the overlap of host
and device.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from kernelforge.planning.steps import Launch
from kernelforge.settings import DUMP, forget


class Observer:
    """Told what happens; each method does nothing unless it is overridden."""

    def compiled(self, count: int, seconds: float) -> None:
        """Programs were compiled, or taken from a cache."""

    def launched(self, step: Launch, seconds: float) -> None:
        """A kernel ran, and took so many seconds on its device."""


observers: Final[list[Observer]] = []
named: Final[dict[str, Observer]] = {}
"""Those that watch while the switch DUMP names them."""


def watching() -> Sequence[Observer]:
    """Who is to be told now."""
    found = named.get(DUMP.value) if named else None
    return observers if found is None else (*observers, found)


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
