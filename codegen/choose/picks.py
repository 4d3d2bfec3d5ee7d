"""The choices a schedule recipe makes, each stated once with its alternatives.

Comes in: a recipe calls `pick(name, options)` wherever it could do otherwise.  Goes out: one option.  `first` takes
what the analytical model prefers; a tuner hands in a `Script` and so walks through everything else a recipe can do.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Protocol, TypeVar

T = TypeVar("T")


class Pick(Protocol):
    """Chooses one of several options; the first one is the model's own choice."""

    def __call__(self, name: str, options: Iterable[T], /) -> T: ...


def first(name: str, options: Iterable[T], /) -> T:
    """The option the model prefers."""
    return next(iter(options))


def either(preferred: T, others: Iterable[T]) -> tuple[T, ...]:
    """The preferred option, then the others that differ from it.

    >>> either(4, (1, 2, 4, 8))
    (4, 1, 2, 8)
    """
    return tuple(dict.fromkeys((preferred, *others)))


class Script:
    """A pick that follows a script, the model's choice where the script says nothing.

    script  per name the position of the option to take
    met     the names asked for so far, each with the number of its options
    taken   the positions taken that are not the first
    """

    def __init__(self, script: Mapping[str, int]) -> None:
        self.script = script
        self.met: dict[str, int] = {}
        self.taken: dict[str, int] = {}

    def __call__(self, name: str, options: Iterable[T], /) -> T:
        found = tuple(options)
        self.met[name] = len(found)
        position = self.script.get(name, 0)
        if not 0 < position < len(found):
            return found[0]
        self.taken[name] = position
        return found[position]

    def forget(self, kept: str) -> None:
        """Starts again with the questions of another recipe; only one question stays."""
        self.met = {name: options for name, options in self.met.items() if name == kept}
        self.taken = {name: position for name, position in self.taken.items() if name == kept}
