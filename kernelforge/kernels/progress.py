"""A line that says how far a long compilation is.

Comes in: how many kernels there are, and how many are done.  Goes out: "compiling 12/40, 3.1 s left" on a terminal,
once it has taken a while; the line is wiped out in the end.
"""

from __future__ import annotations

import sys
from time import perf_counter
from typing import Final

PATIENCE: Final = 1.0  # seconds that nothing is said


class Progress:
    """The progress of one compilation, by the size of what is compiled."""

    def __init__(self, kernels: int, size: int) -> None:
        self._kernels, self._size = kernels, size
        self._done = self._passed = 0
        self._start = perf_counter()
        self._shown = False

    def advance(self, kernels: int, size: int) -> None:
        """So many more kernels are done, whose sources have so many characters."""
        self._done += kernels
        self._passed += size
        spent = perf_counter() - self._start
        if spent >= PATIENCE and sys.stderr.isatty():
            self._shown = True
            text = line(self._done, self._kernels, spent, self._passed, self._size)
            print(f"\r{text}\033[K", end="", file=sys.stderr, flush=True)

    def end(self) -> None:
        """Wipes the line out."""
        if self._shown:
            print("\r\033[K", end="", file=sys.stderr, flush=True)


def line(done: int, kernels: int, spent: float, passed: int, size: int) -> str:
    """What is shown; the time left as the time spent goes with the size of sources.

    >>> line(12, 40, 3.0, 1000, 2000)
    'compiling 12/40, 3.0 s left'
    """
    left = f", {spent * (size - passed) / passed:.1f} s left" if passed else ""
    return f"compiling {done}/{kernels}{left}"
