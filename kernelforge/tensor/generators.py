"""Where random numbers come from: seeds, and how many calls have drawn.

Comes in: a seed.  Goes out: `Generator`, of which there is one for all that asks for no other; `drawing`, which lets a
function take another one.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from functools import partial, wraps
from struct import Struct
from typing import Any, Final, Self, TypeVar
from weakref import WeakSet

import numpy as np

from kernelforge.errors import KindError
from kernelforge.members import members
from kernelforge.recording import recorder

F = TypeVar("F", bound=Callable[..., Any])
MOST_SEED: Final = (1 << 64) - 1
_PAIR: Final = Struct("<QQ")
_WORD: Final = np.dtype("<u4")

_alive: Final[WeakSet[Generator]] = WeakSet()


class Generator:
    """The seed and the number of calls so far; every call draws from its own stream, the same on every device.

        Generator(device=None)

    device   of no account: numbers are the same on every device

    >>> from kernelforge import Tensor
    >>> x, y = (Tensor.rand(2, generator=Generator().manual_seed(3)) for _ in range(2))
    >>> x.equal(y)
    True

    source: torch.Generator
    """

    unguarded = ("_calls", "_seed")  # replays draw from what a generator has come to

    def __init__(self, device: str | None = None) -> None:
        self.device = device
        _alive.add(self)
        self.restart(67280421310721)  # torch's number for generators that got none

    def restart(self, seed: int) -> None:
        """Begin again with a seed."""
        self._seed: int = seed & MOST_SEED
        self._calls: Iterator[int] = itertools.count()

    def manual_seed(self, seed: int) -> Self:
        """Begin again with a seed; gives the generator itself."""
        if (active := recorder.get()) is not None:
            active.acted(partial(self.restart, seed))
        self.restart(seed)
        return self

    def seed(self) -> int:
        """Begin again with a seed that nobody knows, which is the result."""
        chosen = int.from_bytes(os.urandom(8), "little")
        self.manual_seed(chosen)
        return chosen

    def initial_seed(self) -> int:
        """The seed of the numbers that follow."""
        refuse("asks for the seed of random numbers")
        return self._seed

    def get_state(self) -> tuple[int, int]:
        """The seed and how many calls there were: all that the numbers to come depend on."""
        refuse("asks for the state of random numbers")
        return self.reached()

    def set_state(self, state: tuple[int, int]) -> Self:
        """Go on from a state; gives the generator itself."""
        if (active := recorder.get()) is not None:
            active.acted(partial(self.go_on, state))
        self.go_on(state)
        return self

    def reached(self) -> tuple[int, int]:
        """The state, for the library's own use: whoever records is not told."""
        return self._seed, int(repr(self._calls)[len("count(") : -1])  # other threads may draw meanwhile

    def go_on(self, state: tuple[int, int]) -> None:
        """Go on from a state, for the library's own use: whoever records is not told."""
        seed, reached = state
        self._seed = seed & MOST_SEED
        self._calls = itertools.count(reached)

    def passed(self) -> np.ndarray:
        """The next call's words, for what no value depends on: a recorded function passes others each time."""
        if (active := recorder.get()) is not None:
            active.acted(self.words)
        return self.words()

    def words(self) -> np.ndarray:
        """The next call's key and counter, four uint32 words."""
        return np.frombuffer(bytearray(_PAIR.pack(self._seed, next(self._calls))), _WORD)


default: Final = Generator()
default.restart(int.from_bytes(os.urandom(8), "little"))
_chosen: Final[ContextVar[Generator]] = ContextVar("chosen", default=default)


def refuse(what: str) -> None:
    """raises the error of whoever records a function that does what would be another thing each time it runs"""
    if (active := recorder.get()) is not None:
        active.refuse(f"{what}, which another call would find different")


def states() -> list[tuple[Generator, tuple[int, int]]]:
    """What all generators have come to."""
    return [(generator, generator.reached()) for generator in members(_alive)]


def current() -> Generator:
    """The generator that calls draw from."""
    return _chosen.get()


def drawing(method: F) -> F:
    """A function whose calls draw from its argument `generator`, where it is given one.

    raises KindError when that is no Generator
    """
    code = method.__code__
    names = code.co_varnames[: code.co_argcount]
    place = names.index("generator") if "generator" in names else len(names)

    @wraps(method)
    def called(*args: Any, **kwargs: Any) -> Any:
        given = args[place] if len(args) > place and place < len(names) else kwargs.get("generator")
        if given is None:
            return method(*args, **kwargs)
        if not isinstance(given, Generator):
            raise KindError(
                f"{method.__name__}() draws from a Generator, got {type(given).__name__} {given!r}; "
                "kernelforge.Generator().manual_seed(0) makes one"
            )
        token = _chosen.set(given)
        try:
            return method(*args, **kwargs)
        finally:
            _chosen.reset(token)

    return called  # type: ignore[return-value]
